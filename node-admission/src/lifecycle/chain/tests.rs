use std::collections::VecDeque;
use std::sync::Mutex;

use seal::testing::active_record;
use seal::{NodeClaim, SealStatus, Thresholds, UnixMillis};
use sui_ledger::directory::{Change, End, SealDirectory, Unavailable};
use tokio::sync::broadcast;

use super::*;

/// Answers in turn; the last ones again and again.
struct Script {
    claims: Mutex<VecDeque<Result<Option<NodeClaim>, Unavailable>>>,
    seals: Mutex<VecDeque<Result<Option<Arc<SealRecord>>, Unavailable>>>,
}

fn next<T: Clone>(answers: &Mutex<VecDeque<T>>) -> T {
    let mut answers = answers.lock().unwrap();
    let first = answers.pop_front().unwrap();
    if answers.is_empty() {
        answers.push_back(first.clone());
    }
    first
}

impl SealDirectory for Script {
    async fn seal(&self, _hash: CredentialHash) -> Result<Option<Arc<SealRecord>>, Unavailable> {
        next(&self.seals)
    }

    async fn claim(&self, _name: &NodeName) -> Result<Option<NodeClaim>, Unavailable> {
        next(&self.claims)
    }

    async fn owner_seals(&self, _owner: Address) -> Result<Arc<[CredentialHash]>, Unavailable> {
        Err(Unavailable::Starting)
    }

    fn now(&self) -> UnixMillis {
        UnixMillis(1_000)
    }

    fn thresholds(&self) -> Thresholds {
        Thresholds::default()
    }

    fn last_known_end(&self, _hash: &CredentialHash) -> Option<End> {
        None
    }
}

impl NodeDirectory for Script {
    type Hold = ();

    fn changes(&self) -> broadcast::Receiver<Change> {
        broadcast::Sender::new(1).subscribe()
    }

    fn hold(&self, _hash: CredentialHash) -> Result<(), Unavailable> {
        Ok(())
    }
}

const DOWN: Unavailable = Unavailable::ReadFailed;

fn owner(number: u8) -> Address {
    Address::from_bytes([number; 32])
}

fn claim(number: u8, hash: u8) -> NodeClaim {
    NodeClaim {
        owner: owner(number),
        hash: CredentialHash::from_bytes([hash; 32]),
    }
}

fn record(status: SealStatus) -> SealRecord {
    SealRecord {
        owner: owner(1),
        node_id: Some("a".parse().unwrap()),
        expires_at: UnixMillis(2_000),
        status,
        ..active_record()
    }
}

async fn gathered<const C: usize, const S: usize>(
    claims: [Result<Option<NodeClaim>, Unavailable>; C],
    seals: [Result<Option<SealRecord>, Unavailable>; S],
) -> Chain {
    let seals = seals.map(|seal| seal.map(|record| record.map(Arc::new)));
    let script = Script {
        claims: Mutex::new(claims.into()),
        seals: Mutex::new(seals.into()),
    };
    gather(&script, &"a".parse().unwrap(), &owner(1)).await
}

#[tokio::test]
async fn a_usable_seal_that_holds_the_name_is_usable() {
    let chain = gathered(
        [Ok(Some(claim(1, 5)))],
        [Ok(Some(record(SealStatus::Active)))],
    )
    .await;
    let Chain::Usable(held) = chain else {
        panic!("{chain:?}");
    };
    assert_eq!(held.tier, Some(Tier::Developer));
    assert_eq!(held.hash, CredentialHash::from_bytes([5; 32]));
}

#[tokio::test]
async fn what_can_not_be_read_or_contradicts_itself_is_unknown() {
    let active = || record(SealStatus::Active);
    let other = SealRecord {
        node_id: Some("b".parse().unwrap()),
        ..active()
    };
    let others = SealRecord {
        owner: owner(2),
        status: SealStatus::Slashed,
        ..active()
    };
    assert_eq!(gathered([Err(DOWN)], [Ok(None)]).await, Chain::Unknown);
    for seal in [Err(DOWN), Ok(None), Ok(Some(other)), Ok(Some(others))] {
        let chain = gathered([Ok(Some(claim(1, 5)))], [seal]).await;
        assert_eq!(chain, Chain::Unknown);
    }
}

#[tokio::test]
async fn a_name_that_is_lost_is_lost_whatever_the_seal() {
    let seal = || [Ok(Some(record(SealStatus::Active)))];
    let voided = gathered([Ok(None)], seal()).await;
    assert_eq!(voided, Chain::Ended(Ended::Voided, None));
    let others = gathered([Ok(Some(claim(2, 5)))], seal()).await;
    assert_eq!(others, Chain::Ended(Ended::Others, None));
}

#[tokio::test]
async fn a_refresh_read_half_way_is_no_end() {
    let retired = || Ok(Some(record(SealStatus::Retired)));
    let claims = [Ok(Some(claim(1, 5))), Ok(Some(claim(1, 6)))];
    let chain = gathered(claims, [retired(), Ok(Some(record(SealStatus::Active)))]).await;
    assert!(matches!(chain, Chain::Usable(_)), "{chain:?}");
    // A withdrawn seal keeps the name.
    let chain = gathered([Ok(Some(claim(1, 5)))], [retired()]).await;
    let retired = Ended::Seal(Unusable::Retired);
    assert!(matches!(chain, Chain::Ended(how, Some(_)) if how == retired));
}

#[test]
fn only_what_nobody_is_to_blame_for_is_benign() {
    let benign: Vec<Ended> = Unusable::ALL
        .map(Ended::Seal)
        .into_iter()
        .chain([Ended::Voided, Ended::Others])
        .filter(|how| how.is_benign())
        .collect();
    let expected = [Unusable::Unbonding, Unusable::Retired, Unusable::Expired].map(Ended::Seal);
    assert_eq!(benign, expected);
}

#[test]
fn whoever_leaves_after_a_fault_is_at_fault() {
    for fault in [Unusable::Slashed, Unusable::Revoked] {
        assert_eq!(blame(Unusable::Unbonding, Some(fault)), fault);
        // What is remembered of the seal before does not end what is another end.
        assert_eq!(blame(Unusable::Expired, Some(fault)), Unusable::Expired);
        assert_eq!(blame(Unusable::Retired, Some(fault)), Unusable::Retired);
    }
    for seen in [None, Some(Unusable::Unbonding), Some(Unusable::Expired)] {
        assert_eq!(blame(Unusable::Unbonding, seen), Unusable::Unbonding);
    }
}
