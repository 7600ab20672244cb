//! What is written of a node on its SealedNode, and how that is read.
//!
//! Shape:  three writers, each by a field manager of its own, and none of them writes what is
//!         another's:
//!
//! | manager | writes |
//! | --- | --- |
//! | [`JOIN_MANAGER`] | makes the object; `spec`, when the owner's seal is another one; `status.registration`; `status.state` and what goes with it, once: from `Pending` to `Active` |
//! | [`HEARTBEAT_MANAGER`] | `status.heartbeat` |
//! | [`LIFE_MANAGER`] | everything else of `status`; `spec` as the claim moves on |
//!
//! Errors: what somebody changed meanwhile is read again, [`TRIES`] times.

mod heartbeats;

use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use seal::{CredentialHash, NodeName, NodeStanding, SealRecord, Tier, UnixMillis};
use serde_json::{Value, json};

pub(crate) use heartbeats::{Heartbeats, Kept};

use crate::join::{JoinError, is_there};
use crate::sealed_node::{NodeState, Registration, SealedNode, SealedNodeSpec};
use crate::settings::NodeSettings;
use crate::within::within;

/// Who lets nodes join and registers them.
pub(crate) const JOIN_MANAGER: &str = "k3s-daas-join";
/// Who keeps heartbeats.
pub(crate) const HEARTBEAT_MANAGER: &str = "k3s-daas-heartbeat";
/// Who keeps the nodes' lives.
pub(crate) const LIFE_MANAGER: &str = "k3s-daas";
/// Why a node is active.
pub(crate) const REASON_USABLE: &str = "usable";
/// How often a write is tried that others' writes came before.
const TRIES: u32 = 5;

/// How a node stands, by its SealedNode.
pub(crate) fn standing(sealed: &SealedNode) -> NodeStanding {
    let Some(status) = &sealed.status else {
        return NodeStanding::Unknown;
    };
    match (status.state, status.drain_until_ms) {
        (NodeState::Pending, _) => NodeStanding::Unknown,
        (NodeState::Active, _) => NodeStanding::Active,
        (NodeState::Draining, Some(until)) => NodeStanding::Draining {
            until: UnixMillis(until),
        },
        // Nobody said for how long.
        (NodeState::Draining, None) | (NodeState::Cut, _) => NodeStanding::Cut,
    }
}

/// What the chain says of whose the node is.
pub(crate) fn spec(hash: CredentialHash, record: &SealRecord) -> SealedNodeSpec {
    SealedNodeSpec {
        owner: record.owner.to_string(),
        seal_id: record.seal_id.to_string(),
        credential_hash: hash.to_string(),
    }
}

/// A number as Kubernetes keeps it: no integer is beyond 63 bits there.
pub(crate) fn kept(number: u64) -> u64 {
    number.min(i64::MAX.unsigned_abs())
}

/// A time as people read it.
pub(crate) fn rfc3339(time: UnixMillis) -> Option<String> {
    let ms = i64::try_from(time.0).ok()?;
    let whole = Timestamp::from_second(ms.div_euclid(1_000)).ok()?;
    Some(whole.to_string())
}

/// What a status says of a usable record, as a merge patch of it.
pub(crate) fn usable_status(record: &SealRecord, tier: Option<Tier>) -> Value {
    json!({
        "state": NodeState::Active,
        "reason": REASON_USABLE,
        "stakeMist": kept(record.stake.0),
        "tier": tier.map(Tier::label),
        "expiresAtMs": kept(record.expires_at.0),
        "expires": rfc3339(record.expires_at),
        "seq": kept(record.seq),
        "drainUntilMs": null,
        "endedAtMs": null,
    })
}

fn params(manager: &str) -> PatchParams {
    PatchParams {
        field_manager: Some(manager.to_owned()),
        ..PatchParams::default()
    }
}

/// Makes sure of the SealedNode, and that it names this seal.
pub(crate) async fn ensure(
    client: &kube::Client,
    name: &NodeName,
    hash: CredentialHash,
    record: &SealRecord,
) -> Result<SealedNode, JoinError> {
    let all: Api<SealedNode> = Api::all(client.clone());
    let wanted = spec(hash, record);
    let make = PostParams {
        field_manager: Some(JOIN_MANAGER.to_owned()),
        ..PostParams::default()
    };
    for _ in 0..TRIES {
        let found = within("read a sealed node", all.get_opt(name.as_str())).await?;
        let written = match found {
            None => {
                let sealed = SealedNode::new(name.as_str(), wanted.clone());
                within("make a sealed node", all.create(&make, &sealed)).await
            }
            Some(found) if found.spec.owner != wanted.owner => return Err(JoinError::Taken),
            Some(found) if found.metadata.deletion_timestamp.is_some() => {
                return Err(JoinError::Ending);
            }
            Some(found) if found.spec == wanted => return Ok(found),
            // The same owner's, by another seal: the claim has moved on.
            Some(found) => {
                let patch = json!({
                    "metadata": { "resourceVersion": found.metadata.resource_version },
                    "spec": wanted,
                });
                let (params, patch) = (params(JOIN_MANAGER), Patch::Merge(&patch));
                let patched = all.patch(name.as_str(), &params, &patch);
                within("change a sealed node", patched).await
            }
        };
        match written {
            Err(error) if error.is_conflict() || error.is_missing() => {}
            other => return other,
        }
    }
    Err(JoinError::Contended)
}

/// Writes that the node's agent has asked to join, if that is not known yet.
pub(crate) async fn asked(
    client: &kube::Client,
    name: &NodeName,
    record: &SealRecord,
    tier: Option<Tier>,
    mut sealed: SealedNode,
) -> Result<(), JoinError> {
    let all: Api<SealedNode> = Api::all(client.clone());
    for _ in 0..TRIES {
        let state = sealed.status.as_ref().map(|status| status.state);
        if !matches!(state, None | Some(NodeState::Pending)) {
            return Ok(());
        }
        let patch = json!({
            "metadata": { "resourceVersion": sealed.metadata.resource_version },
            "status": usable_status(record, tier),
        });
        let (params, patch) = (params(JOIN_MANAGER), Patch::Merge(&patch));
        let patched = all.patch_status(name.as_str(), &params, &patch);
        match within("change a sealed node's status", patched).await {
            Err(error) if error.is_conflict() => {
                sealed = within("read a sealed node", all.get(name.as_str())).await?;
            }
            other => return other.map(drop),
        }
    }
    Err(JoinError::Contended)
}

/// Keeps what an operator says of a machine.
pub(crate) async fn register(
    client: &kube::Client,
    settings: &NodeSettings,
    name: &NodeName,
    hash: CredentialHash,
    record: &SealRecord,
    registration: Registration,
) -> Result<(), JoinError> {
    if settings.is_reserved(name.as_str()) {
        return Err(JoinError::Reserved);
    }
    let registration = checked(registration)?;
    // As when it joins: nothing is said of a name that is another's.
    is_there(client, name, &record.owner).await?;
    drop(ensure(client, name, hash, record).await?);
    let all: Api<SealedNode> = Api::all(client.clone());
    let patch = json!({ "status": { "registration": registration } });
    let (params, patch) = (params(JOIN_MANAGER), Patch::Merge(&patch));
    let patched = all.patch_status(name.as_str(), &params, &patch);
    within("register a node", patched).await.map(drop)
}

/// Nothing is decided by a registration, but it is kept and shown: it has to be what it says.
fn checked(registration: Registration) -> Result<Registration, JoinError> {
    let invalid = |what| Err(JoinError::Invalid { what });
    if registration.ip_address.parse::<std::net::IpAddr>().is_err() {
        return invalid("ip_address");
    }
    for (what, text) in [
        ("cpu", &registration.cpu),
        ("memory", &registration.memory),
        ("storage", &registration.storage),
    ] {
        if text.parse::<tenancy::namespaces::Quantity>().is_err() {
            return invalid(what);
        }
    }
    Ok(Registration {
        at_ms: kept(registration.at_ms),
        ..registration
    })
}

#[cfg(test)]
mod tests;
