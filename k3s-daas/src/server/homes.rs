//! Makes holders' namespaces for the authenticator.

use std::sync::Arc;

use authn_webhook::{HomeNamespace, HomeNamespaceError};
use authz_webhook::NamespaceWatch;
use seal::{Address, Tier};
use sui_ledger::directory::Directory;
use tenancy::namespaces::{HomeError, Tenants};

use super::kube_client::KubeClient;

/// Namespaces made through the API server, once it can be reached.
#[derive(Debug, Clone)]
pub(super) struct Homes {
    kube: KubeClient,
    tenants: Tenants<Directory>,
    watch: Arc<NamespaceWatch>,
}

impl Homes {
    pub(super) fn new(
        kube: KubeClient,
        tenants: Tenants<Directory>,
        watch: Arc<NamespaceWatch>,
    ) -> Self {
        Self {
            kube,
            tenants,
            watch,
        }
    }
}

/// There is no client of the API server yet.
#[derive(Debug, thiserror::Error)]
#[error("there is no API server yet")]
struct NoClient;

impl HomeNamespace for Homes {
    fn is_there(&self, owner: &Address, tier: Tier) -> bool {
        self.watch.has_home(owner, tier)
    }

    async fn ensure(&self, owner: &Address, tier: Tier) -> Result<(), HomeNamespaceError> {
        let Some(client) = self.kube.get() else {
            return Err(HomeNamespaceError::Api(Box::new(NoClient)));
        };
        match Box::pin(self.tenants.ensure_home(&client, owner, tier)).await {
            Ok(name) => {
                // The authorizer refuses the owner there until its watch knows the owner.
                self.watch.wait_owned(&name, owner).await;
                tracing::debug!(namespace = %name, "a holder's namespace is there");
                Ok(())
            }
            Err(HomeError::Foreign { .. }) => Err(HomeNamespaceError::Taken),
            Err(error) => Err(HomeNamespaceError::Api(Box::new(error))),
        }
    }
}
