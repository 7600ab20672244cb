//! What who carries orders out refuses, as the API tells it; and orders in flight.

use std::sync::atomic::Ordering;
use std::time::Duration;

use cri_shim::api::WorkError;
use serde_json::json;

use crate::fakes::*;

#[tokio::test]
async fn every_failure_of_an_order_has_its_status_and_type() {
    let text = || "what people read".to_owned();
    let cases = [
        (WorkError::NotSetUp(text()), 409, "not-set-up", false),
        (WorkError::OtherWallet, 403, "other-wallet", false),
        (WorkError::NotStaked, 409, "not-staked", false),
        (
            WorkError::SealEnded {
                reason: "slashed",
                detail: text(),
            },
            409,
            "seal-ended",
            false,
        ),
        (
            WorkError::ContractRefused(text()),
            409,
            "contract-refused",
            false,
        ),
        (WorkError::NotEnough(text()), 409, "not-enough-coins", false),
        (
            WorkError::ChainUnavailable(text()),
            503,
            "chain-unavailable",
            true,
        ),
        (
            WorkError::OutcomeUnknown(text()),
            503,
            "outcome-unknown",
            true,
        ),
        (
            WorkError::ClusterRefused(text()),
            409,
            "cluster-refused",
            false,
        ),
        (
            WorkError::ClusterUntrusted(text()),
            502,
            "cluster-untrusted",
            false,
        ),
        (
            WorkError::ClusterUnavailable(text()),
            503,
            "cluster-unavailable",
            true,
        ),
        (
            WorkError::FileInTheWay(text()),
            409,
            "file-in-the-way",
            false,
        ),
        (WorkError::Failed(text()), 500, "internal", false),
    ];
    let node = json!({ "node_id": NODE });
    for (error, status, kind, again) in cases {
        let rig = Rig::new();
        *rig.work.refuse.lock().unwrap() = Some(error.clone());
        for (path, body) in [
            (STAKING, &good_stake()),
            (REGISTER, &node),
            (UNSTAKE, &node),
        ] {
            let told = ask(&rig.private, post(path, body.to_string())).await;
            assert_eq!(told.status, status, "{path} {error:?}");
            assert_eq!(told.problem().as_deref(), Some(kind), "{path}");
            assert_eq!(
                told.header("retry-after"),
                again.then_some("5"),
                "{path} {error:?}"
            );
            let body = String::from_utf8(told.body.clone()).unwrap();
            assert!(!body.contains(&own_token().reveal()[..16]), "{body}");
            if let WorkError::SealEnded { reason, .. } = &error {
                assert_eq!(told.json()["reason"], *reason);
            }
        }
        assert_eq!(rig.work.orders(), 3);
    }
}

/// Waits for a condition, and fails after a minute.
pub(crate) async fn until(what: &str, condition: impl Fn() -> bool) {
    let met = tokio::time::timeout(Duration::from_mins(1), async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    met.await.unwrap_or_else(|_| panic!("never: {what}"));
}

#[tokio::test]
async fn sixteen_orders_at_once_and_no_more() {
    let rig = Rig::with(Some(figures()), true, 0);
    let body = json!({ "node_id": NODE }).to_string();
    let waiting: Vec<_> = (0..16)
        .map(|_| {
            let (router, body) = (rig.private.clone(), body.clone());
            tokio::spawn(async move { ask(&router, post(UNSTAKE, body)).await.status })
        })
        .collect();
    until("sixteen are begun", || rig.work.orders() == 16).await;
    let told = ask(&rig.private, post(UNSTAKE, body.clone())).await;
    assert_eq!(
        (told.status, told.problem().as_deref()),
        (429, Some("busy"))
    );
    assert!(told.header("retry-after").is_some(), "{told:?}");
    assert_eq!(rig.work.orders(), 16);
    // The router on loopback has a bound of its own.
    assert_eq!(ask(&rig.public, bare("GET", HEALTH)).await.status, 200);
    rig.work.gate.add_permits(100);
    for order in waiting {
        assert_eq!(order.await.unwrap(), 200);
    }
    assert_eq!(ask(&rig.private, post(UNSTAKE, body)).await.status, 200);
}

#[tokio::test]
async fn an_order_goes_to_its_end_without_its_caller() {
    let rig = Rig::with(Some(figures()), true, 0);
    let router = rig.private.clone();
    let caller =
        tokio::spawn(async move { ask(&router, post(STAKING, good_stake().to_string())).await });
    until("it is begun", || rig.work.orders() == 1).await;
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    assert_eq!(rig.work.ended.load(Ordering::SeqCst), 0);
    rig.work.gate.add_permits(1);
    until("it is ended", || rig.work.ended.load(Ordering::SeqCst) == 1).await;
}
