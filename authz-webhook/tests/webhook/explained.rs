//! `policy explain`, line by line.

use authz_webhook::{Answer, ExplainError, ExplainOptions, explain};
use proptest::prelude::*;
use seal::Tier;
use seal::access::CustomResourceGroups;

fn ask(options: &ExplainOptions, line: &str) -> Answer {
    explain(line, options).unwrap().decision
}

fn create_pods(namespace: &str) -> String {
    format!(
        r#"{{"resourceAttributes": {{"verb": "create", "version": "v1", "resource": "pods",
            "namespace": "{namespace}"}}}}"#
    )
    .replace('\n', "")
}

#[test]
fn namespaces_are_what_the_options_say() {
    let mut options = ExplainOptions::new(Tier::Developer);
    options.own_namespaces.insert("a".to_owned());
    options.owned_namespaces.insert("b".to_owned());
    for (namespace, expected) in [
        ("a", Answer::Allow),
        ("b", Answer::Deny),
        ("c", Answer::NoOpinion),
        ("seal-0101010101010101", Answer::NoOpinion),
        ("default", Answer::Deny),
        ("kube-system", Answer::Deny),
        ("k3s-daas-system", Answer::Deny),
        ("A", Answer::Deny),
        ("*", Answer::Deny),
    ] {
        assert_eq!(
            ask(&options, &create_pods(namespace)),
            expected,
            "{namespace}"
        );
    }
}

#[test]
fn the_specs_user_groups_and_extra_are_taken_as_valid() {
    let options = ExplainOptions::new(Tier::Viewer);
    for user in ["seal:0x1", "system:node:x", "alice", ""] {
        let line = format!(
            r#"{{"user": "{user}", "groups": ["seal:tier:super"], "extra": {{"k3s-daas.io/seal": ["x", "y"]}},
                "nonResourceAttributes": {{"path": "/version", "verb": "get"}}}}"#
        );
        assert_eq!(ask(&options, &line), Answer::Allow, "{user}");
    }
}

#[test]
fn a_whole_review_is_taken_too() {
    let options = ExplainOptions::new(Tier::Viewer);
    let line = r#"{"apiVersion":"authorization.k8s.io/v1","kind":"SubjectAccessReview",
        "spec":{"resourceAttributes":{"verb":"delete","resource":"nodes","name":"x"}}}"#;
    assert_eq!(ask(&options, line), Answer::Deny);
}

#[test]
fn the_answer_has_a_decision_and_a_reason() {
    let mut options = ExplainOptions::new(Tier::Developer);
    options.policy.custom_resource_groups = CustomResourceGroups::new(["example.com"]).unwrap();
    options.own_namespaces.insert("a".to_owned());
    let line = r#"{"resourceAttributes":{"verb":"create","group":"example.com","resource":"things","namespace":"a"}}"#;
    let answer = serde_json::to_value(explain(line, &options).unwrap()).unwrap();
    assert_eq!(answer["decision"], "allow");
    assert_eq!(
        answer["reason"],
        "the operator lists this API group for tenants"
    );
}

#[test]
fn what_is_no_spec_is_an_error() {
    let options = ExplainOptions::new(Tier::Super);
    for line in ["", "x", "[]", "1", r#"{"resourceAttributes":1}"#] {
        assert!(
            matches!(explain(line, &options), Err(ExplainError::NotASpec(_))),
            "{line}"
        );
    }
    for line in [
        "{}",
        r#"{"resourceAttributes":{},"nonResourceAttributes":{}}"#,
    ] {
        assert!(
            matches!(explain(line, &options), Err(ExplainError::Invalid(_))),
            "{line}"
        );
    }
}

#[test]
fn a_namespace_is_not_both_ones_own_and_somebody_elses() {
    let mut options = ExplainOptions::new(Tier::Viewer);
    options.own_namespaces.insert("a".to_owned());
    options.owned_namespaces.insert("a".to_owned());
    assert!(matches!(
        explain(&create_pods("a"), &options),
        Err(ExplainError::BothOwned { .. })
    ));
}

proptest! {
    #[test]
    fn random_lines_never_panic(line: String) {
        drop(explain(&line, &ExplainOptions::new(Tier::Viewer)));
    }
}
