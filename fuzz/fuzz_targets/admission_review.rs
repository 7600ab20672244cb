//! Promise: no review panics. A stranger's machine is granted nothing but its own Node, no name of the
//! control plane, and no address of the cluster's ranges, of loopback, of the control plane or of
//! another Node, wherever in the review it stands.
#![no_main]

use std::net::IpAddr;
use std::sync::LazyLock;
use std::time::Instant;

use k8s_openapi::api::core::v1::Node;
use libfuzzer_sys::fuzz_target;
use node_admission::NodeSettings;
use node_admission::admit::{AdmissionReview, Admit, AdmitMetrics, AdmitSettings};
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use webhook_server::parse_review;

const VICTIMS: &str = "10.0.0.9";
const SERVERS: &str = "192.0.2.1";

static METRICS: LazyLock<AdmitMetrics> =
    LazyLock::new(|| AdmitMetrics::register(&mut Registry::default()));
static VICTIM: LazyLock<Node> = LazyLock::new(|| {
    let node = json!({
        "metadata": { "name": "victim" },
        "status": { "addresses": [{ "type": "InternalIP", "address": VICTIMS }] },
    });
    serde_json::from_value(node).unwrap_or_default()
});

/// One that knows the victim alone.
fn admit() -> Admit {
    let nodes = NodeSettings {
        control_plane_nodes: ["master".to_owned()].into(),
        reserved_names: [SERVERS.to_owned()].into(),
        ..NodeSettings::default()
    };
    let admit = Admit::new(AdmitSettings::from(&nodes), METRICS.clone());
    admit.learn([&*VICTIM]);
    admit
}

fn is_others(address: IpAddr) -> bool {
    let text = address.to_canonical().to_string();
    let ranges = ["10.42.", "10.43.", "127.", "169.254."];
    ranges.iter().any(|range| text.starts_with(range))
        || [VICTIMS, SERVERS, "::1", "0.0.0.0"].contains(&text.as_str())
}

fn judge(body: &[u8]) {
    let Ok(review) = parse_review::<AdmissionReview>(body) else {
        return;
    };
    let granted = admit().review(Instant::now(), &review).is_ok();
    // A second reader of the same body; it refuses some that are fine, and takes the last of two
    // fields of one name, which the first one refuses.
    let Ok(read) = serde_json::from_slice::<Value>(body) else {
        return;
    };
    let request = &read["request"];
    let user = request["userInfo"]["username"].as_str().unwrap_or_default();
    let Some(machine) = user.strip_prefix("system:node:").filter(|name| *name != "master") else {
        return;
    };
    if !granted {
        return;
    }
    let node = &request["object"];
    assert_eq!(node["metadata"]["name"], machine, "another's Node");
    assert!(!["kubernetes", "localhost"].contains(&machine), "a name of the control plane");
    let addresses = node["status"]["addresses"].as_array().into_iter().flatten();
    for claimed in addresses {
        let text = claimed["address"].as_str().unwrap_or_default();
        assert!(!text.parse().is_ok_and(is_others), "{text} was granted");
    }
    for marks in ["annotations", "labels"] {
        for key in ["k3s.io/internal-ip", "flannel.alpha.coreos.com/public-ip"] {
            let text = node["metadata"][marks][key].as_str().unwrap_or_default();
            let mut parts = text.split(',').map(str::trim);
            assert!(!parts.any(|part| part.parse().is_ok_and(is_others)), "{text} was granted");
        }
    }
}

fuzz_target!(|text: &str| {
    judge(text.as_bytes());
    let review = |object: Value| {
        json!({
            "apiVersion": "admission.k8s.io/v1",
            "kind": "AdmissionReview",
            "request": {
                "uid": "1", "operation": "UPDATE", "subResource": "status", "name": "worker-1",
                "resource": { "group": "", "version": "v1", "resource": "nodes" },
                "userInfo": { "username": "system:node:worker-1", "groups": ["system:nodes"] },
                "object": object,
            },
        })
        .to_string()
    };
    let status = json!({ "addresses": [{ "type": "InternalIP", "address": text }] });
    let named = json!({ "metadata": { "name": "worker-1" }, "status": status });
    judge(review(named).as_bytes());
    let notes = json!({ "k3s.io/internal-ip": text });
    let noted = json!({ "metadata": { "name": "worker-1", "annotations": notes } });
    judge(review(noted).as_bytes());
    if let Ok(object) = serde_json::from_str(text) {
        judge(review(object).as_bytes());
    }
});
