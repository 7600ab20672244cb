//! What the API shows.

use std::num::NonZeroU32;

use kube::config::Kubeconfig;
use node_admission::api::WorkerIsolation;
use node_admission::sealed_node::{NodeState, SealedNodeStatus};
use seal::access::Tenancy;
use seal::{Address, ElevatedOwners, Mist, ObjectId, SealRecord, SealStatus, UnixMillis};
use serde_json::json;

use crate::double::{Bench, CLUSTER, NODE, NOW, SEAL, hash, record, sealed_node, settings, token};

fn staked(mist: u64) -> SealRecord {
    SealRecord {
        stake: Mist(mist),
        ..record()
    }
}

fn names(page: &serde_json::Value) -> Vec<String> {
    let nodes = page["nodes"].as_array().unwrap();
    nodes
        .iter()
        .map(|node| node["node_id"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn owners_see_their_own_nodes_and_admins_see_all() {
    let bench = Bench::new();
    bench.workers.put(sealed_node("a", record().owner));
    bench
        .workers
        .put(sealed_node("b", Address::from_bytes([9; 32])));
    for (mist, seen) in [
        (500_000_000, &["a"][..]),
        (2_000_000_000, &["a"]),
        (5_000_000_000, &["a", "b"]),
        (10_000_000_000, &["a", "b"]),
    ] {
        bench.directory.put(SEAL, staked(mist));
        let page = bench.get("/api/v1/nodes").await.json();
        assert_eq!(names(&page), seen, "{mist}");
        assert_eq!(page["total"], seen.len());
    }
}

#[tokio::test]
async fn who_may_be_admin_is_the_operators_choice_and_waits_for_the_guards() {
    let bench = Bench::new();
    bench.directory.put(SEAL, staked(10_000_000_000));
    bench
        .workers
        .put(sealed_node("b", Address::from_bytes([9; 32])));
    let sees = async || bench.get("/api/v1/nodes").await.json()["total"].clone();
    assert_eq!(sees().await, 1);
    bench.guards.set(false);
    assert_eq!(sees().await, 0);
    bench.guards.set(true);
    let mut chosen = settings();
    chosen.elevated = ElevatedOwners::None;
    bench.api.replace_settings(chosen);
    assert_eq!(sees().await, 0);
}

#[tokio::test]
async fn nodes_come_in_pages() {
    let bench = Bench::new();
    for number in 0..7 {
        bench
            .workers
            .put(sealed_node(&format!("w{number}"), record().owner));
    }
    let mut seen = Vec::new();
    let mut path = "/api/v1/nodes?limit=3".to_owned();
    for _ in 0..3 {
        let page = bench.get(&path).await.json();
        assert_eq!(page["total"], 7);
        seen.extend(names(&page));
        let Some(next) = page["next"].as_str() else {
            break;
        };
        path = format!("/api/v1/nodes?limit=3&after={next}");
    }
    assert_eq!(seen, ["w0", "w1", "w2", "w3", "w4", "w5", "w6"]);
    let exact = bench.get("/api/v1/nodes?limit=7").await.json();
    assert!(exact.get("next").is_none());
    let past = bench.get("/api/v1/nodes?after=zzz").await.json();
    assert_eq!(names(&past), Vec::<String>::new());
}

#[tokio::test]
async fn queries_that_are_unknown_or_out_of_bounds_are_refused() {
    let bench = Bench::new();
    for query in [
        "limit=0",
        "limit=501",
        "limit=-1",
        "limit=x",
        "limit=",
        "limit=1&limit=2",
        "owner=me",
        "limit=1&x",
    ] {
        let answer = bench.get(&format!("/api/v1/nodes?{query}")).await;
        assert_eq!(answer.status, 400, "{query}");
        answer.is_problem(400, "malformed-query");
    }
}

#[tokio::test]
async fn before_the_nodes_are_known_none_are_shown() {
    let bench = Bench::new();
    bench.workers.know_nothing();
    let answer = bench.get("/api/v1/nodes").await;
    answer.is_problem(503, "cluster-unavailable");
}

#[tokio::test]
async fn a_node_is_shown_with_where_it_is_in_its_life() {
    let bench = Bench::new();
    let mut node = sealed_node(NODE, record().owner);
    node.status = Some(SealedNodeStatus {
        state: NodeState::Draining,
        reason: Some("expired".into()),
        stake_mist: Some(500_000_000),
        tier: Some("viewer".into()),
        expires_at_ms: Some(NOW),
        drain_until_ms: Some(NOW + 300_000),
        ended_at_ms: Some(NOW),
        ..SealedNodeStatus::default()
    });
    bench.workers.put(node);
    let page = bench.get("/api/v1/nodes").await.json();
    assert_eq!(
        page["nodes"][0],
        json!({
            "node_id": NODE,
            "owner": record().owner.to_string(),
            "seal_id": ObjectId::from_bytes([1; 32]).to_string(),
            "state": "Draining",
            "reason": "expired",
            "stake_mist": 500_000_000,
            "tier": "viewer",
            "expires_at_ms": NOW,
            "drain_until_ms": NOW + 300_000,
            "ended_at_ms": NOW,
            "conditions": [],
        })
    );
}

#[tokio::test]
async fn an_owners_seals_are_shown_as_the_chain_has_them() {
    let bench = Bench::new();
    let slashed = SealRecord {
        seal_id: ObjectId::from_bytes([3; 32]),
        stake: Mist(1_800_000_000),
        restore_at: Mist(2_000_000_000),
        status: SealStatus::Slashed,
        slashed_total: Mist(200_000_000),
        last_slashed_at: UnixMillis(NOW - 5),
        node_id: None,
        ..record()
    };
    let foreign = SealRecord {
        owner: Address::from_bytes([9; 32]),
        node_id: None,
        ..record()
    };
    bench.directory.put(&token(3), slashed);
    bench.directory.put(&token(4), foreign);
    // An old list may name what is another's, or nobody's, by now.
    bench.directory.list_for_all(hash(&token(4)));
    bench.directory.list_for_all(hash(&token(5)));
    let status = bench.get("/api/v1/staking/status").await.json();
    assert_eq!(status["owner"], record().owner.to_string());
    assert_eq!(status["total_stake_mist"], 2_300_000_000_u64);
    assert_eq!(status["more"], false);
    assert_eq!(
        status["thresholds"],
        json!({
            "viewer": 500_000_000, "developer": 2_000_000_000_u64, "admin": 5_000_000_000_u64,
            "super": 10_000_000_000_u64,
        })
    );
    let seals = status["seals"].as_array().unwrap();
    assert_eq!(seals.len(), 2);
    assert_eq!(
        seals[0],
        json!({
            "presented": true,
            "seal_id": record().seal_id.to_string(),
            "credential_hash": hash(SEAL).to_string(),
            "status": "active",
            "usable": true,
            "tier": "viewer",
            "stake_mist": 500_000_000,
            "stake_sui": "0.5",
            "node_id": NODE,
            "issued_at_ms": NOW - 1_000,
            "expires_at_ms": NOW + 1,
            "slashed_total_mist": 0,
            "generation": 0,
            "seq": 1,
        })
    );
    assert_eq!(seals[1]["presented"], false);
    assert_eq!(seals[1]["status"], "slashed");
    assert_eq!(seals[1]["usable"], false);
    assert_eq!(seals[1]["reason"], "slashed");
    assert_eq!(seals[1]["restore_at_mist"], 2_000_000_000_u64);
    assert_eq!(seals[1]["last_slashed_at_ms"], NOW - 5);
}

#[tokio::test]
async fn an_owner_of_very_many_seals_is_shown_some_and_told_so() {
    let bench = Bench::new();
    for number in 2..80 {
        let record = SealRecord {
            node_id: None,
            ..record()
        };
        bench.directory.put(&token(number), record);
    }
    let status = bench.get("/api/v1/staking/status").await.json();
    assert_eq!(status["seals"].as_array().unwrap().len(), 64);
    assert_eq!(status["seals"][0]["presented"], true);
    assert_eq!(status["more"], true);
}

#[tokio::test]
async fn the_security_context_says_who_what_and_what_stands_behind_it() {
    let bench = Bench::new();
    bench.workers.put(sealed_node(NODE, record().owner));
    let mut chosen = settings();
    chosen.isolation = WorkerIsolation::Open;
    chosen.tenancy = Tenancy::Shared;
    chosen.requests_per_minute = NonZeroU32::new(7).unwrap();
    bench.api.replace_settings(chosen);
    bench.directory.put(SEAL, staked(2_000_000_000));
    let context = bench.get("/api/v1/security-context").await.json();
    let owner = record().owner.to_string();
    assert_eq!(
        context["identity"],
        json!({
            "user": format!("seal:{owner}"),
            "groups": ["seal:holders", "seal:tier:developer"],
            "owner": owner,
            "seal_id": record().seal_id.to_string(),
            "expires_at_ms": NOW + 1,
        })
    );
    assert_eq!(context["access"]["tier"], "developer");
    assert_eq!(context["access"]["held"], false);
    assert_eq!(context["access"]["namespace"], "seal-0202020202020202");
    assert_eq!(context["access"]["other_namespaces"], "view");
    assert_eq!(context["limits"]["requests_per_minute"], 7);
    assert_eq!(context["limits"]["namespace_quota"]["pods"], "50");
    assert_eq!(context["worker"]["user"], "system:node:worker-001");
    assert_eq!(context["worker"]["node"]["node_id"], NODE);
    assert_eq!(
        context["control_plane"],
        json!({
            "attestation": { "state": "not_attested" },
            "worker_isolation": "open",
            "tenancy": "shared",
            "guards_in_place": true,
        })
    );

    bench.guards.set(false);
    let held = bench.get("/api/v1/security-context").await.json();
    assert_eq!(held["access"]["tier"], "viewer");
    assert_eq!(held["access"]["held"], true);
    assert!(held["access"].get("namespace").is_none());
    assert!(held["limits"].get("namespace_quota").is_none());
}

#[tokio::test]
async fn a_node_of_the_same_name_and_another_owner_is_not_shown() {
    let bench = Bench::new();
    bench
        .workers
        .put(sealed_node(NODE, Address::from_bytes([9; 32])));
    let context = bench.get("/api/v1/security-context").await.json();
    assert_eq!(context["worker"]["node_id"], NODE);
    assert!(context["worker"].get("node").is_none());
}

#[tokio::test]
async fn the_kubeconfig_is_the_callers_and_nobody_keeps_it() {
    let bench = Bench::new();
    let answer = bench.get("/kubectl/config").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/yaml"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    let config = Kubeconfig::from_yaml(&answer.text).unwrap();
    let cluster = config.clusters[0].cluster.as_ref().unwrap();
    assert_eq!(cluster.server.as_deref(), Some(CLUSTER));
    assert!(answer.text.contains(SEAL));
    let context = config.contexts[0].context.as_ref().unwrap();
    assert_eq!(context.namespace.as_deref(), Some("default"));
}
