//! The scripted tour: real kubectl requests of each tenant, ways up that the guards refuse, a
//! restake, a refresh, a slash and what it ends (open streams too), a restake and what it brings back, the same for a
//! worker where there is one; a table of what was expected and what came, and a failure when any
//! line differs.

use std::path::Path;
use std::time::{Duration, Instant};

use seal::Tier;
use serde::Serialize;

use crate::failure::{Failure, Kind, Outcome};
use crate::output::{self, Format};
use crate::progress::Progress;
use crate::up::kubectl::{Answer, Reply};
use crate::up::tenants::Tenant;
use crate::up::workers::Workers;
use crate::up::{Stage, operator};

mod requests;
mod streams;
mod workers;

use requests::{Request, of};
use streams::Streams;

/// How long a change may take until kubectl sees it: the API server's cache of authentications
/// (10 s, and 10 s more that are fixed), a checkpoint and a margin.
const CHANGE_WITHIN: Duration = Duration::from_secs(40);
/// The pause between two tries while waiting for a change.
const TRY_EVERY: Duration = Duration::from_millis(50);

/// One line of the table.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// Who asks.
    pub tenant: String,
    /// What is asked.
    pub request: String,
    /// What the tier says.
    pub expected: Answer,
    /// What came.
    pub got: Answer,
    /// How long it took: the request, or the time from a change on chain to its effect.
    pub ms: u64,
    /// Whether both agree.
    pub ok: bool,
    /// What kubectl said, where both differ.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub said: Option<String>,
}

impl Row {
    fn new(tenant: &str, request: &str, expected: Answer, reply: &Reply, took: Duration) -> Self {
        let ok = reply.answer == expected;
        Self {
            tenant: tenant.to_owned(),
            request: request.to_owned(),
            expected,
            got: reply.answer,
            ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            ok,
            said: (!ok).then(|| reply.text.clone()),
        }
    }
}

/// The whole table.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Whether every line is as expected.
    pub ok: bool,
    /// Which control plane answered.
    pub control_plane: String,
    /// Which kubectl asked.
    pub kubectl: String,
    /// Milliseconds from sending the slash to kubectl's first refusal, both included.
    pub slash_to_refusal_ms: u64,
    /// The lines.
    pub rows: Vec<Row>,
}

/// Takes the tour.
pub async fn tour(stage: &Stage, workers: Option<&Workers>) -> Outcome<Report> {
    let progress = Progress::told("asking as each tenant");
    let mut rows = Vec::new();
    for tier in Tier::ALL {
        let tenant = stage.tenant(tier)?;
        for request in of(tier, stage)? {
            rows.push(asked(stage, tenant, &request).await?);
        }
    }
    rows.push(stranger(stage).await?);
    progress.now("restake: a viewer becomes a developer");
    rows.extend(restake(stage).await?);
    progress.now("refresh: the developer's old token is retired");
    rows.extend(refresh(stage).await?);
    progress.now("slash: the admin loses access");
    let mut streams = Streams::open(stage).await?;
    let since = Instant::now();
    let (slashed, ended) = tokio::try_join!(slash(stage), streams.rows(since))?;
    let slash_to_refusal_ms = slashed.ms;
    rows.push(slashed);
    rows.extend(ended);
    drop(streams);
    progress.now("the admin's workloads end after the grace; a restake brings them back");
    rows.extend(end_and_return(stage).await?);
    if let Some(workers) = workers {
        rows.extend(workers::rows(stage, workers, &progress).await?);
    }
    progress.done();
    Ok(Report {
        ok: rows.iter().all(|row| row.ok),
        control_plane: stage.control_plane.clone(),
        kubectl: stage.kubectl.words(),
        slash_to_refusal_ms,
        rows,
    })
}

/// Prints the table; a failure when a line is not as expected.
pub fn print(format: Format, report: &Report) -> Outcome {
    output::print(format, report, |report| {
        let rows = report.rows.iter().map(|row| {
            let mark = if row.ok { "" } else { "  <-- not as expected" };
            [
                row.tenant.clone(),
                row.request.clone(),
                row.expected.label().to_owned(),
                format!("{}{mark}", row.got.label()),
                row.ms.to_string(),
            ]
        });
        let heading = ["tenant", "request", "expected", "got", "ms"];
        let table = output::table(heading, rows.collect());
        let said = report.rows.iter().filter_map(|row| {
            let said = row.said.as_ref()?;
            Some(format!("\n{} {}:\n  {said}", row.tenant, row.request))
        });
        format!(
            "{table}\n\ncontrol plane: {}; kubectl: {}\nfrom sending the slash to kubectl's refusal: {} ms{}",
            report.control_plane,
            report.kubectl,
            report.slash_to_refusal_ms,
            said.collect::<String>(),
        )
    })?;
    if report.ok {
        return Ok(());
    }
    let wrong = report.rows.iter().filter(|row| !row.ok).count();
    Err(
        Failure::message(Kind::Failed, format!("{wrong} lines are not as expected"))
            .next("see the lines marked above, and the log of the webhooks with --log debug"),
    )
}

async fn asked(stage: &Stage, tenant: &Tenant, request: &Request) -> Outcome<Row> {
    let reply = stage.ask(&tenant.kubeconfig, &request.arguments).await?;
    let took = reply.took;
    Ok(Row::new(
        &tenant.name,
        &request.words(),
        request.expected,
        &reply,
        took,
    ))
}

/// A token that nobody staked for.
async fn stranger(stage: &Stage) -> Outcome<Row> {
    let kubeconfig = stage.stranger()?;
    let request = Request::new("get nodes", Answer::Refused);
    let reply = stage.ask(&kubeconfig, &request.arguments).await?;
    let took = reply.took;
    Ok(Row::new(
        "nobody",
        &request.words(),
        request.expected,
        &reply,
        took,
    ))
}

/// Asks again until the answer is the one expected, and gives the time since `since`.
async fn until(
    stage: &Stage,
    tenant: &Tenant,
    request: &Request,
    label: &str,
    since: Instant,
) -> Outcome<Row> {
    until_as(
        stage,
        &tenant.name,
        &tenant.kubeconfig,
        request,
        label,
        since,
    )
    .await
}

/// The same as whoever the kubeconfig says.
async fn until_as(
    stage: &Stage,
    name: &str,
    kubeconfig: &Path,
    request: &Request,
    label: &str,
    since: Instant,
) -> Outcome<Row> {
    loop {
        let reply = stage.ask(kubeconfig, &request.arguments).await?;
        let took = since.elapsed();
        if reply.answer == request.expected || took > CHANGE_WITHIN {
            return Ok(Row::new(name, label, request.expected, &reply, took));
        }
        tokio::time::sleep(TRY_EVERY).await;
    }
}

/// The viewer stakes up to the developer's threshold; its namespace comes with it.
async fn restake(stage: &Stage) -> Outcome<Vec<Row>> {
    let tenant = stage.tenant(Tier::Viewer)?;
    let namespace = &tenant.namespace;
    let create = Request::new(
        &format!("create configmap raised -n {namespace}"),
        Answer::Allowed,
    );
    let before = Request {
        expected: Answer::Refused,
        ..create.clone()
    };
    let mut rows = vec![asked(stage, tenant, &before).await?];
    operator::restake(stage, tenant, "1.5").await?;
    let since = Instant::now();
    let label = format!("(restaked 1.5 SUI) {}", create.words());
    rows.push(until(stage, tenant, &create, &label, since).await?);
    Ok(rows)
}

/// The developer's token is replaced: the new one works, the old one does not.
async fn refresh(stage: &Stage) -> Outcome<Vec<Row>> {
    let tenant = stage.tenant(Tier::Developer)?;
    let request = Request::new("get nodes", Answer::Allowed);
    let old = operator::refresh(stage, tenant).await?;
    let since = Instant::now();
    let with_old = Request {
        expected: Answer::Refused,
        ..request.clone()
    };
    let old = Tenant {
        kubeconfig: old,
        ..tenant.clone()
    };
    Ok(vec![
        until(
            stage,
            &old,
            &with_old,
            "(refreshed, old token) get nodes",
            since,
        )
        .await?,
        until(
            stage,
            tenant,
            &request,
            "(refreshed, new token) get nodes",
            since,
        )
        .await?,
    ])
}

/// The admin loses a tenth of its stake, and everything with it. Asked all along, so that the time
/// is that from sending the slash to the first refusal.
async fn slash(stage: &Stage) -> Outcome<Row> {
    let tenant = stage.tenant(Tier::Admin)?;
    let request = Request::new("get nodes", Answer::Refused);
    let since = Instant::now();
    let refused = until(stage, tenant, &request, "(slashed) get nodes", since);
    let ((), row) = tokio::try_join!(operator::slash(stage, tenant), refused)?;
    Ok(row)
}

/// What a slash ends, seen by the operator: after the grace the workloads are scaled away. Restoring
/// the stake brings them back as they were.
async fn end_and_return(stage: &Stage) -> Outcome<Vec<Row>> {
    let tenant = stage.tenant(Tier::Admin)?;
    let operator = Tenant {
        name: "operator".to_owned(),
        kubeconfig: stage.admin_kubeconfig.clone(),
        ..tenant.clone()
    };
    let namespace = &tenant.namespace;
    let in_state = |state: &str| {
        let label = "{.metadata.labels.k3s-daas\\.io/state}";
        format!("wait --for=jsonpath={label}={state} namespace/{namespace} --timeout=2s")
    };
    let replicas = |count: u8| {
        format!(
            "wait --for=jsonpath={{.spec.replicas}}={count} deployment/kept -n {namespace} \
             --timeout=2s"
        )
    };
    let mut rows = Vec::new();
    let since = Instant::now();
    let stopped = [
        (
            in_state("stopped"),
            "(slashed, after the grace) its namespace is stopped",
        ),
        (
            replicas(0),
            "(slashed, after the grace) its deployment has no replicas",
        ),
    ];
    for (words, label) in stopped {
        let request = Request::new(&words, Answer::Allowed);
        rows.push(until(stage, &operator, &request, label, since).await?);
    }
    // A tenth of the 5 SUI was taken.
    operator::restake(stage, tenant, "0.5").await?;
    let since = Instant::now();
    let nodes = Request::new("get nodes", Answer::Allowed);
    rows.push(until(stage, tenant, &nodes, "(restored 0.5 SUI) get nodes", since).await?);
    let back = [
        (in_state("active"), "(restored) its namespace is active"),
        (
            replicas(2),
            "(restored) its deployment has its 2 replicas again",
        ),
    ];
    for (words, label) in back {
        let request = Request::new(&words, Answer::Allowed);
        rows.push(until(stage, &operator, &request, label, since).await?);
    }
    Ok(rows)
}
