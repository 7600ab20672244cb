//! The webhooks down, slow, and answering badly, with tenants of each kind knocking at a real API
//! server: nobody is let in whom the webhooks would have to judge, whoever needs no webhook works
//! on, and all that was right comes back by itself.
//!
//! Two kinds of outage are told apart. Where nobody with the webhooks' key answers, or the answer
//! is no review, the API server can't tell and must refuse. Where somebody with that key answers a
//! review that says neither yes nor no, Kubernetes takes it for "no opinion" and asks RBAC next:
//! this is the word of our own key, and only what is authenticated by it is refused there.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use http::StatusCode;
use k3s_daas_tests::e2e::{Caller, Cluster, NODES, home, new_token, skipped};
use k3s_daas_tests::rig::{slash, stake};
use k3s_daas_tests::stand_in::{Behaviour, StandIn};
use seal::{Mist, SealToken};
use serde_json::json;
use sui_ledger::tx::{Call, Stake, Wallet};
use webhook_server::pki::DevPki;

/// Every 20 ms a checkpoint: what is measured here is the way, not the chain.
const INTERVAL: Duration = Duration::from_millis(20);
const TIERS: [(&str, u64); 4] = [
    ("viewer", 500_000_000),
    ("developer", 2_000_000_000),
    ("admin", 5_000_000_000),
    ("super", 10_000_000_000),
];
const DEVELOPER: Mist = Mist(2_000_000_000);
/// Who is not answered by then counts as not answered: longer than the API server's own timeout,
/// and than its retries after a 429.
const PATIENCE: Duration = Duration::from_secs(6);
/// The same where nobody answers, so that nothing is tried again.
const PATIENCE_WITH_SILENCE: Duration = Duration::from_secs(4);
/// Webhooks that start, namespaces that are read, and a busy machine.
const RECOVERY: Duration = Duration::from_secs(20);
/// The API server's timeout for an authorization is 3 s.
const JUST_IN_TIME: Duration = Duration::from_millis(2_300);
const TOO_LATE: Duration = Duration::from_millis(3_400);
/// An owner may have 16 seals; after so many turns others take their place.
const TURNS: usize = 14;
/// A namespace that is nobody's.
const PLAIN: &str = "plain";
/// A node with a seal. That there is no such machine does not matter to who may read what.
const NODE: &str = "worker-9";

/// When a caller is to be let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    /// No webhook has a say.
    Always,
    /// Unless the webhooks say no: what runs must not end with them.
    UnlessRefused,
    /// Whenever the webhooks can be asked.
    WhenAsked,
    /// Not in any case.
    Never,
}

/// What an outage is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outage {
    /// None: the webhooks answer in time.
    Late,
    /// The API server can't tell.
    Untold,
    /// A review with our key that says nothing.
    NoOpinion,
    /// A review with our key that says yes and no.
    Contradiction,
}

struct Knock {
    name: String,
    caller: Caller,
    path: String,
    due: Due,
    /// RBAC says yes where the webhooks say nothing, and the API server knows the caller already.
    bound: bool,
}

type Holder = (&'static str, Wallet, SealToken, String);

/// Those who knock, from one condition to the next.
struct Scene {
    cluster: Cluster,
    holders: Vec<Holder>,
    slashed: Wallet,
    long_slashed: SealToken,
    active_account: (Caller, String),
    ended_account: (Caller, String),
    plain_account: Caller,
    /// Times that everybody knocked.
    turn: usize,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn webhooks_that_fail_in_any_way_let_nobody_in() {
    let all = tokio::time::timeout(Duration::from_mins(4), all());
    all.await.expect("the outages took too long").unwrap();
}

async fn all() -> anyhow::Result<()> {
    let Some(cluster) = Cluster::start_without_gate(INTERVAL, &[]).await? else {
        skipped(
            "webhooks_down",
            "no control plane: set K3S_BIN or run `make control-plane`",
        );
        return Ok(());
    };
    let mut scene = Scene::set(cluster).await?;
    let mut table = Table::default();
    for (name, outage, behaviour) in conditions() {
        scene.outage(name, outage, behaviour, &mut table).await?;
    }
    scene.wrong_certificate(&mut table).await?;
    for (name, outage, by) in [
        ("2.3 s late", Outage::Late, JUST_IN_TIME),
        ("3.4 s late", Outage::Untold, TOO_LATE),
    ] {
        scene.late(name, outage, by, &mut table).await?;
    }
    scene.killed_in_the_middle(&mut table).await?;
    table.print();
    scene.cluster.stop().await;
    Ok(())
}

/// What stands in the webhooks' place; nothing where nobody listens.
fn conditions() -> Vec<(&'static str, Outage, Option<Behaviour>)> {
    use Behaviour::{Hangs, Mute, Says, SaysEach};
    let review = r#"{"apiVersion":"authorization.k8s.io/v1","kind":"SubjectAccessReview","status":{"allowed":true}}"#;
    let user = r#"{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","status":{"authenticated":true,"user":{"username":"root","groups":["system:masters"]}}}"#;
    vec![
        ("stopped", Outage::Untold, None),
        ("mute", Outage::Untold, Some(Mute)),
        ("never answering", Outage::Untold, Some(Hangs)),
        (
            "429",
            Outage::Untold,
            Some(Says(StatusCode::TOO_MANY_REQUESTS, "{}")),
        ),
        (
            "500",
            Outage::Untold,
            Some(Says(StatusCode::INTERNAL_SERVER_ERROR, "{}")),
        ),
        (
            "403 with a yes",
            Outage::Untold,
            Some(Says(StatusCode::FORBIDDEN, review)),
        ),
        (
            "garbage",
            Outage::Untold,
            Some(Says(StatusCode::OK, "<html>yes</html>")),
        ),
        ("nothing", Outage::Untold, Some(Says(StatusCode::OK, ""))),
        (
            "a list with a yes",
            Outage::Untold,
            Some(Says(
                StatusCode::OK,
                r#"[{"status":{"allowed":true,"authenticated":true}}]"#,
            )),
        ),
        (
            "the other review's yes",
            Outage::Untold,
            Some(SaysEach(review, user)),
        ),
        (
            "yes as a text",
            Outage::Untold,
            Some(Says(
                StatusCode::OK,
                r#"{"status":{"allowed":"true","authenticated":"true"}}"#,
            )),
        ),
        (
            "yes and no at once",
            Outage::Contradiction,
            Some(SaysEach(
                // An authentication that is refused without an error is kept for ten seconds.
                r#"{"status":{"error":"no user"}}"#,
                r#"{"status":{"allowed":true,"denied":true}}"#,
            )),
        ),
        ("{}", Outage::NoOpinion, Some(Says(StatusCode::OK, "{}"))),
        (
            "yes in the wrong place",
            Outage::NoOpinion,
            Some(SaysEach(
                r#"{"authenticated":true,"status":{"error":"no user"}}"#,
                r#"{"allowed":true}"#,
            )),
        ),
    ]
}

impl Scene {
    async fn set(cluster: Cluster) -> anyhow::Result<Self> {
        let operator = Caller::Operator;
        let plain = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": PLAIN}});
        cluster
            .create(&operator, "/api/v1/namespaces", &plain)
            .await?;
        let alice =
            json!({"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "alice"});
        cluster.bind(PLAIN, "alice", "view", &alice).await?;
        let plain_account = cluster.account(PLAIN, "robot", "view").await?;
        sealed_node(&cluster).await?;
        let holders = holders(&cluster).await?;
        let developer = holders.get(1).context("a developer")?;
        let namespace = home(&developer.1.address());
        let active_account = cluster.account(&namespace, "robot", "view").await?;
        let active_account = (active_account, own(&developer.1, "configmaps"));
        // Its last seal goes, its service account and what that is bound to stay.
        let (ended, token) = cluster.tenant(DEVELOPER).await?;
        usable(&cluster, &token, &own(&ended, "configmaps")).await?;
        let namespace = home(&ended.address());
        let ended_account = cluster.account(&namespace, "robot", "view").await?;
        let path = own(&ended, "configmaps");
        let call = Call::Revoke {
            cap: cluster.devnet.ids.caps.slash.context("a SlashCap")?,
            hash: token.credential_hash(),
            reason: "tested".to_owned(),
        };
        cluster.operator.call(&cluster.devnet.ids, &call).await?;
        cluster
            .until_said(&ended_account, &path, RECOVERY, |said| !said.ok())
            .await?;
        let (slashed, token) = cluster.tenant(DEVELOPER).await?;
        usable(&cluster, &token, &own(&slashed, "secrets")).await?;
        let call = slash(&cluster.devnet.ids, &token)?;
        cluster.operator.call(&cluster.devnet.ids, &call).await?;
        Ok(Self {
            cluster,
            holders,
            slashed,
            long_slashed: token,
            active_account,
            ended_account: (ended_account, path),
            plain_account,
            turn: 0,
        })
    }

    /// Everybody, with fresh seals for those whom the API server shall not know yet, and with one
    /// that was slashed a moment ago, whom it still knows.
    async fn knocks(&mut self) -> anyhow::Result<Vec<Knock>> {
        self.turn += 1;
        if self.turn.is_multiple_of(TURNS) {
            self.holders = holders(&self.cluster).await?;
            self.slashed = self.cluster.wallet().await?;
        }
        let ids = &self.cluster.devnet.ids;
        let just_slashed = new_token()?;
        stake(&self.slashed, ids, &just_slashed, DEVELOPER).await?;
        let secrets = own(&self.slashed, "secrets");
        usable(&self.cluster, &just_slashed, &secrets).await?;
        let call = slash(ids, &just_slashed)?;
        self.cluster.operator.call(ids, &call).await?;
        self.cluster
            .until(&just_slashed, &secrets, RECOVERY, |status| status != 200)
            .await?;

        let knock = |name: &str, caller: Caller, path: &str, due, bound| Knock {
            name: name.to_owned(),
            caller,
            path: path.to_owned(),
            due,
            bound,
        };
        let mut all = Vec::new();
        let fresh = self
            .holders
            .iter()
            .zip(TIERS)
            .map(async |(holder, (_, amount))| {
                let token = new_token()?;
                stake(&holder.1, ids, &token, Mist(amount)).await?;
                anyhow::Ok(token)
            });
        let fresh = futures::future::try_join_all(fresh).await?;
        for ((tier, _, token, path), fresh) in self.holders.iter().zip(&fresh) {
            usable(&self.cluster, token, path).await?;
            let bound = *tier == "developer";
            let (known, unknown) = (format!("{tier}, known"), format!("{tier}, new"));
            all.push(knock(&known, token.into(), path, Due::WhenAsked, bound));
            all.push(knock(&unknown, fresh.into(), path, Due::WhenAsked, false));
        }
        let ended = &self.ended_account;
        let node = |groups| Caller::As(format!("system:node:{NODE}"), groups);
        let alice = Caller::As("alice".to_owned(), &[]);
        let plain = format!("/api/v1/namespaces/{PLAIN}/configmaps");
        let own_node = format!("/api/v1/nodes/{NODE}");
        let secret = format!("/api/v1/namespaces/{PLAIN}/secrets/of-a-pod");
        let account = &self.active_account;
        all.extend([
            knock(
                "slashed, known",
                (&just_slashed).into(),
                &secrets,
                Due::Never,
                true,
            ),
            knock(
                "slashed long ago",
                (&self.long_slashed).into(),
                &secrets,
                Due::Never,
                false,
            ),
            knock(
                "account, active",
                account.0.clone(),
                &account.1,
                Due::WhenAsked,
                true,
            ),
            knock(
                "account, ended",
                ended.0.clone(),
                &ended.1,
                Due::Never,
                true,
            ),
            knock("stranger", (&new_token()?).into(), NODES, Due::Never, false),
            knock(
                "node's secret",
                node(&["system:nodes"]),
                &secret,
                Due::WhenAsked,
                true,
            ),
            knock(
                "node itself",
                node(&["system:nodes"]),
                &own_node,
                Due::UnlessRefused,
                true,
            ),
            knock(
                "operator",
                Caller::Operator,
                "/api/v1/secrets",
                Due::Always,
                true,
            ),
            knock("alice", alice, &plain, Due::Always, true),
            knock(
                "plain account",
                self.plain_account.clone(),
                &plain,
                Due::Always,
                true,
            ),
        ]);
        Ok(all)
    }

    /// Asks for all of them at once; 0 is no answer in time.
    async fn ask(&self, knocks: &[Knock], patience: Duration) -> anyhow::Result<Vec<u16>> {
        let asked = knocks.iter().map(async |knock| {
            let asked = async {
                let first = self.cluster.read(&knock.caller, &knock.path).await;
                // The client's first connections may race for who speaks HTTP/2.
                match first {
                    Ok(said) => Ok(said),
                    Err(_unsent) => self.cluster.read(&knock.caller, &knock.path).await,
                }
            };
            match tokio::time::timeout(patience, asked).await {
                Ok(said) => Ok(said.with_context(|| knock.name.clone())?.status),
                Err(_elapsed) => anyhow::Ok(0),
            }
        });
        futures::future::try_join_all(asked).await
    }

    /// The API server's first question may go over the connection that died with the webhooks: then
    /// they are away for that one, and nodes go on. The next one reaches who stands in for them.
    async fn ask_nodes_again(
        &self,
        knocks: &[Knock],
        answers: &mut [u16],
        patience: Duration,
    ) -> anyhow::Result<()> {
        for (knock, answer) in knocks.iter().zip(answers) {
            if knock.due == Due::UnlessRefused && let_in(*answer) {
                let again = self.ask(std::slice::from_ref(knock), patience).await?;
                *answer = again.first().copied().unwrap_or(*answer);
            }
        }
        Ok(())
    }

    async fn outage(
        &mut self,
        name: &'static str,
        outage: Outage,
        behaviour: Option<Behaviour>,
        table: &mut Table,
    ) -> anyhow::Result<()> {
        let pki = self.cluster.pki.clone();
        self.under(
            name,
            outage,
            behaviour.map(|behaviour| (pki, behaviour)),
            table,
        )
        .await
        .context(name)
    }

    async fn wrong_certificate(&mut self, table: &mut Table) -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let foreign = DevPki::generate(folder.path(), &names)?;
        let yes = r#"{"status":{"allowed":true,"authenticated":true,"user":{"username":"root","groups":["system:masters"]}}}"#;
        let behaviour = Behaviour::Says(StatusCode::OK, yes);
        let name = "yes by another key";
        self.under(name, Outage::Untold, Some((foreign, behaviour)), table)
            .await
            .context(name)
    }

    /// Breaks, asks, mends, and waits until all is well.
    async fn under(
        &mut self,
        name: &'static str,
        outage: Outage,
        stand_in: Option<(DevPki, Behaviour)>,
        table: &mut Table,
    ) -> anyhow::Result<()> {
        let knocks = self.knocks().await?;
        let address = self.cluster.webhooks_address();
        self.cluster.kill_server().await?;
        let patience = match &stand_in {
            Some((_, Behaviour::Mute | Behaviour::Hangs)) => PATIENCE_WITH_SILENCE,
            _ => PATIENCE,
        };
        let stand_in = match stand_in {
            Some((pki, behaviour)) => Some(StandIn::listen(address, &pki, behaviour).await?),
            None => None,
        };
        let mut answers = self.ask(&knocks, patience).await?;
        if outage == Outage::Contradiction {
            self.ask_nodes_again(&knocks, &mut answers, patience)
                .await?;
        }
        if let Some(stand_in) = stand_in {
            stand_in.end().await;
        }
        let back = self.mended(&knocks).await?;
        table.row(name, &knocks, &answers, back);
        judge(&knocks, &answers, outage)
    }

    async fn late(
        &mut self,
        name: &'static str,
        outage: Outage,
        by: Duration,
        table: &mut Table,
    ) -> anyhow::Result<()> {
        let knocks = self.knocks().await?;
        let address = self.cluster.webhooks_address();
        self.cluster.kill_server().await?;
        let elsewhere = self.cluster.start_server_elsewhere().await?;
        self.cluster.server_ready().await?;
        let pki = self.cluster.pki.clone();
        let stand_in = StandIn::listen(address, &pki, Behaviour::Delays(elsewhere, by)).await?;
        let answers = self.ask(&knocks, PATIENCE).await?;
        stand_in.end().await;
        self.cluster.kill_server().await?;
        let back = self.mended(&knocks).await?;
        table.row(name, &knocks, &answers, back);
        judge(&knocks, &answers, outage).context(name)
    }

    /// Everybody knocks all the time while the webhooks are killed and come back.
    async fn killed_in_the_middle(&mut self, table: &mut Table) -> anyhow::Result<()> {
        let knocks = self.knocks().await?;
        let mut worst = vec![0; knocks.len()];
        for round in 0..12 {
            match round {
                3 => self.cluster.kill_server().await?,
                6 => self.cluster.start_server().await?,
                _ => {}
            }
            let answers = self.ask(&knocks, PATIENCE).await?;
            for (knock, status) in knocks.iter().zip(&answers) {
                ensure!(
                    knock.due != Due::Never || !let_in(*status),
                    "{} was answered {status}",
                    knock.name
                );
                ensure!(
                    knock.due != Due::Always || let_in(*status),
                    "{} was answered {status}",
                    knock.name
                );
            }
            if round == 3 {
                judge(&knocks, &answers, Outage::Untold)?;
                worst = answers;
            }
        }
        let back = self.all_back(&knocks).await?;
        table.row("killed in the middle", &knocks, &worst, back);
        Ok(())
    }

    /// The webhooks are started again; gives the time until everybody is answered rightly.
    async fn mended(&mut self, knocks: &[Knock]) -> anyhow::Result<Duration> {
        self.cluster.start_server().await?;
        self.all_back(knocks).await
    }

    async fn all_back(&self, knocks: &[Knock]) -> anyhow::Result<Duration> {
        let started = Instant::now();
        loop {
            let answers = self.ask(knocks, PATIENCE).await?;
            let wrong = knocks
                .iter()
                .zip(&answers)
                .find(|(knock, status)| let_in(**status) != (knock.due != Due::Never));
            let Some((knock, status)) = wrong else {
                return Ok(started.elapsed());
            };
            ensure!(knock.due != Due::Never, "{}: {status}", knock.name);
            ensure!(
                started.elapsed() < RECOVERY,
                "{} is answered {status} after the webhooks are back",
                knock.name
            );
        }
    }
}

/// Whether each answer is one that may be given in the outage.
fn judge(knocks: &[Knock], answers: &[u16], outage: Outage) -> anyhow::Result<()> {
    for (knock, status) in knocks.iter().zip(answers) {
        let right = match (knock.due, outage) {
            (Due::Always, _) => let_in(*status),
            (Due::UnlessRefused, outage) => let_in(*status) == (outage != Outage::Contradiction),
            (Due::WhenAsked, Outage::Late) => let_in(*status),
            (Due::Never, Outage::Late)
            | (Due::WhenAsked | Due::Never, Outage::Untold | Outage::Contradiction) => {
                !let_in(*status)
            }
            // Then RBAC decides about those whom the API server knows.
            (Due::WhenAsked | Due::Never, Outage::NoOpinion) => knock.bound || !let_in(*status),
        };
        ensure!(right, "{} was answered {status}", knock.name);
    }
    Ok(())
}

/// That there is no such thing is said only to who may know.
fn let_in(status: u16) -> bool {
    status == 404 || (200..300).contains(&status)
}

fn own(wallet: &Wallet, kind: &str) -> String {
    format!("/api/v1/namespaces/{}/{kind}", home(&wallet.address()))
}

async fn usable(cluster: &Cluster, token: &SealToken, path: &str) -> anyhow::Result<()> {
    cluster
        .until(token, path, RECOVERY, |status| status == 200)
        .await
        .map(drop)
}

/// One of each tier, with what it may read.
async fn holders(cluster: &Cluster) -> anyhow::Result<Vec<Holder>> {
    let mut holders = Vec::new();
    for (tier, amount) in TIERS {
        let (wallet, token) = cluster.tenant(Mist(amount)).await?;
        let path = match tier {
            "viewer" => NODES.to_owned(),
            "developer" => own(&wallet, "configmaps"),
            "admin" => format!("/api/v1/namespaces/{PLAIN}/pods"),
            _ => "/api/v1/secrets".to_owned(),
        };
        usable(cluster, &token, &path).await?;
        holders.push((tier, wallet, token, path));
    }
    Ok(holders)
}

/// A node with a seal, a pod on it, and the Secret that the pod mounts.
async fn sealed_node(cluster: &Cluster) -> anyhow::Result<()> {
    let joined = Stake {
        amount: Mist(500_000_000),
        hash: new_token()?.credential_hash(),
        node: Some(NODE.parse()?),
        namespace: None,
        validity_ms: 0,
    };
    let wallet = cluster.wallet().await?;
    wallet.stake(&cluster.devnet.ids, joined).await?;
    let namespace = format!("/api/v1/namespaces/{PLAIN}");
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "of-a-pod"},
        "stringData": {"key": "value"},
    });
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        // Pods of machines that are not there are collected after 40 s; this one stays.
        "metadata": {"name": "on-a-node", "finalizers": ["example.org/kept"]},
        "spec": {
            "nodeName": NODE,
            "containers": [{"name": "main", "image": "registry.k8s.io/pause:3.10"}],
            "volumes": [{"name": "secret", "secret": {"secretName": "of-a-pod"}}],
        },
    });
    let account = format!("{namespace}/serviceaccounts/default");
    cluster
        .until_said(&Caller::Operator, &account, RECOVERY, |said| said.ok())
        .await?;
    let operator = Caller::Operator;
    cluster
        .create(&operator, &format!("{namespace}/secrets"), &secret)
        .await?;
    cluster
        .create(&operator, &format!("{namespace}/pods"), &pod)
        .await
}

/// Who was answered what in which outage.
#[derive(Default)]
struct Table {
    rows: Vec<(&'static str, BTreeMap<String, u16>, Duration)>,
    callers: Vec<String>,
}

impl Table {
    fn row(&mut self, name: &'static str, knocks: &[Knock], answers: &[u16], back: Duration) {
        self.callers = knocks.iter().map(|knock| knock.name.clone()).collect();
        let answers = knocks.iter().zip(answers);
        let answers = answers.map(|(knock, status)| (knock.name.clone(), *status));
        self.rows.push((name, answers.collect(), back));
    }

    fn print(&self) {
        let mut text = String::from("| caller ");
        for number in 1..=self.rows.len() {
            let _ = write!(text, "| {number} ");
        }
        text.push_str("|\n");
        for caller in &self.callers {
            let _ = write!(text, "| {caller} ");
            for (_, answers, _) in &self.rows {
                match answers.get(caller) {
                    Some(0) | None => text.push_str("| – "),
                    Some(status) => {
                        let _ = write!(text, "| {status} ");
                    }
                }
            }
            text.push_str("|\n");
        }
        for (number, (name, _, back)) in self.rows.iter().enumerate() {
            let back = back.as_millis();
            let _ = writeln!(
                text,
                "{}: {name}; all well again after {back} ms",
                number + 1
            );
        }
        println!("{text}");
    }
}
