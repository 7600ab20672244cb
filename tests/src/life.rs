//! A tenant with everything that ends with its seal: workloads of each kind, a service account in
//! use, an open watch. What happens to them is waited for and timed.

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use seal::{Mist, ObjectId, SealToken};
use serde_json::{Value, json};
use sui_ledger::tx::{Call, Stake, Wallet};
use tokio_util::task::AbortOnDropHandle;

use crate::e2e::{Caller, Cluster, Said, home, new_token};

/// Everything comes within this.
pub const WITHIN: Duration = Duration::from_secs(60);
/// The pause between two looks at several objects.
const LOOK: Duration = Duration::from_millis(50);
/// Pods of the Deployment, the StatefulSet, and the bare one.
pub const PODS: usize = REPLICAS + 2 + 1;
const REPLICAS: usize = 3;

/// A tenant from its first stake on.
pub struct Life<'a> {
    cluster: &'a Cluster,
    what: &'static str,
    /// The owner's account.
    pub wallet: Wallet,
    /// The owner's token of now.
    pub token: SealToken,
    namespace: String,
    account: Caller,
    watch: AbortOnDropHandle<()>,
    times: Vec<String>,
}

impl<'a> Life<'a> {
    /// Stakes and waits until all of it runs.
    pub async fn begin(
        cluster: &'a Cluster,
        what: &'static str,
        amount: Mist,
        validity_ms: u64,
    ) -> anyhow::Result<Self> {
        let wallet = cluster.wallet().await?;
        let token = new_token()?;
        let stake = Stake {
            amount,
            hash: token.credential_hash(),
            node: None,
            namespace: None,
            validity_ms,
        };
        wallet.stake(&cluster.devnet.ids, stake).await?;
        let namespace = home(&wallet.address());
        let owner = Caller::from(&token);
        let pods = format!("/api/v1/namespaces/{namespace}/pods");
        cluster
            .until_said(&owner, &pods, WITHIN, Said::ok)
            .await
            .context(what)?;
        let account = cluster.account(&namespace, "robot", "view").await?;
        for (path, body) in workloads() {
            let path = path.replace("NAMESPACE", &namespace);
            cluster.create(&owner, &path, &body).await.context(what)?;
        }
        let Caller::Token(of_account) = &account else {
            anyhow::bail!("an account has a token");
        };
        // On a connection of its own: what ends others is not to end it.
        let client = cluster.client_at(Ipv4Addr::LOCALHOST.into())?;
        let mut watch = cluster.watch_with(client, of_account, &pods, &[]).await?;
        let watch = AbortOnDropHandle::new(tokio::spawn(async move {
            watch.breaks_off_at_last().await;
        }));
        let life = Self {
            cluster,
            what,
            wallet,
            token,
            namespace,
            account,
            watch,
            times: Vec::new(),
        };
        life.all_runs(PODS).await?;
        Ok(life)
    }

    /// The path of its namespace.
    pub fn namespace_path(&self) -> String {
        format!("/api/v1/namespaces/{}", self.namespace)
    }

    async fn look(&self, path: &str) -> anyhow::Result<Value> {
        let said = self.cluster.read(&Caller::Operator, path).await?;
        said.done().with_context(|| path.to_owned())
    }

    async fn object_of(&self, group: &str, object: &str) -> anyhow::Result<Value> {
        let path = format!("/apis/{group}/v1/namespaces/{}/{object}", self.namespace);
        self.look(&path).await
    }

    /// The label of its state.
    pub async fn state(&self) -> anyhow::Result<String> {
        let namespace = self.look(&self.namespace_path()).await?;
        let label = namespace.pointer("/metadata/labels/k3s-daas.io~1state");
        Ok(text(label))
    }

    /// The namespace's uid.
    pub async fn uid(&self) -> anyhow::Result<String> {
        let namespace = self.look(&self.namespace_path()).await?;
        Ok(text(namespace.pointer("/metadata/uid")))
    }

    async fn until<T>(
        &self,
        wanted: &str,
        mut look: impl AsyncFnMut() -> anyhow::Result<Result<T, String>>,
    ) -> anyhow::Result<T> {
        let started = Instant::now();
        loop {
            let found = match look().await? {
                Ok(value) => return Ok(value),
                Err(found) => found,
            };
            ensure!(
                started.elapsed() < WITHIN,
                "{}: wanted {wanted}, found {found}",
                self.what
            );
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits for a state.
    pub async fn state_is(&self, wanted: &str) -> anyhow::Result<()> {
        let look = async || {
            let state = self.state().await?;
            Ok(if state == wanted { Ok(()) } else { Err(state) })
        };
        self.until(&format!("state {wanted}"), look).await
    }

    /// Waits until its owner may use it: asks, as that is what brings it about.
    pub async fn active(&self) -> anyhow::Result<()> {
        let path = format!("{}/configmaps", self.namespace_path());
        let owner = Caller::from(&self.token);
        self.cluster
            .until_said(&owner, &path, WITHIN, Said::ok)
            .await
            .context(self.what)?;
        self.state_is("active").await
    }

    /// The replicas that its workloads are to have, whether the CronJob is suspended, and pods.
    async fn runs(&self) -> anyhow::Result<(u64, u64, bool, usize)> {
        let number = |object: &Value| object.pointer("/spec/replicas").and_then(Value::as_u64);
        let web = self.object_of("apps", "deployments/web").await?;
        let db = self.object_of("apps", "statefulsets/db").await?;
        let tick = self.object_of("batch", "cronjobs/tick").await?;
        let suspended = tick.pointer("/spec/suspend").and_then(Value::as_bool);
        let pods = self
            .look(&format!("{}/pods", self.namespace_path()))
            .await?;
        let pods = pods.get("items").and_then(Value::as_array);
        Ok((
            number(&web).context("replicas")?,
            number(&db).context("replicas")?,
            suspended.unwrap_or_default(),
            pods.context("items")?.len(),
        ))
    }

    /// Waits until everything runs, with so many pods.
    pub async fn all_runs(&self, pods: usize) -> anyhow::Result<()> {
        let wanted = (REPLICAS as u64, 2, false, pods);
        let look = async || {
            let runs = self.runs().await?;
            Ok(if runs == wanted {
                Ok(())
            } else {
                Err(format!("{runs:?}"))
            })
        };
        self.until(&format!("{wanted:?}"), look).await
    }

    /// Waits until one of the workloads is scaled so.
    pub async fn one_is_scaled_to(&self, replicas: u64) -> anyhow::Result<()> {
        let look = async || {
            let (web, db, ..) = self.runs().await?;
            let done = web == replicas || (db == 0) == (replicas == 0);
            Ok(if done { Ok(()) } else { Err(format!("{web}")) })
        };
        self.until(&format!("{replicas} replicas"), look).await
    }

    /// Waits until the quota of pods is so.
    pub async fn pods_allowed(&self, wanted: &str) -> anyhow::Result<()> {
        let path = format!("{}/resourcequotas/k3s-daas-quota", self.namespace_path());
        let look = async || {
            let quota = self.look(&path).await?;
            let pods = text(quota.pointer("/spec/hard/pods"));
            Ok(if pods == wanted { Ok(()) } else { Err(pods) })
        };
        self.until(&format!("{wanted} pods"), look).await
    }

    /// What the service account is answered.
    pub async fn account_once(&self) -> anyhow::Result<Said> {
        let path = format!("{}/configmaps", self.namespace_path());
        self.cluster.read(&self.account, &path).await
    }

    /// Waits for an answer to the service account; gives the time that took.
    pub async fn account_says(&self, wanted: impl Fn(&Said) -> bool) -> anyhow::Result<Duration> {
        let path = format!("{}/configmaps", self.namespace_path());
        let until = self
            .cluster
            .until_said(&self.account, &path, WITHIN, wanted);
        Ok(until.await.context(self.what)?.0)
    }

    async fn owner_refused(&self) -> anyhow::Result<()> {
        let path = format!("{}/configmaps", self.namespace_path());
        let owner = Caller::from(&self.token);
        let refused = |said: &Said| !said.ok();
        self.cluster
            .until_said(&owner, &path, WITHIN, refused)
            .await
            .context(self.what)?;
        Ok(())
    }

    /// The seal's object, by which its owner manages it.
    pub async fn object(&self) -> anyhow::Result<ObjectId> {
        let tokens = self.wallet.tokens(&self.cluster.devnet.ids).await?;
        let hash = self.token.credential_hash();
        let found = tokens.iter().find(|token| token.hash == hash);
        Ok(found.context("the wallet has no such seal")?.id)
    }

    /// Stakes for a new token.
    pub async fn stakes_again(&mut self, amount: Mist) -> anyhow::Result<()> {
        let token = new_token()?;
        crate::rig::stake(&self.wallet, &self.cluster.devnet.ids, &token, amount).await?;
        self.token = token;
        Ok(())
    }

    /// Sends what ends it, and times the end from there.
    pub async fn ends_by(&mut self, signer: Option<&Wallet>, call: &Call) -> anyhow::Result<()> {
        let at = Instant::now();
        let signer = signer.unwrap_or(&self.wallet);
        signer.call(&self.cluster.devnet.ids, call).await?;
        self.ended_since(at).await
    }

    /// Times the end from this moment.
    pub async fn ended_since(&mut self, at: Instant) -> anyhow::Result<()> {
        let times = tokio::try_join!(
            since(at, self.owner_refused()),
            since(at, self.account_says(|said| !said.ok())),
            since(at, self.watch_ended()),
            since(at, self.state_is("ended")),
            since(at, self.pods_allowed("0")),
        )?;
        let times = [times.0, times.1, times.3, times.4];
        self.times = times.map(milliseconds).into();
        Ok(())
    }

    /// Waits until the watch of its service account has ended, which the gate sees to.
    async fn watch_ended(&self) -> anyhow::Result<()> {
        let look = async || {
            Ok(if self.watches() {
                Err("open".to_owned())
            } else {
                Ok(())
            })
        };
        self.until("its watch to end", look).await
    }

    /// Waits until its workloads are scaled away.
    pub async fn stops(&mut self) -> anyhow::Result<()> {
        let at = Instant::now();
        self.state_is("stopped").await?;
        let look = async || {
            let (web, db, suspended, pods) = self.runs().await?;
            let stopped = (web, db, suspended, pods) == (0, 0, true, 0);
            Ok(if stopped {
                Ok(())
            } else {
                Err(format!("{:?}", (web, db, suspended, pods)))
            })
        };
        self.until("nothing that runs", look).await?;
        ensure!(
            !self.account_once().await?.ok(),
            "{}: its account still works",
            self.what
        );
        self.times.push(milliseconds(at.elapsed()));
        Ok(())
    }

    /// Waits until all is as it was, but for the bare pod, which nothing makes again.
    pub async fn is_back(&mut self, at: Instant) -> anyhow::Result<()> {
        self.active().await?;
        self.all_runs(PODS - 1).await?;
        self.pods_allowed("50").await?;
        let back = milliseconds(at.elapsed());
        self.account_says(Said::ok).await?;
        self.times.push(back);
        self.times.push(milliseconds(at.elapsed()));
        Ok(())
    }

    /// Nothing ends for this long.
    pub async fn stays_for(&self, time: Duration) -> anyhow::Result<()> {
        let at = Instant::now();
        while at.elapsed() < time {
            let state = self.state().await?;
            ensure!(state == "active", "{}: state {state}", self.what);
            ensure!(self.account_once().await?.ok(), "{}: account", self.what);
            tokio::time::sleep(LOOK).await;
        }
        self.all_runs(PODS).await
    }

    /// Whether the watch of its service account goes on.
    pub fn watches(&self) -> bool {
        !self.watch.is_finished()
    }

    /// A line of the table.
    pub fn line(&self) -> String {
        let mut line = format!("| {} ", self.what);
        for time in &self.times {
            let _ = write!(line, "| {time} ");
        }
        let watch = if self.watches() { "open" } else { "ended" };
        let _ = write!(line, "| watch {watch} |");
        line
    }
}

/// How long after `at` it happened.
async fn since<T>(
    at: Instant,
    happens: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<Duration> {
    happens.await?;
    Ok(at.elapsed())
}

fn milliseconds(time: Duration) -> String {
    format!("{} ms", time.as_millis())
}

fn text(value: Option<&Value>) -> String {
    let text = value.and_then(Value::as_str);
    text.unwrap_or_default().to_owned()
}

/// One of each kind, under Pod Security `restricted`.
fn workloads() -> Vec<(&'static str, Value)> {
    let pod = |policy: &str| {
        json!({
            "restartPolicy": policy,
            "automountServiceAccountToken": false,
            "securityContext": {
                "runAsNonRoot": true, "runAsUser": 65532,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [{
                "name": "main", "image": "registry.k8s.io/pause:3.10",
                "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}},
                "securityContext": {
                    "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]},
                },
            }],
        })
    };
    let template = |app: &str| json!({"metadata": {"labels": {"app": app}}, "spec": pod("Always")});
    let selector = |app: &str| json!({"matchLabels": {"app": app}});
    vec![
        (
            "/apis/apps/v1/namespaces/NAMESPACE/deployments",
            json!({
                "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
                "spec": {"replicas": REPLICAS, "selector": selector("web"), "template": template("web")},
            }),
        ),
        (
            "/apis/apps/v1/namespaces/NAMESPACE/statefulsets",
            json!({
                "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "db"},
                "spec": {
                    "replicas": 2, "serviceName": "db", "podManagementPolicy": "Parallel",
                    "selector": selector("db"), "template": template("db"),
                },
            }),
        ),
        (
            "/apis/apps/v1/namespaces/NAMESPACE/daemonsets",
            json!({
                "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "agent"},
                "spec": {"selector": selector("agent"), "template": template("agent")},
            }),
        ),
        (
            "/apis/batch/v1/namespaces/NAMESPACE/cronjobs",
            json!({
                "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "tick"},
                "spec": {
                    "schedule": "0 0 29 2 *",
                    "jobTemplate": {"spec": {"template": {"spec": pod("Never")}}},
                },
            }),
        ),
        (
            "/api/v1/namespaces/NAMESPACE/pods",
            json!({
                "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bare"},
                "spec": pod("Always"),
            }),
        ),
    ]
}
