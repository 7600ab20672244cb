use std::collections::BTreeSet;

use super::*;

fn settings() -> GuardSettings {
    GuardSettings {
        protected_namespaces: ["monitoring".to_owned()].into(),
        control_plane_nodes: ["server-1".to_owned()].into(),
    }
}

fn composed() -> Vec<Composed> {
    all(&settings()).into_iter().map(Composed::new).collect()
}

#[test]
fn every_document_is_a_whole_object_of_its_kind() {
    let documents = documents(&settings());
    assert_eq!(documents.len(), 2 * all(&settings()).len());
    for document in documents {
        let kind = document["kind"].as_str().unwrap();
        assert_eq!(document["apiVersion"], "admissionregistration.k8s.io/v1");
        let again = match kind {
            "ValidatingAdmissionPolicy" => again::<api::ValidatingAdmissionPolicy>(&document),
            "ValidatingAdmissionPolicyBinding" => {
                again::<api::ValidatingAdmissionPolicyBinding>(&document)
            }
            "MutatingAdmissionPolicy" => again::<api::MutatingAdmissionPolicy>(&document),
            "MutatingAdmissionPolicyBinding" => {
                again::<api::MutatingAdmissionPolicyBinding>(&document)
            }
            other => panic!("{other}"),
        };
        assert_eq!(again, document);
        assert_eq!(
            document["metadata"]["labels"]["app.kubernetes.io/managed-by"],
            "k3s-daas"
        );
    }
}

fn again<K: Serialize + serde::de::DeserializeOwned>(document: &Value) -> Value {
    let object: K = serde_json::from_value(document.clone()).unwrap();
    serde_json::to_value(object).unwrap()
}

#[test]
fn names_and_fingerprints_are_their_own() {
    let composed = composed();
    let names: BTreeSet<_> = composed.iter().map(|one| one.guard.name).collect();
    let fingerprints: BTreeSet<_> = composed.iter().map(|one| &one.fingerprint).collect();
    assert_eq!(names.len(), composed.len());
    assert_eq!(fingerprints.len(), composed.len());
    for name in names {
        assert!(name.starts_with("k3s-daas-") && name.len() < 40, "{name}");
    }
}

#[test]
fn every_guard_answers_its_own_probe_and_touches_no_other_config_map() {
    for one in composed() {
        let rules = one.policy["spec"]["matchConstraints"]["resourceRules"]
            .as_array()
            .unwrap();
        let about_maps: Vec<_> = rules
            .iter()
            .filter(|rule| rule["resources"].to_string().contains("configmaps"))
            .collect();
        assert_eq!(about_maps.len(), 1, "{}", one.guard.name);
        assert_eq!(
            about_maps[0]["resourceNames"],
            Value::from(vec![one.probe()])
        );
        // No other rule may reach ConfigMaps of the core group: a probe passes all checks.
        assert!(
            one.guard.on.iter().all(|on| !on.group.is_empty()
                || !on
                    .resources
                    .iter()
                    .any(|name| name.contains('*') && !name.contains('/') || *name == "*/*")),
            "{}",
            one.guard.name
        );
        assert!(one.policy.to_string().contains(&one.fingerprint));
    }
}

#[test]
fn a_guard_refuses_where_it_fails_and_says_forbidden() {
    for one in composed() {
        assert_eq!(one.policy["spec"]["failurePolicy"], "Fail");
        if !one.guard.required() {
            continue;
        }
        assert_eq!(
            one.binding["spec"]["validationActions"],
            Value::from(vec!["Deny"])
        );
        for validation in one.policy["spec"]["validations"].as_array().unwrap() {
            assert_eq!(validation["reason"], "Forbidden");
            let message = validation["message"].as_str().unwrap();
            assert!((20..300).contains(&message.len()), "{message}");
            assert!(
                !message.contains('\n') && !message.contains("  "),
                "{message}"
            );
        }
    }
}

#[test]
fn another_text_has_another_fingerprint() {
    let plain = all(&GuardSettings::default())
        .into_iter()
        .map(Composed::new);
    let changed: Vec<_> = plain
        .zip(composed())
        .filter(|(one, other)| one.fingerprint != other.fingerprint)
        .map(|(one, _)| one.guard.name)
        .collect();
    assert_eq!(
        changed,
        [
            "k3s-daas-namespaces",
            "k3s-daas-node-lives",
            "k3s-daas-node-selves",
            "k3s-daas-node-pods"
        ]
    );
}

#[test]
fn a_setting_can_not_leave_its_literal() {
    let hostile = GuardSettings {
        protected_namespaces: ["\"] || true || x in [\"\\".to_owned()].into(),
        ..GuardSettings::default()
    };
    let text = documents(&hostile)[0].to_string();
    let expression: Value = serde_json::from_str(&text).unwrap();
    let checks = expression["spec"]["validations"].to_string();
    assert!(
        checks.contains(r#"\\\"] || true || x in [\\\"\\\\"#),
        "{checks}"
    );
}
