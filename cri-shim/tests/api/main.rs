//! The worker's REST API: its routers, with test implementations of who stakes and registers.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests"
)]

mod bodies;
mod fakes;
mod metrics;
mod refusals;
mod socket;

use fakes::*;
use seal::Mist;
use serde_json::json;

#[tokio::test]
async fn orders_are_carried_out_and_answered() {
    let rig = Rig::new();
    let told = ask(&rig.private, post(STAKING, good_stake().to_string())).await;
    assert_eq!(told.status, 200, "{told:?}");
    assert_eq!(
        told.json(),
        json!({
            "success": true, "seal_token": "11".repeat(32), "expires_at": 1_790_000_000_000u64,
            "permissions": ["join-node", "viewer", "developer"],
        })
    );
    let order = rig.work.stakes.lock().unwrap().remove(0);
    assert_eq!(order.amount, Some(Mist(500_000_000)));
    assert_eq!(order.validity_ms, 3_600_000);

    let body = json!({ "node_id": NODE }).to_string();
    let told = ask(&rig.private, post(REGISTER, body.clone())).await;
    assert_eq!(told.status, 200, "{told:?}");
    assert_eq!(told.json()["node_id"], NODE);
    assert_eq!(told.json()["token_file"], "/etc/test/token");
    assert_eq!(rig.work.registrations.lock().unwrap().len(), 1);

    let told = ask(&rig.private, post(UNSTAKE, body)).await;
    assert_eq!(told.status, 200, "{told:?}");
    let expected = json!({ "success": true, "withdrawable_at": 1_790_000_100_000u64 });
    assert_eq!(told.json(), expected);
    assert_eq!(rig.work.orders(), 3);
}

#[tokio::test]
async fn a_path_answers_its_method_alone() {
    let rig = Rig::new();
    for (path, good) in [
        (STAKING, "POST"),
        (REGISTER, "POST"),
        (UNSTAKE, "POST"),
        (METRICS, "GET"),
        (HEALTH, "GET"),
    ] {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"] {
            if method == good {
                continue;
            }
            let told = ask(&rig.private, bare(method, path)).await;
            assert_eq!(told.status, 405, "{method} {path}");
            assert_eq!(told.problem().as_deref(), Some("method-not-allowed"));
            let allowed = told.header("allow").unwrap_or_default();
            assert!(allowed.contains(good), "{method} {path}: {allowed}");
        }
    }
    assert_eq!(rig.work.orders(), 0);
}

#[tokio::test]
async fn there_is_nothing_else() {
    let rig = Rig::new();
    for path in ["/", "/api/v1", "/api/v1/staking/", "/Health", "/metrics"] {
        for router in [&rig.private, &rig.public] {
            let told = ask(router, bare("GET", path)).await;
            assert_eq!(told.status, 404, "{path}");
            assert_eq!(told.problem().as_deref(), Some("not-found"), "{path}");
        }
    }
}

#[tokio::test]
async fn the_public_router_takes_no_orders() {
    let rig = Rig::new();
    let node = json!({ "node_id": NODE });
    for (path, body) in [
        (STAKING, good_stake()),
        (REGISTER, node.clone()),
        (UNSTAKE, node),
    ] {
        let told = ask(&rig.public, post(path, body.to_string())).await;
        assert_eq!(told.status, 404, "{path}");
        assert_eq!(told.problem().as_deref(), Some("not-found"), "{path}");
    }
    assert_eq!(rig.work.orders(), 0);
    for router in [&rig.public, &rig.private] {
        let told = ask(router, bare("GET", HEALTH)).await;
        assert_eq!(told.status, 200);
        assert_eq!(told.json()["node_id"], NODE);
        assert_eq!(told.json()["seal"]["state"], "unknown");
    }
}
