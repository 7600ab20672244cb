//! Arguments of the API server and of the controller manager, in the form in which K3s takes them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::settings::{DEFAULT_AUDIENCES, RenderError, Settings};

/// What an argument does to K3s's own value of the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Takes its place (`name=value`).
    Replace,
    /// Comes after it (`name+=value`). For lists: replacing `enable-admission-plugins` would take
    /// `NodeRestriction` away.
    Append,
}

/// One argument of a component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Argument {
    /// Its name, without dashes.
    pub name: &'static str,
    /// What it does to K3s's own.
    pub operation: Operation,
    /// Its value.
    pub value: String,
    /// What it is for.
    pub why: &'static str,
}

impl Argument {
    /// As an item of K3s's `kube-apiserver-arg` or `kube-controller-manager-arg`.
    pub fn item(&self) -> String {
        let operator = match self.operation {
            Operation::Replace => "=",
            Operation::Append => "+=",
        };
        format!("{}{operator}{}", self.name, self.value)
    }
}

/// The files that arguments and other files name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum File {
    K3sDropIn,
    AuthenticationKubeconfig,
    AuthorizationKubeconfig,
    AdmissionKubeconfig,
    AuditKubeconfig,
    AuditPolicy,
    Authorization,
    Admission,
    Unit,
    K3sUnitDropIn,
}

impl File {
    /// Where it lies below the output folder.
    pub(crate) const fn relative(self) -> &'static str {
        match self {
            // Where K3s looks, when the output folder is its own.
            Self::K3sDropIn => "config.yaml.d/50-k3s-daas.yaml",
            Self::AuthenticationKubeconfig => "k3s-daas/authentication-webhook.kubeconfig",
            Self::AuthorizationKubeconfig => "k3s-daas/authorization-webhook.kubeconfig",
            Self::AdmissionKubeconfig => "k3s-daas/admission-webhook.kubeconfig",
            Self::AuditKubeconfig => "k3s-daas/audit-webhook.kubeconfig",
            Self::AuditPolicy => "k3s-daas/audit-policy.yaml",
            Self::Authorization => "k3s-daas/authorization.yaml",
            Self::Admission => "k3s-daas/admission.yaml",
            Self::Unit => "systemd/k3s-daas.service",
            Self::K3sUnitDropIn => "systemd/k3s.service.d/50-k3s-daas.conf",
        }
    }

    pub(crate) fn absolute(self, output_dir: &Path) -> PathBuf {
        output_dir.join(self.relative())
    }
}

/// The longest life of a service account's token that somebody asks for: it outlives the seal
/// with which it was made, where the account is not in a tenant's namespace. Kubernetes allows
/// no less than an hour.
const LONGEST_ACCOUNT_TOKEN: Duration = Duration::from_hours(24);

/// The API server's arguments as items of K3s's `kube-apiserver-arg`: what a control plane that
/// is no K3s needs to use the same files.
pub fn kube_apiserver_args(settings: &Settings) -> Result<Vec<String>, RenderError> {
    settings.validate()?;
    Ok(arguments(settings).iter().map(Argument::item).collect())
}

/// The arguments of validated settings.
pub(crate) fn arguments(settings: &Settings) -> Vec<Argument> {
    let replace = |name, value, why| Argument {
        name,
        operation: Operation::Replace,
        value,
        why,
    };
    let append = |name, value: &str, why| Argument {
        name,
        operation: Operation::Append,
        value: value.to_owned(),
        why,
    };
    let path = |file: File| file.absolute(&settings.output_dir).display().to_string();
    let mut arguments = vec![
        replace(
            "authentication-token-webhook-config-file",
            path(File::AuthenticationKubeconfig),
            "asks us about every bearer token that no other authenticator knows",
        ),
        replace(
            "authentication-token-webhook-version",
            "v1".to_owned(),
            "the default is v1beta1, which we refuse",
        ),
        replace(
            "authentication-token-webhook-cache-ttl",
            go_duration(settings.token_cache_ttl),
            "the default of two minutes would keep an ended seal authenticated; each request is authorized anew all the same",
        ),
        replace(
            "authorization-config",
            path(File::Authorization),
            "asks us before Node and RBAC, and fails closed for seal users",
        ),
        replace(
            "admission-control-config-file",
            path(File::Admission),
            "pods in namespaces without a Pod Security label of their own are held to baseline",
        ),
        append(
            "enable-admission-plugins",
            "PodNodeSelector,DenyServiceExternalIPs",
            "namespaces can be bound to trusted nodes, and no service can take an address that others use",
        ),
        replace(
            "enable-bootstrap-token-auth",
            "false".to_owned(),
            "bootstrap tokens would let nodes join without stake",
        ),
        replace(
            "requestheader-uid-headers",
            "X-Remote-Uid".to_owned(),
            "reviews from aggregated API servers carry the seal's id too",
        ),
        replace(
            "service-account-extend-token-expiration",
            "false".to_owned(),
            "a pod's token lives for an hour and is renewed, instead of living for a year",
        ),
        replace(
            "service-account-max-token-expiration",
            go_duration(LONGEST_ACCOUNT_TOKEN),
            "whoever may make tokens of service accounts today has none of them after a day",
        ),
    ];
    if settings.gate.is_some() {
        arguments.extend(audit_arguments(&settings.output_dir));
    }
    if let Some(longest) = settings.longest_watch_seconds() {
        arguments.push(replace(
            "min-request-timeout",
            longest.to_string(),
            "a watch that outlives its seal ends after this many seconds to twice as many",
        ));
    }
    if settings.audiences != DEFAULT_AUDIENCES {
        arguments.push(replace(
            "api-audiences",
            settings.audiences.join(","),
            "the audiences that tokens are checked against",
        ));
    }
    arguments
}

/// Audit events for the gate: soon, in batches that stay small, and as many as there are.
fn audit_arguments(output_dir: &Path) -> impl Iterator<Item = Argument> {
    let path = |file: File| file.absolute(output_dir).display().to_string();
    let soon = "the gate knows within a moment who is on a connection";
    let many = "no event waits for others' or is dropped when many come at once";
    [
        (
            "audit-policy-file",
            path(File::AuditPolicy),
            "tells of watches, and of sessions and streams into pods, without bodies",
        ),
        (
            "audit-webhook-config-file",
            path(File::AuditKubeconfig),
            "tells the gate who is on which connection",
        ),
        (
            "audit-webhook-version",
            "audit.k8s.io/v1".to_owned(),
            "the only one there is",
        ),
        (
            "audit-webhook-mode",
            "batch".to_owned(),
            "no request waits for the gate",
        ),
        ("audit-webhook-batch-max-wait", "200ms".to_owned(), soon),
        ("audit-webhook-batch-max-size", "64".to_owned(), soon),
        ("audit-webhook-batch-throttle-qps", "100".to_owned(), many),
        ("audit-webhook-batch-throttle-burst", "200".to_owned(), many),
        ("audit-webhook-batch-buffer-size", "20000".to_owned(), many),
    ]
    .into_iter()
    .map(|(name, value, why)| Argument {
        name,
        operation: Operation::Replace,
        value,
        why,
    })
}

/// The controller manager's arguments, likewise as items.
///
/// By default each of its controllers makes 20 requests a second. Every tenant's namespace needs
/// about six of them (a service account, a CA bundle, the state of two quotas), and until a quota
/// has a state, what it counts is refused: the last of 200 tenants who come at once waits
/// for many seconds.
pub fn kube_controller_manager_args() -> Vec<String> {
    controller_manager_arguments()
        .iter()
        .map(Argument::item)
        .collect()
}

pub(crate) fn controller_manager_arguments() -> [Argument; 2] {
    let why =
        "many tenants who come at once don't wait in line for their service accounts and quotas";
    [("kube-api-qps", "200"), ("kube-api-burst", "400")].map(|(name, value)| Argument {
        name,
        operation: Operation::Replace,
        value: value.to_owned(),
        why,
    })
}

/// As Go's `time.ParseDuration` reads it.
pub(crate) fn go_duration(duration: Duration) -> String {
    if duration.subsec_millis() == 0 {
        format!("{}s", duration.as_secs())
    } else {
        format!("{}ms", duration.as_millis())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::GateMode;

    fn items(settings: &Settings) -> Vec<String> {
        kube_apiserver_args(settings).unwrap()
    }

    #[test]
    fn says_v1_since_the_default_version_is_refused_by_the_webhook() {
        let items = items(&Settings::default());
        assert!(items.contains(&"authentication-token-webhook-version=v1".to_owned()));
    }

    #[test]
    fn appends_admission_plugins_so_that_node_restriction_stays() {
        let items = items(&Settings::default());
        let plugins: Vec<_> = items
            .iter()
            .filter(|item| item.contains("admission-plugins"))
            .collect();
        assert_eq!(
            plugins,
            ["enable-admission-plugins+=PodNodeSelector,DenyServiceExternalIPs"]
        );
    }

    #[test]
    fn a_revoked_token_is_authenticated_for_at_most_twenty_seconds() {
        let items = items(&Settings::default());
        // The API server adds ten of its own.
        assert!(items.contains(&"authentication-token-webhook-cache-ttl=10s".to_owned()));
    }

    #[test]
    fn behind_the_gate_events_are_told_and_watches_live_longer() {
        let without = items(&Settings::default());
        assert!(!without.iter().any(|item| item.starts_with("audit-")));
        assert!(without.contains(&"min-request-timeout=120".to_owned()));
        let with = items(&Settings {
            gate: Some(GateMode::default()),
            ..Settings::default()
        });
        assert!(with.contains(&"min-request-timeout=600".to_owned()));
        assert!(with.contains(&"audit-webhook-batch-max-wait=200ms".to_owned()));
        let policy = "audit-policy-file=/etc/rancher/k3s/k3s-daas/audit-policy.yaml";
        assert!(with.contains(&policy.to_owned()));
    }

    #[test]
    fn never_sets_what_kubernetes_refuses_beside_the_authorization_file() {
        let refused = ["authorization-mode", "authorization-webhook-"];
        for item in items(&Settings::default()) {
            assert!(!refused.iter().any(|name| item.starts_with(name)), "{item}");
        }
    }

    #[test]
    fn names_each_argument_once() {
        let mut names: Vec<_> = arguments(&Settings::default())
            .iter()
            .map(|argument| argument.name)
            .collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn sets_audiences_only_where_they_are_not_k3s_own() {
        let mut settings = Settings::default();
        assert!(
            !items(&settings)
                .iter()
                .any(|item| item.starts_with("api-audiences"))
        );
        settings.audiences = vec!["one".to_owned(), "two".to_owned()];
        assert!(items(&settings).contains(&"api-audiences=one,two".to_owned()));
    }

    #[test]
    fn refuses_what_it_would_not_render() {
        let settings = Settings {
            output_dir: "here".into(),
            ..Settings::default()
        };
        assert!(kube_apiserver_args(&settings).is_err());
    }

    #[test]
    fn writes_durations_as_go_reads_them() {
        assert_eq!(go_duration(Duration::from_secs(10)), "10s");
        assert_eq!(go_duration(Duration::from_millis(2500)), "2500ms");
        assert_eq!(go_duration(Duration::ZERO), "0s");
    }
}
