use proptest::prelude::*;

use super::*;

fn shown(annotation: &str) -> Vec<String> {
    let show = |taint: AgentTaint| {
        let value = taint.value.map(|value| format!("={value}"));
        format!(
            "{}{}:{}",
            taint.key,
            value.unwrap_or_default(),
            taint.effect
        )
    };
    taints(annotation).into_iter().map(show).collect()
}

fn args(args: &[&str]) -> Vec<String> {
    shown(&serde_json::to_string(args).unwrap())
}

#[test]
fn reads_flags_as_k3s_writes_them() {
    // `k3s agent --token-file x --node-taint a=b:NoSchedule` and a configuration file's list.
    let found = args(&[
        "agent",
        "--node-taint",
        "gpu=yes:NoSchedule",
        "--node-taint",
        "example.com/slow:PreferNoSchedule",
        "--token-file",
        "/etc/rancher/token",
        "-node-taint",
        "CriticalAddonsOnly=true:NoExecute",
        "--node-taint=late=1:NoExecute",
    ]);
    assert_eq!(
        found,
        [
            "gpu=yes:NoSchedule",
            "example.com/slow:PreferNoSchedule",
            "CriticalAddonsOnly=true:NoExecute",
            "late=1:NoExecute",
        ]
    );
}

#[test]
fn passes_over_what_k3s_would_not_start_with() {
    for bad in [
        "a",
        "a=b",
        "a=b:Never",
        "a=b:NoSchedule:NoExecute",
        // K3s does not split at commas.
        "a=b:NoSchedule,c=d:NoSchedule",
        "a=b=c:NoSchedule",
        "=b:NoSchedule",
        "-a=b:NoSchedule",
        "a/b/c=d:NoSchedule",
        "A.com/b=c:NoSchedule",
        "/b=c:NoSchedule",
        "a..b/c=d:NoSchedule",
        "a= b:NoSchedule",
        "a=b:NoSchedule-",
        &format!("{}=b:NoSchedule", "k".repeat(64)),
        &format!("a={}:NoSchedule", "v".repeat(64)),
        &format!("{}/a=b:NoSchedule", "p".repeat(254)),
    ] {
        let found = args(&["--node-taint", bad, "--node-taint", "good:NoSchedule"]);
        assert_eq!(found, ["good:NoSchedule"], "{bad}");
    }
}

#[test]
fn an_agent_brings_no_taint_that_says_how_its_node_fares() {
    let found = args(&[
        "--node-taint",
        "k3s-daas.io/cut=true:NoExecute",
        "--node-taint",
        "node.kubernetes.io/unreachable:NoExecute",
        "--node-taint",
        "node.cloudprovider.kubernetes.io/uninitialized=false:NoSchedule",
    ]);
    assert_eq!(found, [""; 0]);
}

#[test]
fn a_key_and_effect_count_once_and_the_first_wins() {
    let found = args(&[
        "--node-taint",
        "a=1:NoSchedule",
        "--node-taint",
        "a=2:NoSchedule",
        "--node-taint",
        "a=2:NoExecute",
    ]);
    assert_eq!(found, ["a=1:NoSchedule", "a=2:NoExecute"]);
}

#[test]
fn a_flag_without_a_value_and_a_text_that_is_no_list_say_nothing() {
    assert_eq!(args(&["--node-taint"]), [""; 0]);
    for text in [
        "",
        "{}",
        "[1]",
        "null",
        "[\"--node-taint\"",
        "--node-taint a:NoExecute",
    ] {
        assert_eq!(shown(text), [""; 0], "{text}");
    }
}

#[test]
fn takes_so_many_and_no_more() {
    let many: Vec<String> = (0..100)
        .flat_map(|n| ["--node-taint".into(), format!("k{n}:NoSchedule")])
        .collect();
    assert_eq!(
        taints(&serde_json::to_string(&many).unwrap()).len(),
        MOST_TAINTS
    );
    let long = format!(
        "[\"--node-taint\",\"a:NoSchedule\",\"{}\"]",
        "x".repeat(MOST_TEXT)
    );
    assert_eq!(taints(&long), []);
}

proptest! {
    #[test]
    fn anything_at_all_gives_taints_that_kubernetes_takes_or_none(text in ".*") {
        drop(taints(&text));
    }

    #[test]
    fn any_arguments_give_distinct_taints_within_bounds(
        list in proptest::collection::vec("(--node-taint|-node-taint=?|[a-c./=:-]{0,6}:(NoSchedule|NoExecute))", 0..40)
    ) {
        let found = taints(&serde_json::to_string(&list).unwrap());
        prop_assert!(found.len() <= MOST_TAINTS);
        for (at, taint) in found.iter().enumerate() {
            prop_assert!(EFFECTS.contains(&taint.effect.as_str()));
            prop_assert!(is_key(&taint.key) && !is_ours_to_set(&taint.key));
            prop_assert!(taint.value.as_deref().is_none_or(is_name));
            let same = |other: &&AgentTaint| other.key == taint.key && other.effect == taint.effect;
            prop_assert_eq!(found.iter().filter(same).count(), 1, "{}", at);
        }
    }

    #[test]
    fn every_taint_that_k3s_takes_comes_through(
        key in "[a-z]([a-z0-9.-]{0,20}[a-z0-9])?",
        value in proptest::option::of("[A-Za-z0-9]([A-Za-z0-9_.-]{0,20}[A-Za-z0-9])?"),
        effect in proptest::sample::select(&EFFECTS[..]),
    ) {
        let pair = value.as_ref().map_or_else(|| key.clone(), |value| format!("{key}={value}"));
        let text = serde_json::to_string(&["agent", "--node-taint", &format!("{pair}:{effect}")]).unwrap();
        let effect = effect.to_owned();
        prop_assert_eq!(taints(&text), [AgentTaint { key, value, effect }]);
    }
}
