//! The tour's open streams: a slash ends those of the slashed, and nobody else's.

use std::time::{Duration, Instant};

use seal::Tier;
use serde_json::json;

use super::Row;
use super::requests::Request;
use crate::failure::{Failure, Kind, Outcome};
use crate::secrets::write_private;
use crate::up::Stage;
use crate::up::kubectl::{Answer, Following, Reply};
use crate::up::tenants::Tenant;

/// A slash, a checkpoint, and far more.
const ENDS_WITHIN: Duration = Duration::from_secs(20);
/// Audit events come within a second; nobody is slashed before the gate knows who is who.
const KNOWN_WITHIN: Duration = Duration::from_secs(20);
/// For so long after the others' end it is looked whether a stream goes on.
const GOES_ON: Duration = Duration::from_millis(500);
/// Pulled and started by then.
const RUNS_WITHIN: Duration = Duration::from_mins(1);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// What workers of the tour have: see `tests/tools/images.sh`.
const IMAGE: &str = "docker.io/k3s-daas/busy:1";
const POD: &str = "ticks";

/// Streams that the admin and the developer have open.
#[derive(Debug)]
pub(super) struct Streams {
    /// The admin's, with what was typed for each.
    ending: Vec<(String, Following)>,
    staying: (String, Following),
    names: [String; 2],
}

impl Streams {
    /// Opens them and waits until the gate knows whose they are.
    pub(super) async fn open(stage: &Stage) -> Outcome<Self> {
        let (admin, other) = (stage.tenant(Tier::Admin)?, stage.tenant(Tier::Developer)?);
        let namespaces = format!("get namespaces {} -w", admin.namespace);
        let mut ending = vec![(
            "get namespace -w".to_owned(),
            follow(stage, admin, &namespaces).await?,
        )];
        if stage.workers.is_empty() {
            let configmaps = format!("get configmaps -n {} -w", admin.namespace);
            let label = "get configmaps -w".to_owned();
            ending.push((label, follow(stage, admin, &configmaps).await?));
        } else {
            run_pod(stage, admin).await?;
            let logs = format!("logs -f {POD} -n {}", admin.namespace);
            ending.push(("logs -f".to_owned(), follow(stage, admin, &logs).await?));
        }
        let namespace = format!("get namespaces {} -w", other.namespace);
        let staying = follow(stage, other, &namespace).await?;
        known(stage, admin, ending.len()).await?;
        known(stage, other, 1).await?;
        Ok(Self {
            ending,
            staying: ("get namespace -w".to_owned(), staying),
            names: [admin.name.clone(), other.name.clone()],
        })
    }

    /// Waits for their ends.
    pub(super) async fn rows(&mut self, since: Instant) -> Outcome<Vec<Row>> {
        let [admin, other] = &self.names;
        let ends = self.ending.iter_mut().map(async |(words, stream)| {
            let ended = stream.ends(ENDS_WITHIN).await?;
            let took = since.elapsed();
            let label = format!("(slashed) its open {words}");
            Ok::<_, Failure>(row(admin, &label, Answer::Ended, ended, took))
        });
        let mut rows = futures::future::try_join_all(ends).await?;
        let (words, stream) = &mut self.staying;
        let ended = stream.ends(GOES_ON).await?;
        let label = format!("(another is slashed) its open {words}");
        rows.push(row(other, &label, Answer::Open, ended, since.elapsed()));
        Ok(rows)
    }
}

fn row(tenant: &str, label: &str, expected: Answer, ended: bool, took: Duration) -> Row {
    let answer = if ended { Answer::Ended } else { Answer::Open };
    let reply = Reply {
        answer,
        text: String::new(),
        took,
    };
    Row::new(tenant, label, expected, &reply, took)
}

async fn follow(stage: &Stage, tenant: &Tenant, words: &str) -> Outcome<Following> {
    let request = Request::new(words, Answer::Open);
    let kubectl = &stage.kubectl;
    kubectl.follow(&tenant.kubeconfig, &request.arguments).await
}

/// Waits until the gate has seen a tenant's seal on so many connections.
async fn known(stage: &Stage, tenant: &Tenant, count: usize) -> Outcome {
    let gate = stage.gate.as_ref();
    let gate = gate.ok_or_else(|| Failure::message(Kind::Failed, "there is no gate"))?;
    let hash = tenant.hash()?.to_string();
    let began = Instant::now();
    loop {
        let connections = gate.connections();
        let of_it = connections.iter().filter(|connection| {
            let mut users = connection.users.iter();
            users.any(|user| user.hash.as_deref() == Some(hash.as_str()))
        });
        if of_it.count() >= count {
            return Ok(());
        }
        if began.elapsed() > KNOWN_WITHIN {
            let text = format!("no audit event told the gate of {}'s streams", tenant.name);
            return Err(Failure::message(Kind::Failed, text)
                .next("see the control plane's log for its audit webhook"));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// A pod that prints a line a second, on a worker.
async fn run_pod(stage: &Stage, tenant: &Tenant) -> Outcome {
    let none = json!({
        "allowPrivilegeEscalation": false,
        "capabilities": { "drop": ["ALL"] },
    });
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": POD, "namespace": tenant.namespace },
        "spec": {
            "automountServiceAccountToken": false,
            "terminationGracePeriodSeconds": 1,
            "restartPolicy": "Never",
            "securityContext": {
                "runAsNonRoot": true,
                "seccompProfile": { "type": "RuntimeDefault" },
            },
            "containers": [{
                "name": POD,
                "image": IMAGE,
                "imagePullPolicy": "Never",
                "securityContext": none,
            }],
        },
    });
    let path = stage.layout.folder().join("ticks.json");
    write_private(&path, pod.to_string().as_bytes())?;
    let create = Request::new(&format!("create -f {}", path.display()), Answer::Allowed);
    let created = stage.ask(&tenant.kubeconfig, &create.arguments).await?;
    if created.answer != Answer::Allowed {
        return Err(Failure::message(Kind::Failed, created.text).context("no pod can be made"));
    }
    let words = format!(
        "wait --for=condition=Ready pod/{POD} -n {} --timeout=8s",
        tenant.namespace
    );
    let ready = Request::new(&words, Answer::Allowed);
    let began = Instant::now();
    loop {
        let reply = stage.ask(&tenant.kubeconfig, &ready.arguments).await?;
        if reply.answer == Answer::Allowed {
            return Ok(());
        }
        if began.elapsed() > RUNS_WITHIN {
            return Err(Failure::message(Kind::Failed, reply.text).context("the pod does not run"));
        }
    }
}
