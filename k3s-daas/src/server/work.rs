//! What goes on beside the answers, all of it as the server's own identity.

use std::path::Path;
use std::sync::Arc;

use authz_webhook::NamespaceWatch;
use node_admission::Nodes;
use node_admission::admit::Admit;
use sha2::{Digest, Sha256};
use sui_ledger::directory::Directory;
use tenancy::guards::Guards;
use tenancy::namespaces::Tenants;
use tokio_util::task::AbortOnDropHandle;

use super::admission::Webhook;
use super::kube_client::KubeClient;
use super::trusted::Trusted;

/// Handles of everything that works with the API server.
#[derive(Debug, Clone)]
pub(super) struct Work {
    pub(super) kube: KubeClient,
    pub(super) watch: Arc<NamespaceWatch>,
    pub(super) guards: Guards,
    pub(super) tenants: Tenants<Directory>,
    pub(super) nodes: Nodes<Directory>,
    pub(super) trusted: Trusted,
    pub(super) admit: Arc<Admit>,
}

impl Work {
    /// Starts it; each part begins anew with each new client. Ends when the handles are dropped.
    /// `name` tells this process from others that serve the same cluster.
    pub(super) fn start(&self, name: &str) -> Vec<AbortOnDropHandle<()>> {
        let identity = {
            let kube = self.kube.clone();
            tokio::spawn(async move { kube.keep().await })
        };
        let namespaces = {
            let work = self.clone();
            tokio::spawn(async move {
                let watch = |client| Arc::clone(&work.watch).run(client);
                work.kube.with_each(watch).await;
            })
        };
        let guards = {
            let work = self.clone();
            tokio::spawn(async move {
                let keep = |client| work.guards.run(client);
                work.kube.with_each(keep).await;
            })
        };
        let tenants = {
            let (work, name) = (self.clone(), name.to_owned());
            tokio::spawn(async move {
                let keep = |client| work.tenants.run(client, name.clone());
                work.kube.with_each(keep).await;
            })
        };
        let known = {
            let work = self.clone();
            tokio::spawn(async move {
                let follow = |client| work.nodes.follow(client);
                work.kube.with_each(follow).await;
            })
        };
        let lives = {
            let (work, name) = (self.clone(), name.to_owned());
            tokio::spawn(async move {
                let keep = |client| work.nodes.run(client, name.clone());
                work.kube.with_each(keep).await;
            })
        };
        let claims = {
            let work = self.clone();
            tokio::spawn(async move {
                let follow = |client| work.admit.run(client);
                work.kube.with_each(follow).await;
            })
        };
        let trusted = {
            let work = self.clone();
            tokio::spawn(async move {
                let keep = |client| work.trusted.run(client);
                work.kube.with_each(keep).await;
            })
        };
        [
            identity, namespaces, guards, tenants, known, lives, claims, trusted,
        ]
        .map(AbortOnDropHandle::new)
        .into()
    }
}

/// Keeps the API server asking about Nodes, for ever.
pub(super) fn webhook(kube: KubeClient, webhook: Webhook, name: String) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(async move {
        let keep = |client| webhook.run(client, &name);
        kube.with_each(keep).await;
    }))
}

/// What this machine is called, in lower case as Kubernetes has it.
pub fn host_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    host.trim().to_lowercase()
}

/// What a server is called among those of one cluster: its machine, and its state folder, which one
/// process at a time has. After a restart it is the same.
pub(super) fn name(state_dir: &Path) -> String {
    let host = host_name();
    let folder = std::path::absolute(state_dir).unwrap_or_else(|_| state_dir.to_owned());
    let hash = Sha256::digest(folder.as_os_str().as_encoded_bytes());
    let hash: String = hex::encode(hash).chars().take(8).collect();
    let host: String = host.chars().take(200).collect();
    format!("{host}-{hash}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_of_one_machine_have_names_of_their_own() {
        let one = name(Path::new("/var/lib/a"));
        assert_eq!(one, name(Path::new("/var/lib/a")));
        assert_ne!(one, name(Path::new("/var/lib/b")));
    }
}
