//! The ValidatingWebhookConfiguration that makes the API server ask.
//!
//! Every field that the API server would default is written out, so that what it returns can be
//! compared with what was meant.

use std::collections::BTreeSet;

use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{
    MatchCondition, RuleWithOperations, ValidatingWebhook, ValidatingWebhookConfiguration,
    WebhookClientConfig,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::api::ObjectMeta;
use seal::identity::NODE_USER_PREFIX;
use serde_json::Value;

use super::claims::{ADDRESSES, NAMES};
use super::decide::SHARED_USER;

/// The configuration's name.
pub const NAME: &str = "k3s-daas-nodes";
/// Who keeps it.
pub(super) const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "k3s-daas");
/// What the API server waits at most. A machine asks again after ten seconds.
const TIMEOUT_SECONDS: i32 = 3;

/// Where the API server asks, and what about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookTarget {
    /// `https://127.0.0.1:9444/admit`: as the API server reaches it.
    pub url: String,
    /// The certificates that it trusts there, PEM.
    pub ca_pem: Vec<u8>,
    /// Nodes that it does not ask about.
    pub control_plane_nodes: BTreeSet<String>,
}

/// The configuration as a document.
#[must_use]
pub fn webhook_configuration(target: &WebhookTarget) -> Value {
    // Plain data: its serialisation does not fail, and a test composes it.
    serde_json::to_value(compose(target)).unwrap_or_default()
}

pub(super) fn compose(target: &WebhookTarget) -> ValidatingWebhookConfiguration {
    let (key, value) = MANAGED_BY;
    let texts = |texts: &[&str]| Some(texts.iter().map(|&text| text.to_owned()).collect());
    ValidatingWebhookConfiguration {
        metadata: ObjectMeta {
            name: Some(NAME.to_owned()),
            labels: Some([(key.to_owned(), value.to_owned())].into()),
            ..ObjectMeta::default()
        },
        webhooks: Some(vec![ValidatingWebhook {
            name: "addresses.nodes.k3s-daas.io".to_owned(),
            admission_review_versions: vec!["v1".to_owned()],
            client_config: WebhookClientConfig {
                ca_bundle: Some(ByteString(target.ca_pem.clone())),
                service: None,
                url: Some(target.url.clone()),
            },
            failure_policy: Some("Fail".to_owned()),
            match_conditions: Some(conditions(&target.control_plane_nodes)),
            match_policy: Some("Equivalent".to_owned()),
            namespace_selector: Some(LabelSelector::default()),
            object_selector: Some(LabelSelector::default()),
            rules: Some(vec![RuleWithOperations {
                api_groups: texts(&[""]),
                api_versions: texts(&["v1"]),
                operations: texts(&["CREATE", "UPDATE"]),
                resources: texts(&["nodes", "nodes/status"]),
                scope: Some("*".to_owned()),
            }]),
            // What is granted is remembered, but not for a dry run.
            side_effects: "NoneOnDryRun".to_owned(),
            timeout_seconds: Some(TIMEOUT_SECONDS),
        }]),
    }
}

/// Whom it concerns, and when: evaluated in the API server, so that the rest never leaves it.
fn conditions(control_plane: &BTreeSet<String>) -> Vec<MatchCondition> {
    let users: Vec<_> = control_plane
        .iter()
        .map(|name| format!("{NODE_USER_PREFIX}{name}"))
        .collect();
    let user = "request.userInfo.username";
    let machines = format!(
        "({user}.startsWith({}) && !({user} in {})) || {user} == {}",
        text(NODE_USER_PREFIX),
        Value::from(users),
        text(SHARED_USER),
    );
    let keys: Vec<_> = ADDRESSES.into_iter().chain(NAMES).collect();
    let other = |map: &str| {
        let of = |object: &str| format!("{object}.metadata.?{map}[?k].orValue(\"\")");
        format!("{} != {}", of("object"), of("oldObject"))
    };
    let addresses = |object: &str| format!("{object}.?status.?addresses.orValue([])");
    let changed = format!(
        "oldObject == null || {} != {} || {}.exists(k, {} || {})",
        addresses("object"),
        addresses("oldObject"),
        Value::from(keys),
        other("annotations"),
        other("labels"),
    );
    let condition = |name: &str, expression| MatchCondition {
        name: name.to_owned(),
        expression,
    };
    vec![
        condition("machines-of-strangers", machines),
        condition("addresses-changed", changed),
    ]
}

/// A text as a literal: CEL takes the escapes of JSON.
fn text(value: &str) -> String {
    Value::from(value).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target() -> WebhookTarget {
        WebhookTarget {
            url: "https://127.0.0.1:9444/admit".to_owned(),
            ca_pem: b"-----BEGIN CERTIFICATE-----".to_vec(),
            control_plane_nodes: ["a\"] || true".to_owned()].into(),
        }
    }

    #[test]
    fn it_is_a_whole_object_that_fails_closed() {
        let document = webhook_configuration(&target());
        let again: ValidatingWebhookConfiguration =
            serde_json::from_value(document.clone()).unwrap();
        assert_eq!(again, compose(&target()));
        assert_eq!(document["metadata"]["name"], NAME);
        let webhook = &document["webhooks"][0];
        assert_eq!(webhook["failurePolicy"], "Fail");
        assert_eq!(webhook["timeoutSeconds"], 3);
        assert_eq!(
            webhook["clientConfig"]["url"],
            "https://127.0.0.1:9444/admit"
        );
    }

    #[test]
    fn a_name_can_not_leave_its_literal() {
        let document = webhook_configuration(&target());
        let who = document["webhooks"][0]["matchConditions"][0]["expression"]
            .as_str()
            .unwrap();
        assert!(who.contains(r#"["system:node:a\"] || true"]"#), "{who}");
    }

    #[test]
    fn every_place_that_is_judged_is_asked_about() {
        let document = webhook_configuration(&target());
        let when = document["webhooks"][0]["matchConditions"][1]["expression"]
            .as_str()
            .unwrap();
        for key in ADDRESSES.into_iter().chain(NAMES) {
            assert!(when.contains(&format!("\"{key}\"")), "{key}");
        }
        assert!(when.contains("?status.?addresses"));
    }
}
