//! Registrations and heartbeats.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kube::config::Kubeconfig;
use node_admission::api::WorkerError;
use seal::{Address, Mist, NodeClaim, SealRecord};
use serde_json::{Value, json};

use crate::double::{
    Bench, CA, CLUSTER, JOIN, NODE, NOW, SEAL, hash, heartbeat, record, registration, request,
    sealed_node, token,
};

const REGISTER: &str = "/api/v1/register-worker";
const HEARTBEAT: &str = "/api/v1/nodes/heartbeat";

fn decoded(text: &Value) -> String {
    String::from_utf8(STANDARD.decode(text.as_str().unwrap()).unwrap()).unwrap()
}

/// A body with one value changed, by JSON pointer.
fn with(mut body: Value, pointer: &str, value: Value) -> Value {
    *body.pointer_mut(pointer).unwrap() = value;
    body
}

#[tokio::test]
async fn a_registration_is_kept_and_answered_with_all_that_the_agent_needs() {
    let bench = Bench::new();
    let answer = bench.post(REGISTER, &registration()).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let body = answer.json();
    let mut fields: Vec<&String> = body.as_object().unwrap().keys().collect();
    fields.sort();
    assert_eq!(
        fields,
        [
            "api_server",
            "ca_cert",
            "join_token",
            "kubeconfig",
            "success"
        ]
    );
    assert_eq!(body["success"], true);
    assert_eq!(body["api_server"], CLUSTER);
    assert_eq!(decoded(&body["ca_cert"]).as_bytes(), CA.as_slice());

    let config = Kubeconfig::from_yaml(&decoded(&body["kubeconfig"])).unwrap();
    let cluster = config.clusters[0].cluster.as_ref().unwrap();
    assert_eq!(cluster.server.as_deref(), Some(CLUSTER));
    assert_eq!(
        cluster.tls_server_name.as_deref(),
        Some("kubernetes.default.svc")
    );
    let ca = cluster.certificate_authority_data.as_ref().unwrap();
    assert_eq!(STANDARD.decode(ca).unwrap(), *CA);

    // One certificate: the agent pins the SHA-256 of the bundle's bytes.
    let join_token = body["join_token"].as_str().unwrap();
    let (pin, join) = join_token
        .strip_prefix("K10")
        .unwrap()
        .split_once("::")
        .unwrap();
    let pinned = k3s_configs::access::CaHash::of_bundle(&CA, std::time::SystemTime::now());
    assert_eq!(pin, pinned.unwrap().to_string());
    assert_eq!(join, JOIN);

    let kept = bench.get("/api/v1/nodes").await.json();
    assert_eq!(kept["nodes"][0]["node_id"], NODE);
    assert_eq!(kept["nodes"][0]["state"], "Pending");
    assert_eq!(
        kept["nodes"][0]["registration"],
        json!({
            "ip_address": "10.0.1.5", "cpu": "4", "memory": "16Gi", "storage": "100Gi",
            "at_ms": NOW,
        })
    );
}

#[tokio::test]
async fn a_registration_may_be_repeated_and_the_newest_counts() {
    let bench = Bench::new();
    for address in ["10.0.1.5", "10.0.1.6"] {
        let body = with(registration(), "/ip_address", address.into());
        assert_eq!(bench.post(REGISTER, &body).await.status, 200);
    }
    let kept = bench.get("/api/v1/nodes").await.json();
    assert_eq!(kept["total"], 1);
    assert_eq!(kept["nodes"][0]["registration"]["ip_address"], "10.0.1.6");
}

#[tokio::test]
async fn another_token_in_the_body_is_refused_whatever_it_is() {
    let bench = Bench::new();
    bench.directory.put(&token(7), record());
    for other in [
        token(7),
        String::new(),
        SEAL.to_uppercase(),
        format!("{SEAL} "),
        JOIN.into(),
    ] {
        let body = with(registration(), "/seal_token", other.into());
        bench
            .post(REGISTER, &body)
            .await
            .is_problem(403, "token-mismatch");
    }
    assert_eq!(bench.get("/api/v1/nodes").await.json()["total"], 0);
}

#[tokio::test]
async fn a_seal_speaks_for_the_node_it_names_alone() {
    let bench = Bench::new();
    for other in [
        "worker-002",
        "Worker-001",
        "worker-001 ",
        "",
        "kubernetes",
        "*",
        "a.b",
    ] {
        let register = with(registration(), "/node_id", other.into());
        bench
            .post(REGISTER, &register)
            .await
            .is_problem(403, "other-node");
        let beat = with(heartbeat(), "/node_id", other.into());
        bench
            .post(HEARTBEAT, &beat)
            .await
            .is_problem(403, "other-node");
    }
    let nameless = SealRecord {
        node_id: None,
        ..record()
    };
    bench.directory.put(SEAL, nameless);
    let answer = bench.post(REGISTER, &registration()).await;
    answer.is_problem(403, "other-node");
    assert_eq!(bench.get("/api/v1/nodes").await.json()["total"], 0);
}

#[tokio::test]
async fn a_name_that_another_seal_holds_on_chain_is_refused() {
    let bench = Bench::new();
    let other = NodeClaim {
        owner: Address::from_bytes([9; 32]),
        hash: hash(&token(9)),
    };
    let old = NodeClaim {
        owner: record().owner,
        hash: hash(&token(8)),
    };
    for claim in [None, Some(other), Some(old)] {
        bench.directory.claim_for(NODE, claim);
        for (path, body) in [(REGISTER, registration()), (HEARTBEAT, heartbeat())] {
            bench
                .post(path, &body)
                .await
                .is_problem(403, "name-not-held");
        }
    }
    bench.directory.fail_claims();
    for (path, body) in [(REGISTER, registration()), (HEARTBEAT, heartbeat())] {
        bench
            .post(path, &body)
            .await
            .is_problem(503, "chain-unavailable");
    }
    assert_eq!(bench.get("/api/v1/nodes").await.json()["total"], 0);
}

#[tokio::test]
async fn values_that_can_not_be_are_named() {
    let bench = Bench::new();
    for (pointer, value) in [
        ("/ip_address", "127.0.0.1"),
        ("/ip_address", "10.43.0.1"),
        ("/ip_address", "worker-001"),
        ("/ip_address", ""),
        ("/capacity/cpu", "0"),
        ("/capacity/cpu", "-4"),
        ("/capacity/memory", "16GB"),
        ("/capacity/storage", "much"),
    ] {
        let body = with(registration(), pointer, value.into());
        let answer = bench.post(REGISTER, &body).await;
        let problem = answer.is_problem(422, "invalid-value");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{value}");
    }
    for (pointer, value) in [
        ("/timestamp", json!(NOW + 600_000)),
        ("/timestamp", json!("now")),
        ("/usage/cpu_usage", json!(101)),
        ("/usage/memory_usage", json!(-1)),
        ("/usage/pod_count", json!(1_000_000)),
    ] {
        let body = with(heartbeat(), pointer, value);
        let answer = bench.post(HEARTBEAT, &body).await;
        let problem = answer.is_problem(422, "invalid-value");
        assert_eq!(problem["errors"][0]["pointer"], pointer);
    }
    assert_eq!(bench.get("/api/v1/nodes").await.json()["total"], 0);
}

#[tokio::test]
async fn bodies_that_are_malformed_are_refused_and_never_quoted() {
    let bench = Bench::new();
    for (path, good) in [(REGISTER, registration()), (HEARTBEAT, heartbeat())] {
        let text = good.to_string();
        let mut bodies = vec![
            String::new(),
            "null".to_owned(),
            "[]".to_owned(),
            format!("[{text}]"),
            format!("{text}{text}"),
            format!("\u{feff}{text}"),
            text.replacen('{', "{\"extra\":1,", 1),
            text.replacen('{', "{\"node_id\":\"a\",", 1),
            text.get(..text.len() - 1).unwrap().to_owned(),
        ];
        for field in good.as_object().unwrap().keys() {
            let mut missing = good.clone();
            missing.as_object_mut().unwrap().remove(field);
            bodies.push(missing.to_string());
            bodies.push(with(good.clone(), &format!("/{field}"), Value::Null).to_string());
            bodies.push(with(good.clone(), &format!("/{field}"), json!([[]])).to_string());
        }
        for nested in ["/capacity", "/usage"] {
            let Some(object) = good.pointer(nested).and_then(Value::as_object) else {
                continue;
            };
            // Serde alone would take an array, field by field.
            let array: Vec<&Value> = object.values().collect();
            bodies.push(with(good.clone(), nested, json!(array)).to_string());
            let mut extra = object.clone();
            extra.insert("gpu".to_owned(), json!("1"));
            bodies.push(with(good.clone(), nested, Value::Object(extra)).to_string());
        }
        for body in bodies {
            let answer = bench
                .send(request("POST", path, Some(SEAL), Some(body.clone())))
                .await;
            if answer.status == 429 {
                // The limit of a minute is used up: it counts malformed ones too.
                bench.api.replace_settings(crate::double::settings());
                continue;
            }
            assert_eq!(answer.status, 400, "{body}: {}", answer.text);
            answer.is_problem(400, "malformed-body");
        }
    }
}

#[tokio::test]
async fn only_plain_json_is_read() {
    let bench = Bench::new();
    for (name, value) in [
        ("content-type", "text/plain"),
        ("content-type", "application/x-www-form-urlencoded"),
        ("content-encoding", "gzip"),
    ] {
        let mut asked = request(
            "POST",
            REGISTER,
            Some(SEAL),
            Some(registration().to_string()),
        );
        asked.headers_mut().insert(name, value.parse().unwrap());
        bench
            .send(asked)
            .await
            .is_problem(415, "unsupported-media-type");
    }
    let mut untyped = request(
        "POST",
        REGISTER,
        Some(SEAL),
        Some(registration().to_string()),
    );
    untyped.headers_mut().remove("content-type");
    bench
        .send(untyped)
        .await
        .is_problem(415, "unsupported-media-type");
    let mut typed = request(
        "POST",
        REGISTER,
        Some(SEAL),
        Some(registration().to_string()),
    );
    let value = "application/json; charset=utf-8".parse().unwrap();
    typed.headers_mut().insert("content-type", value);
    assert_eq!(bench.send(typed).await.status, 200);
}

#[tokio::test]
async fn what_the_cluster_says_is_passed_on() {
    let bench = Bench::new();
    for (error, status, kind) in [
        (WorkerError::Reserved, 403, "name-reserved"),
        (WorkerError::Taken, 409, "name-taken"),
        (WorkerError::Missing, 404, "not-registered"),
        (WorkerError::Invalid("cpu"), 422, "invalid-value"),
        (WorkerError::Busy, 503, "cluster-unavailable"),
        (WorkerError::Unavailable, 503, "cluster-unavailable"),
    ] {
        bench.workers.refuse(Some(error));
        for (path, body) in [(REGISTER, registration()), (HEARTBEAT, heartbeat())] {
            let answer = bench.post(path, &body).await;
            answer.is_problem(status, kind);
            assert_eq!(answer.header("retry-after").is_some(), status == 503);
        }
    }
}

#[tokio::test]
async fn a_heartbeat_is_kept_of_a_node_that_is_known() {
    let bench = Bench::new();
    let answer = bench.post(HEARTBEAT, &heartbeat()).await;
    answer.is_problem(404, "not-registered");
    bench.workers.put(sealed_node(NODE, record().owner));
    let answer = bench.post(HEARTBEAT, &heartbeat()).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(
        answer.json(),
        json!({ "success": true, "state": "Pending", "next_in_seconds": 30 })
    );
    let kept = bench.get("/api/v1/nodes").await.json();
    assert_eq!(
        kept["nodes"][0]["heartbeat"],
        json!({
            "at_ms": NOW, "sent_ms": NOW, "cpu_usage": 12.5, "memory_usage": 40.0,
            "pod_count": 8, "container_count": 11, "network_rx": 1_000_000,
            "network_tx": 2_000_000,
        })
    );
}

#[tokio::test]
async fn a_developers_kubeconfig_begins_in_its_own_namespace() {
    let bench = Bench::new();
    bench.directory.put(
        SEAL,
        SealRecord {
            stake: Mist(2_000_000_000),
            ..record()
        },
    );
    let body = bench.post(REGISTER, &registration()).await.json();
    let config = Kubeconfig::from_yaml(&decoded(&body["kubeconfig"])).unwrap();
    let context = config.contexts[0].context.as_ref().unwrap();
    assert_eq!(context.namespace.as_deref(), Some("seal-0202020202020202"));
}
