//! Everything on one machine, in one process but for the control plane: an embedded ledger with
//! its fault switches, the webhooks as `k3s-daas server` runs them, and a real API server that
//! asks them.
//!
//! Shape:  [`Cluster::start`], then wallets that stake, and requests with their tokens through the
//!         API server, over HTTP or by kubectl. The control plane ends with the value.
//! Errors: [`Cluster::start`] gives `None` where the machine has no control plane; who skips
//!         because of that says so with [`skipped`].

mod process;
mod requests;
pub mod stream;

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use api_gate::{ConnectionView, Disconnected};
use k3s_configs::GateMode;
use k3s_daas::config::keys::{ClusterConfig, Group as _, ServerConfig, ServerKeys};
use k3s_daas::config::{Sources, Url};
use k3s_daas::kubeconfig::{self, Credential};
use k3s_daas::rendering;
use k3s_daas::server::{self, Server};
use seal::{Address, Mist, SealToken};
use sui_devnet::{Devnet, DevnetConfig, RunningDevnet};
use sui_ledger::keystore::WalletKey;
use sui_ledger::tx::Wallet;
use tokio::sync::Mutex;
use webhook_server::pki::DevPki;

pub use process::{Process, program};
pub use requests::{Caller, Said};

use crate::control_plane::{self, ControlPlane, StartOptions};
use crate::rig::funded_wallet;

/// How long the webhooks may take to know the chain and the namespaces.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// How long tasks of webhooks that were dropped may take to end.
const LETS_GO_WITHIN: Duration = Duration::from_secs(10);
/// The pause between two tries.
const POLL: Duration = Duration::from_millis(10);
/// How often a request is sent whose connection is closed each time: as many tenants may end at the
/// address of a test at once.
const TRIES: usize = 5;
const NOT_RUNNING: &str = "the webhooks do not run";
/// What every tier may ask, and a stranger may not.
pub const NODES: &str = "/api/v1/nodes";

/// The running parts.
pub struct Cluster {
    /// The chain.
    pub devnet: RunningDevnet,
    /// The holder of the caps.
    pub operator: Wallet,
    /// The API server.
    pub control_plane: ControlPlane,
    /// The certificates of the webhooks.
    pub pki: DevPki,
    options: StartOptions,
    http: reqwest::Client,
    kube: kube::Client,
    server: Mutex<Option<Server>>,
    config: ServerConfig,
    /// The same as it is written.
    settings: Vec<(String, String)>,
    folder: tempfile::TempDir,
}

/// A kubectl command's end.
#[derive(Debug)]
pub struct Reply {
    /// Whether it ended with 0.
    pub ok: bool,
    /// Standard output and standard error.
    pub text: String,
}

impl Cluster {
    /// Starts everything, checkpoints every `interval`, the API server behind the server's own gate;
    /// nothing where there is no control plane.
    pub async fn start(
        interval: Duration,
        settings: &[(&str, &str)],
    ) -> anyhow::Result<Option<Self>> {
        Self::start_at(interval, settings, None).await
    }

    /// The same with the API server open to all, for what goes on while no server runs.
    pub async fn start_without_gate(
        interval: Duration,
        settings: &[(&str, &str)],
    ) -> anyhow::Result<Option<Self>> {
        Self::start_in(interval, settings, None, false).await
    }

    /// The same with the gate at an address that machines can reach.
    pub async fn start_at(
        interval: Duration,
        settings: &[(&str, &str)],
        reachable_at: Option<Ipv4Addr>,
    ) -> anyhow::Result<Option<Self>> {
        Self::start_in(interval, settings, reachable_at, true).await
    }

    async fn start_in(
        interval: Duration,
        settings: &[(&str, &str)],
        reachable_at: Option<Ipv4Addr>,
        behind_gate: bool,
    ) -> anyhow::Result<Option<Self>> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        if control_plane::available().is_err() {
            return Ok(None);
        }
        // Unix sockets go below it: a short path.
        let folder = tempfile::Builder::new().prefix("e2e").tempdir()?;
        let devnet = DevnetConfig {
            checkpoint_interval: interval,
            ..DevnetConfig::for_tests()
        };
        let devnet = Devnet::start(devnet).await?;
        let operator =
            funded_wallet(&devnet.ids, &devnet.faucet_url, devnet.operator.clone()).await?;
        let listen = free_address()?;
        let names = ["localhost".to_owned(), listen.ip().to_string()];
        let pki = DevPki::generate(&server::pki_folder(folder.path()), &names)?;
        let audit = free_address()?;
        let gate = behind_gate.then(|| GateMode {
            advertise: reachable_at.map(IpAddr::V4),
            audit_url: format!("https://{audit}/audit"),
            ..GateMode::default()
        });
        let options = options(&folder.path().join("k3s"), &pki, listen, gate)?;
        let options = StartOptions {
            dir: folder.path().join("cp"),
            reachable_at,
            behind_gate,
            ..options
        };
        let control_plane = control_plane::start(options.clone()).await?;
        let kubeconfig = control_plane.admin_kubeconfig.display().to_string();
        let listen = listen.to_string();
        let own = [
            ("listen", listen.as_str()),
            ("metrics_listen", "127.0.0.1:0"),
            ("admit_listen", "127.0.0.1:0"),
            ("api_listen", "127.0.0.1:0"),
            ("elevated_owners", "any"),
            ("kubeconfig", &kubeconfig),
        ];
        let mut written = gate_settings(&control_plane, audit);
        for (name, value) in own.iter().chain(settings) {
            process::set(&mut written, name, value);
        }
        let config = resolved(&written)?;
        let ca_pem = &control_plane.ca_pem;
        let http = http(ca_pem)?.timeout(Duration::from_secs(10)).build()?;
        let kube = requests::operator(&control_plane.admin_kubeconfig).await?;
        let cluster = Self {
            devnet,
            operator,
            control_plane,
            options,
            pki,
            http,
            kube,
            server: Mutex::default(),
            config,
            settings: written,
            folder,
        };
        cluster.start_server().await?;
        cluster.server_ready().await?;
        Ok(Some(cluster))
    }

    /// Ends the control plane and starts it again on its state.
    pub async fn restart_control_plane(self) -> anyhow::Result<Self> {
        self.control_plane.stop().await;
        let control_plane = control_plane::start(self.options.clone()).await?;
        Ok(Self {
            control_plane,
            ..self
        })
    }

    /// The control plane's folder.
    pub fn control_plane_folder(&self) -> PathBuf {
        self.folder.path().join("cp")
    }

    /// A client of the API server with a certificate and its key, PEM.
    pub(crate) fn http_of(&self, certificate: &str) -> anyhow::Result<reqwest::Client> {
        let identity = reqwest::Identity::from_pem(certificate.as_bytes())?;
        let http = http(&self.control_plane.ca_pem)?.identity(identity);
        Ok(http.build()?)
    }

    /// Where the API server asks.
    pub fn webhooks_address(&self) -> SocketAddr {
        self.config.listen
    }

    /// Where the API server sends its audit events.
    pub fn audit_address(&self) -> SocketAddr {
        self.config.audit_listen
    }

    /// Starts the webhooks where they were before. Does not wait until they are ready.
    pub async fn start_server(&self) -> anyhow::Result<()> {
        self.start_with(self.config.clone()).await
    }

    /// Starts the webhooks at another address, where only who knows it asks; gives the address.
    pub async fn start_server_elsewhere(&self) -> anyhow::Result<SocketAddr> {
        let config = ServerConfig {
            listen: free_address()?,
            ..self.config.clone()
        };
        let elsewhere = config.listen;
        self.start_with(config).await?;
        Ok(elsewhere)
    }

    /// Ends the webhooks as a kill does and starts them again on the same state, with other settings
    /// for this once.
    pub async fn restart_server(&self, changes: &[(&str, &str)]) -> anyhow::Result<()> {
        self.kill_server().await?;
        let mut settings = self.settings.clone();
        for (name, value) in changes {
            process::set(&mut settings, name, value);
        }
        self.start_with(resolved(&settings)?).await?;
        self.server_ready().await
    }

    async fn start_with(&self, config: ServerConfig) -> anyhow::Result<()> {
        // The CA is that of the operator's kubeconfig.
        let cluster = ClusterConfig {
            cluster_url: Url(self.control_plane.url.clone()),
            cluster_ca: None,
            tls_server_name: None,
        };
        let began = Instant::now();
        loop {
            let started =
                server::start(&config, &cluster, &self.devnet.ids, self.folder.path()).await;
            let failure = match started {
                Ok(started) => {
                    *self.server.lock().await = Some(started);
                    return Ok(());
                }
                Err(failure) => failure,
            };
            // A process that is killed lets go of its files at once; what was dropped here does
            // so when its last task has seen it.
            ensure!(began.elapsed() < LETS_GO_WITHIN, "{failure}");
            tokio::time::sleep(POLL).await;
        }
    }

    /// Waits until the webhooks are ready.
    pub async fn server_ready(&self) -> anyhow::Result<()> {
        let server = self.server.lock().await;
        let server = server.as_ref().context(NOT_RUNNING)?;
        let ready = server.wait_ready(READY_WITHIN).await;
        ready.map_err(|failure| anyhow::anyhow!("{failure}"))
    }

    /// Ends the webhooks as a kill does: nothing is drained. Waits until nobody listens.
    pub async fn kill_server(&self) -> anyhow::Result<()> {
        let server = self.server.lock().await.take();
        let address = server.context(NOT_RUNNING)?.address;
        let started = Instant::now();
        while tokio::net::TcpStream::connect(address).await.is_ok() {
            ensure!(started.elapsed() < READY_WITHIN, "{address} still listens");
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    /// What the gate shows of its connections.
    pub async fn connections(&self) -> anyhow::Result<Vec<ConnectionView>> {
        let server = self.server.lock().await;
        let gate = server.as_ref().context(NOT_RUNNING)?.gate();
        Ok(gate.context("there is no gate")?.connections())
    }

    /// Ends connections by hand.
    pub async fn disconnect(&self, target: &str) -> anyhow::Result<Disconnected> {
        let server = self.server.lock().await;
        let gate = server.as_ref().context(NOT_RUNNING)?.gate();
        Ok(gate
            .context("there is no gate")?
            .disconnect(&target.parse()?))
    }

    /// What the webhooks' process says at a path of its operations listener.
    pub async fn operations(&self, path: &str) -> anyhow::Result<String> {
        let server = self.server.lock().await;
        let address = server.as_ref().context(NOT_RUNNING)?.metrics_address;
        drop(server);
        let client = reqwest::Client::builder().no_proxy().build()?;
        let answer = client.get(format!("http://{address}{path}")).send().await?;
        Ok(answer.text().await?)
    }

    /// A new account with coins.
    pub async fn wallet(&self) -> anyhow::Result<Wallet> {
        let key = WalletKey::generate()?;
        funded_wallet(&self.devnet.ids, &self.devnet.faucet_url, key).await
    }

    /// A new account that has staked for a new token.
    pub async fn tenant(&self, amount: Mist) -> anyhow::Result<(Wallet, SealToken)> {
        let wallet = self.wallet().await?;
        let token = new_token()?;
        crate::rig::stake(&wallet, &self.devnet.ids, &token, amount).await?;
        Ok((wallet, token))
    }

    /// Sends a request through the gate, a few times more where its connection was closed: the API
    /// server closes one over which somebody was not authenticated, and the gate one over which the
    /// ended was seen, or at whose address it was, whoever else is asking over it.
    pub(crate) async fn send(
        &self,
        request: impl Fn(&str) -> reqwest::RequestBuilder,
    ) -> anyhow::Result<reqwest::Response> {
        let plane = &self.control_plane;
        let mut front = &plane.url;
        for _ in 0..TRIES {
            let error = match request(front).send().await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            // Where no server runs, in this process or beside it, there is no gate either: what the
            // API server itself says is asked.
            if error.is_connect() && self.server.lock().await.is_none() {
                front = &plane.direct_url;
            }
        }
        Ok(request(front).send().await?)
    }

    /// The HTTP status of a GET with the token, through the API server.
    pub async fn get(&self, token: &SealToken, path: &str) -> anyhow::Result<u16> {
        let answer = self
            .send(|front| {
                let request = self.http.get(format!("{front}{path}"));
                request.bearer_auth(token.reveal().as_str())
            })
            .await?;
        let status = answer.status().as_u16();
        // The connection is used again only when the body was read.
        answer.bytes().await?;
        Ok(status)
    }

    /// Asks until the status is as wanted; gives the time that took.
    pub async fn until(
        &self,
        token: &SealToken,
        path: &str,
        within: Duration,
        wanted: impl Fn(u16) -> bool,
    ) -> anyhow::Result<Duration> {
        let started = Instant::now();
        loop {
            let status = self.get(token, path).await?;
            if wanted(status) {
                return Ok(started.elapsed());
            }
            if started.elapsed() > within {
                bail!("{path} still answers {status} after {within:?}");
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// A tenant's kubeconfig with the token in it.
    pub fn kubeconfig(&self, token: &SealToken, namespace: &str) -> anyhow::Result<PathBuf> {
        let path = self.folder.path().join("tenant.kubeconfig");
        let cluster = kubeconfig::Cluster {
            url: self.control_plane.url.clone(),
            ca_pem: Some(self.control_plane.ca_pem.clone().into_bytes()),
            tls_server_name: Some(kubeconfig::API_SERVER_NAME.to_owned()),
        };
        kubeconfig::write(&path, &cluster, &Credential::Token(token), namespace)
            .map_err(|failure| anyhow::anyhow!("{failure}"))?;
        Ok(path)
    }

    /// A real kubectl with the token in a kubeconfig.
    pub async fn kubectl(&self, token: &SealToken, words: &str) -> anyhow::Result<Reply> {
        let path = self.kubeconfig(token, "default")?;
        let mut command = self.control_plane.kubectl.command(&path);
        command.args(["--request-timeout", "10s"]);
        command.args(words.split_whitespace());
        let output = tokio::time::timeout(Duration::from_secs(20), command.output()).await??;
        let text = [output.stdout, output.stderr].concat();
        Ok(Reply {
            ok: output.status.success(),
            text: String::from_utf8_lossy(&text).into_owned(),
        })
    }

    /// Ends everything in order.
    pub async fn stop(self) {
        if let Some(server) = self.server.into_inner() {
            server.stop().await;
        }
        self.control_plane.stop().await;
        self.devnet.shutdown().await;
    }
}

/// A fresh token.
pub fn new_token() -> anyhow::Result<SealToken> {
    k3s_daas::seals::new_token().map_err(|failure| anyhow::anyhow!("{failure}"))
}

/// The namespace that is an owner's from its first use on.
pub fn home(owner: &Address) -> String {
    seal::identity::home_namespace(owner)
}

/// Says loudly that a test did not run, here and in the last line of `make test`.
pub fn skipped(test: &str, why: &str) {
    let line = format!("{test}: {why}");
    let mut error = std::io::stderr();
    let _ = writeln!(error, "\nSKIPPED, not passed: {line}\n");
    let cache = workspace().join(".cache");
    let list = std::fs::create_dir_all(&cache).and_then(|()| {
        let path = cache.join("skipped-tests");
        std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
    });
    if let Err(unwritten) = list.and_then(|mut list| writeln!(list, "{line}")) {
        let _ = writeln!(error, "and that can't be written down: {unwritten}");
    }
}

/// The project's folder.
pub fn workspace() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests).to_owned()
}

fn resolved(settings: &[(String, String)]) -> anyhow::Result<ServerConfig> {
    let mut keys = ServerKeys::default();
    for (name, value) in settings {
        keys.set(name, value);
    }
    let config = keys.resolve(&Sources::default());
    config.map_err(|failure| anyhow::anyhow!("{failure}"))
}

/// A client of the API server, and of nobody else.
fn http(ca_pem: &str) -> anyhow::Result<reqwest::ClientBuilder> {
    let ca = reqwest::Certificate::from_pem_bundle(ca_pem.as_bytes())?;
    Ok(reqwest::Client::builder().tls_certs_only(ca).no_proxy())
}

/// An address on this machine where nobody listens.
pub fn free_address() -> std::io::Result<SocketAddr> {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    std::net::TcpListener::bind(any)?.local_addr()
}

/// The gate as the control plane wants it.
fn gate_settings(control_plane: &ControlPlane, audit: SocketAddr) -> Vec<(String, String)> {
    let doors = &control_plane.doors;
    let mut settings = Vec::new();
    if doors.is_empty() {
        return settings;
    }
    let listen: Vec<String> = doors.iter().map(|door| door.listen.to_string()).collect();
    process::set(&mut settings, "gate_listen", &listen.join(","));
    process::set(&mut settings, "audit_listen", &audit.to_string());
    // Of several each leads to its own port, as is the default.
    if let [door] = &doors[..] {
        process::set(&mut settings, "gate_upstream", &door.upstream.to_string());
    }
    settings
}

/// The API server's arguments and files, as `k3s-daas up` renders them.
fn options(
    rendered: &Path,
    pki: &DevPki,
    listen: SocketAddr,
    gate: Option<GateMode>,
) -> anyhow::Result<StartOptions> {
    let settings = rendering::settings_of_up(rendered, pki, listen, gate);
    let files = rendering::files(&settings).and_then(|files| rendering::write(&files, rendered));
    let files = files.map_err(|failure| anyhow::anyhow!("{failure}"))?;
    let is_drop_in = |path: &PathBuf| {
        let folder = path.parent();
        folder.is_some_and(|folder| folder.ends_with("config.yaml.d"))
    };
    Ok(StartOptions {
        api_server_args: k3s_configs::kube_apiserver_args(&settings)?,
        controller_manager_args: k3s_configs::kube_controller_manager_args(),
        k3s_config_drop_in: files.into_iter().find(is_drop_in),
        ..StartOptions::new(rendered)
    })
}
