//! `node`: machines that joined with a seal, for the operator.

use k8s_openapi::api::core::v1::{Event, Node};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, ListParams};
use kube::{Client, ResourceExt};
use node_admission::sealed_node::{Heartbeat, NodeState, Registration, SealedNode};
use seal::Mist;
use seal::identity::{LABEL_TRUST, TRUST_OPERATOR};
use serde::Serialize;

use super::Context;
use super::namespace::{Access, client};
use crate::failure::{Failure, Kind, Outcome};
use crate::output;
use crate::progress::Progress;

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
/// Events that are shown.
const EVENTS: usize = 10;

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

/// A node, as `node show` tells of it.
#[derive(Debug, Serialize)]
struct Shown {
    #[serde(flatten)]
    listed: Listed,
    seal_id: String,
    credential_hash: String,
    addresses: Vec<String>,
    unschedulable: bool,
    taints: Vec<String>,
    conditions: Vec<Said>,
    registration: Option<Registration>,
    heartbeat: Option<Heartbeat>,
    events: Vec<Said>,
}

/// A condition or an event.
#[derive(Debug, Serialize)]
struct Said {
    what: String,
    when: Option<String>,
    message: String,
}

/// Runs `node ...`.
pub async fn run(context: &Context, command: NodeCommand) -> Outcome {
    match command {
        NodeCommand::List(args) => list(context, args).await,
        NodeCommand::Show(args) => show(context, args).await,
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

async fn show(context: &Context, args: ShowArgs) -> Outcome {
    let path = args.access.path(context)?;
    let progress = Progress::start("asking the API server");
    let client = client(&path).await?;
    let found = find(&client, &args.name).await;
    progress.done();
    let Some(shown) = found.map_err(failed)? else {
        return Err(Failure::message(
            Kind::Failed,
            format!("no node {} joined with a seal, or is about to", args.name),
        )
        .next("`k3s-daas node list` shows them; the others are shown by `kubectl get nodes`"));
    };
    output::print(context.format(), &shown, for_people)
}

async fn find(client: &Client, name: &str) -> Result<Option<Shown>, kube::Error> {
    let sealed: Api<SealedNode> = Api::all(client.clone());
    let Some(sealed) = sealed.get_opt(name).await? else {
        return Ok(None);
    };
    let nodes: Api<Node> = Api::all(client.clone());
    let node = nodes.get_opt(name).await?;
    let events: Api<Event> = Api::namespaced(client.clone(), "default");
    let about = format!("involvedObject.kind=Node,involvedObject.name={name}");
    let about = ListParams::default().fields(&about).limit(PAGE);
    let mut events = events.list(&about).await?.items;
    events.sort_by_key(|event| event.last_timestamp.clone().map(|time| time.0));
    let skipped = events.len().saturating_sub(EVENTS);
    let events = events.into_iter().skip(skipped).map(|event| Said {
        what: event.reason.unwrap_or_default(),
        when: event.last_timestamp.map(|time| time.0.to_string()),
        message: event.message.unwrap_or_default(),
    });
    let status = sealed.status.clone().unwrap_or_default();
    let spec = node.as_ref().and_then(|node| node.spec.as_ref());
    let addresses = node.as_ref().and_then(|node| node.status.as_ref());
    let addresses = addresses.and_then(|status| status.addresses.as_ref());
    let taints = spec.and_then(|spec| spec.taints.as_ref());
    Ok(Some(Shown {
        listed: listed(&sealed, node.as_ref(), now_ms()),
        seal_id: sealed.spec.seal_id.clone(),
        credential_hash: sealed.spec.credential_hash.clone(),
        addresses: addresses
            .into_iter()
            .flatten()
            .map(|one| format!("{} {}", one.type_, one.address))
            .collect(),
        unschedulable: spec.and_then(|spec| spec.unschedulable).unwrap_or(false),
        taints: taints
            .into_iter()
            .flatten()
            .map(|taint| {
                let value = taint.value.as_deref().unwrap_or_default();
                format!("{}={value}:{}", taint.key, taint.effect)
            })
            .collect(),
        conditions: status
            .conditions
            .into_iter()
            .map(|condition| Said {
                what: format!("{} {}", condition.type_, condition.status),
                when: Some(condition.last_transition_time.0.to_string()),
                message: format!("{}: {}", condition.reason, condition.message),
            })
            .collect(),
        registration: status.registration,
        heartbeat: status.heartbeat,
        events: events.collect(),
    }))
}

fn for_people(shown: &Shown) -> String {
    let one = &shown.listed;
    let or_dash = |text: Option<&str>| text.unwrap_or("-").to_owned();
    let mut rows = vec![
        ["node".to_owned(), one.name.clone()],
        ["state".to_owned(), label(one.state).to_owned()],
        ["reason".to_owned(), or_dash(one.reason.as_deref())],
        ["machine".to_owned(), one.machine.to_owned()],
        ["trusted".to_owned(), one.trusted.to_string()],
        ["tier".to_owned(), or_dash(one.tier.as_deref())],
        [
            "stake".to_owned(),
            one.stake_mist.map_or_else(|| "-".to_owned(), in_sui),
        ],
        ["expires".to_owned(), or_dash(one.expires.as_deref())],
        ["owner".to_owned(), one.owner.clone()],
        ["seal".to_owned(), shown.seal_id.clone()],
        ["credential hash".to_owned(), shown.credential_hash.clone()],
        ["addresses".to_owned(), shown.addresses.join(", ")],
        ["taints".to_owned(), shown.taints.join(", ")],
    ];
    if shown.unschedulable {
        rows.push(["cordoned".to_owned(), "true".to_owned()]);
    }
    if let Some(registered) = &shown.registration {
        let Registration {
            ip_address,
            cpu,
            memory,
            storage,
            ..
        } = registered;
        rows.push([
            "registered as".to_owned(),
            format!("{ip_address}, cpu {cpu}, memory {memory}, storage {storage}"),
        ]);
    }
    if let (Some(heartbeat), Some(age)) = (&shown.heartbeat, one.heartbeat_age_seconds) {
        rows.push([
            "heartbeat".to_owned(),
            format!(
                "{age} s ago: cpu {:.0} %, memory {:.0} %, {} pods, {} containers",
                heartbeat.cpu_usage,
                heartbeat.memory_usage,
                heartbeat.pod_count,
                heartbeat.container_count
            ),
        ]);
    }
    for (heading, all) in [("condition", &shown.conditions), ("event", &shown.events)] {
        for said in all {
            let when = said.when.as_deref().unwrap_or("-");
            rows.push([
                heading.to_owned(),
                format!("{when} {}: {}", said.what, said.message),
            ]);
        }
    }
    output::table(["", ""], rows)
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
mod tests {
    use serde_json::json;

    use super::*;

    fn sealed() -> SealedNode {
        serde_json::from_value(json!({
            "apiVersion": "k3s-daas.io/v1",
            "kind": "SealedNode",
            "metadata": { "name": "worker-001" },
            "spec": { "owner": "0x01", "sealId": "0x02", "credentialHash": "03" },
            "status": {
                "state": "Draining",
                "reason": "expired",
                "stakeMist": 500_000_000,
                "tier": "viewer",
                "heartbeat": {
                    "atMs": 10_000, "sentMs": 9_000, "cpuUsage": 1.0, "memoryUsage": 2.0,
                    "podCount": 3, "containerCount": 4, "networkRx": 5, "networkTx": 6,
                },
            },
        }))
        .unwrap()
    }

    fn node(ready: &str) -> Node {
        serde_json::from_value(json!({
            "metadata": { "name": "worker-001", "labels": { LABEL_TRUST: "operator" } },
            "status": { "conditions": [{ "type": "Ready", "status": ready }] },
        }))
        .unwrap()
    }

    #[test]
    fn a_row_says_where_a_node_is_in_its_life_and_what_kubernetes_says_of_it() {
        let one = listed(&sealed(), Some(&node("True")), 12_500);
        assert_eq!(one.heartbeat_age_seconds, Some(2));
        assert_eq!(
            row(&one),
            [
                "worker-001",
                "draining",
                "expired",
                "ready, trusted",
                "viewer",
                "0.5 SUI",
                "-",
                "0x01"
            ]
        );
    }

    #[test]
    fn a_machine_is_ready_only_when_kubernetes_says_so() {
        assert_eq!(machine(None), "absent");
        for (status, said) in [
            ("True", "ready"),
            ("False", "not_ready"),
            ("Unknown", "unknown"),
        ] {
            assert_eq!(machine(Some(&node(status))), said);
        }
        assert_eq!(machine(Some(&Node::default())), "unknown");
    }

    #[test]
    fn states_are_typed_as_they_are_shown() {
        use clap::ValueEnum as _;
        for state in StateName::value_variants() {
            let typed = state.to_possible_value().unwrap();
            assert_eq!(typed.get_name(), label(state.state()));
        }
    }
}
