//! `node`: machines that joined with a seal, for the operator.

use k8s_openapi::api::core::v1::Node;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use kube::api::{Api, ListParams};
use node_admission::sealed_node::{NodeState, SealedNode};
use seal::Mist;
use seal::identity::{LABEL_TRUST, TRUST_OPERATOR};
use serde::Serialize;

use super::Context;
use super::namespace::{Access, client};
use crate::failure::{Failure, Kind, Outcome};
use crate::output;
use crate::progress::Progress;

mod show;

const EXAMPLES: &str = "\
A node is there once its operator has registered it or its agent has asked to join. How it goes on
follows its seal: to take a node away, slash or revoke the seal (it is cut off at once), or let it
end (it is drained first). `kubectl drain` and `kubectl uncordon` work as ever meanwhile.

Examples:
  k3s-daas node list
  k3s-daas node list --state draining -o json
  k3s-daas node show worker-001";

/// Objects in one page.
const PAGE: u32 = 500;
/// What to do with nodes.
#[derive(Debug, clap::Subcommand)]
#[command(after_help = EXAMPLES)]
pub enum NodeCommand {
    /// Show the nodes that joined with a seal: where they are in their lives, and on what stake
    List(ListArgs),
    /// Show all that is known of one
    Show(ShowArgs),
}

/// Options of `node list`.
#[derive(Debug, clap::Args)]
pub struct ListArgs {
    /// Only nodes in this state
    #[arg(long, value_name = "STATE")]
    pub state: Option<StateName>,
    /// How the API server is reached.
    #[command(flatten)]
    pub access: Access,
}

/// Options of `node show`.
#[derive(Debug, clap::Args)]
pub struct ShowArgs {
    /// The node
    #[arg(value_name = "NODE")]
    pub name: String,
    /// How the API server is reached.
    #[command(flatten)]
    pub access: Access,
}

/// Where a node is in its life, as it is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum StateName {
    /// Registered; its agent has not asked to join yet
    Pending,
    /// Its seal is usable
    Active,
    /// Its seal ended without fault; its pods are being moved
    Draining,
    /// It has no place in the cluster
    Cut,
}

impl StateName {
    const fn state(self) -> NodeState {
        match self {
            Self::Pending => NodeState::Pending,
            Self::Active => NodeState::Active,
            Self::Draining => NodeState::Draining,
            Self::Cut => NodeState::Cut,
        }
    }
}

/// A node, as `node list` tells of it.
#[derive(Debug, Clone, Serialize)]
struct Listed {
    name: String,
    state: NodeState,
    /// Why it is there: `usable`, or how its seal ended.
    reason: Option<String>,
    /// What Kubernetes says of the machine: `ready`, `not_ready`, `unknown`, or `absent` where there
    /// is no Node.
    machine: &'static str,
    trusted: bool,
    tier: Option<String>,
    stake_mist: Option<u64>,
    expires: Option<String>,
    expires_at_ms: Option<u64>,
    drain_until_ms: Option<u64>,
    owner: String,
    heartbeat_age_seconds: Option<u64>,
}

/// Runs `node ...`.
pub async fn run(context: &Context, command: NodeCommand) -> Outcome {
    match command {
        NodeCommand::List(args) => list(context, args).await,
        NodeCommand::Show(args) => show::show(context, args).await,
    }
}

async fn list(context: &Context, args: ListArgs) -> Outcome {
    let path = args.access.path(context)?;
    let progress = Progress::start("asking the API server");
    let client = client(&path).await?;
    let asked = async {
        let sealed = all(&Api::<SealedNode>::all(client.clone())).await?;
        let nodes = all(&Api::<Node>::all(client.clone())).await?;
        Ok::<_, kube::Error>((sealed, nodes))
    };
    let found = asked.await;
    progress.done();
    let (sealed, nodes) = found.map_err(failed)?;
    let now = now_ms();
    let mut listed: Vec<Listed> = sealed
        .iter()
        .map(|one| {
            let node = nodes.iter().find(|node| node.name_any() == one.name_any());
            listed(one, node, now)
        })
        .filter(|one| args.state.is_none_or(|state| one.state == state.state()))
        .collect();
    listed.sort_by(|one, other| one.name.cmp(&other.name));
    output::print(context.format(), &listed, |listed| {
        if listed.is_empty() {
            return "there are no nodes that joined with a seal".to_owned();
        }
        let heading = [
            "node", "state", "reason", "machine", "tier", "stake", "expires", "owner",
        ];
        output::table(heading, listed.iter().map(row).collect())
    })
}

fn row(one: &Listed) -> [String; 8] {
    let or_dash = |text: Option<&str>| text.unwrap_or("-").to_owned();
    let machine = if one.trusted {
        format!("{}, trusted", one.machine)
    } else {
        one.machine.to_owned()
    };
    [
        one.name.clone(),
        label(one.state).to_owned(),
        or_dash(one.reason.as_deref()),
        machine,
        or_dash(one.tier.as_deref()),
        one.stake_mist.map_or_else(|| "-".to_owned(), in_sui),
        or_dash(one.expires.as_deref()),
        one.owner.clone(),
    ]
}

fn listed(sealed: &SealedNode, node: Option<&Node>, now_ms: u64) -> Listed {
    let status = sealed.status.clone().unwrap_or_default();
    let heartbeat = status.heartbeat.as_ref();
    let trusted = node.is_some_and(|node| {
        node.labels().get(LABEL_TRUST).map(String::as_str) == Some(TRUST_OPERATOR)
    });
    Listed {
        name: sealed.name_any(),
        state: status.state,
        machine: machine(node),
        trusted,
        heartbeat_age_seconds: heartbeat.map(|beat| now_ms.saturating_sub(beat.at_ms) / 1000),
        reason: status.reason,
        tier: status.tier,
        stake_mist: status.stake_mist,
        expires: status.expires,
        expires_at_ms: status.expires_at_ms,
        drain_until_ms: status.drain_until_ms,
        owner: sealed.spec.owner.clone(),
    }
}

/// What Kubernetes says of the machine.
fn machine(node: Option<&Node>) -> &'static str {
    let Some(node) = node else {
        return "absent";
    };
    let conditions = node.status.as_ref().and_then(|one| one.conditions.as_ref());
    let ready = conditions
        .into_iter()
        .flatten()
        .find(|condition| condition.type_ == "Ready")
        .map(|condition| condition.status.as_str());
    match ready {
        Some("True") => "ready",
        Some("False") => "not_ready",
        _ => "unknown",
    }
}

const fn label(state: NodeState) -> &'static str {
    match state {
        NodeState::Pending => "pending",
        NodeState::Active => "active",
        NodeState::Draining => "draining",
        NodeState::Cut => "cut",
    }
}

fn in_sui(mist: u64) -> String {
    format!("{} SUI", Mist(mist))
}

fn now_ms() -> u64 {
    u64::try_from(Timestamp::now().as_millisecond()).unwrap_or_default()
}

/// All objects of a kind, page by page.
async fn all<K>(api: &Api<K>) -> Result<Vec<K>, kube::Error>
where
    K: Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    let mut page = ListParams::default().limit(PAGE);
    let mut all = Vec::new();
    loop {
        let found = api.list(&page).await?;
        all.extend(found.items);
        match found.metadata.continue_ {
            Some(token) if !token.is_empty() => page = page.continue_token(&token),
            _ => return Ok(all),
        }
    }
}

fn failed(error: kube::Error) -> Failure {
    let (kind, next) = match &error {
        kube::Error::Api(status) if status.code == 404 => (
            Kind::Failed,
            "the API server knows no SealedNodes: start `k3s-daas server`, which makes the kind",
        ),
        kube::Error::Api(status) if matches!(status.code, 401 | 403) => (
            Kind::Failed,
            "give --kubeconfig: the operator's own, such as K3s's /etc/rancher/k3s/k3s.yaml",
        ),
        kube::Error::Api(_) => (Kind::Failed, "see the API server's log"),
        _ => (
            Kind::Unavailable,
            "see that the API server is there, and that --kubeconfig is its own",
        ),
    };
    Failure::new(kind, error)
        .context("the API server did not tell of the nodes")
        .next(next)
}

#[cfg(test)]
mod tests;
