//! The one HTTPS server scaffold of the project.
//!
//! A component hands over an [`axum::Router`]; what every listener needs is here:
//! TLS 1.3 with reload ([`TlsFiles`]), bounded connections and timeouts
//! ([`Limits`]), budgets of requests in flight and deadlines ([`RouteGroup`]),
//! review bodies checked before a handler sees them ([`ReviewJson`]), refusals as
//! Kubernetes `Status` ([`KubeStatus`]), readiness and metrics ([`operations`]),
//! and a shutdown that leaves no task and no port behind ([`serve`]; on a Unix socket
//! [`serve_unix`]).
//!
//! Not here: any word of the domain. A handler decides; this crate carries.

mod body;
mod config;
mod connection;
mod group;
pub mod health;
mod histogram;
mod metrics;
pub mod operations;
pub mod pki;
mod review;
mod serve;
mod status;
mod tls;
mod unix;

pub use config::{GroupLimits, Limits, ServerConfig, TlsFiles, Transport};
pub use group::{Refuse, RouteGroup};
pub use health::{Health, NotReady, ReadyCheck};
pub use histogram::TimeHistogram;
pub use metrics::{RequestOutcome, ServerMetrics};
pub use review::{Review, ReviewJson, TypeMeta, parse_review, read_json, wipe};
pub use serve::{ServeError, Serving, serve};
pub use status::{KubeStatus, StatusReason};
pub use tls::TlsError;
pub use unix::{SocketFile, UnixError, UnixServing, bind_unix, serve_unix};
