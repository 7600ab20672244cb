//! `GET /api/v1/security-context`: what the caller may do, and what stands behind it.
//!
//! A description for people and tools: the authorizer decides each request by itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use seal::access::Tenancy;
use seal::{Tier, identity};
use serde::Serialize;
use sui_ledger::directory::SealDirectory;
use utoipa::ToSchema;

use super::caller::Caller;
use super::nodes::{NodeView, view};
use super::problem::{Problem, ProblemBody};
use super::service::Api;
use super::settings::WorkerIsolation;
use super::workers::WorkerRegistry;

/// What the caller may do.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SecurityContext {
    /// Who Kubernetes takes the caller for.
    identity: Identity,
    /// What the stake makes of its owner.
    access: Access,
    /// Bounds.
    limits: CallerLimits,
    /// The worker of the seal, where it names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    worker: Option<Worker>,
    /// What is known of the control plane.
    control_plane: ControlPlane,
}

/// Who Kubernetes takes the caller for.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Identity {
    /// The user name.
    #[schema(example = "seal:0x29df...")]
    user: String,
    /// The groups.
    groups: Vec<String>,
    /// The owner's address.
    owner: String,
    /// The id of the seal's object.
    seal_id: String,
    /// When the seal expires, ms since the epoch.
    expires_at_ms: u64,
}

/// What a tier gives.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Access {
    /// `viewer`, `developer`, `admin` or `super`.
    #[schema(value_type = String)]
    tier: &'static str,
    /// Whether the tier is held at viewer, because the guards inside the API server are not in
    /// place yet.
    held: bool,
    /// The owner's own first namespace; further ones begin with the same name and a hyphen.
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    /// What the caller may do in namespaces of others.
    other_namespaces: OtherNamespaces,
    /// What the tier grants, for people.
    #[schema(value_type = Vec<String>)]
    grants: &'static [&'static str],
}

/// What the caller may do in namespaces of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum OtherNamespaces {
    /// Nothing.
    None,
    /// Read, without Secrets.
    View,
    /// Work in those that are not protected; read the protected ones, without Secrets.
    Unprotected,
    /// Everything.
    All,
}

/// Bounds of the caller.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CallerLimits {
    /// Requests of this API in a minute, with one seal.
    requests_per_minute: u32,
    /// The quota of each of the owner's namespaces, as Kubernetes quantities; absent for those
    /// who have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace_quota: Option<BTreeMap<String, String>>,
}

/// The worker of a seal.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Worker {
    /// Its name.
    node_id: String,
    /// Whom Kubernetes takes its kubelet for.
    #[schema(example = "system:node:worker-001")]
    user: String,
    /// What is known of it; absent before it was registered or joined.
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<NodeView>,
}

/// What is known of the control plane.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ControlPlane {
    /// Whether it runs in an enclave that proved what it runs.
    attestation: Attestation,
    /// How far workers are kept apart from each other.
    worker_isolation: WorkerIsolation,
    /// Whether tenants may read each other's namespaces.
    #[schema(value_type = String, example = "own")]
    tenancy: &'static str,
    /// Whether the guards inside the API server are in place.
    guards_in_place: bool,
}

/// Whether the control plane proved what it runs.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Attestation {
    /// The state.
    state: AttestationState,
}

/// The states of attestation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum AttestationState {
    /// Nothing was proved: trust whoever runs it.
    NotAttested,
}

/// Show what the caller may do
///
/// A description: each request to Kubernetes is decided by itself.
#[utoipa::path(
    get,
    path = "/api/v1/security-context",
    operation_id = "securityContext",
    tag = "access",
    security(("seal" = [])),
    responses(
        (status = 200, description = "What the caller may do", body = SecurityContext),
        (status = "4XX", description = "Refused", body = ProblemBody, content_type = "application/problem+json"),
        (status = "5XX", description = "Not now", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn security_context<D, W>(
    State(api): State<Arc<Api<D, W>>>,
    caller: Caller,
) -> Result<Json<SecurityContext>, Problem>
where
    D: SealDirectory,
    W: WorkerRegistry,
{
    let settings = api.settings();
    let (owner, tier) = (caller.owner(), caller.tier);
    let has_namespace = tier >= Tier::Developer;
    let worker = caller.record.node_id.as_ref().map(|name| Worker {
        node_id: name.to_string(),
        user: format!("{}{name}", identity::NODE_USER_PREFIX),
        node: api
            .workers
            .sealed_node(name.as_str())
            .filter(|node| node.spec.owner == owner.to_string())
            .map(|node| view(&node)),
    });
    Ok(Json(SecurityContext {
        identity: Identity {
            user: identity::user_name(&owner),
            groups: vec![
                identity::GROUP_HOLDERS.to_owned(),
                identity::tier_group(tier),
            ],
            owner: owner.to_string(),
            seal_id: caller.record.seal_id.to_string(),
            expires_at_ms: caller.record.expires_at.0,
        },
        access: Access {
            tier: tier.label(),
            held: caller.held,
            namespace: has_namespace.then(|| identity::home_namespace(&owner)),
            other_namespaces: other_namespaces(tier, settings.tenancy),
            grants: grants(tier),
        },
        limits: CallerLimits {
            requests_per_minute: settings.requests_per_minute.get(),
            namespace_quota: has_namespace.then(|| settings.quotas.of(tier).hard().clone()),
        },
        worker,
        control_plane: ControlPlane {
            attestation: Attestation {
                state: AttestationState::NotAttested,
            },
            worker_isolation: settings.isolation,
            tenancy: settings.tenancy.label(),
            guards_in_place: api.guards.in_place(),
        },
    }))
}

fn other_namespaces(tier: Tier, tenancy: Tenancy) -> OtherNamespaces {
    match (tier, tenancy) {
        (Tier::Super, _) => OtherNamespaces::All,
        (Tier::Admin, _) => OtherNamespaces::Unprotected,
        (Tier::Viewer | Tier::Developer, Tenancy::Shared) => OtherNamespaces::View,
        (Tier::Viewer | Tier::Developer, Tenancy::Own) => OtherNamespaces::None,
    }
}

/// The tiers in words; the table is in `docs/tiers.md`.
const fn grants(tier: Tier) -> &'static [&'static str] {
    match tier {
        Tier::Viewer => &[
            "discovery, version and health",
            "read nodes, namespaces, classes and other cluster-scoped kinds",
            "read in namespaces that nobody owns and that are not protected",
        ],
        Tier::Developer => &[
            "everything of viewer",
            "work in its own namespaces, Roles and custom resources of allowed groups included",
        ],
        Tier::Admin => &[
            "everything of developer",
            "work in every namespace that is not protected, quotas included",
            "read protected namespaces, without Secrets",
            "evict pods, change nodes, namespaces, volumes and classes",
        ],
        Tier::Super => &["everything"],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_of_others_open_with_the_tier() {
        for (tier, tenancy, expected) in [
            (Tier::Viewer, Tenancy::Own, OtherNamespaces::None),
            (Tier::Viewer, Tenancy::Shared, OtherNamespaces::View),
            (Tier::Developer, Tenancy::Own, OtherNamespaces::None),
            (Tier::Developer, Tenancy::Shared, OtherNamespaces::View),
            (Tier::Admin, Tenancy::Own, OtherNamespaces::Unprotected),
            (Tier::Super, Tenancy::Own, OtherNamespaces::All),
        ] {
            assert_eq!(
                other_namespaces(tier, tenancy),
                expected,
                "{tier} {tenancy}"
            );
        }
    }
}
