//! What real agents were seen to ask for.

use authz_webhook::{Isolation, Settings};
use seal::access::Policy;
use seal::{
    ElevatedOwners, NodeClaim, NodeStanding, SealRecord, SealStatus, Tier, UnixMillis, Unusable,
};
use serde_json::Value;
use sui_ledger::directory::Unavailable;

use crate::directory::{Holder, NOW, Namespaces, Webhook};

const SPECS: &str = include_str!("../../testdata/subjectaccessreview-specs-agents.jsonl");
const OPERATOR: Holder = Holder(7);

fn webhook(isolation: Isolation) -> Webhook {
    let mut settings = Settings::new(Policy::new(ElevatedOwners::Any));
    settings.isolation = isolation;
    settings.control_plane_nodes.insert("host-1".to_owned());
    Webhook::with(Namespaces::default(), settings)
}

/// Both captured workers, by one seal each.
fn workers() -> [(Holder, &'static str); 2] {
    [(OPERATOR, "worker-003"), (Holder(8), "worker-010")]
}

fn join(webhook: &Webhook) {
    webhook.ledger(|ledger| {
        for (holder, name) in workers() {
            let name: seal::NodeName = name.parse().unwrap();
            let claim = NodeClaim {
                owner: holder.owner(),
                hash: holder.hash(),
            };
            ledger.claims.insert(name.clone(), claim);
            let record = SealRecord {
                node_id: Some(name),
                ..holder.record(Tier::Viewer)
            };
            ledger.seals.insert(holder.hash(), record);
        }
    });
}

fn specs() -> impl Iterator<Item = (String, Value)> {
    SPECS.lines().map(|line| {
        let spec: Value = serde_json::from_str(line).unwrap();
        (spec["user"].as_str().unwrap().to_owned(), spec)
    })
}

/// Kubelet tries once, and goes on with the Node that the server made.
fn creates_node(spec: &Value) -> bool {
    let asked = &spec["resourceAttributes"];
    asked["verb"] == "create" && asked["resource"] == "nodes"
}

/// Asks all; gives the answers by user, each once.
async fn answers(webhook: &Webhook) -> std::collections::BTreeSet<(String, &'static str)> {
    let mut answers = std::collections::BTreeSet::new();
    for (user, spec) in specs() {
        let kind = match user.as_str() {
            "system:node:host-1" => "control plane",
            "system:kube-proxy" => "kube-proxy",
            "system:k3s-controller" => "k3s-controller",
            _ if creates_node(&spec) => "worker's own Node",
            _ => "worker",
        };
        answers.insert((kind.to_owned(), webhook.ask(spec).await.outcome));
    }
    answers
}

fn expect(pairs: [(&str, &'static str); 5]) -> std::collections::BTreeSet<(String, &'static str)> {
    pairs.map(|(kind, answer)| (kind.to_owned(), answer)).into()
}

#[tokio::test]
async fn nodes_with_a_usable_seal_are_left_to_kubernetes() {
    let webhook = webhook(Isolation::Open);
    join(&webhook);
    assert_eq!(
        answers(&webhook).await,
        expect([
            ("control plane", "no-opinion"),
            ("kube-proxy", "no-opinion"),
            ("k3s-controller", "no-opinion"),
            ("worker", "no-opinion"),
            ("worker's own Node", "deny"),
        ])
    );
}

#[tokio::test]
async fn strict_isolation_leaves_an_agent_what_it_cannot_start_without() {
    let webhook = webhook(Isolation::Strict);
    join(&webhook);
    assert_eq!(
        answers(&webhook).await,
        expect([
            ("control plane", "no-opinion"),
            ("kube-proxy", "deny"),
            ("k3s-controller", "no-opinion"),
            ("worker", "no-opinion"),
            ("worker's own Node", "deny"),
        ])
    );
}

#[tokio::test]
async fn a_node_without_a_claim_is_denied_everything() {
    let webhook = webhook(Isolation::Open);
    assert_eq!(
        answers(&webhook).await,
        expect([
            ("control plane", "no-opinion"),
            ("kube-proxy", "no-opinion"),
            ("k3s-controller", "no-opinion"),
            ("worker", "deny"),
            ("worker's own Node", "deny"),
        ])
    );
}

#[tokio::test]
async fn a_node_whose_seal_ended_is_denied_everything() {
    for status in SealStatus::ALL {
        let webhook = webhook(Isolation::Open);
        join(&webhook);
        webhook.ledger(|ledger| {
            for seal in ledger.seals.values_mut() {
                seal.status = status;
            }
        });
        let answer = if status == SealStatus::Active {
            "no-opinion"
        } else {
            "deny"
        };
        assert!(
            answers(&webhook)
                .await
                .contains(&("worker".to_owned(), answer))
        );
    }
}

#[tokio::test]
async fn an_outage_stops_no_running_node_and_revives_none_that_had_ended() {
    let webhook = webhook(Isolation::Open);
    join(&webhook);
    assert_eq!(answers(&webhook).await.len(), 5);
    webhook.ledger(|ledger| ledger.unavailable = Some(Unavailable::Stale { for_ms: 20_000 }));
    let all = answers(&webhook).await;
    assert!(all.contains(&("worker".to_owned(), "no-opinion")));
    assert!(!all.contains(&("worker".to_owned(), "deny")));
    let (_, spec) = specs()
        .find(|(user, _)| user.ends_with("worker-003"))
        .unwrap();
    let answered = webhook.ask(spec.clone()).await;
    assert!(answered.evaluation_error.contains("stale"), "{answered:?}");

    // The directory remembers the end of the seal that the name was last seen with.
    webhook.ledger(|ledger| {
        let end = Holder::end(Unusable::Slashed);
        ledger.ends.insert(OPERATOR.hash(), end);
    });
    let answered = webhook.ask(spec).await;
    assert_eq!(answered.outcome, "deny", "{answered:?}");
}

#[tokio::test]
async fn a_node_that_is_drained_goes_on_and_one_that_was_cut_off_stays_out() {
    let webhook = webhook(Isolation::Open);
    join(&webhook);
    let (_, spec) = specs()
        .find(|(user, _)| user.ends_with("worker-003"))
        .unwrap();
    let stands = |standing| {
        let mut known = webhook.standings.0.lock().unwrap();
        known.insert("worker-003".to_owned(), standing);
    };
    webhook.ledger(|ledger| {
        let seal = ledger.seals.get_mut(&OPERATOR.hash()).unwrap();
        seal.status = SealStatus::Unbonding;
    });
    let until = UnixMillis(NOW.0 + 1);
    for (standing, answer) in [
        (NodeStanding::Draining { until }, "no-opinion"),
        (NodeStanding::Draining { until: NOW }, "deny"),
        (NodeStanding::Cut, "deny"),
        (NodeStanding::Unknown, "deny"),
    ] {
        stands(standing);
        let answered = webhook.ask(spec.clone()).await;
        assert_eq!(answered.outcome, answer, "{standing:?}");
    }
    webhook.ledger(|ledger| ledger.unavailable = Some(Unavailable::Stale { for_ms: 20_000 }));
    stands(NodeStanding::Cut);
    assert_eq!(webhook.ask(spec.clone()).await.outcome, "deny");
    stands(NodeStanding::Active);
    assert_eq!(webhook.ask(spec).await.outcome, "no-opinion");
}

#[tokio::test]
async fn a_silent_directory_is_not_waited_for() {
    let webhook = webhook(Isolation::Open);
    join(&webhook);
    webhook.ledger(|ledger| ledger.silent = true);
    let (_, spec) = specs()
        .find(|(user, _)| user.ends_with("worker-003"))
        .unwrap();
    let answered = webhook.ask(spec).await;
    assert_eq!(answered.outcome, "no-opinion");
    assert!(
        answered.evaluation_error.contains("in time"),
        "{answered:?}"
    );
}

#[tokio::test]
async fn names_that_no_seal_can_hold_are_denied() {
    let webhook = webhook(Isolation::Open);
    for name in ["a.example", "Worker", "", "worker-003 "] {
        let spec = serde_json::json!({
            "user": format!("system:node:{name}"), "groups": ["system:nodes"],
            "resourceAttributes": {"verb": "get", "resource": "nodes"},
        });
        assert_eq!(webhook.ask(spec).await.outcome, "deny", "{name}");
    }
}
