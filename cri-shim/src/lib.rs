//! The worker: what runs on a machine that joined with a seal.
//!
//! Shape:  [`proxy`] stands between kubelet and containerd and passes every call on untouched;
//!         [`guard`] refuses new pods where the machine's seal is known to have ended; [`metrics`]
//!         counts the calls. What the machine uses is read from containerd and the kernel
//!         ([`stats`]), in the path or beside it ([`observe`]).
//! Trust:  all of this runs on a machine of its operator, who may change any of it. What it reports
//!         is the operator's claim, and what it refuses is a service to an honest one: the control
//!         plane alone cuts a machine off.

pub mod api;
pub mod grpc;
pub mod guard;
pub mod heartbeat;
pub mod methods;
pub mod metrics;
pub mod observe;
pub mod probe;
pub mod proxy;
pub mod standing;
pub mod stats;
