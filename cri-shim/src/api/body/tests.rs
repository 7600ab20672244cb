use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn node() -> NodeName {
    "worker-001".parse().unwrap()
}

fn staking() -> Value {
    json!({
        "node_id": "worker-001", "stake_amount": "500000000", "duration": 86_400,
        "wallet": format!("0x{}", "ab".repeat(32)),
    })
}

fn judged(body: &Value) -> Result<StakeOrder, ProblemKind> {
    parse_strict::<StakingBody>(body.to_string().as_bytes())
        .map_err(Problem::from)
        .and_then(|body| body.order(&node()))
        .map_err(|problem| problem.kind())
}

#[test]
fn an_order_is_read_with_its_units() {
    let order = judged(&staking()).unwrap();
    assert_eq!(order.amount, Some(Mist(500_000_000)));
    assert_eq!(order.validity_ms, 86_400_000);
    assert_eq!(order.wallet, Address::from_bytes([0xab; 32]));
    let mut body = staking();
    body.as_object_mut().unwrap().remove("stake_amount");
    assert_eq!(judged(&body).unwrap().amount, None);
}

#[test]
fn values_that_can_not_be_are_refused() {
    use ProblemKind::{InvalidValue, MalformedBody, OtherNode};
    for (field, value, why) in [
        ("node_id", json!("worker-002"), OtherNode),
        ("node_id", json!(""), OtherNode),
        ("stake_amount", json!(500_000_000), MalformedBody),
        ("stake_amount", json!(null), MalformedBody),
        ("stake_amount", json!("0"), InvalidValue),
        ("stake_amount", json!(""), InvalidValue),
        ("stake_amount", json!("-1"), InvalidValue),
        ("stake_amount", json!("+1"), InvalidValue),
        ("stake_amount", json!("0.5"), InvalidValue),
        ("stake_amount", json!("1e9"), InvalidValue),
        ("stake_amount", json!("18446744073709551616"), InvalidValue),
        ("duration", json!(0), InvalidValue),
        ("duration", json!(u64::MAX), InvalidValue),
        ("duration", json!(-1), MalformedBody),
        ("duration", json!("86400"), MalformedBody),
        ("wallet", json!("0xno"), InvalidValue),
        ("wallet", json!(["0x"]), MalformedBody),
        ("more", json!(1), MalformedBody),
    ] {
        let mut body = staking();
        body[field] = value.clone();
        assert_eq!(judged(&body), Err(why), "{field} {value}");
    }
}

#[test]
fn a_registration_says_as_much_as_it_likes() {
    let read = |body: Value| read_register(body.to_string().as_bytes(), &node());
    let all_found_out = read(json!({ "node_id": "worker-001" }));
    assert_eq!(all_found_out, Some(MachineOrder::default()));
    let told = read(json!({
        "node_id": "worker-001", "ip_address": "10.0.1.5",
        "capacity": { "cpu": "4", "memory": "16Gi", "storage": "100Gi" },
    }));
    let told = told.unwrap();
    assert_eq!(told.ip_address, Some("10.0.1.5".parse().unwrap()));
    assert_eq!(told.capacity.unwrap().memory, "16Gi");
    for bad in [
        json!({}),
        json!({ "node_id": "other" }),
        json!({ "node_id": "worker-001", "ip_address": "here" }),
        json!({ "node_id": "worker-001", "ip_address": null }),
        json!({ "node_id": "worker-001", "capacity": { "cpu": "4" } }),
        json!({ "node_id": "worker-001", "capacity": ["4", "1", "1"] }),
        json!({ "node_id": "worker-001", "capacity": { "cpu": "-4", "memory": "1", "storage": "1" } }),
    ] {
        assert_eq!(read(bad.clone()), None, "{bad}");
    }
}

#[test]
fn unstaking_names_the_node() {
    assert!(read_unstake(br#"{"node_id":"worker-001"}"#, &node()));
    for bad in [
        &b"{}"[..],
        br#"{"node_id":"worker-002"}"#,
        br#"{"node_id":"worker-001","now":true}"#,
        br#"["worker-001"]"#,
    ] {
        assert!(!read_unstake(bad, &node()));
    }
}

proptest! {
    #[test]
    fn no_body_panics(body in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = read_staking(&body, &node());
        let _ = read_register(&body, &node());
        let _ = read_unstake(&body, &node());
    }

    #[test]
    fn every_amount_of_the_chain_is_read_exactly(amount in 1u64..) {
        let mut body = staking();
        body["stake_amount"] = amount.to_string().into();
        prop_assert_eq!(judged(&body).unwrap().amount, Some(Mist(amount)));
    }

    #[test]
    fn no_text_is_an_amount_by_accident(text in ".{0,30}") {
        if let Ok(Mist(amount)) = mist(&text) {
            prop_assert!(amount > 0);
            prop_assert_eq!(text.trim_start_matches('0'), amount.to_string());
        }
    }
}
