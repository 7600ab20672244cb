//! SubjectAccessReview v1: what a seal's stake permits.
//!
//! Shape:  [`router`] answers `POST /authorize`. A review flows through four files:
//!         `review` (the request as Kubernetes sends it), `gather` (asks the seal
//!         directory and the namespace watch), `decide` (pure), `respond` (the
//!         answer as Kubernetes reads it).
//! Answers: *allow* what the tier grants, *deny* what nobody may overrule, *no
//!         opinion* on the rest and on everyone else's requests.
//! Errors: what can't be read is a *deny* for seal users and for service accounts of
//!         tenants, since no opinion would let RBAC answer for us; for nodes it is *no
//!         opinion* unless they were last known ended or cut off, since an outage of the
//!         chain must not evict a running cluster.
//! Nodes:  a seal that ended by fault is a *deny* at once. One that expired, is unbonding or
//!         withdrawn leaves its node *no opinion* while it is drained ([`NodeStandings`]).
//! Not here: the rules of the tiers. See [`seal::access`].

mod app;
mod caller;
mod claimed;
mod decide;
mod explain;
mod gather;
mod metrics;
mod namespaces;
mod respond;
mod review;
mod router;
mod verdict;

pub use app::{
    App, DEFAULT_DEADLINE, DEFAULT_DRAIN_GRACE, Isolation, NoNodes, NodeStandings, Settings,
};
pub use explain::{Answer, ExplainAnswer, ExplainError, ExplainOptions, explain};
pub use metrics::AuthzMetrics;
pub use namespaces::{NamespaceOwners, NamespaceWatch};
pub use review::{InvalidReview, SubjectAccessReview, SubjectAccessReviewSpec};
pub use router::router;
pub use verdict::{Cause, Outcome, Pass, Refusal, Verdict};
