use seal::identity::{ANNOTATION_OWNER, ANNOTATION_SEAL};

use super::*;

fn node() -> Node {
    let node = json!({
        "metadata": { "name": "a", "resourceVersion": "1", "annotations": { "theirs": "1" } },
        "spec": { "taints": [{ "key": "gpu", "value": "yes", "effect": "NoSchedule" }] },
    });
    serde_json::from_value(node).unwrap()
}

fn says(door: Door) -> Says<'static> {
    let seal = [(ANNOTATION_SEAL, "0x1"), (ANNOTATION_OWNER, "0x2")];
    Says {
        door,
        seal: Some(
            seal.map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
        ),
        carried: &[],
        warned: None,
    }
}

/// The patch as the API server takes it: a JSON merge patch.
fn apply(node: &Node, patch: &Value) -> Node {
    fn merge(into: &mut Value, patch: &Value) {
        let Value::Object(changes) = patch else {
            *into = patch.clone();
            return;
        };
        if !into.is_object() {
            *into = json!({});
        }
        for (key, value) in changes {
            if value.is_null() {
                into.as_object_mut().unwrap().remove(key);
            } else {
                merge(&mut into[key.as_str()], value);
            }
        }
    }
    let mut object = serde_json::to_value(node).unwrap();
    merge(&mut object, patch);
    serde_json::from_value(object).unwrap()
}

fn keys(node: &Node) -> Vec<String> {
    taints(node)
        .into_iter()
        .map(|taint| format!("{}:{}", taint.key, taint.effect))
        .collect()
}

fn is_closed(node: &Node) -> bool {
    node.spec.as_ref().unwrap().unschedulable == Some(true)
}

#[test]
fn what_is_said_is_not_said_again() {
    let mut node = node();
    for door in [
        Door::Open,
        Door::Draining,
        Door::Cut,
        Door::Open,
        Door::Cut,
        Door::Draining,
    ] {
        let first = patch(&node, &says(door)).unwrap();
        node = apply(&node, &first);
        assert_eq!(patch(&node, &says(door)), None, "{door:?}");
        assert_eq!(is_closed(&node), door != Door::Open, "{door:?}");
        let taint = door.taint().map(|(key, effect)| format!("{key}:{effect}"));
        let expected: Vec<String> = ["gpu:NoSchedule".to_owned()]
            .into_iter()
            .chain(taint)
            .collect();
        assert_eq!(keys(&node), expected, "{door:?}");
        assert_eq!(annotation(&node.metadata, "theirs"), Some("1"));
    }
}

#[test]
fn what_others_closed_stays_closed() {
    let mut node = node();
    node.spec.as_mut().unwrap().unschedulable = Some(true);
    for door in [Door::Draining, Door::Cut, Door::Open] {
        if let Some(patch) = patch(&node, &says(door)) {
            node = apply(&node, &patch);
        }
        assert!(is_closed(&node), "{door:?}");
        assert_eq!(annotation(&node.metadata, ANNOTATION_CORDONED), None);
    }
}

#[test]
fn an_agents_taints_are_put_on_once_and_others_stay() {
    let taint = |key: &str| AgentTaint {
        key: key.to_owned(),
        value: None,
        effect: "NoSchedule".to_owned(),
    };
    let carried = [taint("gpu"), taint("slow")];
    let says = Says {
        carried: &carried,
        ..says(Door::Open)
    };
    let node = apply(&node(), &patch(&node(), &says).unwrap());
    assert_eq!(keys(&node), ["gpu:NoSchedule", "slow:NoSchedule"]);
    let value = taints(&node).first().and_then(|taint| taint.value.clone());
    assert_eq!(value.as_deref(), Some("yes"), "what is there stays");
}

#[test]
fn a_tier_that_is_lost_is_not_said_any_longer() {
    let mut with = says(Door::Open);
    with.seal
        .as_mut()
        .unwrap()
        .insert(ANNOTATION_TIER.to_owned(), "admin".to_owned());
    let node = apply(&node(), &patch(&node(), &with).unwrap());
    assert_eq!(annotation(&node.metadata, ANNOTATION_TIER), Some("admin"));
    let node = apply(&node, &patch(&node, &says(Door::Open)).unwrap());
    assert_eq!(annotation(&node.metadata, ANNOTATION_TIER), None);
}

#[test]
fn a_patch_names_the_version_that_was_looked_at() {
    let patch = patch(&node(), &says(Door::Cut)).unwrap();
    assert_eq!(patch["metadata"]["resourceVersion"], "1");
}
