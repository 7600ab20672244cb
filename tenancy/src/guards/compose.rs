//! From a guard to the objects of the API server.
//!
//! Shape:  a ValidatingAdmissionPolicy, or a MutatingAdmissionPolicy, and its binding, of the same
//!         name. Every field that the API server would default is written out, so that what it
//!         returns can be compared with what was meant.
//! Probe:  each policy also matches the creation of one ConfigMap that nobody ever makes, and
//!         refuses it (or marks it) with its own fingerprint. A dry run of that creation tells
//!         whether the policy of exactly this text is in force, without touching anything.

use k8s_openapi::Resource;
use k8s_openapi::api::admissionregistration::v1 as api;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::cel::text;
use super::guard::{Check, Guard, On, Verdict};
use super::{GuardSettings, all};

/// What the name of every probe begins with; the guard's name follows.
pub const PROBE_PREFIX: &str = "k3s-daas-guard-probe.";
/// What says that an object is ours.
pub(super) const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "k3s-daas");
/// Where a mending guard leaves its fingerprint on a probe.
pub(super) const PROBED: &str = "k3s-daas.io/guard";

/// All objects of the guards: policies, each followed by its binding.
#[must_use]
pub fn documents(settings: &GuardSettings) -> Vec<Value> {
    all(settings).iter().flat_map(Composed::documents).collect()
}

/// A guard as the API server is to have it.
#[derive(Debug, Clone)]
pub(super) struct Composed {
    pub(super) guard: Guard,
    pub(super) policy: Value,
    pub(super) binding: Value,
    /// What only the policy of this very text answers to its probe.
    pub(super) fingerprint: String,
}

impl Composed {
    pub(super) fn new(guard: Guard) -> Self {
        // Of the text without itself.
        let draft = policy(&guard, "");
        let binding = binding(&guard);
        let digest = Sha256::new()
            .chain_update(draft.to_string())
            .chain_update(binding.to_string())
            .finalize();
        let head = digest.first_chunk().copied().unwrap_or_default();
        let short = u64::from_be_bytes(head);
        let fingerprint = format!("the guard {} is in force ({short:016x})", guard.name);
        Self {
            policy: policy(&guard, &fingerprint),
            binding,
            guard,
            fingerprint,
        }
    }

    fn documents(guard: &Guard) -> [Value; 2] {
        let composed = Self::new(guard.clone());
        [composed.policy, composed.binding]
    }

    /// The name of the ConfigMap that is its probe.
    pub(super) fn probe(&self) -> String {
        probe(self.guard.name)
    }
}

fn probe(name: &str) -> String {
    format!("{PROBE_PREFIX}{name}")
}

const IS_PROBE: &str =
    "request.resource.group == \"\" && request.resource.resource == \"configmaps\"";

fn policy(guard: &Guard, fingerprint: &str) -> Value {
    let concerned = api::MatchCondition {
        name: "concerned".to_owned(),
        expression: format!("({IS_PROBE}) || ({})", guard.who),
    };
    let variables: Vec<_> = [("probe", IS_PROBE.to_owned())]
        .into_iter()
        .chain(guard.variables.iter().cloned())
        .map(|(name, expression)| api::Variable {
            name: name.to_owned(),
            expression,
        })
        .collect();
    let constraints = match_constraints(guard);
    match &guard.verdict {
        Verdict::Refuse(checks) => to_json(api::ValidatingAdmissionPolicy {
            metadata: metadata(guard.name),
            spec: Some(api::ValidatingAdmissionPolicySpec {
                failure_policy: Some("Fail".to_owned()),
                match_conditions: Some(vec![concerned]),
                match_constraints: Some(constraints),
                validations: Some(validations(checks, fingerprint)),
                variables: Some(variables),
                ..api::ValidatingAdmissionPolicySpec::default()
            }),
            ..api::ValidatingAdmissionPolicy::default()
        }),
        Verdict::Mend(patches) => to_json(api::MutatingAdmissionPolicy {
            metadata: metadata(guard.name),
            spec: Some(api::MutatingAdmissionPolicySpec {
                // What it would have mended is refused by another guard.
                failure_policy: Some("Fail".to_owned()),
                match_conditions: Some(vec![concerned]),
                match_constraints: Some(constraints),
                mutations: Some(vec![api::Mutation {
                    patch_type: "JSONPatch".to_owned(),
                    json_patch: Some(api::JSONPatch {
                        expression: Some(format!(
                            "variables.probe \
                                 ? [JSONPatch{{op: \"add\", path: \"/metadata/annotations\", \
                                 value: {{{}: {}}}}}] : {patches}",
                            text(PROBED),
                            text(fingerprint),
                        )),
                    }),
                    ..api::Mutation::default()
                }]),
                reinvocation_policy: Some("IfNeeded".to_owned()),
                variables: Some(variables),
                ..api::MutatingAdmissionPolicySpec::default()
            }),
        }),
    }
}

/// The probe's first, since the API server tells the first that does not hold.
fn validations(checks: &[Check], fingerprint: &str) -> Vec<api::Validation> {
    let refuse = |expression: String, message: String| api::Validation {
        expression,
        message: Some(message),
        message_expression: None,
        // With the default reason (Invalid) a kubelet does not adopt its Node, and `kubectl`
        // would speak of an object that is malformed.
        reason: Some("Forbidden".to_owned()),
    };
    let first = refuse("!variables.probe".to_owned(), fingerprint.to_owned());
    let rest = checks.iter().map(|check| {
        refuse(
            format!("variables.probe || ({})", check.expression),
            check.message.clone(),
        )
    });
    std::iter::once(first).chain(rest).collect()
}

fn match_constraints(guard: &Guard) -> api::MatchResources {
    let probed = api::NamedRuleWithOperations {
        resource_names: Some(vec![probe(guard.name)]),
        ..rule(&On {
            group: "",
            resources: &["configmaps"],
            operations: &["CREATE"],
        })
    };
    let rules = guard.on.iter().map(rule).chain([probed]).collect();
    api::MatchResources {
        exclude_resource_rules: None,
        match_policy: Some("Equivalent".to_owned()),
        namespace_selector: Some(LabelSelector::default()),
        object_selector: Some(LabelSelector::default()),
        resource_rules: Some(rules),
    }
}

fn rule(on: &On) -> api::NamedRuleWithOperations {
    let owned = |texts: &[&str]| Some(texts.iter().map(|&text| text.to_owned()).collect());
    api::NamedRuleWithOperations {
        api_groups: owned(&[on.group]),
        api_versions: owned(&["*"]),
        operations: owned(on.operations),
        resource_names: None,
        resources: owned(on.resources),
        scope: Some("*".to_owned()),
    }
}

fn binding(guard: &Guard) -> Value {
    match guard.verdict {
        Verdict::Refuse(_) => to_json(api::ValidatingAdmissionPolicyBinding {
            metadata: metadata(guard.name),
            spec: api::ValidatingAdmissionPolicyBindingSpec {
                policy_name: guard.name.to_owned(),
                validation_actions: vec!["Deny".to_owned()],
                ..api::ValidatingAdmissionPolicyBindingSpec::default()
            },
        }),
        Verdict::Mend(_) => to_json(api::MutatingAdmissionPolicyBinding {
            metadata: metadata(guard.name),
            spec: Some(api::MutatingAdmissionPolicyBindingSpec {
                policy_name: Some(guard.name.to_owned()),
                ..api::MutatingAdmissionPolicyBindingSpec::default()
            }),
        }),
    }
}

fn metadata(name: &str) -> ObjectMeta {
    let (key, value) = MANAGED_BY;
    ObjectMeta {
        name: Some(name.to_owned()),
        labels: Some([(key.to_owned(), value.to_owned())].into()),
        ..ObjectMeta::default()
    }
}

/// These types are plain data: their serialisation does not fail, and a test composes all of them.
fn to_json<K: Resource + Serialize>(object: K) -> Value {
    serde_json::to_value(object).unwrap_or_default()
}

#[cfg(test)]
mod tests;
