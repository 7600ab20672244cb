//! The layer-4 door in front of K3s: ends open connections when their seal ends.
//!
//! Shape:  Kubernetes authorizes a request when it starts, so a watch, a log or an exec session
//!         outlives its user's seal. [`Gate`] relays TCP, TLS untouched, and dials K3s from a
//!         loopback address of its own for each connection; the audit events of the API server
//!         name that address, so they tell who is on which connection. What the chain or the
//!         nodes' controller ends is closed by a reset.
//! Errors: an event that can't be read or names no open connection is counted, never an error.
//!         What a lost event leaves open is told in `docs/gate.md`.
//! Source: `audit.k8s.io/v1` EventList.
//!
//! ```text
//!   client ──► relay (a thread of its own) ──► K3s on loopback, from 127.a.b.c
//!                │ who sits where                      │ audit events: 127.a.b.c is seal:0x…
//!                ▼                                     ▼
//!              table ◄──────── attributes ──────── audit receiver
//!                ▲ closes
//!              endings ◄── directory: losses of seals; nodes: cuts; a look at all now and then
//! ```

pub mod audit;
mod endings;
mod error;
mod gate;
mod metrics;
mod relay;
mod settings;
mod standings;
mod table;
mod target;
mod who;

pub use error::GateError;
pub use gate::Gate;
pub use metrics::GateMetrics;
pub use relay::Relaying;
pub use relay::hello;
pub use settings::{Door, GateSettings, Limits};
pub use standings::{Hold, Nobody, OwnerNow, SealNow, Standings};
pub use table::{ConnectionView, Disconnected, UserView};
pub use target::{ParseTargetError, Target};
pub use who::Who;
