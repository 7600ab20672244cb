//! The one HTTPS server scaffold of the project.
//!
//! A component hands over an [`axum::Router`]; what every listener needs is here:
//! TLS 1.3 with reload ([`TlsFiles`]), bounded connections and timeouts
//! ([`Limits`]), budgets of requests in flight and deadlines ([`RouteGroup`]),
//! review bodies checked before a handler sees them ([`ReviewJson`]), bodies of a REST API
//! ([`read_strict`]), refusals as Kubernetes `Status` ([`KubeStatus`]) or as problems ([`Problem`]), readiness and metrics ([`operations`]),
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
mod problem;
mod review;
mod secret;
mod serve;
mod status;
mod strict;
mod tls;
mod unix;

pub use config::{GroupLimits, Limits, ServerConfig, TlsFiles, Transport};
pub use group::{Refuse, RouteGroup};
pub use health::{Health, NotReady, ReadyCheck};
pub use histogram::TimeHistogram;
pub use metrics::{RequestOutcome, ServerMetrics};
pub use problem::{FieldError, PROBLEM_MEDIA_TYPE, Problem, ProblemBody, ProblemType};
pub use review::{Review, ReviewJson, TypeMeta, parse_review, read_json, wipe};
pub use secret::Secret;
pub use serve::{ServeError, Serving, serve};
pub use status::{KubeStatus, StatusReason};
pub use strict::{Object, parse_strict, read_strict};
pub use tls::TlsError;
pub use unix::{SocketFile, UnixError, UnixServing, bind_unix, serve_unix};
