//! What each tenant of the tour asks, and what its tier says to it.

use seal::Tier;

use crate::failure::Outcome;
use crate::up::Stage;
use crate::up::kubectl::Answer;

/// One kubectl command.
#[derive(Debug, Clone)]
pub(super) struct Request {
    /// The arguments.
    pub arguments: Vec<String>,
    /// What the tier says.
    pub expected: Answer,
}

impl Request {
    /// A command in words, separated by blanks.
    pub(super) fn new(words: &str, expected: Answer) -> Self {
        Self {
            arguments: words.split_whitespace().map(str::to_owned).collect(),
            expected,
        }
    }

    /// The command as one types it.
    pub(super) fn words(&self) -> String {
        self.arguments.join(" ")
    }
}

/// The requests of a tier's tenant, in their order: later ones use what earlier ones made.
pub(super) fn of(tier: Tier, stage: &Stage) -> Outcome<Vec<Request>> {
    use Answer::{Allowed, Refused};
    let own = &stage.tenant(tier)?.namespace;
    let developers = &stage.tenant(Tier::Developer)?.namespace;
    let table: Vec<(String, Answer)> = match tier {
        Tier::Viewer => vec![
            ("auth whoami".into(), Allowed),
            ("get nodes".into(), Allowed),
            ("get namespaces".into(), Allowed),
            ("get pods -n kube-system".into(), Refused),
            (format!("get configmaps -n {developers}"), Refused),
            ("create namespace mine".into(), Refused),
        ],
        Tier::Developer => vec![
            ("auth whoami".into(), Allowed),
            (
                format!("create deployment web --image=nginx -n {own}"),
                Allowed,
            ),
            (
                format!("create secret generic key --from-literal=a=b -n {own}"),
                Allowed,
            ),
            (format!("get secrets -n {own}"), Allowed),
            // K3s's Helm controller would install it as a cluster admin.
            (
                format!("get --raw /apis/helm.cattle.io/v1/namespaces/{own}/helmcharts"),
                Refused,
            ),
            // Pod Security: restricted. And quotas: no port of anybody's node.
            (format!("run root --image=nginx -n {own}"), Refused),
            (
                format!("create service nodeport open --tcp=80 -n {own}"),
                Refused,
            ),
            ("get secrets -n kube-system".into(), Refused),
            ("create configmap stray -n default".into(), Refused),
            ("create namespace mine".into(), Refused),
            (
                "create clusterrolebinding up --clusterrole=cluster-admin --user=me".into(),
                Refused,
            ),
        ],
        Tier::Admin => vec![
            ("create namespace team".into(), Allowed),
            ("create configmap settings -n team".into(), Allowed),
            // A guard inside the API server: the label is what keeps pods harmless.
            (
                format!(
                    "label namespace {developers} --overwrite \
                     pod-security.kubernetes.io/enforce=privileged"
                ),
                Refused,
            ),
            (
                format!("annotate namespace team k3s-daas.io/owner={own}"),
                Refused,
            ),
            (
                format!("create deployment kept --image=nginx --replicas=2 -n {own}"),
                Allowed,
            ),
            (format!("get deployments -n {developers}"), Allowed),
            (format!("delete deployment web -n {developers}"), Allowed),
            ("get secrets -n kube-system".into(), Refused),
            ("delete node nobody".into(), Refused),
            (
                "create clusterrolebinding up --clusterrole=cluster-admin --user=me".into(),
                Refused,
            ),
        ],
        Tier::Super => vec![
            ("get secrets -n kube-system".into(), Allowed),
            ("create configmap settings -n kube-system".into(), Allowed),
            (
                "create clusterrolebinding tour --clusterrole=view --user=me".into(),
                Allowed,
            ),
            ("delete clusterrolebinding tour".into(), Allowed),
            (format!("get secrets -n {developers}"), Allowed),
        ],
    };
    Ok(table
        .iter()
        .map(|(words, expected)| Request::new(words, *expected))
        .collect())
}
