//! Nodes that joined with a seal and whose SealedNode is gone.
//!
//! Shape:  the SealedNode is made again from the Node's annotations and the chain's claim; its life
//!         goes on from there, be it to keep the Node or to cut it.

use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::PostParams;
use kube::runtime::reflector::{ObjectRef, Store};
use seal::{CredentialHash, NodeName, identity};

use super::marks;
use super::metrics::{Taken, Thing};
use crate::join::{Whose, whose};
use crate::nodes::{NodeDirectory, Shared};
use crate::records::LIFE_MANAGER;
use crate::sealed_node::{SealedNode, SealedNodeSpec};
use crate::within::within;

/// At most so many in one round.
const ROUND: usize = 64;
/// No claim names a seal: 64 digits, as the definition wants them.
const NO_HASH: CredentialHash = CredentialHash::from_bytes([0; 32]);

/// Looks for them once.
pub(super) async fn find<D: NodeDirectory>(
    shared: &Shared<D>,
    client: &kube::Client,
    nodes: &Store<Node>,
    sealed: &Store<SealedNode>,
) {
    let settings = shared.settings.load_full();
    let mut found = 0;
    for node in nodes.state() {
        let Some(name) = node.metadata.name.as_deref() else {
            continue;
        };
        if sealed.get(&ObjectRef::new(name)).is_some()
            || node.metadata.deletion_timestamp.is_some()
            || settings.control_plane_nodes.contains(name)
        {
            continue;
        }
        let Some(spec) = spec(shared.directory.as_ref(), &node).await else {
            continue;
        };
        found += 1;
        if found > ROUND {
            return;
        }
        let all: Api<SealedNode> = Api::all(client.clone());
        let params = PostParams {
            field_manager: Some(LIFE_MANAGER.to_owned()),
            ..PostParams::default()
        };
        let made = SealedNode::new(name, spec);
        match within("make a sealed node", all.create(&params, &made)).await {
            Ok(_) => {
                shared.metrics.life.wrote(Thing::SealedNode);
                shared.metrics.life.step(Taken::Found);
                tracing::warn!(
                    node = name,
                    "a node's SealedNode was gone; it is made again"
                );
            }
            // The view was late.
            Err(error) if error.is_conflict() => {}
            Err(error) => tracing::warn!(
                node = name,
                error = &error as &(dyn std::error::Error + 'static),
                "a node's SealedNode is gone and could not be made again"
            ),
        }
    }
}

/// Whose the Node is; none where it is nobody's of ours, or the chain can't be read.
async fn spec<D: NodeDirectory>(directory: &D, node: &Node) -> Option<SealedNodeSpec> {
    let Whose::Owners(owner) = whose(&node.metadata) else {
        return None;
    };
    let name: NodeName = node.metadata.name.as_deref()?.parse().ok()?;
    let claim = directory.claim(&name).await.ok()?;
    let hash = claim.filter(|claim| claim.owner == owner);
    let seal_id = marks::annotation(&node.metadata, identity::ANNOTATION_SEAL)?;
    Some(SealedNodeSpec {
        owner: owner.to_string(),
        seal_id: seal_id.to_owned(),
        credential_hash: hash.map_or(NO_HASH, |claim| claim.hash).to_string(),
    })
}
