//! Tenants' network policies open nothing outward.
//!
//! Network policies only ever add: the union of all that select a pod is open. The namespace's own
//! policy opens DNS and the internet but not the nodes, the control plane and private ranges; so
//! one egress rule without a peer, or with a range of addresses, would undo it.

use seal::identity::NAMESPACE_PREFIX;

use super::super::cel::{TENANTS_IN_WORDS, in_tenants_namespace, tenants, text};
use super::super::guard::{Check, Guard, On, Verdict};
use super::{CREATE, UPDATE};

/// Set by the API server on every namespace and equal to its name; nobody can change it.
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

fn on() -> Vec<On> {
    vec![On {
        group: "networking.k8s.io",
        resources: &["networkpolicies"],
        operations: &[CREATE, UPDATE],
    }]
}

fn who() -> String {
    format!("{} && ({})", in_tenants_namespace(), tenants())
}

const EGRESS: &str = "object.spec.?egress.orValue([])";

pub(super) fn guard() -> Guard {
    // A selector of pods alone selects within the policy's own namespace.
    let namespaces = format!(
        "peer.?namespaceSelector.?matchLabels[?{}].orValue(\"\").startsWith({})",
        text(NAMESPACE_NAME),
        text(NAMESPACE_PREFIX),
    );
    Guard {
        name: "k3s-daas-egress",
        on: on(),
        whom: TENANTS_IN_WORDS,
        who: who(),
        refuses: "network policies of `seal-*` namespaces with an egress rule that names no peer, a \
                  range of addresses, or namespaces that are not `seal-*` by their \
                  `kubernetes.io/metadata.name`",
        why: "policies only add: one open egress rule reaches the nodes, the control plane and the \
              operator's networks, which the namespace's own policy keeps closed",
        variables: vec![],
        verdict: Verdict::Refuse(vec![
            Check::new(
                format!("{EGRESS}.all(rule, rule.?to.orValue([]).size() > 0)"),
                "an egress rule must name its peers; DNS and the internet are open already, so \
                 leave the rule out",
            ),
            Check::new(
                format!("{EGRESS}.all(rule, rule.?to.orValue([]).all(peer, !has(peer.ipBlock)))"),
                "an egress rule can't name addresses; the internet is open already, and what is \
                 not is the operator's to open",
            ),
            Check::new(
                format!(
                    "{EGRESS}.all(rule, rule.?to.orValue([]).all(peer, \
                     has(peer.namespaceSelector) ? {namespaces} : has(peer.podSelector)))"
                ),
                "an egress rule can name pods of its own namespace, or of a namespace by the label \
                 kubernetes.io/metadata.name=seal-...; DNS is open already",
            ),
        ]),
    }
}

/// Common charts bring `egress: [{}]`, or a rule with ports and no peer. Such rules are dropped, so
/// that the chart installs and its pods get what the namespace's own policy allows. Where the API
/// server serves no mutating policies, [`guard`] refuses the chart's policy instead.
pub(super) fn open_egress() -> Guard {
    let open = "rule.?to.orValue([]).size() == 0";
    Guard {
        name: "k3s-daas-open-egress",
        on: on(),
        whom: TENANTS_IN_WORDS,
        who: format!(
            "{} && object != null && {EGRESS}.exists(rule, {open})",
            who()
        ),
        refuses: "nothing: egress rules without a peer are dropped from network policies of \
                  `seal-*` namespaces",
        why: "common charts bring such rules; they install, and add nothing to what is open",
        variables: vec![],
        verdict: Verdict::Mend(format!(
            "[JSONPatch{{op: \"replace\", path: \"/spec/egress\", \
             value: object.spec.egress.filter(rule, !({open}))}}]"
        )),
    }
}
