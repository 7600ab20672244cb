//! The API server is told to ask about Nodes, and where: by one replica at a time, since address
//! and CA may differ between replicas and two writers would quarrel.

use std::net::SocketAddr;

use node_admission::admit::{AdmitMetrics, WebhookTarget, keep};
use tenancy::leader;
use tokio::sync::watch;

use super::listeners::{Certificates, admit_url};
use crate::config::keys::ServerConfig;
use crate::failure::{Kind, OrFail, Outcome};

/// Who holds it writes the configuration of the webhook.
const LEASE: &str = "k3s-daas-node-webhook";

/// What the configuration says now. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Webhook {
    target: watch::Sender<WebhookTarget>,
    metrics: AdmitMetrics,
}

impl Webhook {
    /// With the address at which /admit is heard.
    pub(super) fn new(
        config: &ServerConfig,
        bound: SocketAddr,
        certificates: &Certificates,
        metrics: AdmitMetrics,
    ) -> Outcome<Self> {
        let path = &certificates.admit_ca;
        let doing = format!("can't read the CA of /admit from {}", path.display());
        let ca_pem = std::fs::read(path)
            .or_fail(Kind::Usage, doing)
            .map_err(|failure| failure.next("see admit_ca"))?;
        let target = WebhookTarget {
            url: admit_url(config, bound),
            ca_pem,
            control_plane_nodes: config.control_plane_nodes.0.iter().cloned().collect(),
        };
        Ok(Self {
            target: watch::Sender::new(target),
            metrics,
        })
    }

    /// From now on these nodes are not asked about.
    pub(super) fn replace(&self, config: &ServerConfig) {
        let nodes = config.control_plane_nodes.0.iter().cloned().collect();
        self.target.send_if_modified(|target| {
            let differs = target.control_plane_nodes != nodes;
            target.control_plane_nodes = nodes;
            differs
        });
    }

    /// Keeps it while this process holds the lease, for ever.
    pub(super) async fn run(&self, client: kube::Client, identity: &str) {
        let work = || async {
            let mut targets = self.target.subscribe();
            loop {
                let target = targets.borrow_and_update().clone();
                tokio::select! {
                    () = keep(client.clone(), target, self.metrics.clone()) => {}
                    // `self` holds the sender.
                    _ = targets.changed() => {}
                }
            }
        };
        leader::lead(&client, LEASE, identity, |_leads| {}, work).await;
    }
}
