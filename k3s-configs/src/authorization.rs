//! The AuthorizationConfiguration: who is asked in which order, and what an outage means.
//!
//! Shape:  three entries for one webhook, then Node, then RBAC. An entry's `failurePolicy` is what
//!         counts when the webhook can't be asked, and it differs by who is asking: a seal user
//!         must be refused then (a RoleBinding would let a slashed owner in), a node must go on
//!         (an outage of ours must not evict a running cluster), and a node's new grants must wait.
//! Units:  `timeout` is a Go duration.
//! Source: Kubernetes `apiserver.config.k8s.io/v1`; its validation is repeated in the tests.

use serde::{Deserialize, Serialize};

use crate::arguments::{File, go_duration};
use crate::settings::Settings;

/// Users and groups of the extension; the `seal` crate issues them.
const SEAL_USERS: &str = "request.user.startsWith('seal:') || request.groups.exists(group, \
     group.startsWith('seal:') || group.startsWith('system:serviceaccounts:seal-'))";

const NODE_IDENTITIES: &str = "'system:nodes' in request.groups || \
     request.user in ['system:kube-proxy', 'system:k3s-controller']";

/// What a node gains from a pod that is bound to it, or from being a node at all.
const GRANTS: &str = "has(request.resourceAttributes) && \
     (request.resourceAttributes.resource in ['secrets', 'configmaps', 'serviceaccounts', \
     'resourceclaims', 'certificatesigningrequests'] || \
     (request.resourceAttributes.verb == 'create' && request.resourceAttributes.resource == 'nodes'))";

#[derive(Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct AuthorizationConfiguration {
    api_version: String,
    kind: String,
    authorizers: Vec<Authorizer>,
}

#[derive(Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
struct Authorizer {
    #[serde(rename = "type")]
    kind: AuthorizerType,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    webhook: Option<Webhook>,
}

#[derive(Debug, Serialize, Deserialize, PartialEq, Eq)]
enum AuthorizerType {
    Webhook,
    Node,
    #[serde(rename = "RBAC")]
    Rbac,
}

#[derive(Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Webhook {
    timeout: String,
    subject_access_review_version: String,
    match_condition_subject_access_review_version: String,
    failure_policy: FailurePolicy,
    /// Off: a zero TTL would be taken for the default of five minutes.
    cache_authorized_requests: bool,
    cache_unauthorized_requests: bool,
    connection_info: ConnectionInfo,
    match_conditions: Vec<MatchCondition>,
}

#[derive(Debug, Serialize, Deserialize, PartialEq, Eq)]
enum FailurePolicy {
    Deny,
    NoOpinion,
}

#[derive(Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ConnectionInfo {
    #[serde(rename = "type")]
    kind: String,
    kube_config_file: String,
}

/// All conditions of an entry must hold.
#[derive(Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
struct MatchCondition {
    expression: String,
}

pub(crate) fn configuration(settings: &Settings) -> AuthorizationConfiguration {
    let kubeconfig = File::AuthorizationKubeconfig
        .absolute(&settings.output_dir)
        .display()
        .to_string();
    let ours = |name: &str, failure_policy, conditions: Vec<String>| Authorizer {
        kind: AuthorizerType::Webhook,
        name: format!("{name}.k3s-daas.io"),
        webhook: Some(Webhook {
            timeout: go_duration(settings.authorization_timeout),
            subject_access_review_version: "v1".to_owned(),
            match_condition_subject_access_review_version: "v1".to_owned(),
            failure_policy,
            cache_authorized_requests: false,
            cache_unauthorized_requests: false,
            connection_info: ConnectionInfo {
                kind: "KubeConfigFile".to_owned(),
                kube_config_file: kubeconfig.clone(),
            },
            match_conditions: conditions
                .into_iter()
                .map(|expression| MatchCondition { expression })
                .collect(),
        }),
    };
    let builtin = |kind, name: &str| Authorizer {
        kind,
        name: name.to_owned(),
        webhook: None,
    };
    AuthorizationConfiguration {
        api_version: "apiserver.config.k8s.io/v1".to_owned(),
        kind: "AuthorizationConfiguration".to_owned(),
        authorizers: vec![
            ours("seals", FailurePolicy::Deny, vec![SEAL_USERS.to_owned()]),
            ours(
                "node-grants",
                FailurePolicy::Deny,
                vec![
                    strangers_nodes(&settings.control_plane_nodes),
                    GRANTS.to_owned(),
                ],
            ),
            ours(
                "nodes",
                FailurePolicy::NoOpinion,
                vec![NODE_IDENTITIES.to_owned()],
            ),
            builtin(AuthorizerType::Node, "node"),
            builtin(AuthorizerType::Rbac, "rbac"),
        ],
    }
}

/// Node users but the control plane's own. The names are checked: they hold no quotes.
fn strangers_nodes(control_plane_nodes: &[String]) -> String {
    let any = "request.user.startsWith('system:node:')";
    if control_plane_nodes.is_empty() {
        return any.to_owned();
    }
    let own: Vec<_> = control_plane_nodes
        .iter()
        .map(|name| format!("'system:node:{name}'"))
        .collect();
    format!("{any} && !(request.user in [{}])", own.join(", "))
}

pub(crate) fn render(settings: &Settings) -> Result<String, serde_yaml_ng::Error> {
    let body = serde_yaml_ng::to_string(&configuration(settings))?;
    Ok(format!(
        "# Who is asked whether a request may be made, in this order. Reloaded when it changes.\n\
         # One webhook, three entries: they differ in what counts while it can't be reached.\n\
         {body}"
    ))
}

#[cfg(test)]
mod tests;
