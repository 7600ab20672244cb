//! The guards inside the API server: admission policies that keep tenants in their tier.
//!
//! Shape:  each file of `policies` gives one [`Guard`]: on what, for whom, what is refused and what
//!         the tenant is told. `compose` makes of it a ValidatingAdmissionPolicy with its binding,
//!         `keeper` applies them, watches and repairs them, and asks the API server with a *probe*
//!         whether each is in force; only then [`seal::access::GuardState`] says so.
//! Why:    what needs no knowledge of the chain is decided in the API server's own process: no
//!         outage of ours opens anything, and nothing can lock itself out at start.
//! Errors: a guard that can't be evaluated refuses (`failurePolicy: Fail`). What the API server
//!         does not answer changes nothing of what was known.
//! Source: Kubernetes 1.36, admissionregistration.k8s.io/v1.

mod cel;
mod compose;
mod guard;
mod keeper;
mod live;
mod metrics;
mod policies;
mod probe;
mod settings;
mod status;
mod table;

pub use compose::{PROBE_PREFIX, documents};
pub use guard::{Check, Guard, On, Verdict};
pub use keeper::Guards;
pub use metrics::GuardMetrics;
pub use policies::all;
pub use settings::GuardSettings;
pub use status::{GuardReport, GuardStatus, Standing};
pub use table::table;
