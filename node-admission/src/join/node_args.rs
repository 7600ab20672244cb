//! The taints that an agent's own configuration names.
//!
//! Shape:  K3s's annotation `k3s.io/node-args` is a JSON list of the agent's arguments, those of
//!         its configuration files included. K3s splits `--flag=value` at its first `=`, so a value
//!         follows its flag. One taint a value: K3s does not split at commas.
//! Units:  at most [`MOST_TAINTS`] taints out of at most [`MOST_TEXT`] bytes.
//! Errors: K3s does not start with an argument that is no taint, so there is nothing to say of one:
//!         it is passed over. The annotation is a stranger's.
//! Source: K3s v1.36 `pkg/nodeconfig/nodeconfig.go` `getNodeArgs`, `cmd/k3s/main.go`
//!         (`DisableSliceFlagSeparator`); Kubernetes `pkg/util/taints` `ParseTaints`.

use crate::sealed_node::AgentTaint;

/// The annotation on a Node.
pub const ANNOTATION: &str = "k3s.io/node-args";
/// Annotations together have 256 KiB at most.
const MOST_TEXT: usize = 256 * 1024;
/// Nobody has as many.
const MOST_TAINTS: usize = 32;
/// Taints with these keys' prefixes say how a node fares. The cluster sets them, and we.
const NOT_THE_AGENTS: [&str; 3] = [
    "k3s-daas.io/",
    "node.cloudprovider.kubernetes.io/",
    "node.kubernetes.io/",
];
const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
/// A name, and a label's value.
const MOST_NAME: usize = 63;
/// The part of a key before the slash.
const MOST_PREFIX: usize = 253;

/// The taints that a Node's annotation names, each key and effect once, in their order.
#[must_use]
pub fn taints(annotation: &str) -> Vec<AgentTaint> {
    let mut found: Vec<AgentTaint> = Vec::new();
    if annotation.len() > MOST_TEXT {
        return found;
    }
    let Ok(args) = serde_json::from_str::<Vec<String>>(annotation) else {
        return found;
    };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let (flag, value) = match arg.split_once('=') {
            Some((flag, value)) => (flag, Some(value)),
            None => (arg.as_str(), None),
        };
        if !matches!(flag, "--node-taint" | "-node-taint") {
            continue;
        }
        let Some(value) = value.or_else(|| args.next().map(String::as_str)) else {
            continue;
        };
        let Some(taint) = taint(value) else { continue };
        let same = |there: &AgentTaint| there.key == taint.key && there.effect == taint.effect;
        if !is_ours_to_set(&taint.key) && !found.iter().any(same) && found.len() < MOST_TAINTS {
            found.push(taint);
        }
    }
    found
}

/// Whether a taint of this key is none that an agent may bring.
pub(crate) fn is_ours_to_set(key: &str) -> bool {
    NOT_THE_AGENTS.iter().any(|prefix| key.starts_with(prefix))
}

/// `key=value:effect`, or `key:effect`.
fn taint(text: &str) -> Option<AgentTaint> {
    let (pair, effect) = text.split_once(':')?;
    if !EFFECTS.contains(&effect) {
        return None;
    }
    let (key, value) = match pair.split_once('=') {
        Some((key, value)) => (key, Some(value)),
        None => (pair, None),
    };
    let value = value.filter(|value| !value.is_empty());
    if !is_key(key) || !value.is_none_or(is_name) {
        return None;
    }
    Some(AgentTaint {
        key: key.to_owned(),
        value: value.map(str::to_owned),
        effect: effect.to_owned(),
    })
}

/// A name with or without a DNS name and a slash before it.
fn is_key(key: &str) -> bool {
    match key.split_once('/') {
        Some((prefix, name)) => is_prefix(prefix) && is_name(name),
        None => is_name(key),
    }
}

/// Letters and digits; within them also `-`, `_` and `.`.
fn is_name(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let outer = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    bytes.len() <= MOST_NAME
        && outer(bytes.first())
        && outer(bytes.last())
        && bytes.iter().all(|byte| inner(*byte))
}

/// Labels of lowercase letters, digits and inner hyphens, with dots between them.
fn is_prefix(text: &str) -> bool {
    let label = |label: &str| {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(allowed)
    };
    text.len() <= MOST_PREFIX && text.split('.').all(label)
}

#[cfg(test)]
mod tests;
