//! The part of the configuration that can change while the server runs, as the settings of its
//! parts: built and validated as a whole before any of it counts.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::time::Duration;

use authn_webhook::Audiences;
use authz_webhook::Isolation;
use ipnet::IpNet;
use node_admission::NodeSettings;
use node_admission::admit::AdmitSettings;
use seal::ElevatedOwners;
use seal::access::{CustomResourceGroups, Policy, ProtectedNamespaces, Tenancy};

use tenancy::guards::GuardSettings;
use tenancy::namespaces::{NamespaceSettings, Quotas};

use super::trusted::TrustSettings;
use super::work::host_name;
use crate::config::KubeName;
use crate::config::keys::ServerConfig;
use crate::failure::{Failure, Kind, OrFail, Outcome};

/// Everything that a reload replaces.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) authn: authn_webhook::Policy,
    pub(super) authz: authz_webhook::Settings,
    pub(super) guards: GuardSettings,
    pub(super) namespaces: NamespaceSettings,
    pub(super) nodes: NodeSettings,
    pub(super) admit: AdmitSettings,
    pub(super) protected: ProtectedNamespaces,
    pub(super) trusted: TrustSettings,
    pub(super) api: ApiChoices,
}

/// What the REST API depends on beside the cluster itself.
#[derive(Debug, Clone)]
pub(super) struct ApiChoices {
    pub(super) elevated: ElevatedOwners,
    pub(super) requests_per_minute: NonZeroU32,
    /// Counts from the start on.
    pub(super) in_flight: NonZeroU32,
    pub(super) cluster_ranges: Vec<IpNet>,
    pub(super) isolation: Isolation,
    pub(super) tenancy: Tenancy,
    pub(super) quotas: Quotas,
}

impl Settings {
    /// The settings of a configuration; fails without the operator's choice of owners.
    pub(super) fn new(config: &ServerConfig) -> Outcome<Self> {
        Self::with_owners(config, elevated_owners(config)?)
    }

    /// The same where the choice is made elsewhere.
    pub(super) fn with_owners(config: &ServerConfig, elevated: ElevatedOwners) -> Outcome<Self> {
        let protected = ProtectedNamespaces::new(config.protected_namespaces.0.iter().cloned())
            .or_fail(Kind::Usage, "protected_namespaces is wrong")?;
        let groups = CustomResourceGroups::new(config.developer_api_groups.0.iter().cloned())
            .or_fail(Kind::Usage, "developer_api_groups is wrong")?;
        let audiences = Audiences::new(config.audiences.0.iter().cloned())
            .or_fail(Kind::Usage, "audiences is wrong")?;
        let namespaces = namespaces(config, elevated.clone())?;
        let policy = Policy {
            protected: protected.clone(),
            tenancy: config.tenancy,
            custom_resource_groups: groups,
            elevated_owners: elevated.clone(),
        };
        let nodes = nodes(config)?;
        let api = ApiChoices {
            elevated: elevated.clone(),
            requests_per_minute: config.api_requests_per_minute,
            in_flight: config.api_in_flight,
            cluster_ranges: config.cluster_ranges.0.clone(),
            isolation: config.worker_isolation,
            tenancy: config.tenancy,
            quotas: namespaces.quotas.clone(),
        };
        Ok(Self {
            api,
            authn: authn_webhook::Policy {
                audiences,
                elevated,
            },
            authz: authz_webhook::Settings {
                control_plane_nodes: config.control_plane_nodes.0.iter().cloned().collect(),
                isolation: config.worker_isolation,
                deadline: Duration::from_millis(config.review_deadline_ms),
                drain_grace: config.drain_grace_seconds.0,
                ..authz_webhook::Settings::new(policy)
            },
            guards: guards(config),
            namespaces,
            admit: AdmitSettings::from(&nodes),
            nodes,
            trusted: TrustSettings {
                protected: protected.clone(),
                elsewhere: config.worker_namespaces.0.iter().cloned().collect(),
            },
            protected,
        })
    }
}

/// What the guards inside the API server depend on.
pub fn guards(config: &ServerConfig) -> GuardSettings {
    GuardSettings {
        protected_namespaces: config.protected_namespaces.0.iter().cloned().collect(),
        control_plane_nodes: config.control_plane_nodes.0.iter().cloned().collect(),
    }
}

/// What nodes that join with a seal depend on.
pub fn nodes(config: &ServerConfig) -> Outcome<NodeSettings> {
    let names = |list: &[KubeName]| list.iter().map(|name| name.0.clone()).collect();
    // This machine's name is in the API server's certificate, where K3s runs beside us.
    let host = host_name();
    let short = host.split('.').next().unwrap_or_default().to_owned();
    let own = [host, short].into_iter().filter(|name| !name.is_empty());
    let configured: BTreeSet<String> = names(&config.reserved_node_names.0);
    let settings = NodeSettings {
        control_plane_nodes: config.control_plane_nodes.0.iter().cloned().collect(),
        trusted_nodes: names(&config.trusted_nodes.0),
        reserved_names: configured.iter().cloned().chain(own).collect(),
        drain_grace: config.drain_grace_seconds.0,
        warn_before: config.node_warn_seconds.0,
        cluster_ranges: config.cluster_ranges.0.clone(),
    };
    // A reserved name is no seal's: a node of the operator's that joins with one would never join.
    let both = configured.intersection(&settings.trusted_nodes);
    let both: Vec<&str> = both.map(String::as_str).collect();
    if !both.is_empty() {
        return Err(Failure::message(
            Kind::Usage,
            format!(
                "trusted_nodes and reserved_node_names both hold {}",
                both.join(", ")
            ),
        )
        .next(
            "a node of the control plane goes into control_plane_nodes and, if pods of protected \
             namespaces may run there, into trusted_nodes; no seal's node can bear its name anyway",
        ));
    }
    if settings.cluster_ranges.is_empty() {
        return Err(Failure::message(
            Kind::Usage,
            "cluster_ranges is empty: a joiner could take the address of a service or of a pod",
        )
        .next("give the networks of the cluster's pods and services (K3s: cluster-cidr, service-cidr)"));
    }
    Ok(settings)
}

fn namespaces(config: &ServerConfig, elevated: ElevatedOwners) -> Outcome<NamespaceSettings> {
    let (grace, retention) = (
        config.namespace_grace_seconds.0,
        config.namespace_retention_seconds.0,
    );
    if retention < grace {
        return Err(Failure::message(
            Kind::Usage,
            format!(
                "namespace_retention_seconds ({}) is shorter than namespace_grace_seconds ({})",
                retention.as_secs(),
                grace.as_secs()
            ),
        )
        .next("a namespace goes after its workloads: give a longer retention or a shorter grace"));
    }
    Ok(NamespaceSettings {
        grace,
        retention,
        quotas: Quotas::new(
            config.quota_developer.clone(),
            config.quota_admin.clone(),
            config.quota_super.clone(),
        )
        .or_fail(Kind::Usage, "a quota is wrong")?,
        closed_ranges: config.closed_ranges.0.clone(),
        warn_before: config.namespace_warn_seconds.0,
        ..NamespaceSettings::new(elevated)
    })
}

/// The refusal to start without the operator's choice.
pub fn elevated_owners(config: &ServerConfig) -> Outcome<ElevatedOwners> {
    config.elevated_owners.clone().ok_or_else(|| {
        Failure::message(
            Kind::Usage,
            "elevated_owners is not set, and who may own the cluster has no default",
        )
        .next(
            "set elevated_owners (--elevated-owners, K3S_DAAS_ELEVATED_OWNERS) to one of three: \
             `any`: stake alone decides, so whoever stakes 10 SUI owns the cluster; \
             `none`: nobody is above developer; \
             or a list of owners' addresses: all others are capped at developer",
        )
    })
}
