//! Parts of expressions that several guards share.
//!
//! Absent maps and lists count as empty ones. Whatever can't be evaluated is an error, and an error
//! refuses.

use std::fmt::Write;

use seal::Tier;
use seal::identity::{
    GROUP_NODES, GROUP_TIER_PREFIX, NAMESPACE_PREFIX, NODE_USER_PREFIX,
    SERVICE_ACCOUNTS_GROUP_PREFIX, USER_PREFIX,
};

/// Whom most guards concern, in words.
pub(super) const TENANTS_IN_WORDS: &str =
    "seal users below super, service accounts of `seal-*` namespaces";

const GROUPS: &str = "request.userInfo.?groups.orValue([])";
const USER: &str = "request.userInfo.?username.orValue(\"\")";

/// Users and groups that begin with `seal:`, but for the tier super.
pub(super) fn below_super() -> String {
    let top = text(&format!("{GROUP_TIER_PREFIX}{}", Tier::Super));
    let prefix = text(USER_PREFIX);
    format!(
        "({USER}.startsWith({prefix}) || {GROUPS}.exists(g, g.startsWith({prefix}))) \
         && !({top} in {GROUPS})"
    )
}

/// Those, and the service accounts of tenants' namespaces. The latter stay tenants whatever the
/// tier of their owner: their tokens lie in pods, on strangers' nodes.
pub(super) fn tenants() -> String {
    let accounts = text(&format!(
        "{SERVICE_ACCOUNTS_GROUP_PREFIX}{NAMESPACE_PREFIX}"
    ));
    format!(
        "({}) || {GROUPS}.exists(g, g.startsWith({accounts}))",
        below_super()
    )
}

/// The request is for a tenant's namespace.
pub(super) fn in_tenants_namespace() -> String {
    format!(
        "request.?namespace.orValue(\"\").startsWith({})",
        text(NAMESPACE_PREFIX)
    )
}

/// The caller's group is this one.
pub(super) fn in_group(group: &str) -> String {
    format!("{} in {GROUPS}", text(group))
}

/// The caller's name is this one.
pub(super) fn is_user(name: &str) -> String {
    format!("{USER} == {}", text(name))
}

/// The identities that K3s gives to every machine that joins: one of its own, and two that all
/// share. Those of control-plane nodes (`spared`) excepted.
pub(super) fn machines<'a>(spared: impl IntoIterator<Item = &'a String>) -> String {
    let spared: Vec<_> = spared
        .into_iter()
        .map(|node| format!("{NODE_USER_PREFIX}{node}"))
        .collect();
    format!(
        "({} && !({USER} in {})) || {USER} in {}",
        in_group(GROUP_NODES),
        list(spared.iter().map(String::as_str)),
        list(SHARED_BY_MACHINES),
    )
}

/// The users that all machines share.
const SHARED_BY_MACHINES: [&str; 2] = [K3S_CONTROLLER, "system:kube-proxy"];
/// As this user an agent's flannel writes its annotations, on any Node.
pub(super) const K3S_CONTROLLER: &str = "system:k3s-controller";

/// Every entry of the list `new` that fulfils `reserved` (over `t`) is in `old` too, unchanged, and
/// the other way round.
pub(super) fn unchanged_items(new: &str, old: &str, reserved: &str) -> String {
    let kept = |one: &str, other: &str| {
        format!("{one}.all(t, !({reserved}) || {other}.exists(o, o == t))")
    };
    format!("{} && {}", kept(new, old), kept(old, new))
}

/// A map of the metadata of `object` or `oldObject`; empty where there is none.
pub(super) fn metadata(of: &str, map: &str) -> String {
    format!("({of} == null ? {{}} : {of}.metadata.?{map}.orValue({{}}))")
}

/// Every entry of `new` and `old` whose key fulfils `reserved` (over `k`) is in both, unchanged.
pub(super) fn unchanged(new: &str, old: &str, reserved: &str) -> String {
    format!(
        "{new}.all(k, !({reserved}) || (k in {old} && {old}[k] == {new}[k])) \
         && {old}.all(k, !({reserved}) || k in {new})"
    )
}

/// The key `k` has a prefix that is one of these domains or lies below one.
pub(super) fn key_of_domains(k: &str, domains: &[&str]) -> String {
    format!("{k}.matches({})", text(&format!("^{}/", below(domains))))
}

/// The whole of `name` is one of these domains or lies below one.
pub(super) fn is_of_domains(name: &str, domains: &[&str]) -> String {
    format!("{name}.matches({})", text(&format!("^{}$", below(domains))))
}

fn below(domains: &[&str]) -> String {
    let names: Vec<_> = domains
        .iter()
        .map(|name| name.replace('.', "[.]"))
        .collect();
    format!("([^/]*[.])?({})", names.join("|"))
}

/// A text as a literal: CEL takes the escapes of JSON.
pub(super) fn text(value: &str) -> String {
    serde_json::Value::from(value).to_string()
}

/// A list of texts as a literal.
pub(super) fn list<'a>(values: impl IntoIterator<Item = &'a str>) -> String {
    let mut literal = String::from("[");
    for (index, value) in values.into_iter().enumerate() {
        let comma = if index == 0 { "" } else { ", " };
        // Writing to a String does not fail.
        let _ = write!(literal, "{comma}{}", text(value));
    }
    literal.push(']');
    literal
}
