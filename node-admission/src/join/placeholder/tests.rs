use seal::Tier;
use seal::testing::active_record;

use super::*;

fn record() -> SealRecord {
    SealRecord {
        seq: 7,
        node_id: Some(name()),
        ..active_record()
    }
}

fn name() -> NodeName {
    "worker-001".parse().unwrap()
}

fn taint(key: &str, effect: &str) -> AgentTaint {
    AgentTaint {
        key: key.to_owned(),
        value: Some("v".to_owned()),
        effect: effect.to_owned(),
    }
}

fn made(taints: &[AgentTaint], settings: &NodeSettings) -> Node {
    node(&name(), &record(), Some(Tier::Developer), taints, settings)
}

#[test]
fn says_whose_it_is_from_the_first_moment() {
    let node = made(&[], &NodeSettings::default());
    assert_eq!(whose(&node.metadata), Whose::Owners(record().owner));
    let annotations = node.metadata.annotations.unwrap();
    assert_eq!(annotations[identity::ANNOTATION_STAKE], "2000000000");
    assert_eq!(annotations[identity::ANNOTATION_TIER], "developer");
    assert_eq!(annotations[identity::ANNOTATION_EXPIRES_AT], "1000");
    assert_eq!(node.metadata.labels, None, "and nobody trusts it");
}

#[test]
fn a_node_without_both_marks_is_nobodys() {
    let node = made(&[], &NodeSettings::default());
    for missing in [identity::ANNOTATION_SEAL, identity::ANNOTATION_OWNER] {
        let mut meta = node.metadata.clone();
        meta.annotations.as_mut().unwrap().remove(missing);
        assert_eq!(whose(&meta), Whose::Others, "{missing}");
    }
    let mut meta = node.metadata;
    let annotations = meta.annotations.as_mut().unwrap();
    annotations.insert(identity::ANNOTATION_OWNER.to_owned(), "nobody".to_owned());
    assert_eq!(whose(&meta), Whose::Others);
    assert_eq!(whose(&ObjectMeta::default()), Whose::Others);
}

#[test]
fn starts_with_the_cloud_controllers_taint_and_the_agents_own() {
    let of_the_agent = [
        taint("gpu", "NoSchedule"),
        taint("gpu", "NoSchedule"),
        taint("gpu", "NoExecute"),
        taint(identity::TAINT_CUT, "NoExecute"),
        taint(TAINT_UNINITIALIZED, "NoSchedule"),
    ];
    let node = made(&of_the_agent, &NodeSettings::default());
    let taints = node.spec.unwrap().taints.unwrap();
    let shown: Vec<_> = taints
        .iter()
        .map(|taint| (taint.key.as_str(), taint.effect.as_str()))
        .collect();
    assert_eq!(
        shown,
        [
            (TAINT_UNINITIALIZED, "NoSchedule"),
            ("gpu", "NoSchedule"),
            ("gpu", "NoExecute"),
        ]
    );
    assert_eq!(taints[0].value.as_deref(), Some("true"));
}

#[test]
fn only_nodes_that_the_operator_lists_are_trusted() {
    let settings = NodeSettings {
        trusted_nodes: ["worker-001".to_owned()].into(),
        ..NodeSettings::default()
    };
    let labels = made(&[], &settings).metadata.labels.unwrap();
    assert_eq!(labels[identity::LABEL_TRUST], identity::TRUST_OPERATOR);
    assert_eq!(labels.len(), 1);
}
