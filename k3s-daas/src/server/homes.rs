//! Makes holders' namespaces for the authenticator.

use authn_webhook::{HomeNamespace, HomeNamespaceError};
use seal::{Address, Tier};

use super::home::{self, HomeError};
use super::kube_client::KubeClient;

/// Namespaces made through the API server, once it can be reached.
#[derive(Debug)]
pub(super) struct Homes(KubeClient);

impl Homes {
    pub(super) fn new(kube: KubeClient) -> Self {
        Self(kube)
    }
}

/// There is no client of the API server yet.
#[derive(Debug, thiserror::Error)]
#[error("there is no kubeconfig yet")]
struct NoClient;

impl HomeNamespace for Homes {
    async fn ensure(&self, owner: &Address, _tier: Tier) -> Result<(), HomeNamespaceError> {
        let Some(client) = self.0.get() else {
            return Err(HomeNamespaceError::Api(Box::new(NoClient)));
        };
        match home::ensure(&client, owner).await {
            Ok(name) => {
                tracing::debug!(namespace = %name, "a holder's namespace is there");
                Ok(())
            }
            Err(HomeError::Foreign { .. }) => Err(HomeNamespaceError::Taken),
            Err(error) => Err(HomeNamespaceError::Api(Box::new(error))),
        }
    }
}
