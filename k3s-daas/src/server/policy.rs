//! The configuration as the webhooks' own settings.

use std::time::Duration;

use authn_webhook::Audiences;
use authz_webhook::Settings;
use seal::ElevatedOwners;
use seal::access::{CustomResourceGroups, Policy, ProtectedNamespaces};

use crate::config::keys::ServerConfig;
use crate::failure::{Kind, OrFail, Outcome};

/// What the operator chose about access.
pub(super) fn policy(config: &ServerConfig, elevated_owners: ElevatedOwners) -> Outcome<Policy> {
    Ok(Policy {
        protected: ProtectedNamespaces::new(config.protected_namespaces.0.iter().cloned())
            .or_fail(Kind::Usage, "protected_namespaces is wrong")?,
        tenancy: config.tenancy,
        custom_resource_groups: CustomResourceGroups::new(
            config.developer_api_groups.0.iter().cloned(),
        )
        .or_fail(Kind::Usage, "developer_api_groups is wrong")?,
        elevated_owners,
    })
}

/// The settings of `/authorize`.
pub(super) fn authz_settings(config: &ServerConfig, policy: Policy) -> Settings {
    Settings {
        control_plane_nodes: config.control_plane_nodes.0.iter().cloned().collect(),
        isolation: config.worker_isolation,
        deadline: Duration::from_millis(config.review_deadline_ms),
        ..Settings::new(policy)
    }
}

/// The settings of `/authenticate`.
pub(super) fn authn_policy(
    config: &ServerConfig,
    elevated: ElevatedOwners,
) -> Outcome<authn_webhook::Policy> {
    let audiences = config.audiences.0.iter().cloned();
    Ok(authn_webhook::Policy {
        audiences: Audiences::new(audiences).or_fail(Kind::Usage, "audiences is wrong")?,
        elevated,
    })
}
