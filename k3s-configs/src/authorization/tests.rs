//! The rules are those of `ValidateAuthorizationConfiguration` in `k8s.io/apiserver`.

use std::collections::BTreeSet;

use super::*;

const WEBHOOK: AuthorizerType = AuthorizerType::Webhook;

fn parsed(settings: &Settings) -> AuthorizationConfiguration {
    serde_yaml_ng::from_str(&render(settings).unwrap()).unwrap()
}

fn webhooks(configuration: &AuthorizationConfiguration) -> Vec<(&str, &Webhook)> {
    configuration
        .authorizers
        .iter()
        .filter_map(|entry| Some((entry.name.as_str(), entry.webhook.as_ref()?)))
        .collect()
}

#[test]
fn reads_back_as_it_was_meant() {
    let settings = Settings::default();
    assert_eq!(parsed(&settings), configuration(&settings));
    assert_eq!(parsed(&settings).api_version, "apiserver.config.k8s.io/v1");
    assert_eq!(parsed(&settings).kind, "AuthorizationConfiguration");
}

#[test]
fn asks_us_before_node_and_rbac_and_keeps_both() {
    let configuration = parsed(&Settings::default());
    let order: Vec<_> = configuration
        .authorizers
        .iter()
        .map(|entry| &entry.kind)
        .collect();
    assert_eq!(
        order,
        [
            &WEBHOOK,
            &WEBHOOK,
            &WEBHOOK,
            &AuthorizerType::Node,
            &AuthorizerType::Rbac
        ]
    );
    // Only webhooks have the webhook's fields, and all of them do.
    for entry in &configuration.authorizers {
        assert_eq!(
            entry.webhook.is_some(),
            entry.kind == WEBHOOK,
            "{}",
            entry.name
        );
    }
}

#[test]
fn names_are_unique_dns_names() {
    let configuration = parsed(&Settings::default());
    let names: BTreeSet<_> = configuration
        .authorizers
        .iter()
        .map(|entry| &entry.name)
        .collect();
    assert_eq!(names.len(), configuration.authorizers.len());
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b);
    assert!(names.iter().all(|name| name.bytes().all(allowed)));
}

#[test]
fn has_every_field_that_has_no_default_or_a_wrong_one() {
    for (name, webhook) in webhooks(&parsed(&Settings::default())) {
        assert_eq!(webhook.timeout, "3s", "{name}");
        assert_eq!(webhook.subject_access_review_version, "v1", "{name}");
        assert_eq!(
            webhook.match_condition_subject_access_review_version, "v1",
            "{name}"
        );
        assert_eq!(webhook.connection_info.kind, "KubeConfigFile", "{name}");
        assert!(
            webhook.connection_info.kube_config_file.starts_with('/'),
            "{name}"
        );
        assert!((1..=64).contains(&webhook.match_conditions.len()), "{name}");
    }
}

#[test]
fn caches_nothing_since_a_slash_must_count_at_once() {
    for (name, webhook) in webhooks(&parsed(&Settings::default())) {
        assert!(!webhook.cache_authorized_requests, "{name}");
        assert!(!webhook.cache_unauthorized_requests, "{name}");
    }
}

#[test]
fn an_outage_refuses_seals_and_new_grants_of_nodes_but_leaves_running_nodes_alone() {
    let configuration = parsed(&Settings::default());
    let policies: Vec<_> = webhooks(&configuration)
        .into_iter()
        .map(|(name, webhook)| (name, &webhook.failure_policy))
        .collect();
    assert_eq!(
        policies,
        [
            ("seals.k3s-daas.io", &FailurePolicy::Deny),
            ("node-grants.k3s-daas.io", &FailurePolicy::Deny),
            ("nodes.k3s-daas.io", &FailurePolicy::NoOpinion),
        ]
    );
}

#[test]
fn exempts_the_control_planes_own_nodes_by_their_whole_names() {
    let settings = Settings {
        control_plane_nodes: vec!["server-1".to_owned(), "server-2.example.org".to_owned()],
        ..Settings::default()
    };
    let configuration = parsed(&settings);
    let (_, grants) = webhooks(&configuration)[1];
    assert_eq!(
        grants.match_conditions[0].expression,
        "request.user.startsWith('system:node:') && !(request.user in \
         ['system:node:server-1', 'system:node:server-2.example.org'])"
    );
    let none = parsed(&Settings::default());
    assert!(
        !webhooks(&none)[1].1.match_conditions[0]
            .expression
            .contains("[]")
    );
}

#[test]
fn never_looks_at_resource_attributes_that_may_be_absent() {
    // A failed evaluation would count as the failure policy: Deny, for everyone.
    for (name, webhook) in webhooks(&parsed(&Settings::default())) {
        for condition in &webhook.match_conditions {
            let expression = &condition.expression;
            assert!(
                !expression.contains("request.resourceAttributes.")
                    || expression.starts_with("has(request.resourceAttributes) && "),
                "{name}: {expression}"
            );
        }
    }
}

#[test]
fn matches_on_the_names_that_the_webhooks_give_and_watch() {
    let user = format!("startsWith('{}')", seal::identity::USER_PREFIX);
    let account = format!(
        "startsWith('{}{}')",
        seal::identity::SERVICE_ACCOUNTS_GROUP_PREFIX,
        seal::identity::NAMESPACE_PREFIX
    );
    assert!(SEAL_USERS.contains(&user));
    assert!(SEAL_USERS.contains(&account));
    // One prefix covers every group we give.
    assert!(seal::identity::GROUP_HOLDERS.starts_with(seal::identity::USER_PREFIX));
    assert!(seal::identity::GROUP_TIER_PREFIX.starts_with(seal::identity::USER_PREFIX));
    let node = format!("startsWith('{}')", seal::identity::NODE_USER_PREFIX);
    assert!(strangers_nodes(&[]).contains(&node));
}
