//! Nodes that join by stake: whether they can, and whose time is nearly over.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, ListParams};
use kube::{Client, ResourceExt};
use node_admission::NodeSettings;
use node_admission::sealed_node::{NodeState, SealedNode};
use seal::identity::{LABEL_TRUST, TRUST_OPERATOR};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::Check;
use super::kubernetes::{MOST, in_time};
use crate::causes::in_one_line;
use crate::config::keys::ServerConfig;
use crate::server::{host_name, node_settings};

/// The definition of SealedNodes.
const DEFINITION: &str = "sealednodes.k3s-daas.io";
/// The configuration of the webhook that looks at Nodes.
const WEBHOOK: &str = "k3s-daas-nodes";
const TIMEOUT: Duration = Duration::from_secs(5);

/// Looks at what is there for nodes, and at the nodes.
pub(super) async fn checks(
    client: &Client,
    config: &ServerConfig,
    kubeconfig: &kube::Config,
) -> Vec<Check> {
    let settings = match node_settings(config) {
        Ok(settings) => settings,
        Err(failure) => return vec![Check::failed("nodes", &failure)],
    };
    let mut checks = vec![
        definition(client).await,
        webhook(client).await,
        names(kubeconfig, &settings).await,
    ];
    let sealed: Api<SealedNode> = Api::all(client.clone());
    let nodes: Api<Node> = Api::all(client.clone());
    let page = ListParams::default().limit(MOST);
    let found = async {
        Ok((
            sealed.list(&page).await?.items,
            nodes.list(&page).await?.items,
        ))
    };
    match in_time(found).await {
        Ok((sealed, nodes)) => {
            checks.push(seals(&sealed, config.node_warn_seconds.0, now_ms()));
            checks.push(control_plane(&sealed, &nodes, &settings, &host_name()));
            checks.push(trusted(&nodes, &settings));
        }
        Err(error) => checks.push(Check::warn(
            "nodes",
            format!("not looked at: {error}"),
            "start `k3s-daas server` once, which makes the kind SealedNode",
        )),
    }
    checks
}

async fn definition(client: &Client) -> Check {
    const NAME: &str = "SealedNodes";
    let to_do = "start `k3s-daas server`: it makes the kind and keeps it";
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    match in_time(definitions.get_opt(DEFINITION)).await {
        Ok(None) => Check::fail(NAME, format!("{DEFINITION} is missing"), to_do),
        Ok(Some(found)) if !is_established(&found) => {
            Check::fail(NAME, format!("{DEFINITION} is not served yet"), to_do)
        }
        Ok(Some(_)) => Check::ok(NAME, format!("{DEFINITION} is served")),
        Err(error) => Check::fail(
            NAME,
            format!("{DEFINITION} can't be read: {error}"),
            "see RBAC",
        ),
    }
}

fn is_established(definition: &CustomResourceDefinition) -> bool {
    let status = definition.status.as_ref();
    let conditions = status.and_then(|status| status.conditions.as_ref());
    conditions
        .into_iter()
        .flatten()
        .any(|one| one.type_ == "Established" && one.status == "True")
}

/// Asks the webhook as the API server does: at its address, by its CA.
async fn webhook(client: &Client) -> Check {
    const NAME: &str = "node webhook";
    let all: Api<ValidatingWebhookConfiguration> = Api::all(client.clone());
    let found = match in_time(all.get_opt(WEBHOOK)).await {
        Ok(Some(found)) => found,
        Ok(None) => {
            return Check::fail(
                NAME,
                format!("the ValidatingWebhookConfiguration {WEBHOOK} is missing"),
                "start `k3s-daas server`: without it nobody looks at the addresses of nodes",
            );
        }
        Err(error) => return Check::fail(NAME, format!("not readable: {error}"), "see RBAC"),
    };
    let hooks = found.webhooks.unwrap_or_default();
    let Some(how) = hooks.first().map(|hook| &hook.client_config) else {
        return Check::fail(
            NAME,
            format!("{WEBHOOK} holds no webhook"),
            "start `k3s-daas server`",
        );
    };
    let Some(url) = &how.url else {
        return Check::fail(
            NAME,
            format!("{WEBHOOK} names no address"),
            "start `k3s-daas server`",
        );
    };
    let bundle = how.ca_bundle.as_ref().map(|bytes| bytes.0.as_slice());
    match asked(url, bundle.unwrap_or_default()).await {
        // No review at all: a 4xx is the right answer.
        Ok(status) if status.is_client_error() => {
            Check::ok(NAME, format!("{url} answers with the right certificate"))
        }
        Ok(status) => Check::fail(
            NAME,
            format!("{url} answered {status} to what is no review"),
            "something else listens there; see admit_listen and admit_url",
        ),
        Err(error) => Check::warn(
            NAME,
            format!("{url} does not answer here: {}", in_one_line(&error)),
            "the API server asks there: run the doctor on its machine; see admit_listen, admit_url, \
             admit_ca and, where tls_client_ca is set, webhook_client_certificate",
        ),
    }
}

async fn asked(url: &str, bundle: &[u8]) -> Result<reqwest::StatusCode, reqwest::Error> {
    let client = reqwest::Client::builder()
        .tls_certs_only(reqwest::Certificate::from_pem_bundle(bundle)?)
        .timeout(TIMEOUT)
        .no_proxy()
        .build()?;
    Ok(client.post(url).body("{}").send().await?.status())
}

/// A seal's node by a name of the API server's certificate could be taken for it.
async fn names(config: &kube::Config, settings: &NodeSettings) -> Check {
    const NAME: &str = "reserved names";
    let spoken = match certificate(config).await {
        Ok(Some(der)) => names_without_dots(&der),
        Ok(None) => BTreeSet::new(),
        Err(error) => {
            return Check::warn(
                NAME,
                format!(
                    "the API server's certificate was not seen: {}",
                    in_one_line(&error)
                ),
                "give the operator's kubeconfig",
            );
        }
    };
    let open: Vec<&str> = spoken
        .iter()
        .map(String::as_str)
        .filter(|name| !settings.is_reserved(name))
        .collect();
    if open.is_empty() {
        return Check::ok(
            NAME,
            "no seal's node can bear a name of the API server's certificate",
        );
    }
    Check::fail(
        NAME,
        format!(
            "the API server's certificate speaks for {}, and a seal's node may bear that name",
            open.join(", ")
        ),
        "add them to reserved_node_names",
    )
}

async fn certificate(config: &kube::Config) -> Result<Option<Vec<u8>>, reqwest::Error> {
    let mut roots = Vec::new();
    for der in config.root_cert.iter().flatten() {
        roots.push(reqwest::Certificate::from_der(der)?);
    }
    let client = reqwest::Client::builder()
        .tls_certs_only(roots)
        .tls_info(true)
        .timeout(TIMEOUT)
        .no_proxy()
        .build()?;
    let answer = client.get(config.cluster_url.to_string()).send().await?;
    let info = answer.extensions().get::<reqwest::tls::TlsInfo>();
    Ok(info
        .and_then(|info| info.peer_certificate())
        .map(<[u8]>::to_vec))
}

/// A node's name has no dots.
fn names_without_dots(der: &[u8]) -> BTreeSet<String> {
    let Ok((_, certificate)) = X509Certificate::from_der(der) else {
        return BTreeSet::new();
    };
    let names = certificate.subject_alternative_name().ok().flatten();
    names
        .iter()
        .flat_map(|names| &names.value.general_names)
        .filter_map(|name| match name {
            GeneralName::DNSName(name) if !name.contains('.') => Some(name.to_ascii_lowercase()),
            _ => None,
        })
        .collect()
}

/// Whose time is nearly over, and who is on the way out.
fn seals(sealed: &[SealedNode], warn_before: Duration, now_ms: u64) -> Check {
    const NAME: &str = "nodes";
    let soon_ms = now_ms.saturating_add(u64::try_from(warn_before.as_millis()).unwrap_or(u64::MAX));
    let mut told = Vec::new();
    for one in sealed {
        let (name, status) = (one.name_any(), one.status.clone().unwrap_or_default());
        let reason = status.reason.as_deref().unwrap_or("no reason is known");
        match (status.state, status.expires_at_ms) {
            (NodeState::Draining, _) => told.push(format!("{name} is being drained ({reason})")),
            (NodeState::Active, Some(expires)) if expires < soon_ms => {
                let when = status.expires.unwrap_or_else(|| format!("{expires} ms"));
                told.push(format!("the seal of {name} ends {when}"));
            }
            _ => {}
        }
    }
    if told.is_empty() {
        return Check::ok(
            NAME,
            format!("{} joined or registered, none ends soon", sealed.len()),
        );
    }
    Check::warn(
        NAME,
        told.join("; "),
        "tell their owners: `k3s-daas restake` or `refresh` keeps a node, or brings it back",
    )
}

/// A machine without a seal is refused everything, unless it is named as the control plane's.
fn control_plane(
    sealed: &[SealedNode],
    nodes: &[Node],
    settings: &NodeSettings,
    host: &str,
) -> Check {
    const NAME: &str = "control_plane_nodes";
    let with_seal: BTreeSet<String> = sealed.iter().map(ResourceExt::name_any).collect();
    let there: BTreeSet<String> = nodes.iter().map(ResourceExt::name_any).collect();
    let refused: Vec<&str> = there
        .iter()
        .filter(|name| !with_seal.contains(*name) && !settings.control_plane_nodes.contains(*name))
        .map(String::as_str)
        .collect();
    if !refused.is_empty() {
        return Check::fail(
            NAME,
            format!(
                "no seal and not named, so refused as system:node:<name>: {}",
                refused.join(", ")
            ),
            "name the control plane's own in control_plane_nodes, and render K3s's files again; let \
             the others join with a seal",
        );
    }
    let both: Vec<&str> = with_seal
        .intersection(&settings.control_plane_nodes)
        .map(String::as_str)
        .collect();
    if !both.is_empty() {
        return Check::fail(
            NAME,
            format!("named, and joined with a seal: {}", both.join(", ")),
            "a name that needs no seal outlives the seal: take it out of control_plane_nodes",
        );
    }
    if settings.control_plane_nodes.is_empty() {
        return Check::warn(
            NAME,
            format!(
                "none is named; a K3s server acts as system:node:<its host name> even without an agent, \
                 here system:node:{host}"
            ),
            "name each server's host in control_plane_nodes, and render K3s's files again",
        );
    }
    let absent: Vec<&str> = settings
        .control_plane_nodes
        .difference(&there)
        .map(String::as_str)
        .collect();
    let named = settings.control_plane_nodes.len();
    if absent.is_empty() {
        return Check::ok(
            NAME,
            format!("all {named} are there, all others joined with a seal"),
        );
    }
    Check::ok(
        NAME,
        format!(
            "{named} named, without a Node: {} (right for servers without an agent)",
            absent.join(", ")
        ),
    )
}

/// Whether the pods of protected namespaces have somewhere to run.
fn trusted(nodes: &[Node], settings: &NodeSettings) -> Check {
    const NAME: &str = "trusted_nodes";
    let is_marked =
        |node: &&Node| node.labels().get(LABEL_TRUST).map(String::as_str) == Some(TRUST_OPERATOR);
    let marked: BTreeSet<String> = nodes
        .iter()
        .filter(is_marked)
        .map(ResourceExt::name_any)
        .collect();
    let strange: Vec<&str> = marked
        .difference(&settings.trusted_nodes)
        .map(String::as_str)
        .collect();
    if !strange.is_empty() {
        return Check::fail(
            NAME,
            format!("marked as trusted, and not named: {}", strange.join(", ")),
            "see that `k3s-daas server` runs with this configuration: it takes the mark away",
        );
    }
    if settings.trusted_nodes.is_empty() {
        return Check::ok(
            NAME,
            "none: pods of protected namespaces, K3s's own components among them, run nowhere",
        );
    }
    let lacking: Vec<&str> = settings
        .trusted_nodes
        .difference(&marked)
        .map(String::as_str)
        .collect();
    if lacking.is_empty() {
        return Check::ok(NAME, format!("all {} are there and marked", marked.len()));
    }
    Check::warn(
        NAME,
        format!(
            "named, and not there or not marked yet: {}",
            lacking.join(", ")
        ),
        "see `kubectl get nodes --show-labels`; `k3s-daas server` marks them",
    )
}

fn now_ms() -> u64 {
    let now = k8s_openapi::jiff::Timestamp::now().as_millisecond();
    u64::try_from(now).unwrap_or_default()
}

#[cfg(test)]
mod tests;
