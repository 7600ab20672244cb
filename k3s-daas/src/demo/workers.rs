//! The tour's part with a worker: it joined by its seal, its seal joins as nobody else, a slash
//! takes its Node and its calls, a restored stake brings it back without anybody touching it.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::requests::Request;
use super::{Row, until_as};
use crate::failure::{Kind, OrFail, Outcome};
use crate::progress::Progress;
use crate::secrets::write_private;
use crate::up::kubectl::{Answer, Reply};
use crate::up::workers::{Worker, Workers};
use crate::up::{Stage, operator};

/// A name that no seal was staked for.
const IMPOSTOR: &str = "worker-999";
/// Agents try again every five to nine seconds.
const IMPOSTOR_WITHIN: Duration = Duration::from_secs(45);
/// K3s's agents log the status that each try came to.
const NAME_REFUSED: &str = "400 Bad Request";
/// From a restored stake until the Node is Ready: kubelet reports every ten seconds.
const BACK_WITHIN: Duration = Duration::from_secs(90);

pub(super) async fn rows(
    stage: &Stage,
    workers: &Workers,
    progress: &Progress,
) -> Outcome<Vec<Row>> {
    let Some(worker) = workers.joined.first() else {
        return Ok(Vec::new());
    };
    let name = &worker.seal.name;
    progress.now("a worker: another name is refused, a slash evicts it");
    let kubelet = kubelet_kubeconfig(stage, worker)?;
    let own = Request::new(&format!("get node {name}"), Answer::Allowed);
    let since = Instant::now();
    let reply = stage.ask(&kubelet, &own.arguments).await?;
    let label = format!("(as the kubelet) {}", own.words());
    let mut rows = vec![
        ready(stage, worker).await?,
        Row::new(name, &label, own.expected, &reply, since.elapsed()),
        impostor(stage, workers, worker).await?,
    ];

    let since = Instant::now();
    operator::slash_seal(stage, worker.seal.hash()?).await?;
    let refused = Request {
        expected: Answer::Refused,
        ..own.clone()
    };
    let label = format!("(slashed, as the kubelet) {}", own.words());
    let cut = until_as(stage, name, &kubelet, &refused, &label, since);
    let admin = &stage.admin_kubeconfig;
    let words = format!("wait --for=delete node/{name} --timeout=2s");
    let gone = Request::new(&words, Answer::Allowed);
    let gone = until_as(
        stage,
        "operator",
        admin,
        &gone,
        "(slashed) its node is gone",
        since,
    );
    let (cut, gone) = tokio::try_join!(cut, gone)?;
    rows.extend([cut, gone]);

    progress.now("a restored stake brings the worker back");
    operator::restore_worker(stage, worker).await?;
    let since = Instant::now();
    let label = "(restored) its node is Ready again";
    rows.push(back(stage, is_ready(worker), label, since).await?);
    // K3s's cloud controller has completed it and taken the taint that keeps pods away.
    let words =
        format!("wait --for=jsonpath={{.spec.providerID}}=k3s://{name} node/{name} --timeout=2s");
    let completed = Request::new(&words, Answer::Allowed);
    let label = "(restored) its node takes pods again";
    rows.push(back(stage, completed, label, since).await?);
    Ok(rows)
}

/// What its start measured.
async fn ready(stage: &Stage, worker: &Worker) -> Outcome<Row> {
    let request = is_ready(worker);
    let reply = stage
        .ask(&stage.admin_kubeconfig, &request.arguments)
        .await?;
    let took = Duration::from_millis(worker.ready_ms);
    let label = "(joined by a seal) its node is Ready";
    Ok(Row::new("operator", label, request.expected, &reply, took))
}

async fn back(stage: &Stage, request: Request, label: &str, since: Instant) -> Outcome<Row> {
    loop {
        let reply = stage
            .ask(&stage.admin_kubeconfig, &request.arguments)
            .await?;
        let took = since.elapsed();
        if reply.answer == request.expected || took > BACK_WITHIN {
            return Ok(Row::new("operator", label, request.expected, &reply, took));
        }
        tokio::time::sleep(super::TRY_EVERY).await;
    }
}

fn is_ready(worker: &Worker) -> Request {
    let name = &worker.seal.name;
    let words = format!("wait --for=condition=Ready node/{name} --timeout=2s");
    Request::new(&words, Answer::Allowed)
}

/// An agent with the worker's token and another name: it gets no certificate, and no Node appears.
async fn impostor(stage: &Stage, workers: &Workers, worker: &Worker) -> Outcome<Row> {
    let since = Instant::now();
    let agent = workers.impostor(&stage.layout, worker, IMPOSTOR).await?;
    let words = format!("get node {IMPOSTOR}");
    let node = Request::new(&words, Answer::Refused);
    let mut answer = Answer::Error;
    let mut text = String::new();
    while since.elapsed() < IMPOSTOR_WITHIN {
        let reply = stage.ask(&stage.admin_kubeconfig, &node.arguments).await?;
        text = agent.log_tail();
        if reply.answer == Answer::Allowed {
            answer = Answer::Allowed;
            break;
        }
        if text.contains(NAME_REFUSED) {
            answer = Answer::Refused;
            break;
        }
        tokio::time::sleep(super::TRY_EVERY).await;
    }
    let took = since.elapsed();
    agent.stop().await;
    let reply = Reply { answer, text, took };
    let label = format!("(with its seal) joins as {IMPOSTOR}");
    Ok(Row::new(
        &worker.seal.name,
        &label,
        Answer::Refused,
        &reply,
        took,
    ))
}

/// A kubeconfig with the certificate that the worker's kubelet was given.
fn kubelet_kubeconfig(stage: &Stage, worker: &Worker) -> Outcome<PathBuf> {
    let agent = worker.folder.join("k3s/agent");
    let mut cluster = serde_json::json!({ "server": stage.cluster.url });
    if let (Some(ca), Some(cluster)) = (&stage.cluster.ca_pem, cluster.as_object_mut()) {
        cluster.insert(
            "certificate-authority-data".to_owned(),
            STANDARD.encode(ca).into(),
        );
    }
    let config = serde_json::json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{ "name": "c", "cluster": cluster }],
        "users": [{ "name": "kubelet", "user": {
            "client-certificate": agent.join("client-kubelet.crt"),
            "client-key": agent.join("client-kubelet.key"),
        }}],
        "contexts": [{ "name": "c", "context": { "cluster": "c", "user": "kubelet" } }],
        "current-context": "c",
    });
    let path = stage.layout.folder().join("kubeconfigs/kubelet.kubeconfig");
    write_private(&path, config.to_string().as_bytes())
        .or_fail(Kind::Failed, format!("can't write {}", path.display()))?;
    Ok(path)
}
