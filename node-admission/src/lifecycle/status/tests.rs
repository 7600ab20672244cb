use std::sync::Arc;
use std::time::Duration;

use seal::testing::active_record;
use seal::{Address, CredentialHash, ObjectId, SealRecord, Unusable};

use super::super::chain::Ended;
use super::*;
use crate::sealed_node::{Heartbeat, SealedNodeSpec};

fn held(expires_at: u64) -> Held {
    let record = SealRecord {
        seq: 9,
        expires_at: UnixMillis(expires_at),
        ..active_record()
    };
    Held {
        hash: CredentialHash::from_bytes([3; 32]),
        record: Arc::new(record),
        tier: Some(Tier::Developer),
    }
}

fn sealed(status: SealedNodeStatus) -> SealedNode {
    let spec = SealedNodeSpec {
        owner: Address::from_bytes([2; 32]).to_string(),
        seal_id: ObjectId::from_bytes([1; 32]).to_string(),
        credential_hash: CredentialHash::from_bytes([3; 32]).to_string(),
    };
    let mut sealed = SealedNode::new("a", spec);
    sealed.status = Some(status);
    sealed
}

fn next(step: Step, ended_at: Option<u64>) -> Next {
    Next {
        step,
        ended_at: ended_at.map(UnixMillis),
        look_again: Duration::ZERO,
    }
}

const HERE: Shown<'_> = Shown {
    node: Seen::Ours,
    drained: None,
    taints: None,
    machine: None,
};

fn condition(status: &SealedNodeStatus, type_: &str) -> (String, String, i64) {
    let found = status
        .conditions
        .iter()
        .find(|one| one.type_ == type_)
        .unwrap();
    let since = found.last_transition_time.0.as_second();
    (found.status.clone(), found.reason.clone(), since)
}

fn shows(status: &SealedNodeStatus, type_: &str, is: &str, reason: &str, since: i64) {
    let expected = (is.to_owned(), reason.to_owned(), since);
    assert_eq!(condition(status, type_), expected, "{type_}");
}

#[test]
fn a_whole_life_is_told_with_its_times() {
    let usable = Chain::Usable(held(5_000));
    let keep = next(Step::Keep, None);
    let at = |ms| UnixMillis(ms);
    let active = should(
        &SealedNodeStatus::default(),
        &usable,
        &keep,
        HERE,
        at(1_000),
    );
    assert_eq!(active.state, NodeState::Active);
    assert_eq!(active.reason.as_deref(), Some("usable"));
    assert_eq!(active.tier.as_deref(), Some("developer"));
    assert_eq!((active.seq, active.expires_at_ms), (Some(9), Some(5_000)));
    shows(&active, "Sealed", "True", "Usable", 1);
    shows(&active, "Joined", "True", "NodeExists", 1);
    shows(&active, "Drained", "False", "InUse", 1);

    let expired = Chain::Ended(Ended::Seal(Unusable::Expired), Some(held(5_000)));
    let drain = next(Step::Drain { until: at(9_000) }, Some(5_000));
    let draining = should(&active, &expired, &drain, HERE, at(6_000));
    assert_eq!(draining.drain_until_ms, Some(9_000));
    assert_eq!(draining.ended_at_ms, Some(5_000));
    shows(&draining, "Sealed", "False", "Expired", 6);
    shows(&draining, "Joined", "True", "NodeExists", 1);
    shows(&draining, "Drained", "False", "Draining", 1);

    let cut = next(Step::Cut, Some(5_000));
    let gone = Shown {
        node: Seen::Absent,
        drained: Some(true),
        taints: None,
        machine: None,
    };
    let cut = should(&draining, &expired, &cut, gone, at(8_000));
    assert_eq!((cut.state, cut.drain_until_ms), (NodeState::Cut, None));
    shows(&cut, "Joined", "False", "NodeMissing", 8);
    shows(&cut, "Drained", "True", "NoPods", 8);
    assert!(is_drained(&cut) && !never_asked(&cut));

    let back = should(&cut, &usable, &keep, HERE, at(9_000));
    assert_eq!((back.state, back.ended_at_ms), (NodeState::Active, None));
    shows(&back, "Sealed", "True", "Usable", 9);
    assert!(!is_drained(&back));
    // Nothing new: nothing written.
    let again = should(&back, &usable, &keep, HERE, at(99_000));
    assert_eq!(patch(&sealed(back), &again), None);
}

#[test]
fn what_can_not_be_read_changes_nothing_that_is_shown() {
    let usable = Chain::Usable(held(5_000));
    let now = UnixMillis(1_000);
    let was = should(
        &SealedNodeStatus::default(),
        &usable,
        &next(Step::Keep, None),
        HERE,
        now,
    );
    let gone = Shown {
        node: Seen::Absent,
        ..HERE
    };
    let leave = next(Step::Leave, None);
    assert_eq!(
        should(&was, &Chain::Unknown, &leave, gone, UnixMillis(2_000)),
        was
    );
}

#[test]
fn a_name_that_was_lost_before_its_agent_asked_is_remembered_so() {
    let voided = Chain::Ended(Ended::Voided, None);
    let gone = Shown {
        node: Seen::Absent,
        drained: Some(true),
        taints: None,
        machine: None,
    };
    let cut = next(Step::Cut, Some(1_000));
    let now = UnixMillis(1_000);
    let pending = should(&SealedNodeStatus::default(), &voided, &cut, gone, now);
    assert_eq!(pending.reason.as_deref(), Some("claim_voided"));
    assert!(never_asked(&pending));
    // And stays so.
    assert!(never_asked(&should(&pending, &voided, &cut, gone, now)));
    let active = SealedNodeStatus {
        state: NodeState::Active,
        ..SealedNodeStatus::default()
    };
    assert!(!never_asked(&should(&active, &voided, &cut, gone, now)));
}

#[test]
fn only_what_differs_is_written_and_nothing_of_others() {
    let heartbeat = Heartbeat {
        at_ms: 1,
        sent_ms: 1,
        cpu_usage: Some(1.0),
        memory_usage: Some(1.0),
        pod_count: Some(1),
        container_count: Some(1),
        network_rx: Some(1),
        network_tx: Some(1),
    };
    let usable = Chain::Usable(held(5_000));
    let now = UnixMillis(1_000);
    let keep = next(Step::Keep, None);
    let mut was = should(&SealedNodeStatus::default(), &usable, &keep, HERE, now);
    was.heartbeat = Some(heartbeat);
    let taint = AgentTaint {
        key: "gpu".to_owned(),
        value: None,
        effect: "NoExecute".to_owned(),
    };
    let taints = [taint];
    let shown = Shown {
        taints: Some(&taints),
        ..HERE
    };
    let is = sealed(was.clone());
    let patch = patch(&is, &should(&was, &usable, &keep, shown, now)).unwrap();
    let changes = patch["status"].as_object().unwrap();
    assert_eq!(changes.keys().collect::<Vec<_>>(), ["agentTaints"]);
    // A list that is empty now is taken away.
    let with = SealedNodeStatus {
        agent_taints: taints.to_vec(),
        ..was
    };
    let shown = Shown {
        taints: Some(&[]),
        ..HERE
    };
    let patch = super::patch(
        &sealed(with.clone()),
        &should(&with, &usable, &keep, shown, now),
    );
    assert_eq!(patch.unwrap()["status"], json!({ "agentTaints": null }));
}

#[test]
fn the_spec_follows_the_claim() {
    let is = sealed(SealedNodeStatus::default());
    assert_eq!(spec_patch(&is, &Chain::Usable(held(1))), None);
    assert_eq!(spec_patch(&is, &Chain::Unknown), None);
    let mut moved = held(1);
    moved.hash = CredentialHash::from_bytes([7; 32]);
    let patch = spec_patch(&is, &Chain::Usable(moved)).unwrap();
    assert_eq!(patch["spec"]["credentialHash"], "07".repeat(32));
}
