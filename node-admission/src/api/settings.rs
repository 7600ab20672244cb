//! What the operator chooses about the REST API, and what it tells of the cluster.

use std::num::NonZeroU32;
use std::time::SystemTime;

use ipnet::IpNet;
use k3s_configs::access::{CaError, CaHash, ClusterAccess, default_server_name};
use seal::ElevatedOwners;
use seal::access::Tenancy;
use tenancy::namespaces::{NamespaceSettings, Quotas};
use utoipa::ToSchema;

use crate::settings::NodeSettings;

/// Requests of one seal in a minute.
const REQUESTS_PER_MINUTE: NonZeroU32 = NonZeroU32::new(100).unwrap();

/// Requests in flight at once.
const IN_FLIGHT: usize = 256;

/// How far workers are kept apart from each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum WorkerIsolation {
    /// The identities that all workers share may do what a stock agent can't start without.
    Strict,
    /// They may do what flannel, kube-proxy and K3s's network policies need.
    Open,
}

/// Why there can be no API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ApiSettingsError {
    /// Without the CA an agent would trust whoever answers first.
    #[error("the cluster's CA is not given")]
    NoCa,
    /// Not a CA bundle.
    #[error("the cluster's CA can't be used")]
    Ca(#[from] CaError),
    /// Agents and kubeconfigs need `https://`.
    #[error("the cluster's address does not begin with https://")]
    NotHttps,
}

/// The operator's choices.
#[derive(Debug, Clone)]
pub struct ApiSettings {
    access: ClusterAccess,
    ca_pem: Vec<u8>,
    ca_hash: CaHash,
    /// Who may hold admin and super.
    pub elevated: ElevatedOwners,
    /// Requests of one seal in a minute.
    pub requests_per_minute: NonZeroU32,
    /// Requests in flight at once, of all callers together; read when the router is made.
    pub in_flight: usize,
    /// Ranges that no machine's address may lie in: the cluster's pods and services.
    pub cluster_ranges: Vec<IpNet>,
    /// Shown to callers.
    pub isolation: WorkerIsolation,
    /// Shown to callers.
    pub tenancy: Tenancy,
    /// Shown to callers.
    pub quotas: Quotas,
}

impl ApiSettings {
    /// The defaults for this cluster. Where `access` names no server name, kubeconfigs get one
    /// that no node can bear, unless the address itself is such a name.
    pub fn new(access: ClusterAccess, elevated: ElevatedOwners) -> Result<Self, ApiSettingsError> {
        if !access.url.starts_with("https://") {
            return Err(ApiSettingsError::NotHttps);
        }
        let ca_pem = access.ca_pem.clone().ok_or(ApiSettingsError::NoCa)?;
        let ca_hash = CaHash::of_bundle(&ca_pem, SystemTime::now())?;
        let tls_server_name = access
            .tls_server_name
            .clone()
            .or_else(|| default_server_name(&access.url).map(str::to_owned));
        Ok(Self {
            access: ClusterAccess {
                tls_server_name,
                ..access
            },
            ca_pem,
            ca_hash,
            requests_per_minute: REQUESTS_PER_MINUTE,
            in_flight: IN_FLIGHT,
            cluster_ranges: NodeSettings::default().cluster_ranges,
            isolation: WorkerIsolation::Strict,
            tenancy: Tenancy::default(),
            quotas: NamespaceSettings::new(elevated.clone()).quotas,
            elevated,
        })
    }

    /// How the cluster is reached.
    #[must_use]
    pub const fn access(&self) -> &ClusterAccess {
        &self.access
    }

    pub(super) fn ca_pem(&self) -> &[u8] {
        &self.ca_pem
    }

    pub(super) const fn ca_hash(&self) -> &CaHash {
        &self.ca_hash
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_ca_or_without_tls_there_is_no_api() {
        let access = ClusterAccess {
            url: "https://10.0.0.1:6443".into(),
            ca_pem: None,
            tls_server_name: None,
        };
        let of = |access| ApiSettings::new(access, ElevatedOwners::None).map(|_| ());
        assert_eq!(of(access.clone()), Err(ApiSettingsError::NoCa));
        let no_ca = ClusterAccess {
            ca_pem: Some(b"hello".to_vec()),
            ..access.clone()
        };
        assert_eq!(of(no_ca), Err(ApiSettingsError::Ca(CaError::NoCertificate)));
        let plain = ClusterAccess {
            url: "http://10.0.0.1:6443".into(),
            ..access
        };
        assert_eq!(of(plain), Err(ApiSettingsError::NotHttps));
    }
}
