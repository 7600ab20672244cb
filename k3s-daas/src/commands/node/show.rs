//! `node show`: all that is known of one.

use std::fmt::Write as _;

use k8s_openapi::api::core::v1::{Event, Node};
use kube::Client;
use kube::api::{Api, ListParams};
use node_admission::sealed_node::{Heartbeat, Registration, SealedNode};
use serde::Serialize;

use super::{Listed, PAGE, ShowArgs, failed, in_sui, label, listed, now_ms};
use crate::commands::Context;
use crate::commands::namespace::client;
use crate::failure::{Failure, Kind, Outcome};
use crate::output;
use crate::progress::Progress;

/// Events that are shown.
const EVENTS: usize = 10;

/// A node, as `node show` tells of it.
#[derive(Debug, Serialize)]
pub(super) struct Shown {
    #[serde(flatten)]
    pub(super) listed: Listed,
    pub(super) seal_id: String,
    pub(super) credential_hash: String,
    pub(super) addresses: Vec<String>,
    pub(super) unschedulable: bool,
    pub(super) taints: Vec<String>,
    pub(super) conditions: Vec<Said>,
    pub(super) registration: Option<Registration>,
    pub(super) heartbeat: Option<Heartbeat>,
    pub(super) events: Vec<Said>,
}

/// A condition or an event.
#[derive(Debug, Serialize)]
pub(super) struct Said {
    pub(super) what: String,
    pub(super) when: Option<String>,
    pub(super) message: String,
}

pub(super) async fn show(context: &Context, args: ShowArgs) -> Outcome {
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
                message: match condition.message.as_str() {
                    "" => condition.reason,
                    message => format!("{}: {message}", condition.reason),
                },
            })
            .collect(),
        registration: status.registration,
        heartbeat: status.heartbeat,
        events: events.collect(),
    }))
}

pub(super) fn for_people(shown: &Shown) -> String {
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
            format!("{ip_address}, cpu {cpu}, memory {memory}, storage {storage} (self-reported)"),
        ]);
    }
    if let (Some(heartbeat), Some(age)) = (&shown.heartbeat, one.heartbeat_age_seconds) {
        rows.push([
            "heartbeat".to_owned(),
            format!(
                "{age} s ago: cpu {}, memory {}, {} pods, {} containers (self-reported)",
                percent(heartbeat.cpu_usage),
                percent(heartbeat.memory_usage),
                count(heartbeat.pod_count),
                count(heartbeat.container_count)
            ),
        ]);
    }
    let mut text = facts(&rows);
    for (heading, all) in [("conditions", &shown.conditions), ("events", &shown.events)] {
        if !all.is_empty() {
            // Writing to a string can't fail.
            let _ = write!(text, "\n\n{heading}:");
        }
        for said in all {
            let when = said.when.as_deref().unwrap_or("-");
            let _ = write!(text, "\n  {when}  {}: {}", said.what, said.message);
        }
    }
    text
}

/// A share that the worker may not know.
fn percent(said: Option<f64>) -> String {
    said.map_or_else(|| "?".to_owned(), |said| format!("{said:.0} %"))
}

/// A number that the worker may not know.
fn count(said: Option<u32>) -> String {
    said.map_or_else(|| "?".to_owned(), |said| said.to_string())
}

/// One fact a line; what is empty is not told.
fn facts(rows: &[[String; 2]]) -> String {
    let told = rows.iter().filter(|[_, value]| !value.is_empty());
    let lines: Vec<String> = told
        .map(|[name, value]| format!("{name:<16} {value}"))
        .collect();
    lines.join("\n")
}
