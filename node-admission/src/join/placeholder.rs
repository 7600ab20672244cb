//! The Node that is made before its kubelet is there.
//!
//! Shape:  a Node without status. The kubelet adopts it: labels come with it, taints do not, so
//!         the taints of the agent's configuration that were seen before are put on it again.
//! Errors: a Node that is there is never changed here. It is this owner's, or the name is taken.
//! Source: Kubernetes `pkg/kubelet/kubelet_node_status.go` `tryRegisterWithAPIServer`; what K3s's
//!         cloud controller makes of [`TAINT_UNINITIALIZED`] was seen live.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, NodeSpec, Taint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Api;
use kube::api::PostParams;
use seal::{Address, NodeName, SealRecord, identity};

use super::JoinError;
use super::node_args::is_ours_to_set;
use crate::records::JOIN_MANAGER;
use crate::sealed_node::AgentTaint;
use crate::settings::NodeSettings;
use crate::within::within;

/// K3s's cloud controller completes the Nodes that bear it, and takes it off.
pub(crate) const TAINT_UNINITIALIZED: &str = "node.cloudprovider.kubernetes.io/uninitialized";
/// A deleted Node goes when K3s has taken its finalizer off, which takes about a second.
const MOST_LOOKS: u32 = 12;
const BETWEEN_LOOKS: Duration = Duration::from_millis(250);

/// Whose a Node is, by its annotations, which nobody but the server writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    /// It joined with a seal of this owner.
    Owners(Address),
    /// It did not join with a seal.
    Others,
}

/// Whose it is.
pub(crate) fn whose(meta: &ObjectMeta) -> Whose {
    let annotation = |key: &str| meta.annotations.as_ref().and_then(|all| all.get(key));
    let owner = annotation(identity::ANNOTATION_OWNER).and_then(|text| text.parse().ok());
    match (annotation(identity::ANNOTATION_SEAL), owner) {
        (Some(_), Some(owner)) => Whose::Owners(owner),
        _ => Whose::Others,
    }
}

/// What is written on a Node of its seal. The tier is none where the stake is below all of them.
pub(crate) fn annotations(
    record: &SealRecord,
    tier: Option<seal::Tier>,
) -> BTreeMap<String, String> {
    let mut all = BTreeMap::from([
        (
            identity::ANNOTATION_SEAL.to_owned(),
            record.seal_id.to_string(),
        ),
        (
            identity::ANNOTATION_OWNER.to_owned(),
            record.owner.to_string(),
        ),
        (
            identity::ANNOTATION_STAKE.to_owned(),
            record.stake.0.to_string(),
        ),
        (
            identity::ANNOTATION_EXPIRES_AT.to_owned(),
            record.expires_at.0.to_string(),
        ),
    ]);
    if let Some(tier) = tier {
        all.insert(
            identity::ANNOTATION_TIER.to_owned(),
            tier.label().to_owned(),
        );
    }
    all
}

/// The Node to make, with the taints that its agent's configuration is known to name.
pub(crate) fn node(
    name: &NodeName,
    record: &SealRecord,
    tier: Option<seal::Tier>,
    taints: &[AgentTaint],
    settings: &NodeSettings,
) -> Node {
    let mut all = vec![Taint {
        key: TAINT_UNINITIALIZED.to_owned(),
        value: Some("true".to_owned()),
        effect: "NoSchedule".to_owned(),
        time_added: None,
    }];
    for taint in taints.iter().filter(|taint| !is_ours_to_set(&taint.key)) {
        // The API server takes no two of one key and effect.
        let same = |there: &Taint| there.key == taint.key && there.effect == taint.effect;
        if !all.iter().any(same) {
            all.push(Taint {
                key: taint.key.clone(),
                value: taint.value.clone(),
                effect: taint.effect.clone(),
                time_added: None,
            });
        }
    }
    let trusted = settings.trusted_nodes.contains(name.as_str());
    let labels = trusted.then(|| {
        let (key, value) = (identity::LABEL_TRUST, identity::TRUST_OPERATOR);
        BTreeMap::from([(key.to_owned(), value.to_owned())])
    });
    Node {
        metadata: ObjectMeta {
            name: Some(name.to_string()),
            annotations: Some(annotations(record, tier)),
            labels,
            ..ObjectMeta::default()
        },
        spec: Some(NodeSpec {
            taints: Some(all),
            ..NodeSpec::default()
        }),
        status: None,
    }
}

/// Whether this owner's Node is there. One that is being deleted is waited for, a little while.
pub(crate) async fn is_there(
    client: &kube::Client,
    name: &NodeName,
    owner: &Address,
) -> Result<bool, JoinError> {
    let nodes: Api<Node> = Api::all(client.clone());
    for _ in 0..MOST_LOOKS {
        let found = within("read a node", nodes.get_metadata_opt(name.as_str())).await?;
        let Some(found) = found else {
            return Ok(false);
        };
        if whose(&found.metadata) != Whose::Owners(*owner) {
            return Err(JoinError::Taken);
        }
        if found.metadata.deletion_timestamp.is_none() {
            return Ok(true);
        }
        // A Node that is going has no use: it is made anew once it is gone.
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
    Err(JoinError::Ending)
}

/// Makes the Node; whether it was made by this call.
pub(super) async fn make(client: &kube::Client, wanted: &Node) -> Result<bool, JoinError> {
    let nodes: Api<Node> = Api::all(client.clone());
    let params = PostParams {
        field_manager: Some(JOIN_MANAGER.to_owned()),
        ..PostParams::default()
    };
    match within("make a node", nodes.create(&params, wanted)).await {
        Ok(_) => Ok(true),
        Err(error) if error.is_conflict() => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
