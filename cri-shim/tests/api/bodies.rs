//! Bodies of orders are read strictly, and none that is refused reaches who carries orders out.

use axum::body::Body;
use serde_json::{Value, json};

use crate::fakes::*;

async fn refused(path: &str, body: impl Into<Body>, status: u16, kind: &str) {
    let rig = Rig::new();
    let told = ask(&rig.private, post(path, body)).await;
    let text = String::from_utf8_lossy(&told.body).into_owned();
    assert_eq!(
        (told.status, told.problem().as_deref()),
        (status, Some(kind)),
        "{text}"
    );
    assert_eq!(rig.work.orders(), 0, "{text}");
}

fn changed(field: &str, value: Value) -> String {
    let mut body = good_stake();
    body[field] = value;
    body.to_string()
}

#[tokio::test]
async fn fields_are_all_there_known_and_once() {
    for field in ["node_id", "duration", "wallet"] {
        let mut body = good_stake();
        body.as_object_mut().unwrap().remove(field);
        refused(STAKING, body.to_string(), 400, "malformed-body").await;
    }
    refused(STAKING, changed("more", json!(1)), 400, "malformed-body").await;
    refused(
        STAKING,
        changed("stake_amount", Value::Null),
        400,
        "malformed-body",
    )
    .await;
    let node = format!(r#"{{"node_id":"{NODE}","node_id":"{NODE}"}}"#);
    for path in [REGISTER, UNSTAKE] {
        refused(path, node.clone(), 400, "malformed-body").await;
        refused(path, "{}", 400, "malformed-body").await;
        let more = json!({ "node_id": NODE, "more": 1 }).to_string();
        refused(path, more, 400, "malformed-body").await;
    }
    let twice = good_stake()
        .to_string()
        .replacen('{', r#"{"duration":1,"#, 1);
    refused(STAKING, twice, 400, "malformed-body").await;
}

#[tokio::test]
async fn what_is_no_json_object_is_refused() {
    for body in [
        "",
        " ",
        "null",
        "[]",
        "\"x\"",
        "{",
        "{}{}",
        "[\"worker-001\"]",
    ] {
        for path in [STAKING, REGISTER, UNSTAKE] {
            refused(path, body, 400, "malformed-body").await;
        }
    }
    refused(
        UNSTAKE,
        &b"{\"node_id\":\"\xff\xfe\"}"[..],
        400,
        "malformed-body",
    )
    .await;
}

#[tokio::test]
async fn an_amount_is_a_decimal_string() {
    for number in [json!(1), json!(1.5), json!(-1), json!(true), json!(["1"])] {
        refused(
            STAKING,
            changed("stake_amount", number),
            400,
            "malformed-body",
        )
        .await;
    }
    for text in [
        "",
        "0",
        "00",
        "-1",
        "+1",
        " 1",
        "1 ",
        "1\n",
        "1.0",
        "1e9",
        "0x1",
        "1_000",
        "٣",
        "18446744073709551616",
        "99999999999999999999",
        "000000000000000000001",
    ] {
        refused(
            STAKING,
            changed("stake_amount", json!(text)),
            422,
            "invalid-value",
        )
        .await;
    }
}

#[tokio::test]
async fn a_duration_is_seconds() {
    for wrong in [json!("3600"), json!(-1), json!(1.5), Value::Null] {
        refused(STAKING, changed("duration", wrong), 400, "malformed-body").await;
    }
    for wrong in [
        json!(0),
        json!(u64::MAX),
        json!(10u64 * 365 * 24 * 3_600 + 1),
    ] {
        refused(STAKING, changed("duration", wrong), 422, "invalid-value").await;
    }
}

#[tokio::test]
async fn wallets_addresses_and_capacities_have_their_form() {
    for wrong in ["", "0x", "0xzz", &"ab".repeat(33)] {
        refused(
            STAKING,
            changed("wallet", json!(wrong)),
            422,
            "invalid-value",
        )
        .await;
    }
    for wrong in ["", "10.0.1", "10.0.1.5:80", "host"] {
        let body = json!({ "node_id": NODE, "ip_address": wrong }).to_string();
        refused(REGISTER, body, 422, "invalid-value").await;
    }
    for wrong in ["", "-1", " 4", "4\n", &"9".repeat(33)] {
        let capacity = json!({ "cpu": wrong, "memory": "16Gi", "storage": "100Gi" });
        let body = json!({ "node_id": NODE, "capacity": capacity }).to_string();
        refused(REGISTER, body, 422, "invalid-value").await;
    }
    let half = json!({ "node_id": NODE, "capacity": { "cpu": "4" } }).to_string();
    refused(REGISTER, half, 400, "malformed-body").await;
}

#[tokio::test]
async fn another_node_is_not_this_machines() {
    for other in ["worker-002", "", "WORKER-001", "worker-001 "] {
        refused(STAKING, changed("node_id", json!(other)), 403, "other-node").await;
        let body = json!({ "node_id": other }).to_string();
        for path in [REGISTER, UNSTAKE] {
            refused(path, body.clone(), 403, "other-node").await;
        }
    }
}

#[tokio::test]
async fn a_body_has_a_bound_and_a_type() {
    let rig = Rig::new();
    let good = json!({ "node_id": NODE }).to_string();
    for (length, status) in [(4 * 1024, 200), (4 * 1024 + 1, 413)] {
        for path in [REGISTER, UNSTAKE] {
            let padded = format!("{good}{}", " ".repeat(length - good.len()));
            let told = ask(&rig.private, post(path, padded)).await;
            assert_eq!(told.status, status, "{path} {length}");
            let kind = (status == 413).then(|| "body-too-large".to_owned());
            assert_eq!(told.problem(), kind);
        }
    }
    for kind in [
        None,
        Some("text/plain"),
        Some("application/x-www-form-urlencoded"),
        Some(""),
    ] {
        let told = ask(&rig.private, with_body("POST", UNSTAKE, kind, good.clone())).await;
        assert_eq!(told.status, 415, "{kind:?}");
        assert_eq!(told.problem().as_deref(), Some("unsupported-media-type"));
    }
    assert_eq!(rig.work.orders(), 2);
}
