//! The admission webhook: what a machine says of its addresses, judged with all Nodes in view.
//!
//! Shape:  [`router`] answers `POST /admit`. A review becomes a [`change`](review), its claims are
//!         read (`claims`), and `decide` judges them against the settings and the book of all
//!         Nodes, under one lock: what one review is granted, the next one finds taken. The book is
//!         kept by [`Admit::run`]; [`keep`] keeps the ValidatingWebhookConfiguration that makes the
//!         API server ask.
//! Why:    K3s's tunnel and the API server find a machine by the addresses of its Node, and the last
//!         one that claims an address gets its traffic.
//! Errors: while the book is not known every claim is refused, and so it is while nobody answers
//!         (`failurePolicy: Fail`). Only machines of strangers are asked about, and only when their
//!         addresses change: the control plane and heartbeats never wait for this.
//! Source: Kubernetes 1.36, admission.k8s.io/v1; K3s v1.36 `pkg/cloudprovider/instances.go` and
//!         `pkg/daemons/control/tunnel.go`.

mod book;
mod claims;
mod configuration;
mod decide;
mod ip;
mod keeper;
mod metrics;
mod review;
mod router;
mod settings;
mod watch;

pub use claims::addresses;
pub use configuration::{NAME, WebhookTarget, webhook_configuration};
pub use decide::{Admit, Refusal};
pub(crate) use ip::unusable;
pub use keeper::keep;
pub use metrics::AdmitMetrics;
pub use review::AdmissionReview;
pub use router::{MAX_BODY, PATH, router};
pub use settings::AdmitSettings;
