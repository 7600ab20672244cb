//! What the API server holds: the guards, the server's identity, who else has rights, addresses.

use std::collections::BTreeSet;
use std::future::Future;
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, Subject};
use kube::api::{Api, ApiResource, DynamicObject, ListParams, TypeMeta};
use kube::core::GroupVersionKind;
use kube::{Client, ResourceExt};
use seal::access::EXTENSION_NAMESPACE;
use seal::identity::SERVER_ACCOUNT;
use serde_json::Value;
use tenancy::guards;

use super::Check;
use crate::causes::in_one_line;
use crate::config::keys::ServerConfig;
use crate::server::guard_settings;
use crate::server::identity;
use crate::server::kube_client::read;

const TIMEOUT: Duration = Duration::from_secs(10);
/// Objects looked at, a kind; more are told of.
pub(super) const MOST: u32 = 5_000;

/// What Kubernetes itself binds to everybody.
const DEFAULT_BINDINGS: [&str; 4] = [
    "system:basic-user",
    "system:discovery",
    "system:public-info-viewer",
    "system:service-account-issuer-discovery",
];

/// Looks with the operator's kubeconfig.
pub(super) async fn checks(config: &ServerConfig) -> Vec<Check> {
    const NAME: &str = "API server";
    let path = config.kubeconfig.display();
    let read = read(&config.kubeconfig).await;
    let opened = read.and_then(|found| Ok((Client::try_from(found.clone())?, found)));
    let (client, kubeconfig) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            return vec![Check::warn(
                NAME,
                format!(
                    "the kubeconfig {path} can't be used, so nothing there was looked at: {}",
                    in_one_line(&error)
                ),
                "give --kubeconfig, or run the doctor on the server's machine",
            )];
        }
    };
    let reachable = in_time(client.apiserver_version()).await;
    if let Err(error) = reachable {
        return vec![Check::fail(
            NAME,
            format!("it does not answer: {error}"),
            "see that K3s runs, and that the kubeconfig is its own",
        )];
    }
    let documents = guards::documents(&guard_settings(config));
    let mut checks = vec![
        compared(
            "guards",
            &client,
            &documents,
            "the admission policies and bindings",
            "start `k3s-daas server`: it repairs them within seconds, see /readyz and its log",
        )
        .await,
        compared(
            "identity",
            &client,
            &identity::documents(),
            "the server's service account, roles and bindings",
            "start `k3s-daas server`: it writes them with the operator's kubeconfig",
        )
        .await,
        bindings(&client).await,
        addresses(&client, &config.closed_ranges.0).await,
    ];
    checks.extend(super::nodes::checks(&client, config, &kubeconfig).await);
    checks
}

pub(super) async fn in_time<T>(
    asked: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, String> {
    match tokio::time::timeout(TIMEOUT, asked).await {
        Ok(answer) => answer.map_err(|error| in_one_line(&error)),
        Err(_late) => Err(format!("no answer within {} s", TIMEOUT.as_secs())),
    }
}

/// Whether each document is there as it is written.
async fn compared(
    name: &'static str,
    client: &Client,
    documents: &[Value],
    what: &str,
    to_do: &str,
) -> Check {
    let mut wrong = Vec::new();
    for document in documents {
        let shown = format!("{} {}", text(document, "kind"), name_of(document));
        match live(client, document).await {
            Ok(None) => wrong.push(format!("{shown} is missing")),
            Ok(Some(live)) if !same(document, &live) => wrong.push(format!("{shown} differs")),
            Ok(Some(_)) => {}
            Err(error) => wrong.push(format!("{shown} can't be read: {error}")),
        }
    }
    if wrong.is_empty() {
        Check::ok(
            name,
            format!("{what} are as they should be ({})", documents.len()),
        )
    } else {
        Check::fail(name, wrong.join("; "), to_do)
    }
}

fn text<'a>(document: &'a Value, field: &str) -> &'a str {
    document
        .get(field)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

fn name_of(document: &Value) -> &str {
    document
        .get("metadata")
        .map(|meta| text(meta, "name"))
        .unwrap_or_default()
}

async fn live(client: &Client, document: &Value) -> Result<Option<Value>, String> {
    let types = TypeMeta {
        api_version: text(document, "apiVersion").to_owned(),
        kind: text(document, "kind").to_owned(),
    };
    let kind = GroupVersionKind::try_from(&types).map_err(|error| error.to_string())?;
    let resource = ApiResource::from_gvk(&kind);
    let namespace = document
        .get("metadata")
        .and_then(|meta| meta.get("namespace"));
    let api: Api<DynamicObject> = match namespace.and_then(Value::as_str) {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    };
    let found = in_time(api.get_opt(name_of(document))).await?;
    let value = found.map(serde_json::to_value).transpose();
    value.map_err(|error| error.to_string())
}

/// Whether all that was written is there, lists whole: a rule more is a difference.
fn same(wanted: &Value, live: &Value) -> bool {
    match (wanted, live) {
        (Value::Object(wanted), Value::Object(live)) => wanted.iter().all(|(field, wanted)| {
            let live = live.get(field).unwrap_or(&Value::Null);
            same(wanted, live)
        }),
        (Value::Array(wanted), Value::Array(live)) => {
            wanted.len() == live.len() && wanted.iter().zip(live).all(|(a, b)| same(a, b))
        }
        // An empty list is not written out.
        (Value::Array(wanted), Value::Null) => wanted.is_empty(),
        (Value::String(wanted), Value::Null) => wanted.is_empty(),
        (wanted, live) => wanted == live,
    }
}

/// Who of those that strangers can be has rights in the whole cluster.
async fn bindings(client: &Client) -> Check {
    const NAME: &str = "cluster-wide bindings";
    let all: Api<ClusterRoleBinding> = Api::all(client.clone());
    let found = match in_time(all.list(&ListParams::default().limit(MOST))).await {
        Ok(found) => found,
        Err(error) => return Check::warn(NAME, format!("not readable: {error}"), "see RBAC"),
    };
    let opened: Vec<String> = found.items.iter().filter_map(opens).collect();
    if opened.is_empty() {
        return Check::ok(
            NAME,
            "nobody gave all users, all service accounts or seal holders more than Kubernetes does",
        );
    }
    Check::warn(
        NAME,
        opened.join("; "),
        "what is bound there every holder gets, beside its tier: delete the binding, or be sure \
         that strangers may have it",
    )
}

/// What a binding opens to strangers, or to the server beside its role.
fn opens(binding: &ClusterRoleBinding) -> Option<String> {
    let name = binding.name_any();
    let role = &binding.role_ref.name;
    let usual = name == *role && DEFAULT_BINDINGS.contains(&name.as_str());
    let ours = name == identity::ROLE && *role == identity::ROLE;
    let subjects = binding.subjects.as_deref().unwrap_or_default();
    let to: Vec<&str> = subjects
        .iter()
        .filter(|subject| (is_strangers(subject) && !usual) || (is_server(subject) && !ours))
        .map(|subject| subject.name.as_str())
        .collect();
    (!to.is_empty()).then(|| format!("{name} gives {role} to {}", to.join(", ")))
}

fn is_strangers(subject: &Subject) -> bool {
    let everybody = [
        "system:authenticated",
        "system:unauthenticated",
        "system:serviceaccounts",
    ];
    let name = subject.name.as_str();
    match subject.kind.as_str() {
        "Group" => {
            everybody.contains(&name)
                || name.starts_with("seal:")
                || name.starts_with("system:serviceaccounts:seal-")
        }
        "User" => name.starts_with("seal:") || name.starts_with("system:serviceaccount:seal-"),
        "ServiceAccount" => subject
            .namespace
            .as_deref()
            .is_some_and(|namespace| namespace.starts_with("seal-")),
        _ => false,
    }
}

fn is_server(subject: &Subject) -> bool {
    subject.kind == "ServiceAccount"
        && subject.name == SERVER_ACCOUNT
        && subject.namespace.as_deref() == Some(EXTENSION_NAMESPACE)
}

/// Whether tenants' pods are kept from the nodes and from the control plane by whole networks.
async fn addresses(client: &Client, closed: &[IpNet]) -> Check {
    const NAME: &str = "addresses";
    let nodes: Api<Node> = Api::all(client.clone());
    let slices: Api<EndpointSlice> = Api::namespaced(client.clone(), "default");
    let ours = ListParams::default().labels("kubernetes.io/service-name=kubernetes");
    let found = async {
        let nodes = nodes.list(&ListParams::default().limit(MOST)).await?;
        let slices = slices.list(&ours).await?;
        let of_nodes = nodes.items.into_iter().flat_map(|node| {
            let status = node.status.unwrap_or_default();
            status
                .addresses
                .unwrap_or_default()
                .into_iter()
                .map(|one| one.address)
        });
        let of_slices = slices.items.into_iter().flat_map(|slice| {
            let endpoints = slice.endpoints.unwrap_or_default();
            endpoints
                .into_iter()
                .flat_map(|endpoint| endpoint.addresses)
        });
        let texts = of_nodes.chain(of_slices);
        Ok(texts
            .filter_map(|text| text.parse().ok())
            .collect::<BTreeSet<IpAddr>>())
    };
    let found = match in_time(found).await {
        Ok(found) => found,
        Err(error) => return Check::warn(NAME, format!("not compared: {error}"), "see RBAC"),
    };
    let open: Vec<String> = found
        .iter()
        .filter(|address| !closed.iter().any(|range| range.contains(*address)))
        .map(ToString::to_string)
        .collect();
    if found.is_empty() {
        return Check::ok(
            NAME,
            "no address of a node or of the API server is known yet",
        );
    }
    if open.is_empty() {
        let count = found.len();
        return Check::ok(
            NAME,
            format!("all {count} of nodes and of the API server lie in closed_ranges"),
        );
    }
    Check::warn(
        NAME,
        format!("outside of closed_ranges: {}", open.join(", ")),
        "the server closes these one by one while it knows them; add their networks, so that new \
         machines are closed from their first moment",
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn binding(name: &str, role: &str, subject: &Value) -> ClusterRoleBinding {
        serde_json::from_value(json!({
            "metadata": { "name": name },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role },
            "subjects": [subject],
        }))
        .unwrap()
    }

    #[test]
    fn what_is_bound_to_strangers_is_told_and_what_kubernetes_binds_is_not() {
        let group = |name: &str| json!({ "kind": "Group", "name": name });
        for (name, role, subject, told) in [
            (
                "system:discovery",
                "system:discovery",
                group("system:authenticated"),
                false,
            ),
            (
                "system:discovery",
                "cluster-admin",
                group("system:authenticated"),
                true,
            ),
            ("mine", "view", group("system:serviceaccounts"), true),
            ("mine", "view", group("seal:holders"), true),
            ("mine", "view", group("seal:tier:viewer"), true),
            (
                "mine",
                "view",
                group("system:serviceaccounts:seal-0000000000000000"),
                true,
            ),
            (
                "mine",
                "view",
                json!({ "kind": "User", "name": "seal:0x00" }),
                true,
            ),
            (
                "mine",
                "view",
                json!({ "kind": "ServiceAccount", "name": "a", "namespace": "seal-1" }),
                true,
            ),
            ("mine", "view", group("system:masters"), false),
            (
                "mine",
                "view",
                json!({ "kind": "ServiceAccount", "name": "a", "namespace": "b" }),
                false,
            ),
            (
                "mine",
                "view",
                json!({ "kind": "ServiceAccount", "name": "server", "namespace": "k3s-daas-system" }),
                true,
            ),
            (
                "k3s-daas-server",
                "k3s-daas-server",
                json!({ "kind": "ServiceAccount", "name": "server", "namespace": "k3s-daas-system" }),
                false,
            ),
        ] {
            let found = opens(&binding(name, role, &subject));
            assert_eq!(found.is_some(), told, "{name} {role} {subject}");
        }
    }

    #[test]
    fn a_rule_more_or_less_is_a_difference_and_a_default_more_is_not() {
        let wanted = json!({ "rules": [{ "verbs": ["get"] }] });
        assert!(same(
            &wanted,
            &json!({ "rules": [{ "verbs": ["get"] }], "kind": "Role" })
        ));
        assert!(!same(
            &wanted,
            &json!({ "rules": [{ "verbs": ["get", "list"] }] })
        ));
        assert!(!same(
            &wanted,
            &json!({ "rules": [{ "verbs": ["get"] }, { "verbs": ["*"] }] })
        ));
        assert!(!same(&wanted, &json!({})));
    }
}
