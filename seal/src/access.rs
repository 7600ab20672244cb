//! What a seal of some tier may do: one pure function over a request's attributes.
//!
//! Shape:  [`decide`] takes the operator's [`Policy`], the holder's tier, the
//!         [`Place`] of the request (which namespace, seen from the holder) and
//!         the [`Attributes`] that Kubernetes sends, and answers [`Decision`].
//! Order:  what nobody below super may do (`forbidden`), then what the tier
//!         grants (`decide`, over the tables `roles`, `cluster`, `paths`), then
//!         the rest: final in a namespace with an owner, *no opinion* elsewhere.
//! Source: Kubernetes 1.36, `plugin/pkg/auth/authorizer/rbac/bootstrappolicy/policy.go`,
//!         for the rules of the ClusterRoles `view`, `edit` and `admin`.
//! Law:    a higher tier never loses an *allow*; a text that no table knows is
//!         never allowed below super.

mod attributes;
mod cluster;
mod decide;
mod forbidden;
mod guard_state;
mod paths;
mod policy;
mod reasons;
mod roles;
mod standing;
mod verbs;

pub use attributes::{Attributes, ResourceAttributes};
pub use decide::decide;
pub use guard_state::GuardState;
pub use policy::{
    CustomResourceGroups, EXTENSION_NAMESPACE, InvalidPolicy, Policy, ProtectedNamespaces, Tenancy,
};
pub use reasons::{Decision, DenyReason, Grant, Silence};
pub use standing::{Bound, NamespaceView, Ownership, Place, Standing};
