//! The API server as the webhooks' process sees it: a client that may come later than the process.
//!
//! The webhooks start before the API server that asks them, so at first there may be no kubeconfig
//! at all, and after a renewal of certificates there is another one. The file is looked for until
//! it is there, and read again on demand.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use authz_webhook::NamespaceWatch;
use kube::config::{KubeConfigOptions, Kubeconfig};
use tokio::sync::watch;

/// The pause between two looks for the kubeconfig.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The API server is on this machine or near it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// The client, once there is one. Clones share it.
#[derive(Clone)]
pub struct KubeClient {
    path: PathBuf,
    current: watch::Sender<Option<kube::Client>>,
    reload: watch::Sender<u64>,
}

impl std::fmt::Debug for KubeClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KubeClient")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl KubeClient {
    /// A client of the API server that the kubeconfig at `path` names.
    pub fn new(path: PathBuf) -> Self {
        Self {
            path,
            current: watch::Sender::new(None),
            reload: watch::Sender::new(0),
        }
    }

    /// The client, if there is one yet.
    pub fn get(&self) -> Option<kube::Client> {
        self.current.borrow().clone()
    }

    /// Reads the kubeconfig again.
    pub fn reload(&self) {
        self.reload.send_modify(|turn| *turn += 1);
    }

    /// Keeps `namespaces` told for ever; drop the future to stop.
    pub async fn watch(self, namespaces: Arc<NamespaceWatch>) {
        let mut reload = self.reload.subscribe();
        let mut said = false;
        loop {
            match self.open().await {
                Ok(client) => {
                    tracing::info!(kubeconfig = %self.path.display(), "watching namespaces");
                    said = false;
                    self.current.send_replace(Some(client.clone()));
                    tokio::select! {
                        () = Arc::clone(&namespaces).run(client) => {}
                        _ = reload.changed() => {}
                    }
                }
                Err(error) => {
                    if !said {
                        said = true;
                        tracing::warn!(kubeconfig = %self.path.display(), error = %error,
                            "no kubeconfig yet; looking again every second");
                    }
                    tokio::time::sleep(LOOK_EVERY).await;
                }
            }
        }
    }

    async fn open(&self) -> Result<kube::Client, kube::Error> {
        let kubeconfig = Kubeconfig::read_from(&self.path).map_err(kube::Error::InferKubeconfig)?;
        let options = KubeConfigOptions::default();
        let mut config = kube::Config::from_custom_kubeconfig(kubeconfig, &options)
            .await
            .map_err(kube::Error::InferKubeconfig)?;
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        kube::Client::try_from(config)
    }
}
