//! TokenReview v1: seal token to Kubernetes user.
//!
//! A review flows in four steps, one file each: [`screen`] refuses what can't be a
//! credential for this side without asking anybody, `gather` asks the seal
//! directory, [`decide`] judges, [`answer`] writes the TokenReview. The first, third
//! and fourth are pure.
//!
//! Who is authenticated: the holder of a seal token whose record is usable now, on
//! reviews of the API server, which name audiences. A join credential is for the
//! K3s supervisor, whose reviews name none: it makes its machine that machine's own
//! node, `system:node:<node_id>`, once the Node is there ([`node_join`]).
//!
//! Not here: what the user may do then (`authz-webhook`), and TLS, limits and
//! budgets (`webhook-server`).

pub mod answer;
pub mod decide;
mod gather;
pub mod home_namespace;
mod metrics;
pub mod node_join;
mod policy;
pub mod screen;
mod service;
mod throttle;
pub mod token_review;

pub use home_namespace::{HomeNamespace, HomeNamespaceError, NoHomeNamespace};
pub use metrics::AuthnMetrics;
pub use node_join::{NoNodes, NodeJoin, NodeJoinError};
pub use policy::{Audiences, EmptyAudiences, Policy};
pub use service::{Authn, PATH, router};
