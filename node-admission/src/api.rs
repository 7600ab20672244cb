//! The operators' REST API.
//!
//! Shape:  JSON over HTTPS, described by the OpenAPI document that [`openapi`] makes of this very
//!         code; [`router`] brings limits, authentication and refusals with it.
//! Units:  amounts in MIST, times in ms since the epoch, both as integers.
//! Errors: `application/problem+json` (RFC 9457), one of a closed set of types (`problem`); none
//!         ever holds a token or a piece of a body.
//!
//! ```text
//!   request ─► group: budget, deadline, body limit
//!           ─► caller: bearer token ─► hash ─► seal directory ─► limit of the seal ─► usable?
//!           ─► handler: body checked ─► claim of the name checked ─► Workers / answer
//! ```
//!
//! The token in the header is the authority, as it is for a TokenReview; nothing in a body or a
//! query widens what it permits.

mod body;
mod caller;
mod heartbeat;
mod kube_workers;
mod kubeconfig;
mod machine;
mod metrics;
mod nodes;
mod observe;
mod openapi;
mod problem;
mod rate;
mod register;
mod security_context;
mod service;
mod settings;
mod staking;
mod workers;

pub use heartbeat::read_heartbeat;
pub use kube_workers::KubeWorkers;
pub use metrics::ApiMetrics;
pub use openapi::openapi;
pub use register::read_registration;
pub use service::{Api, router};
pub use settings::{ApiSettings, ApiSettingsError, WorkerIsolation};
pub use workers::{WorkerError, WorkerRegistry};
