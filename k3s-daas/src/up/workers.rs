//! The workers of `up`: machines of namespaces on this one, each of which joins by a seal.
//!
//! Shape:  [`Place::find`] says what is missing before anything starts and takes a network;
//!         [`stake`] is what a worker's operator does (a stake for the node's name, the token in a
//!         file); [`Workers::start`] writes the agent's token and starts stock agents.
//! Why:    nobody in here reads K3s's own static token: the seal is all that a worker has.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use k3s_configs::access::{CaHash, join_token};
use k3s_configs::launch::agent::{self, Agent, AgentNetwork, AgentOptions};
use k3s_configs::launch::{Binary, ControlPlane};
use seal::{CredentialHash, Mist, NodeName, Thresholds};
use serde::Serialize;
use zeroize::Zeroizing;

use super::Layout;
use super::kubectl::{Answer, Kubectl};
use super::tenants::{remove, wallet};
use crate::chain::{Chain, faucet};
use crate::commands::stake::{self, Order, TokenPlace, read_token};
use crate::failure::{Failure, Kind, OrFail, Outcome};
use crate::seals::{Seals, now};
use crate::secrets::write_private;

/// For many small stakes, and what the tour takes and gives back.
const FUNDS: Mist = Mist(20 * Mist::PER_SUI);
/// From an agent's start until its Node is Ready. Measured: 4 s on two idle cores.
const READY_WITHIN: Duration = Duration::from_mins(2);
/// More would not fit a machine that also runs everything else.
const MOST: u16 = 20;

/// Where workers are, or could be.
#[derive(Debug)]
pub struct Place {
    network: AgentNetwork,
    tools: PathBuf,
    images: Vec<PathBuf>,
    count: u16,
}

/// A worker's seal.
#[derive(Debug, Clone, Serialize)]
pub struct WorkerSeal {
    /// The node's name, which the seal was staked for.
    pub name: String,
    /// The file of its seal token.
    pub token_file: PathBuf,
}

impl WorkerSeal {
    /// The hash of the token that its file holds now.
    pub fn hash(&self) -> Outcome<CredentialHash> {
        Ok(read_token(&self.token_file)?.credential_hash())
    }
}

/// A worker that joined.
#[derive(Debug, Clone, Serialize)]
pub struct Worker {
    /// Its seal.
    #[serde(flatten)]
    pub seal: WorkerSeal,
    /// The file of the agent's token, derived from the seal.
    pub join_token_file: PathBuf,
    /// Its address.
    pub address: Ipv4Addr,
    /// Its folder.
    pub folder: PathBuf,
    /// Milliseconds from the agent's start until its Node was Ready.
    pub ready_ms: u64,
}

/// The workers, running.
#[derive(Debug)]
pub struct Workers {
    /// Those that joined.
    pub joined: Vec<Worker>,
    agents: Vec<Agent>,
    binary: Binary,
    join_url: String,
    // Last, so that no agent outlives its network.
    place: Place,
}

impl Place {
    /// Takes a network for this many workers; nothing where none are wanted.
    pub fn find(layout: &Layout, count: u16) -> Outcome<Option<Self>> {
        if count == 0 {
            return Ok(None);
        }
        if count > MOST {
            let text = format!("{count} workers are more than one machine can be; at most {MOST}");
            return Err(Failure::message(Kind::Usage, text));
        }
        let tools = folder("K3S_DAAS_CONTAINERD", "containerd.sh");
        let missing = agent::missing(&tools);
        if let Some(first) = missing.first() {
            let all: Vec<&str> = missing.iter().map(|one| one.what.as_str()).collect();
            let text = format!("no worker can run here: {}", all.join("; "));
            return Err(Failure::message(Kind::Usage, text).next(first.next.clone()));
        }
        let images = folder("K3S_DAAS_IMAGES", "images.sh");
        let images = ["pause", "busy"].map(|name| images.join(format!("{name}.tar")));
        let network = AgentNetwork::create_again(&layout.folder().join("network"))
            .or_fail(Kind::Failed, "there is no network for workers")?;
        Ok(Some(Self {
            network,
            tools,
            // Without, nodes become Ready all the same, and pods have to come from a registry.
            images: images.into_iter().filter(|path| path.is_file()).collect(),
            count,
        }))
    }

    /// Where the control plane is to listen.
    pub fn server_address(&self) -> Ipv4Addr {
        self.network.server_address()
    }

    /// The names of the nodes.
    fn names(&self) -> Outcome<Vec<NodeName>> {
        (1..=self.count)
            .map(|number| {
                let name = format!("worker-{number:03}");
                name.parse()
                    .or_fail(Kind::Failed, "a worker's name is wrong")
            })
            .collect()
    }
}

/// The folder that a script of `tests/tools` fills: by a variable, else where the script says.
fn folder(variable: &str, script: &str) -> PathBuf {
    if let Some(path) = std::env::var_os(variable).filter(|value| !value.is_empty()) {
        return path.into();
    }
    let script = Path::new("tests/tools").join(script);
    let said = std::process::Command::new("bash")
        .arg(&script)
        .arg("--path")
        .output();
    let path = said
        .ok()
        .filter(|output| output.status.success())
        .and_then(|output| String::from_utf8(output.stdout).ok());
    path.map_or_else(|| PathBuf::from("."), |path| path.trim_end().into())
}

/// Stakes for every worker, as one operator of machines with a wallet of its own.
pub async fn stake(
    layout: &Layout,
    chain: &Chain,
    faucet_url: &str,
    place: Option<&Place>,
) -> Outcome<Vec<WorkerSeal>> {
    let Some(place) = place else {
        return Ok(Vec::new());
    };
    let key = wallet(&layout.workers_wallet())?;
    let address = key.address();
    let chain = chain.with_wallet(key);
    let mut seals = Vec::new();
    for name in place.names()? {
        let seal = WorkerSeal {
            token_file: layout.worker(name.as_str()).join("seal.token"),
            name: name.to_string(),
        };
        if !usable(&chain, &seal, &name).await? {
            faucet::fund(faucet_url, &address, FUNDS, &chain).await?;
            stake_one(layout, &chain, &seal, name).await?;
        }
        seals.push(seal);
    }
    Ok(seals)
}

async fn usable(chain: &Chain, seal: &WorkerSeal, name: &NodeName) -> Outcome<bool> {
    if !seal.token_file.exists() {
        return Ok(false);
    }
    let record = chain.record(&seal.hash()?).await?;
    let thresholds = chain.pool().await?.thresholds;
    Ok(record.is_some_and(|record| {
        record.node_id.as_ref() == Some(name) && record.usable(now(), &thresholds).is_ok()
    }))
}

async fn stake_one(layout: &Layout, chain: &Chain, seal: &WorkerSeal, name: NodeName) -> Outcome {
    let seals = Seals::new(&layout.worker(name.as_str()));
    // Slashed, expired or of a ledger that is gone: the token is of no more use.
    remove(&seal.token_file)?;
    for (_, pending) in seals.pending()? {
        seals.forget_pending(&pending.hash)?;
    }
    let order = Order {
        amount: Thresholds::default().viewer,
        node_id: Some(name),
        namespace: None,
        validity_ms: 0,
    };
    let token_place = TokenPlace {
        token_file: Some(seal.token_file.clone()),
        ..TokenPlace::default()
    };
    let minted = stake::mint(chain, &seals, &order, &token_place).await?;
    seals.settle(&minted.token, &minted.pending)
}

impl Workers {
    /// Starts an agent for each seal and waits until all are Ready.
    pub async fn start(
        layout: &Layout,
        place: Place,
        binary: &Binary,
        control_plane: &ControlPlane,
        kubectl: &Kubectl,
        seals: Vec<WorkerSeal>,
    ) -> Outcome<Self> {
        let join_url = control_plane.join_url.clone().ok_or_else(|| {
            Failure::message(Kind::Failed, "the control plane has no address for workers")
        })?;
        let mut workers = Self {
            joined: Vec::new(),
            agents: Vec::new(),
            binary: binary.clone(),
            join_url,
            place,
        };
        let mut started = Vec::new();
        for (index, seal) in seals.into_iter().enumerate() {
            let folder = layout.worker(&seal.name);
            let join_token_file = folder.join("join.token");
            write_join_token(&seal.token_file, &control_plane.ca_pem, &join_token_file)?;
            // A Node of an earlier run looks Ready for a while, whoever is there or not.
            let renewed = lease(kubectl, &control_plane.admin_kubeconfig, &seal.name).await?;
            let begun = Instant::now();
            let index = u8::try_from(index).or_fail(Kind::Usage, "there are too many workers")?;
            let agent = workers
                .agent(&folder.join("machine"), &seal.name, index, &join_token_file)
                .await?;
            started.push((seal, join_token_file, agent, renewed, begun));
        }
        for (seal, join_token_file, mut agent, renewed, begun) in started {
            let admin = &control_plane.admin_kubeconfig;
            wait_ready(kubectl, admin, &seal.name, &renewed, &mut agent).await?;
            workers.joined.push(Worker {
                address: agent.address,
                folder: agent.dir.clone(),
                ready_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
                seal,
                join_token_file,
            });
            workers.agents.push(agent);
        }
        Ok(workers)
    }

    async fn agent(&self, folder: &Path, name: &str, index: u8, token: &Path) -> Outcome<Agent> {
        let options = AgentOptions {
            images: self.place.images.clone(),
            ..AgentOptions::new(
                folder,
                name,
                index,
                self.join_url.as_str(),
                token,
                self.place.tools.as_path(),
            )
        };
        agent::start(&self.binary, &self.place.network, &options)
            .await
            .or_fail(Kind::Failed, format!("the worker {name} did not start"))
    }

    /// An agent that tries to join under a name that its seal was not staked for. Ends when dropped.
    pub async fn impostor(&self, layout: &Layout, worker: &Worker, name: &str) -> Outcome<Agent> {
        let index = u8::try_from(MOST).unwrap_or(u8::MAX);
        let folder = layout.worker(name).join("machine");
        self.agent(&folder, name, index, &worker.join_token_file)
            .await
    }

    /// The first agent that has ended by itself, if any.
    pub fn check(&mut self) -> Outcome {
        for agent in &mut self.agents {
            let doing = format!("the worker {} is gone", agent.name);
            agent.check().or_fail(Kind::Failed, doing)?;
        }
        Ok(())
    }

    /// Ends all machines, then the network.
    pub async fn stop(self) {
        for agent in self.agents {
            agent.stop().await;
        }
        drop(self.place);
    }
}

/// The agent's token, as `k3s-daas join-token` writes it.
fn write_join_token(seal_token: &Path, ca_pem: &str, to: &Path) -> Outcome {
    let hash = CaHash::of_bundle(ca_pem.as_bytes(), SystemTime::now())
        .or_fail(Kind::Failed, "the control plane's CA is no bundle")?;
    let credential = read_token(seal_token)?.join_credential();
    let text = Zeroizing::new(format!("{}\n", join_token(&hash, &credential).as_str()));
    write_private(to, text.as_bytes())
        .or_fail(Kind::Failed, format!("can't write {}", to.display()))
}

/// When the node's kubelet was last heard of; empty when it never was.
async fn lease(kubectl: &Kubectl, admin: &Path, name: &str) -> Outcome<String> {
    let request = [
        "get",
        "lease",
        name,
        "--namespace=kube-node-lease",
        "--ignore-not-found",
        "--output=jsonpath={.spec.renewTime}",
    ];
    let reply = kubectl.ask(admin, &request.map(str::to_owned)).await?;
    Ok(reply.text)
}

async fn wait_ready(
    kubectl: &Kubectl,
    admin: &Path,
    name: &str,
    renewed: &str,
    agent: &mut Agent,
) -> Outcome {
    let begun = Instant::now();
    let node = format!("node/{name}");
    let request = ["wait", "--for=condition=Ready", &node, "--timeout=2s"].map(str::to_owned);
    loop {
        let doing = format!("the worker {name} ended before it had joined");
        agent.check().or_fail(Kind::Failed, doing)?;
        let reply = kubectl.ask(admin, &request).await?;
        let heard = reply.answer == Answer::Allowed;
        if heard && lease(kubectl, admin, name).await? != renewed {
            return Ok(());
        }
        if begun.elapsed() > READY_WITHIN {
            let log = agent.log.display();
            let tail = agent.log_tail();
            let text = format!(
                "the worker {name} was not Ready within {READY_WITHIN:?}: {}\nthe end of {log}:\n{tail}",
                reply.text.trim()
            );
            return Err(Failure::message(Kind::Failed, text));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn without_workers_nothing_is_asked_of_the_machine_and_too_many_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path()).unwrap();
        assert!(Place::find(&layout, 0).unwrap().is_none());
        let failure = Place::find(&layout, MOST + 1).unwrap_err();
        assert!(failure.to_string().contains("at most 20"), "{failure}");
    }

    #[test]
    fn an_agents_token_pins_the_ca_and_holds_no_seal_token() {
        let folder = tempfile::tempdir().unwrap();
        let seal_token = folder.path().join("seal.token");
        let text = "ab".repeat(32);
        std::fs::write(&seal_token, format!("{text}\n")).unwrap();
        std::fs::set_permissions(&seal_token, std::fs::Permissions::from_mode(0o600)).unwrap();
        let ca = rcgen::generate_simple_self_signed(vec!["ca".to_owned()]).unwrap();
        let join = folder.path().join("join.token");
        write_join_token(&seal_token, &ca.cert.pem(), &join).unwrap();
        let token = std::fs::read_to_string(&join).unwrap();
        assert!(token.starts_with("K10") && token.contains("::"), "{token}");
        assert!(!token.contains(&text));
        assert!(!crate::secrets::open_to_others(&join).unwrap());
        // A server whose CA is not known is not to be trusted.
        assert!(write_join_token(&seal_token, "no certificate", &join).is_err());
    }
}
