//! Tenants' namespaces: made at first use, kept guarded, ended with their owner's seals.
//!
//! Shape:  a namespace is `seal-<16 hex>` or `seal-<16 hex>-<suffix>` with the annotation of its
//!         owner. [`Tenants::ensure_home`] makes the first one; [`Tenants::run`] keeps all of them:
//!         it compares what should be there (`objects`) with what is, and where the owner's
//!         standing (`owner`) asks for it takes the next step of the namespace's `life`.
//!         [`list`], [`add`] and [`release`] are the operator's.
//! Units:  times are ms since the epoch by the seal directory's clock.
//! Errors: what can't be read changes nothing. All that is needed after a restart stands on the
//!         Namespace or on the chain.
//!
//! ```text
//!   directory ─changes─┐
//!   Namespaces ─watch──┤                     ┌─ owner: standing from the chain
//!   quotas, limits,    ├─► reconcile(name) ──┼─ life: phase, next step, when to look again
//!   policies, bindings ┤                     └─ objects: what should be there
//!   Nodes, endpoints ──┤
//!   settings, time ────┘   one leader, at most 16 namespaces at once
//! ```

mod addresses;
mod controller;
mod error;
mod events;
mod home;
mod life;
mod look;
mod marks;
mod metrics;
mod names;
mod objects;
mod operator;
mod owned;
mod owner;
mod patch;
mod quantity;
mod quota;
mod ranges;
mod settings;
mod tenants;
mod within;
mod workloads;

pub use error::HomeError;
pub use metrics::TenantMetrics;
pub use names::{InvalidSuffix, Suffix};

pub use operator::{Released, TenantNamespace, add, list, release};
pub use owner::{OwnerStanding, Usable, owner_standing};
pub use quantity::Quantity;
pub use quota::{ParseQuantityError, Quota, QuotaError, Quotas};
pub use settings::{NamespaceSettings, default_closed_ranges};
pub use tenants::{TenantDirectory, Tenants};

/// Who applies, for Kubernetes' field ownership, and the value of `managed-by`.
const FIELD_MANAGER: &str = "k3s-daas";
