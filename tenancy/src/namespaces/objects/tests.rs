use super::*;
use crate::namespaces::quota::Quotas;
use crate::namespaces::ranges;
use crate::namespaces::settings::default_closed_ranges;

fn owner() -> Address {
    Address::from_bytes([1; 32])
}

fn wanted(tier: Tier, pods: bool) -> Objects {
    let closed = ranges::closed(&default_closed_ranges(), &[]);
    objects("a", &owner(), &Quotas::default().of(tier), pods, &closed)
}

#[test]
fn the_namespace_is_guarded_from_its_first_moment() {
    let namespace = namespace("seal-0101010101010101", &owner());
    let labels = namespace.metadata.labels.unwrap();
    for mode in ["enforce", "audit", "warn"] {
        assert_eq!(
            labels[&format!("pod-security.kubernetes.io/{mode}")],
            "restricted"
        );
        assert_eq!(
            labels[&format!("pod-security.kubernetes.io/{mode}-version")],
            "latest"
        );
    }
    assert!(!labels.contains_key("k3s-daas.io/state"), "not usable yet");
    let annotations = namespace.metadata.annotations.unwrap();
    assert_eq!(annotations["k3s-daas.io/owner"], owner().to_string());
}

#[test]
fn without_a_seal_there_is_no_pod() {
    let hard = |pods| wanted(Tier::Admin, pods).quota.spec.unwrap().hard.unwrap();
    assert_eq!(hard(true)["pods"].0, "150");
    assert_eq!(hard(false)["pods"].0, "0");
    assert_eq!(hard(false)["secrets"].0, "400");
}

#[test]
fn pods_go_nowhere_but_where_they_may() {
    let spec = wanted(Tier::Developer, true).policy.spec.unwrap();
    assert_eq!(spec.pod_selector, Some(LabelSelector::default()));
    assert_eq!(spec.policy_types.unwrap(), ["Ingress", "Egress"]);
    let ingress = spec.ingress.unwrap();
    assert_eq!(ingress.len(), 1);
    assert_eq!(ingress[0].from.as_ref().unwrap().len(), 1);
    let egress = spec.egress.unwrap();
    assert!(
        egress
            .iter()
            .all(|rule| !rule.to.as_ref().unwrap().is_empty())
    );
    let blocks: Vec<_> = egress
        .iter()
        .flat_map(|rule| rule.to.as_ref().unwrap())
        .filter_map(|peer| peer.ip_block.clone())
        .collect();
    assert_eq!(blocks.len(), 2);
    assert!(
        blocks[0]
            .except
            .as_ref()
            .unwrap()
            .contains(&"10.0.0.0/8".to_owned())
    );
    assert!(
        blocks[1]
            .except
            .as_ref()
            .unwrap()
            .contains(&"fc00::/7".to_owned())
    );
}

#[test]
fn where_everything_is_closed_no_block_is_open() {
    let all: Vec<_> = ["0.0.0.0/0", "::/0"]
        .iter()
        .map(|net| net.parse().unwrap())
        .collect();
    let closed = ranges::closed(&all, &[]);
    let egress = policy("a", &closed).spec.unwrap().egress.unwrap();
    assert_eq!(egress.len(), 2);
    let open = policy("a", &Closed::default())
        .spec
        .unwrap()
        .egress
        .unwrap();
    let peers = open[2].to.as_ref().unwrap();
    assert!(
        peers
            .iter()
            .all(|peer| peer.ip_block.as_ref().unwrap().except.is_none())
    );
}

#[test]
fn the_owner_is_bound_to_admin_and_nobody_else_is() {
    let binding = wanted(Tier::Developer, true).binding;
    assert_eq!(binding.role_ref.name, "admin");
    let subjects = binding.subjects.unwrap();
    assert_eq!(subjects.len(), 1);
    assert_eq!(subjects[0].name, identity::user_name(&owner()));
}

#[test]
fn the_same_amounts_in_other_words_are_no_drift() {
    let wanted = wanted(Tier::Developer, true);
    let mut there = wanted.quota.clone();
    let spec = there.spec.as_mut().unwrap();
    let hard = spec.hard.as_mut().unwrap();
    hard.insert("requests.memory".to_owned(), Wire("8192Mi".to_owned()));
    assert!(there.is_as(&wanted.quota));
    assert!(wanted.limits.clone().is_as(&wanted.limits));
    assert!(wanted.policy.clone().is_as(&wanted.policy));
    assert!(wanted.binding.clone().is_as(&wanted.binding));
}

#[test]
fn every_change_of_a_spec_is_drift() {
    let wanted = wanted(Tier::Developer, true);
    let mut quota = wanted.quota.clone();
    let spec = quota.spec.as_mut().unwrap();
    spec.hard
        .as_mut()
        .unwrap()
        .insert("pods".to_owned(), Wire("51".to_owned()));
    assert!(!quota.is_as(&wanted.quota));
    let mut quota = wanted.quota.clone();
    quota
        .spec
        .as_mut()
        .unwrap()
        .hard
        .as_mut()
        .unwrap()
        .remove("secrets");
    assert!(!quota.is_as(&wanted.quota));
    let mut quota = wanted.quota.clone();
    quota.spec.as_mut().unwrap().scopes = Some(vec!["BestEffort".to_owned()]);
    assert!(
        !quota.is_as(&wanted.quota),
        "it would bound other pods only"
    );
    let mut quota = wanted.quota.clone();
    quota.metadata.labels = None;
    assert!(
        !quota.is_as(&wanted.quota),
        "the watch would not see it any more"
    );

    let mut policy = wanted.policy.clone();
    let selector = LabelSelector {
        match_labels: Some(BTreeMap::from([("a".to_owned(), "b".to_owned())])),
        ..LabelSelector::default()
    };
    policy.spec.as_mut().unwrap().pod_selector = Some(selector);
    assert!(
        !policy.is_as(&wanted.policy),
        "it would hold for other pods only"
    );

    let mut binding = wanted.binding.clone();
    binding.subjects = None;
    assert!(!binding.is_as(&wanted.binding));
    let mut limits = wanted.limits.clone();
    limits.spec.as_mut().unwrap().limits.clear();
    assert!(!limits.is_as(&wanted.limits));
}
