//! A machine with a worker: its folder, its key and `k3s-daas worker`, which can be killed and started
//! again on the same state.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use k3s_daas_tests::e2e::{free_address, program, skipped};
use k3s_daas_tests::rig;
use seal::{Address, CredentialHash, SealRecord};
use serde_json::{Value, json};
use sui_devnet::{Devnet, DevnetConfig, RunningDevnet};
use sui_ledger::client::LedgerClient;
use sui_ledger::keystore::{self, WalletKey};
use sui_ledger::manifest::ContractIds;
use sui_ledger::reads::{read_owner, read_seal};

/// Everything comes within this, on a busy machine too.
pub const WITHIN: Duration = Duration::from_secs(60);
/// The pause between two looks.
pub const LOOK: Duration = Duration::from_millis(20);
/// The machine's node.
pub const NODE: &str = "worker-001";
/// What the machine stakes where nobody says more.
pub const STAKE: u64 = 500_000_000;
/// Thirty days, in seconds.
pub const MONTH: u64 = 30 * 24 * 3_600;
/// An order takes no longer; the worker's own deadline is.
const ORDER_WITHIN: Duration = Duration::from_secs(190);

/// What an answer was.
#[derive(Debug, Clone)]
pub struct Said {
    pub status: u16,
    pub media_type: String,
    pub body: Value,
}

/// A machine. Its worker ends when it is dropped.
pub struct Machine {
    pub address: Address,
    pub ids: ContractIds,
    client: LedgerClient,
    open: SocketAddr,
    metrics: SocketAddr,
    program: PathBuf,
    folder: tempfile::TempDir,
    running: Option<Child>,
    node: String,
}

/// A ledger with checkpoints every 20 ms.
pub async fn ledger() -> anyhow::Result<RunningDevnet> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Ok(Devnet::start(DevnetConfig {
        checkpoint_interval: Duration::from_millis(20),
        ..DevnetConfig::for_tests()
    })
    .await?)
}

impl Machine {
    /// A machine with a funded key, whose worker does not run yet; nothing, and says so, where the
    /// program was not built.
    pub async fn new(
        test: &str,
        devnet: &RunningDevnet,
        k3s: &[(&str, &str)],
    ) -> anyhow::Result<Option<Self>> {
        let Some(program) = program() else {
            skipped(test, "the program was not built: `cargo build -p k3s-daas`");
            return Ok(None);
        };
        let folder = tempfile::Builder::new().prefix("w").tempdir()?;
        let key = WalletKey::generate()?;
        let at = |name: &str| folder.path().join(name);
        keystore::create(&at("sui.keystore"), &key)?;
        devnet.ids.save(&at("contract.toml"))?;
        let client = rig::client(&devnet.ids)?;
        rig::fund(&devnet.faucet_url, &client, key.address()).await?;
        let (open, metrics) = (free_address()?, free_address()?);
        let mut config = json!({
            "sui": {"staking_contract": at("contract.toml"), "keystore": at("sui.keystore")},
            "k3s": {"config_dir": at("k3s"), "data_dir": folder.path()},
            "node": {"id": NODE, "stake_amount": STAKE.to_string()},
            "security": {},
            "worker": {
                "mode": "observe",
                "cri_socket": at("cri.sock"),
                "containerd_socket": at("containerd.sock"),
                "state_dir": at("state"),
                "api_socket": at("run/worker.sock"),
                "api_listen": open.to_string(),
                "metrics_listen": metrics.to_string(),
                "seal_seconds": "1",
                "stats_seconds": "1",
            },
        });
        for (key, value) in k3s {
            let (section, key) = key.split_once('.').context("section.key")?;
            config[section][key] = json!(value);
        }
        // JSON is YAML.
        std::fs::write(at("worker-config.yaml"), config.to_string())?;
        Ok(Some(Self {
            address: key.address(),
            ids: devnet.ids.clone(),
            client,
            open,
            metrics,
            program,
            folder,
            running: None,
            node: NODE.to_owned(),
        }))
    }

    /// A file of its folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Where its seal token is kept.
    pub fn token_file(&self) -> PathBuf {
        self.path("state/seal.token")
    }

    /// Starts its worker and waits until it answers.
    pub async fn start(&mut self) -> anyhow::Result<()> {
        ensure!(self.running.is_none(), "it runs");
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.path("worker.log"))?;
        let child = Command::new(&self.program)
            .args(["worker", "--config"])
            .arg(self.path("worker-config.yaml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        self.running = Some(child);
        let began = Instant::now();
        loop {
            if matches!(self.own("GET", "/health", None).await, Ok(said) if said.status == 200) {
                return Ok(());
            }
            if let Some(ended) = self.running.as_mut().and_then(|one| one.try_wait().ok()?) {
                bail!("the worker ended, {ended}: {}", self.log());
            }
            ensure!(began.elapsed() < WITHIN, "no answer: {}", self.log());
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Gives its node another name, before its worker starts.
    pub fn rename(&mut self, node: &str) -> anyhow::Result<()> {
        let path = self.path("worker-config.yaml");
        let mut config: Value = serde_json::from_slice(&std::fs::read(&path)?)?;
        config["node"]["id"] = json!(node);
        std::fs::write(path, config.to_string())?;
        node.clone_into(&mut self.node);
        Ok(())
    }

    /// Whether its worker runs.
    pub fn runs(&self) -> bool {
        self.running.is_some()
    }

    /// Kills it with -9.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        if let Some(mut child) = self.running.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path("worker.log")).unwrap_or_default()
    }

    /// Asks at root's socket.
    pub async fn own(
        &self,
        method: &str,
        path: &str,
        body: Option<String>,
    ) -> anyhow::Result<Said> {
        let http = reqwest::Client::builder()
            .unix_socket(self.path("run/worker.sock"))
            .timeout(ORDER_WITHIN)
            .no_proxy()
            .build()?;
        let request = http.request(method.parse()?, format!("http://worker{path}"));
        let request = match body {
            Some(body) => request
                .header("content-type", "application/json")
                .body(body),
            None => request,
        };
        said(request.send().await?).await
    }

    /// Orders something at root's socket.
    pub async fn order(&self, what: &str, body: &Value) -> anyhow::Result<Said> {
        let path = format!("/api/v1/{what}");
        self.own("POST", &path, Some(body.to_string())).await
    }

    /// The body of its stake.
    pub fn stake(&self) -> Value {
        json!({
            "node_id": self.node, "stake_amount": STAKE.to_string(), "duration": MONTH,
            "wallet": self.address.to_string(),
        })
    }

    /// Asks at the open part, on loopback.
    pub async fn open(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
    ) -> anyhow::Result<Said> {
        let http = reqwest::Client::builder()
            .timeout(WITHIN)
            .no_proxy()
            .build()?;
        let request = http.request(method.parse()?, format!("http://{}{path}", self.open));
        let request = match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        said(request.send().await?).await
    }

    /// A sample of `/metrics`: its name with its labels.
    pub async fn metric(&self, sample: &str) -> anyhow::Result<f64> {
        let http = reqwest::Client::builder().no_proxy().build()?;
        let url = format!("http://{}/metrics", self.metrics);
        let text = http.get(url).send().await?.text().await?;
        let value = text.lines().find_map(|line| {
            let rest = line.strip_prefix(sample)?;
            rest.trim().parse().ok()
        });
        value.with_context(|| format!("no {sample}"))
    }

    /// Waits until `/health` says this of the seal.
    pub async fn health_says(&self, wanted: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
        let began = Instant::now();
        loop {
            let said = self.open("GET", "/health", None).await?;
            ensure!(said.status == 200, "{said:?}");
            if wanted(&said.body["seal"]) {
                return Ok(said.body);
            }
            ensure!(began.elapsed() < WITHIN, "still {}", said.body);
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The hashes of its owner's seals on chain.
    pub async fn seals(&self) -> anyhow::Result<Vec<CredentialHash>> {
        let read = read_owner(&self.client, &self.ids, &self.address).await?;
        Ok(read.value)
    }

    /// The newest checkpoint.
    pub async fn height(&self) -> anyhow::Result<u64> {
        let read = read_owner(&self.client, &self.ids, &self.address).await?;
        Ok(read.head.checkpoint)
    }

    /// The only seal of its owner.
    pub async fn seal(&self) -> anyhow::Result<SealRecord> {
        let hashes = self.seals().await?;
        let [hash] = &hashes[..] else {
            bail!("its owner has {} seals", hashes.len());
        };
        let read = read_seal(&self.client, &self.ids, hash).await?;
        read.value.context("a hash without a record")
    }

    /// What its owner has in coins, in MIST.
    pub async fn balance(&self) -> anyhow::Result<u64> {
        let coins = self.client.coins(&self.address).await?;
        Ok(coins.coins.iter().map(|coin| coin.balance.0).sum())
    }

    /// Tokens that wait for the end of their transaction.
    pub fn pending(&self) -> Vec<PathBuf> {
        let folder = std::fs::read_dir(self.path("state/pending"));
        let files = folder.into_iter().flatten().flatten();
        let mut all: Vec<PathBuf> = files.map(|file| file.path()).collect();
        all.retain(|path| path.extension().is_some_and(|kind| kind == "pending"));
        all
    }

    /// The token in its place, which only root can read.
    pub fn token(&self) -> anyhow::Result<String> {
        let file = self.token_file();
        ensure!(mode(&file)? == 0o600, "{:o}", mode(&file)?);
        Ok(std::fs::read_to_string(file)?.trim_end().to_owned())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

impl Said {
    /// The body of a success.
    pub fn done(self) -> anyhow::Result<Value> {
        ensure!(self.status == 200, "answered {self:?}");
        ensure!(self.media_type == "application/json", "{self:?}");
        Ok(self.body)
    }

    /// Whether it is a problem of this kind, that people can read too.
    pub fn is_problem(&self, status: u16, kind: &str) -> anyhow::Result<()> {
        ensure!(self.status == status, "{status} {kind}: {self:?}");
        ensure!(self.media_type == "application/problem+json", "{self:?}");
        let body = &self.body;
        ensure!(
            body["type"] == format!("urn:k3s-daas:problem:{kind}"),
            "{body}"
        );
        ensure!(body["status"] == status, "{body}");
        for text in ["title", "detail"] {
            let text = body[text].as_str().unwrap_or_default();
            ensure!(!text.is_empty(), "{body}");
        }
        Ok(())
    }
}

async fn said(answer: reqwest::Response) -> anyhow::Result<Said> {
    let media_type = answer.headers().get("content-type");
    let media_type = media_type.and_then(|value| value.to_str().ok());
    Ok(Said {
        status: answer.status().as_u16(),
        media_type: media_type.unwrap_or_default().to_owned(),
        body: serde_json::from_slice(&answer.bytes().await?).unwrap_or_default(),
    })
}

/// The permission bits of a file.
pub fn mode(path: &Path) -> anyhow::Result<u32> {
    Ok(std::fs::metadata(path)?.permissions().mode() & 0o7777)
}

/// Waits until it is so.
pub async fn until(
    what: &str,
    within: Duration,
    so: impl AsyncFn() -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    let began = Instant::now();
    while !so().await? {
        ensure!(
            began.elapsed() < within,
            "after {within:?} still not: {what}"
        );
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

/// The clock, in ms.
pub fn now_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}
