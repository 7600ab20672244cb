use std::collections::HashSet;

use proptest::prelude::*;
use seal::testing::active_record;
use seal::{Address, ElevatedOwners, Mist, SealStatus};

use super::*;
use crate::policy::Audiences;

fn policy(elevated: ElevatedOwners) -> Policy {
    Policy {
        audiences: Audiences::default(),
        elevated,
    }
}

fn record(stake: u64, status: SealStatus) -> SealRecord {
    SealRecord {
        stake: Mist(stake),
        namespace_wish: Some("kube-system".to_owned()),
        status,
        ..active_record()
    }
}

fn facts(record: Option<SealRecord>) -> Facts {
    Facts {
        hash: CredentialHash::from_bytes([3; 32]),
        record: record.map(Arc::new),
        now: UnixMillis(999),
        thresholds: Thresholds::default(),
        guarded: true,
    }
}

fn tier_of(verdict: Verdict) -> Option<Tier> {
    match verdict {
        Verdict::Accept(holder) => Some(holder.tier),
        Verdict::Join(_) | Verdict::Refuse(_) | Verdict::Undecided(_) => None,
    }
}

#[test]
fn every_refusal_is_listed_once_under_a_name_of_its_own() {
    let labels: HashSet<_> = Refusal::ALL.iter().map(|refusal| refusal.label()).collect();
    assert_eq!(labels.len(), Refusal::ALL.len());
    for why in Unusable::ALL {
        assert!(Refusal::ALL.contains(&Refusal::Unusable(why)));
    }
}

#[test]
fn an_unknown_hash_is_refused() {
    let verdict = decide(&policy(ElevatedOwners::Any), facts(None));
    assert_eq!(verdict, Verdict::Refuse(Refusal::Unknown));
}

#[test]
fn each_state_but_active_is_refused_for_its_own_reason() {
    for (status, why) in [
        (SealStatus::Unbonding, Unusable::Unbonding),
        (SealStatus::Slashed, Unusable::Slashed),
        (SealStatus::Revoked, Unusable::Revoked),
        (SealStatus::Retired, Unusable::Retired),
    ] {
        let verdict = decide(
            &policy(ElevatedOwners::Any),
            facts(Some(record(10_000_000_000, status))),
        );
        assert_eq!(verdict, Verdict::Refuse(Refusal::Unusable(why)));
    }
}

#[test]
fn refuses_a_seal_at_the_instant_it_expires() {
    let at = |now| {
        let facts = Facts {
            now: UnixMillis(now),
            ..facts(Some(record(2_000_000_000, SealStatus::Active)))
        };
        decide(&policy(ElevatedOwners::Any), facts)
    };
    assert_eq!(tier_of(at(999)), Some(Tier::Developer));
    assert_eq!(
        at(1_000),
        Verdict::Refuse(Refusal::Unusable(Unusable::Expired))
    );
}

#[test]
fn refuses_a_stake_below_the_pools_own_threshold() {
    let raised = Thresholds {
        viewer: Mist(2_000_000_001),
        developer: Mist(3_000_000_000),
        ..Thresholds::default()
    };
    let facts = Facts {
        thresholds: raised,
        ..facts(Some(record(2_000_000_000, SealStatus::Active)))
    };
    assert_eq!(
        decide(&policy(ElevatedOwners::Any), facts),
        Verdict::Refuse(Refusal::Unusable(Unusable::StakeTooLow))
    );
}

#[test]
fn admin_and_super_are_for_whom_the_operator_chose() {
    let owner = Address::from_bytes([2; 32]);
    let other = Address::from_bytes([9; 32]);
    for (stake, tier) in [
        (500_000_000, Tier::Viewer),
        (2_000_000_000, Tier::Developer),
        (5_000_000_000, Tier::Admin),
        (10_000_000_000, Tier::Super),
    ] {
        let decided = |elevated| {
            tier_of(decide(
                &policy(elevated),
                facts(Some(record(stake, SealStatus::Active))),
            ))
        };
        assert_eq!(decided(ElevatedOwners::Any), Some(tier));
        assert_eq!(decided(ElevatedOwners::only([owner]).unwrap()), Some(tier));
        let capped = Some(tier.min(Tier::Developer));
        assert_eq!(decided(ElevatedOwners::None), capped);
        assert_eq!(decided(ElevatedOwners::only([other]).unwrap()), capped);
    }
}

#[test]
fn nobody_is_above_viewer_before_the_guards_are_in_place() {
    for (stake, worth) in [
        (500_000_000, Tier::Viewer),
        (2_000_000_000, Tier::Developer),
        (5_000_000_000, Tier::Admin),
        (10_000_000_000, Tier::Super),
    ] {
        let decided = |guarded| {
            let facts = Facts {
                guarded,
                ..facts(Some(record(stake, SealStatus::Active)))
            };
            match decide(&policy(ElevatedOwners::Any), facts) {
                Verdict::Accept(holder) => (holder.tier, holder.held),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(decided(true), (worth, false));
        assert_eq!(decided(false), (Tier::Viewer, worth > Tier::Viewer));
    }
}

proptest! {
    #[test]
    fn more_stake_and_less_time_never_turn_a_yes_into_a_no(
        stake: u64, more: u64, now in 0u64..2_000, earlier in 0u64..2_000,
    ) {
        let decided = |stake, now| {
            let facts = Facts {
                now: UnixMillis(now),
                ..facts(Some(record(stake, SealStatus::Active)))
            };
            tier_of(decide(&policy(ElevatedOwners::Any), facts))
        };
        let (less, more) = (stake.min(more), stake.max(more));
        let (earlier, later) = (now.min(earlier), now.max(earlier));
        prop_assert!(decided(less, later) <= decided(more, later));
        prop_assert!(decided(less, later) <= decided(less, earlier));
    }

    #[test]
    fn nobody_is_accepted_without_an_active_unexpired_record(
        stake: u64, status in 0u8..5, now: u64, expires_at: u64,
    ) {
        let status = SealStatus::from_chain(status).unwrap();
        let record = SealRecord { expires_at: UnixMillis(expires_at), ..record(stake, status) };
        let facts = Facts { now: UnixMillis(now), ..facts(Some(record)) };
        let accepted = tier_of(decide(&policy(ElevatedOwners::Any), facts)).is_some();
        prop_assert_eq!(
            accepted,
            status == SealStatus::Active && now < expires_at && stake >= 500_000_000
        );
    }
}

/// A seal for `worker-001` that holds the claim of the name.
fn node_facts(stake: u64, status: SealStatus) -> NodeFacts {
    let record = SealRecord {
        node_id: Some("worker-001".parse().unwrap()),
        ..record(stake, status)
    };
    let seal = facts(Some(record.clone()));
    NodeFacts {
        claim: Some(NodeClaim {
            owner: record.owner,
            hash: seal.hash,
        }),
        seal,
    }
}

#[test]
fn a_seal_of_any_tier_joins_the_machine_that_it_names_and_holds() {
    for stake in [500_000_000, 2_000_000_000, 10_000_000_000] {
        match decide_node(node_facts(stake, SealStatus::Active)) {
            Verdict::Join(joiner) => {
                assert_eq!(joiner.name.as_str(), "worker-001");
                assert_eq!(joiner.hash, CredentialHash::from_bytes([3; 32]));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_machine_is_refused_for_its_own_reason() {
    let refused = |change: fn(&mut NodeFacts), refusal| {
        let mut facts = node_facts(500_000_000, SealStatus::Active);
        change(&mut facts);
        assert_eq!(decide_node(facts), Verdict::Refuse(refusal));
    };
    refused(|facts| facts.seal.record = None, Refusal::Unknown);
    refused(|facts| facts.claim = None, Refusal::NotTheClaim);
    refused(|facts| facts.seal.guarded = false, Refusal::NodesUnguarded);
    refused(
        |facts| facts.seal.now = UnixMillis(1_000),
        Refusal::Unusable(Unusable::Expired),
    );
    // A seal that was refreshed no longer holds the name, though its old row may be read.
    refused(
        |facts| facts.seal.hash = CredentialHash::from_bytes([9; 32]),
        Refusal::NotTheClaim,
    );
    refused(
        |facts| {
            if let Some(claim) = &mut facts.claim {
                claim.owner = Address::from_bytes([9; 32]);
            }
        },
        Refusal::NotTheClaim,
    );
    refused(
        |facts| facts.seal.record = Some(Arc::new(record(500_000_000, SealStatus::Active))),
        Refusal::NoNode,
    );
    for (status, why) in [
        (SealStatus::Unbonding, Unusable::Unbonding),
        (SealStatus::Slashed, Unusable::Slashed),
        (SealStatus::Revoked, Unusable::Revoked),
        (SealStatus::Retired, Unusable::Retired),
    ] {
        assert_eq!(
            decide_node(node_facts(500_000_000, status)),
            Verdict::Refuse(Refusal::Unusable(why))
        );
    }
    assert_eq!(
        decide_node(node_facts(499_999_999, SealStatus::Active)),
        Verdict::Refuse(Refusal::Unusable(Unusable::StakeTooLow))
    );
}

/// Anything that may be known of a join credential, good and bad alike.
fn anything_of_a_node() -> impl Strategy<Value = NodeFacts> {
    let status = proptest::sample::select(SealStatus::ALL.to_vec());
    let status = prop_oneof![3 => Just(SealStatus::Active), 1 => status];
    let name = prop_oneof![4 => Just(Some("worker-1")), 1 => Just(None)];
    let stake = prop_oneof![4 => Just(500_000_000_u64), 1 => 0_u64..500_000_000];
    let seal = (status, name, stake, 0_u64..1_500).prop_map(|(status, name, stake, expires_at)| {
        SealRecord {
            node_id: name.map(|name| name.parse().unwrap()),
            expires_at: UnixMillis(expires_at),
            ..record(stake, status)
        }
    });
    let byte = |good: u8| prop_oneof![3 => Just(good), 1 => any::<u8>()];
    let claim = proptest::option::weighted(
        0.8,
        (byte(2), byte(3)).prop_map(|(owner, hash)| NodeClaim {
            owner: Address::from_bytes([owner; 32]),
            hash: CredentialHash::from_bytes([hash; 32]),
        }),
    );
    let guarded = proptest::bool::weighted(0.8);
    (proptest::option::weighted(0.9, seal), claim, guarded).prop_map(|(seal, claim, guarded)| {
        NodeFacts {
            seal: Facts {
                guarded,
                ..facts(seal)
            },
            claim,
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_096))]

    #[test]
    fn a_machine_joins_as_what_its_seal_names_and_holds_and_only_so(it in anything_of_a_node()) {
        let verdict = decide_node(it.clone());
        let record = it.seal.record.as_deref();
        let usable = record.filter(|one| one.usable(it.seal.now, &it.seal.thresholds).is_ok());
        let named = usable.and_then(|one| Some((one, one.node_id.clone()?)));
        let holds = named.filter(|(one, _)| {
            it.claim.is_some_and(|claim| (claim.owner, claim.hash) == (one.owner, it.seal.hash))
        });
        match (verdict, holds.filter(|_| it.seal.guarded)) {
            (Verdict::Join(joiner), Some((record, name))) => {
                prop_assert_eq!((&joiner.name, joiner.hash), (&name, it.seal.hash));
                prop_assert_eq!(&*joiner.record, record);
            }
            (Verdict::Refuse(_), None) => {}
            (verdict, _) => prop_assert!(false, "{verdict:?}"),
        }
    }
}
