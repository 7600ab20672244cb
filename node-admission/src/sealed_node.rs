//! What is known of a node that joined, or is joining, with a seal.
//!
//! Shape:  `sealednodes.k3s-daas.io/v1`, cluster-scoped, named as the Node. `spec` says whose the
//!         node is, `status` how it stands. Only the server writes either.
//!         The printed expiry is text: kubectl shows a date that is to come as `<invalid>`.
//! Trust:  what a machine or its operator said is marked `Self-reported` in the schema, so that
//!         `kubectl explain` tells it; no decision reads any of it. Presence is not among it: that is
//!         the renewals of the node's Lease, which Kubernetes itself watches.
//! Units:  amounts in MIST, times in ms since the epoch, both as integers.
//! Errors: what does not match the schema is refused by the API server, whoever writes it.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whose a node is. Follows the chain's claim of the node's name.
#[derive(CustomResource, Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "k3s-daas.io",
    version = "v1",
    kind = "SealedNode",
    status = "SealedNodeStatus",
    derive = "PartialEq",
    shortname = "sn",
    category = "k3s-daas",
    printcolumn = r#"{"name":"State","type":"string","jsonPath":".status.state"}"#,
    printcolumn = r#"{"name":"Stake","type":"integer","format":"int64","jsonPath":".status.stakeMist","description":"MIST"}"#,
    printcolumn = r#"{"name":"Tier","type":"string","jsonPath":".status.tier"}"#,
    printcolumn = r#"{"name":"Expires","type":"string","jsonPath":".status.expires"}"#,
    printcolumn = r#"{"name":"Owner","type":"string","jsonPath":".spec.owner","priority":1}"#,
    printcolumn = r#"{"name":"Reason","type":"string","jsonPath":".status.reason"}"#,
    printcolumn = r#"{"name":"CPU% (self-reported)","type":"number","jsonPath":".status.heartbeat.cpuUsage","priority":1}"#,
    printcolumn = r#"{"name":"Memory% (self-reported)","type":"number","jsonPath":".status.heartbeat.memoryUsage","priority":1}"#,
    printcolumn = r#"{"name":"Pods (self-reported)","type":"integer","jsonPath":".status.heartbeat.podCount","priority":1}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct SealedNodeSpec {
    /// The owner's address: `0x` and 64 hex digits.
    #[schemars(regex(pattern = "^0x[0-9a-f]{64}$"))]
    pub owner: String,
    /// The seal's object id: `0x` and 64 hex digits.
    #[schemars(regex(pattern = "^0x[0-9a-f]{64}$"))]
    pub seal_id: String,
    /// The credential hash under which the chain keeps the seal: 64 hex digits.
    #[schemars(regex(pattern = "^[0-9a-f]{64}$"))]
    pub credential_hash: String,
}

/// Where a node is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
pub enum NodeState {
    /// Registered by its operator; its agent has not asked to join yet.
    #[default]
    Pending,
    /// Its seal is usable; its Node exists.
    Active,
    /// Its seal ended without fault; its pods are being moved.
    Draining,
    /// It has no place in the cluster any more.
    Cut,
}

/// How a node stands.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SealedNodeStatus {
    /// Where it is in its life.
    #[serde(default)]
    pub state: NodeState,
    /// Why it is there, in one word: `usable`, or how the seal ended (`slashed`, `expired`, ...).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The stake, MIST.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stake_mist: Option<u64>,
    /// The tier that the stake gives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<String>,
    /// When the seal expires, ms since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at_ms: Option<u64>,
    /// The same, as RFC 3339, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// The pool's number of the record that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// While draining: when the node is cut, ms since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain_until_ms: Option<u64>,
    /// When the seal was last seen to have ended, ms since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at_ms: Option<u64>,
    /// Self-reported: taints that the agent's own configuration names; a Node that is made again starts with
    /// them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub agent_taints: Vec<AgentTaint>,
    /// Self-reported: what the machine last said of itself on its Node; a Node that is made again starts with it,
    /// since an agent says it at its own start alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<Machine>,
    /// Self-reported: what the operator said about the machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registration: Option<Registration>,
    /// Self-reported: the newest heartbeat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat: Option<Heartbeat>,
    /// `Sealed`: the seal is usable. `Joined`: the Node exists. `Drained`: nothing is left to
    /// move.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<serde_json::Map<String, serde_json::Value>>")]
    pub conditions: Vec<Condition>,
}

/// A taint of the agent's configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AgentTaint {
    /// Its key.
    #[schemars(length(max = 317))]
    pub key: String,
    /// Its value; absent for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub value: Option<String>,
    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`.
    #[schemars(regex(pattern = "^(NoSchedule|PreferNoSchedule|NoExecute)$"))]
    pub effect: String,
}

/// Self-reported: what a machine said of itself on its Node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Machine {
    /// Labels that a kubelet may set.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub labels: BTreeMap<String, String>,
    /// K3s's annotations, addresses among them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    pub annotations: BTreeMap<String, String>,
}

/// Self-reported: what an operator said about a machine. Shown to people; nothing is decided by it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Registration {
    /// Self-reported: the machine's address.
    #[schemars(length(max = 64))]
    pub ip_address: String,
    /// Self-reported: processors, a Kubernetes quantity.
    #[schemars(length(max = 32))]
    pub cpu: String,
    /// Self-reported: bytes of memory, a Kubernetes quantity.
    #[schemars(length(max = 32))]
    pub memory: String,
    /// Self-reported: bytes of storage, a Kubernetes quantity.
    #[schemars(length(max = 32))]
    pub storage: String,
    /// When, ms since the epoch.
    pub at_ms: u64,
}

/// Self-reported: what a worker said of itself. Shown to people; nothing is decided by it. A figure
/// that it did not have is absent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Heartbeat {
    /// When the server received it, ms since the epoch.
    pub at_ms: u64,
    /// Self-reported: when it was sent, ms since the epoch.
    pub sent_ms: u64,
    /// Self-reported: part of all processors in use, 0 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub cpu_usage: Option<f64>,
    /// Self-reported: part of the memory in use, 0 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub memory_usage: Option<f64>,
    /// Self-reported: pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_count: Option<u32>,
    /// Self-reported: containers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container_count: Option<u32>,
    /// Self-reported: bytes received since the machine's start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_rx: Option<u64>,
    /// Self-reported: bytes sent since the machine's start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_tx: Option<u64>,
}

#[cfg(test)]
mod tests {
    use kube::CustomResourceExt;
    use serde_json::{Value, json};

    use super::*;

    fn schema(path: &str) -> Value {
        let crd = serde_json::to_value(SealedNode::crd()).unwrap();
        let at = format!("/spec/versions/0/schema/openAPIV3Schema/properties{path}");
        crd.pointer(&at).cloned().unwrap_or_default()
    }

    #[test]
    fn the_schema_says_what_identifiers_look_like() {
        for field in ["owner", "sealId"] {
            let found = schema(&format!("/spec/properties/{field}/pattern"));
            assert_eq!(found, "^0x[0-9a-f]{64}$", "{field}");
        }
        let hash = schema("/spec/properties/credentialHash/pattern");
        assert_eq!(hash, "^[0-9a-f]{64}$");
        let usage = schema("/status/properties/heartbeat/properties/cpuUsage");
        assert_eq!(
            (&usage["minimum"], &usage["maximum"]),
            (&json!(0.0), &json!(100.0))
        );
        assert_eq!(schema("/status/properties/agentTaints/maxItems"), 32);
    }

    #[test]
    fn what_a_machine_says_is_marked() {
        let marked = |found: &Value| {
            let said = found["description"].as_str().unwrap_or_default();
            said.starts_with("Self-reported")
        };
        for field in ["heartbeat", "registration", "machine", "agentTaints"] {
            assert!(
                marked(&schema(&format!("/status/properties/{field}"))),
                "{field}"
            );
        }
        for object in ["heartbeat", "registration"] {
            let fields = schema(&format!("/status/properties/{object}/properties"));
            for (field, found) in fields.as_object().unwrap() {
                // The server's own clock.
                assert!(field == "atMs" || marked(found), "{object}.{field}");
            }
        }
    }

    #[test]
    fn a_status_that_says_little_is_pending() {
        assert_eq!(schema("/status/properties/state/default"), "Pending");
        let status: SealedNodeStatus = serde_json::from_value(json!({})).unwrap();
        assert_eq!(status.state, NodeState::Pending);
        // What stands in etcd is not more than what is known.
        let kept = serde_json::to_value(&status).unwrap();
        assert_eq!(kept, json!({ "state": "Pending" }));
    }
}
