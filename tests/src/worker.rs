//! Workers without machines: a seal that names a node, the review by which K3s's supervisor lets it
//! in, and kubelets that are their certificate and nothing else.
//!
//! Shape:  [`Cluster::worker`] stakes; [`Supervisor::review`] asks the token webhook as K3s's
//!         supervisor does, which is in the server's process and so nowhere in Kubernetes from its
//!         modules; [`ClientCa`] signs what K3s would sign for the identity that was answered;
//!         [`Kubelet`] goes on with that certificate, over HTTP, at the real API server.
//! Errors: whatever is not as K3s v1.36.3 was seen to have it.

mod ca;
mod kubelet;
mod pods;
mod supervisor;
mod watched;

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use http::Method;
use seal::{Mist, NodeName, ObjectId, SealToken};
use serde_json::{Value, json};
use sui_ledger::contract::Config;
use sui_ledger::tx::{Call, Stake, Wallet};

use crate::e2e::{Caller, Cluster, Said, new_token};
use crate::rig;

pub use ca::ClientCa;
pub use kubelet::{Adopted, Kubelet};
pub use pods::{MACHINES, Running};
pub use supervisor::{Review, Supervisor};
pub use watched::{Seen, Watched};

/// Everything comes within this, on a busy machine too.
pub const WITHIN: Duration = Duration::from_secs(90);
/// The pause between two looks.
pub const LOOK: Duration = Duration::from_millis(50);
/// The least stake of a worker.
pub const LEAST: Mist = Mist(500_000_000);
const UNINITIALIZED: &str = "node.cloudprovider.kubernetes.io/uninitialized";

/// A seal that names a node.
pub struct Worker {
    /// The node.
    pub name: NodeName,
    /// Whose it is.
    pub wallet: Arc<Wallet>,
    /// The token of now.
    pub token: SealToken,
}

impl Cluster {
    /// A new account that has staked for a node.
    pub async fn worker(&self, name: &str) -> anyhow::Result<Worker> {
        let wallet = Arc::new(self.wallet().await?);
        self.worker_of(&wallet, name, 0).await
    }

    /// One more node of an account.
    pub async fn worker_of(
        &self,
        wallet: &Arc<Wallet>,
        name: &str,
        validity_ms: u64,
    ) -> anyhow::Result<Worker> {
        let (name, token): (NodeName, _) = (name.parse()?, new_token()?);
        let stake = Stake {
            amount: LEAST,
            hash: token.credential_hash(),
            node: Some(name.clone()),
            namespace: None,
            validity_ms,
        };
        wallet.stake(&self.devnet.ids, stake).await?;
        Ok(Worker {
            name,
            wallet: Arc::clone(wallet),
            token,
        })
    }

    /// Seals may expire after so many milliseconds from now on.
    pub async fn validity_from(&self, validity_min_ms: u64) -> anyhow::Result<()> {
        let ids = &self.devnet.ids;
        let cap = ids.caps.admin.context("an AdminCap")?;
        let pool = sui_ledger::reads::read_pool(self.operator.client(), ids).await?;
        let config = Config {
            validity_min_ms,
            ..pool.value.config
        };
        for call in [
            Call::AnnounceConfig { cap, config },
            Call::ApplyConfig { cap },
        ] {
            self.operator.call(ids, &call).await?;
        }
        Ok(())
    }

    /// Slashes a seal.
    pub async fn slash(&self, token: &SealToken) -> anyhow::Result<()> {
        let call = rig::slash(&self.devnet.ids, token)?;
        self.operator.call(&self.devnet.ids, &call).await?;
        Ok(())
    }

    /// A SealedNode, as the operator sees it.
    pub async fn sealed_node(&self, name: &str) -> anyhow::Result<Said> {
        let path = format!("/apis/k3s-daas.io/v1/sealednodes/{name}");
        self.read(&Caller::Operator, &path).await
    }

    /// Waits until a SealedNode is in a state.
    pub async fn state_is(&self, name: &str, state: &str) -> anyhow::Result<Value> {
        let path = format!("/apis/k3s-daas.io/v1/sealednodes/{name}");
        let is = |said: &Said| text(&said.body, "/status/state") == state;
        let (_, said) = self
            .until_said(&Caller::Operator, &path, WITHIN, is)
            .await
            .with_context(|| format!("{name} should be {state}"))?;
        Ok(said.body)
    }

    /// A Node, as the operator sees it.
    pub async fn node(&self, name: &str) -> anyhow::Result<Said> {
        self.read(&Caller::Operator, &node_path(name)).await
    }

    /// Waits until a Node is as wanted.
    pub async fn node_until(
        &self,
        name: &str,
        wanted: impl Fn(&Said) -> bool,
    ) -> anyhow::Result<Said> {
        let path = node_path(name);
        let (_, said) = self
            .until_said(&Caller::Operator, &path, WITHIN, wanted)
            .await?;
        Ok(said)
    }

    /// Waits until there is no such Node.
    pub async fn node_gone(&self, name: &str) -> anyhow::Result<()> {
        let gone = self.node_until(name, |said| said.status == 404).await;
        gone.map(drop)
            .with_context(|| format!("the Node {name} should go"))
    }

    /// Does what K3s's cloud controller does with a Node that bears the taint for it; where that
    /// runs, waits for it.
    pub async fn completed(&self, name: &str) -> anyhow::Result<()> {
        let began = Instant::now();
        loop {
            let node = self.node(name).await?.done()?;
            let taints = node.pointer("/spec/taints").and_then(Value::as_array);
            let Some(index) = taints
                .into_iter()
                .flatten()
                .position(|taint| text(taint, "/key") == UNINITIALIZED)
            else {
                return Ok(());
            };
            let at = format!("/spec/taints/{index}");
            let patch = json!([
                {"op": "test", "path": format!("{at}/key"), "value": UNINITIALIZED},
                {"op": "remove", "path": at},
            ]);
            let said = self.json_patch(&node_path(name), &patch).await?;
            ensure!(said.ok() || began.elapsed() < WITHIN, "{said:?}");
        }
    }
}

impl Worker {
    /// What its agent joins with.
    pub fn credential(&self) -> String {
        self.token.join_credential().reveal().as_str().to_owned()
    }

    /// The seal's object, by which its owner manages it.
    pub async fn object(&self, cluster: &Cluster) -> anyhow::Result<ObjectId> {
        let tokens = self.wallet.tokens(&cluster.devnet.ids).await?;
        let hash = self.token.credential_hash();
        let found = tokens.iter().find(|token| token.hash == hash);
        Ok(found.context("the wallet has no such seal")?.id)
    }

    /// The owner's call.
    pub async fn call(&self, cluster: &Cluster, call: &Call) -> anyhow::Result<()> {
        self.wallet.call(&cluster.devnet.ids, call).await?;
        Ok(())
    }

    /// The owner asks for its stake: the seal ends without fault.
    pub async fn unstake(&self, cluster: &Cluster) -> anyhow::Result<()> {
        let token = self.object(cluster).await?;
        self.call(cluster, &Call::RequestUnstake { token }).await
    }

    /// The owner adds stake.
    pub async fn restake(&self, cluster: &Cluster) -> anyhow::Result<()> {
        let token = self.object(cluster).await?;
        let amount = LEAST;
        self.call(cluster, &Call::Restake { token, amount }).await
    }

    /// The owner stakes anew for the same name.
    pub async fn stake_again(&mut self, cluster: &Cluster) -> anyhow::Result<()> {
        let again = cluster
            .worker_of(&self.wallet, self.name.as_str(), 0)
            .await?;
        self.token = again.token;
        Ok(())
    }

    /// The owner changes the token.
    pub async fn refresh(&mut self, cluster: &Cluster) -> anyhow::Result<()> {
        let (object, token) = (self.object(cluster).await?, new_token()?);
        let call = Call::Refresh {
            token: object,
            new_hash: token.credential_hash(),
            validity_ms: 0,
        };
        self.call(cluster, &call).await?;
        self.token = token;
        Ok(())
    }

    /// Asks until the supervisor's review says yes, as an agent does.
    pub async fn let_in(&self, supervisor: &Supervisor) -> anyhow::Result<()> {
        let began = Instant::now();
        let wanted = Review::node(self.name.as_str());
        loop {
            let review = supervisor.review(&self.credential()).await?;
            if review == wanted {
                return Ok(());
            }
            let refused = !matches!(review, Review::As { .. });
            ensure!(refused, "{} was answered {review:?}", self.name);
            ensure!(began.elapsed() < WITHIN, "{}: {review:?}", self.name);
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Joins as far as a machine can: reviewed, certified for the identity that was answered, its
    /// Node adopted and Ready.
    pub async fn join(
        &self,
        cluster: &Cluster,
        ca: &ClientCa,
        address: Ipv4Addr,
        pool: &str,
    ) -> anyhow::Result<Arc<Kubelet>> {
        let supervisor = Supervisor::of(cluster)?;
        self.let_in(&supervisor)
            .await
            .context("the supervisor's review")?;
        let kubelet = Kubelet::of(cluster, ca, self.name.as_str())?;
        kubelet.adopt().await?;
        kubelet.ready(address, pool).await?;
        kubelet.renew().await.context("its lease")?;
        cluster.completed(self.name.as_str()).await?;
        let open = |said: &Said| said.ok() && is_ready(&said.body) && taints(&said.body).is_empty();
        let open = cluster.node_until(self.name.as_str(), open).await;
        open.context("its Node should be open for pods")?;
        Ok(Arc::new(kubelet))
    }
}

/// The path of a Node.
pub fn node_path(name: &str) -> String {
    format!("/api/v1/nodes/{name}")
}

/// The text at a pointer; empty where there is none.
pub fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// The keys of a Node's taints.
pub fn taints(node: &Value) -> Vec<&str> {
    let taints = node.pointer("/spec/taints").and_then(Value::as_array);
    taints
        .into_iter()
        .flatten()
        .map(|taint| text(taint, "/key"))
        .collect()
}

/// Whether a Node is Ready.
pub fn is_ready(node: &Value) -> bool {
    let conditions = node.pointer("/status/conditions").and_then(Value::as_array);
    conditions
        .into_iter()
        .flatten()
        .any(|one| text(one, "/type") == "Ready" && text(one, "/status") == "True")
}

impl Cluster {
    async fn json_patch(&self, path: &str, patch: &Value) -> anyhow::Result<Said> {
        self.operator_sends(Method::PATCH, path, "application/json-patch+json", patch)
            .await
    }
}
