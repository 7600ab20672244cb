//! Promise: no annotation panics. Whatever it says, there are at most 32 taints, each key and effect
//! once, none that the cluster or the server sets, and all of them as the definition of SealedNodes
//! and the API server take them.
#![no_main]

use std::collections::BTreeSet;

use libfuzzer_sys::fuzz_target;
use node_admission::node_args::taints;

fn is_within(text: &str, longest: usize) -> bool {
    !text.is_empty()
        && text.len() <= longest
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte))
}

fuzz_target!(|text: &str| {
    // As it stands, and as the value of an agent's flag.
    let flag = serde_json::json!(["agent", "--node-taint", text, format!("--node-taint={text}")]);
    for annotation in [text.to_owned(), flag.to_string()] {
        let found = taints(&annotation);
        assert!(found.len() <= 32);
        let keys: BTreeSet<_> = found.iter().map(|taint| (&taint.key, &taint.effect)).collect();
        assert_eq!(keys.len(), found.len(), "twice: {found:?}");
        for taint in &found {
            assert!(is_within(&taint.key, 317), "{taint:?}");
            let value = taint.value.as_deref();
            assert!(value.is_none_or(|value| is_within(value, 63) && !value.contains('/')));
            let effects = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
            assert!(effects.contains(&taint.effect.as_str()), "{taint:?}");
            for prefix in ["k3s-daas.io/", "node.kubernetes.io/", "node.cloudprovider."] {
                assert!(!taint.key.starts_with(prefix), "{taint:?}");
            }
        }
    }
});
