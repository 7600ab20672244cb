//! `GET /api/v1/nodes`: what is known of nodes that joined by stake.
//!
//! Shape:  the caller's own; all of them from the tier admin on. By name, in pages.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State as Shared};
use seal::Tier;
use serde::{Deserialize, Serialize};
use sui_ledger::directory::SealDirectory;
use utoipa::{IntoParams, ToSchema};

use super::caller::Caller;
use super::problem::{Problem, ProblemBody, ProblemKind};
use super::service::Api;
use super::workers::{WorkerError, WorkerRegistry};
use crate::sealed_node::{Heartbeat, NodeState, Registration, SealedNode};

/// Nodes on a page when nobody says.
const DEFAULT_LIMIT: usize = 100;
/// Nodes on a page at most: half a MiB.
const MAX_LIMIT: usize = 500;

/// Which nodes.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Page {
    /// At most so many, 1 to 500.
    #[param(minimum = 1, maximum = 500, default = 100)]
    limit: Option<usize>,
    /// Those after this name: `next` of the page before.
    after: Option<String>,
}

/// Where a node is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = NodeState)]
pub(super) enum State {
    /// Registered by its operator; its agent has not asked to join yet.
    Pending,
    /// Its seal is usable; its Node exists.
    Active,
    /// Its seal ended without fault; its pods are being moved.
    Draining,
    /// It has no place in the cluster any more.
    Cut,
}

impl From<NodeState> for State {
    fn from(state: NodeState) -> Self {
        match state {
            NodeState::Pending => Self::Pending,
            NodeState::Active => Self::Active,
            NodeState::Draining => Self::Draining,
            NodeState::Cut => Self::Cut,
        }
    }
}

/// A page of nodes.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct NodePage {
    /// The nodes, by name.
    nodes: Vec<NodeView>,
    /// How many the caller may see in all.
    total: usize,
    /// Where the next page begins; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// What is known of a node.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Node)]
pub(super) struct NodeView {
    /// Its name.
    #[schema(example = "worker-001")]
    node_id: String,
    /// Its owner's address.
    owner: String,
    /// The seal that holds its name.
    seal_id: String,
    /// Where it is in its life.
    state: State,
    /// Why it is there: `usable`, or how its seal ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// The stake, MIST.
    #[serde(skip_serializing_if = "Option::is_none")]
    stake_mist: Option<u64>,
    /// The tier that the stake gives.
    #[serde(skip_serializing_if = "Option::is_none")]
    tier: Option<String>,
    /// When the seal expires, ms since the epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at_ms: Option<u64>,
    /// While it is drained: when it is cut, ms since the epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    drain_until_ms: Option<u64>,
    /// When the seal was seen to have ended, ms since the epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at_ms: Option<u64>,
    /// What its operator said of the machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    registration: Option<RegistrationView>,
    /// Its newest heartbeat.
    #[serde(skip_serializing_if = "Option::is_none")]
    heartbeat: Option<HeartbeatView>,
    /// `Sealed`, `Joined`, `Drained`.
    conditions: Vec<ConditionView>,
}

/// What an operator said of a machine; nothing is decided by it.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Registration)]
pub(super) struct RegistrationView {
    ip_address: String,
    cpu: String,
    memory: String,
    storage: String,
    /// When, ms since the epoch.
    at_ms: u64,
}

/// What a worker said of itself; nothing is decided by it. What it did not say is absent.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Heartbeat)]
pub(super) struct HeartbeatView {
    /// When it came, ms since the epoch.
    at_ms: u64,
    /// When the worker says it sent it, ms since the epoch.
    sent_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu_usage: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_usage: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pod_count: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    container_count: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    network_rx: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    network_tx: Option<u64>,
}

/// A condition, as Kubernetes has them.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Condition)]
pub(super) struct ConditionView {
    #[serde(rename = "type")]
    type_: String,
    /// `True`, `False` or `Unknown`.
    status: String,
    reason: String,
    message: String,
    /// RFC 3339.
    last_transition_time: String,
}

/// List nodes
///
/// The caller's own; all of them from the tier admin on.
#[utoipa::path(
    get,
    path = "/api/v1/nodes",
    operation_id = "listNodes",
    tag = "workers",
    security(("seal" = [])),
    params(Page),
    responses(
        (status = 200, description = "A page of nodes", body = NodePage),
        (status = "4XX", description = "Refused", body = ProblemBody, content_type = "application/problem+json"),
        (status = "5XX", description = "Not now", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn list_nodes<D, W>(
    Shared(api): Shared<Arc<Api<D, W>>>,
    caller: Caller,
    page: Result<Query<Page>, QueryRejection>,
) -> Result<Json<NodePage>, Problem>
where
    D: SealDirectory,
    W: WorkerRegistry,
{
    let malformed = |detail: &'static str| Problem::new(ProblemKind::MalformedQuery, detail);
    let Query(page) = page.map_err(|_| malformed("the query takes limit and after, once each"))?;
    let limit = page.limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(malformed("limit is a number from 1 to 500"));
    }
    if !api.workers.is_known() {
        return Err(WorkerError::Unavailable.into());
    }
    let owner = caller.owner().to_string();
    let sees_all = caller.tier >= Tier::Admin;
    let known = api.workers.sealed_nodes();
    let visible = known
        .iter()
        .filter(|node| sees_all || node.spec.owner == owner);
    Ok(Json(paged(visible, limit, page.after.as_deref())))
}

/// One page of nodes that are sorted by name.
fn paged<'a>(
    visible: impl Iterator<Item = &'a Arc<SealedNode>>,
    limit: usize,
    after: Option<&str>,
) -> NodePage {
    let mut page = NodePage {
        nodes: Vec::new(),
        total: 0,
        next: None,
    };
    let mut more = false;
    for node in visible {
        page.total += 1;
        let name = node.metadata.name.as_deref().unwrap_or_default();
        if after.is_some_and(|after| name <= after) {
            continue;
        }
        if page.nodes.len() < limit {
            page.nodes.push(view(node));
        } else {
            more = true;
        }
    }
    if more {
        page.next = page.nodes.last().map(|node| node.node_id.clone());
    }
    page
}

/// A node as the API shows it.
pub(super) fn view(node: &SealedNode) -> NodeView {
    let status = node.status.clone().unwrap_or_default();
    NodeView {
        node_id: node.metadata.name.clone().unwrap_or_default(),
        owner: node.spec.owner.clone(),
        seal_id: node.spec.seal_id.clone(),
        state: status.state.into(),
        reason: status.reason,
        stake_mist: status.stake_mist,
        tier: status.tier,
        expires_at_ms: status.expires_at_ms,
        drain_until_ms: status.drain_until_ms,
        ended_at_ms: status.ended_at_ms,
        registration: status.registration.map(Into::into),
        heartbeat: status.heartbeat.map(Into::into),
        conditions: status
            .conditions
            .into_iter()
            .map(|condition| ConditionView {
                type_: condition.type_,
                status: condition.status,
                reason: condition.reason,
                message: condition.message,
                last_transition_time: condition.last_transition_time.0.to_string(),
            })
            .collect(),
    }
}

impl From<Registration> for RegistrationView {
    fn from(said: Registration) -> Self {
        Self {
            ip_address: said.ip_address,
            cpu: said.cpu,
            memory: said.memory,
            storage: said.storage,
            at_ms: said.at_ms,
        }
    }
}

impl From<Heartbeat> for HeartbeatView {
    fn from(said: Heartbeat) -> Self {
        Self {
            at_ms: said.at_ms,
            sent_ms: said.sent_ms,
            cpu_usage: said.cpu_usage,
            memory_usage: said.memory_usage,
            pod_count: said.pod_count,
            container_count: said.container_count,
            network_rx: said.network_rx,
            network_tx: said.network_tx,
        }
    }
}
