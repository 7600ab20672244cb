//! The lives of nodes, as their seals go.
//!
//! Shape:  one leader looks at each SealedNode whenever something about it changed: what the chain
//!         says (`chain`), what stands in the cluster (`nodes`), what follows (`life`, a pure
//!         function), and what has to be written (`look`). All that is needed after a restart
//!         stands on the SealedNode and the Node.
//! Units:  times are ms since the epoch by the seal directory's clock.
//! Errors: what can't be read changes nothing. A look that failed is repeated; a look that broke
//!         off anywhere is completed by the next.
//!
//! ```text
//!   directory ──changes──┐                   ┌─ chain: claim, record
//!   SealedNodes ──watch──┼─► look at one ────┼─ life: keep, drain, cut
//!   Nodes ─────── watch──┤                   └─ marks, status, pods, events: the writes
//!   settings, time ──────┘
//!
//!   Pending ──agent asked──► Active ──expired, unbonding, retired──► Draining ──► Cut
//!                              ▲ │                                      │          │
//!                              │ └──slashed, revoked, stake too low─────┼─────────►│
//!                              └─────────── usable again ◄──────────────┴──────────┘
//! ```

mod chain;
mod controller;
mod events;
mod life;
mod look;
mod machine;
mod marks;
mod metrics;
mod nodes;
mod orphans;
mod pods;
mod status;
mod trust;
mod warning;

pub(crate) use metrics::LifeMetrics;

use crate::nodes::{NodeDirectory, Nodes};

/// Who holds it keeps the nodes' lives.
const LEASE: &str = "k3s-daas-nodes";

impl<D: NodeDirectory> Nodes<D> {
    /// Keeps the lives of all nodes for ever, while this process leads; stops when it is dropped.
    ///
    /// `identity` tells replicas apart: the name of the host or of the pod.
    pub async fn run(&self, client: kube::Client, identity: String) {
        let leads = |leads| self.shared.metrics.life.leader(leads);
        let keep = || controller::keep(self, &client, &identity);
        tenancy::leader::lead(&client, LEASE, &identity, leads, keep).await;
    }
}
