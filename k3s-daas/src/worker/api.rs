//! The worker's REST API and its heartbeats, put together: the socket of root, the port on loopback,
//! and the cluster.
//!
//! Errors: what is wrong with this machine's files or sockets ends the start; that nobody stakes,
//!         registers or answers does not.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use cri_shim::api::{Open, Private, private_router, public_router};
use cri_shim::heartbeat::{BeatMetrics, Beats, ClusterClient, ClusterTrust, HeartbeatSettings};
use cri_shim::standing::Standings;
use cri_shim::stats::{Stats, Summary};
use prometheus_client::registry::Registry;
use seal::{Mist, NodeName};
use sui_ledger::manifest::ContractIds;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use webhook_server::{Limits, ServerConfig, ServerMetrics, TlsFiles, Transport, serve_unix};

use super::chain::{KeySettings, OwnSeal};
use super::listen;
use super::register::{RegisterSettings, Registrar};
use super::unset::NoContract;
use crate::chain::Chain;
use crate::commands::stake::read_token;
use crate::failure::{Failure, Kind, OrFail, Outcome};
use crate::secrets::make_private_folder;

/// A transaction and its way back may take this long.
const TRANSACTION: Duration = Duration::from_mins(1);
/// Connections at once; nobody on one machine needs more.
const CONNECTIONS: usize = 64;

/// What the API and the heartbeats depend on.
#[derive(Debug, Clone)]
pub struct ApiSettings {
    /// `proxy` or `observe`.
    pub mode: &'static str,
    /// The machine's node.
    pub node: NodeName,
    /// The file of the machine's seal token.
    pub token_file: PathBuf,
    /// The contract; without one nothing is staked.
    pub contract: Option<ContractIds>,
    /// Who stakes.
    pub key: KeySettings,
    /// What is staked where an order names no amount.
    pub amount: Mist,
    /// The socket for root alone.
    pub socket: PathBuf,
    /// The open part's address; none turns it off.
    pub listen: Option<SocketAddr>,
    /// The open part's certificate; without it plain HTTP, on loopback alone.
    pub tls: Option<TlsFiles>,
    /// The cluster; without one nothing is registered and no heartbeat is sent.
    pub cluster: Option<ClusterSettings>,
    /// Where K3s's agent finds its configuration.
    pub config_dir: PathBuf,
    /// Where K3s's data are.
    pub data_dir: PathBuf,
    /// The machine's address; the one that leads to the cluster when not given.
    pub ip_address: Option<IpAddr>,
}

/// The cluster, as a worker knows it.
#[derive(Debug, Clone)]
pub struct ClusterSettings {
    /// Its REST API: `https://`, host and port.
    pub api: String,
    /// The CA of that API, PEM; the machine's own trusted ones when not given.
    pub ca: Option<PathBuf>,
    /// The API server as agents reach it.
    pub master: Option<String>,
}

/// What runs.
#[derive(Debug)]
pub(super) struct ApiParts {
    /// End once the shutdown is cancelled.
    pub(super) listeners: Vec<AbortOnDropHandle<()>>,
    /// End when dropped.
    pub(super) tasks: Vec<AbortOnDropHandle<()>>,
}

/// Opens the API and starts the heartbeats.
pub(super) async fn start(
    settings: &ApiSettings,
    standings: Standings,
    wake: Arc<Notify>,
    stats: Stats,
    registry: &mut Registry,
    metrics: &ServerMetrics,
    shutdown: &CancellationToken,
) -> Outcome<ApiParts> {
    let figures = move || stats.latest().map(|latest| latest.summary());
    let cluster = settings.cluster.as_ref().map(cluster_client).transpose()?;
    let tasks = beats(settings, cluster.as_ref(), figures.clone(), registry);
    let open = open(settings, standings, figures);
    let mut listeners = vec![
        private(
            settings,
            cluster,
            Arc::clone(&open),
            wake,
            metrics,
            shutdown,
        )
        .await?,
    ];
    if let Some(listen) = settings.listen {
        let config = listener(listen, settings.tls.clone())?;
        let router = public_router(open, metrics);
        let serving = listen::once_free(config, router, metrics.clone(), shutdown.clone());
        listeners.push(serving);
    }
    Ok(ApiParts { listeners, tasks })
}

fn open(
    settings: &ApiSettings,
    standings: Standings,
    figures: impl Fn() -> Option<Summary> + Send + Sync + 'static,
) -> Arc<Open> {
    let token_file = settings.token_file.clone();
    Arc::new(Open {
        mode: settings.mode,
        node: settings.node.clone(),
        standings,
        own: Box::new(move || own(&token_file).map(|token| token.credential_hash())),
        figures: Box::new(figures),
    })
}

/// The machine's token; none while it has none.
fn own(token_file: &Path) -> Option<seal::SealToken> {
    token_file
        .exists()
        .then(|| read_token(token_file).ok())
        .flatten()
}

/// Opens the socket of root.
async fn private(
    settings: &ApiSettings,
    cluster: Option<ClusterClient>,
    open: Arc<Open>,
    wake: Arc<Notify>,
    metrics: &ServerMetrics,
    shutdown: &CancellationToken,
) -> Outcome<AbortOnDropHandle<()>> {
    let registering = Arc::new(registrar(settings, cluster));
    let router = if let Some(ids) = &settings.contract {
        let staking = OwnSeal::new(
            Chain::reading(ids.clone(), TRANSACTION)?,
            settings.key.clone(),
            &settings.token_file,
            settings.node.clone(),
            settings.amount,
            wake,
        );
        let private = Private {
            open,
            staking: Arc::new(staking),
            registering,
        };
        private_router(private, metrics)
    } else {
        let private = Private {
            open,
            staking: Arc::new(NoContract),
            registering,
        };
        private_router(private, metrics)
    };
    if let Some(folder) = settings.socket.parent() {
        make_private_folder(folder)
            .or_fail(Kind::Failed, format!("can't make {}", folder.display()))?;
    }
    let (name, path) = ("worker_orders", &settings.socket);
    let serving = serve_unix(name, path, limits(), router, metrics, shutdown.clone())
        .await
        .or_fail(Kind::Failed, "the worker's own socket can't be opened")?;
    Ok(AbortOnDropHandle::new(serving.task))
}

fn registrar(settings: &ApiSettings, cluster: Option<ClusterClient>) -> Registrar {
    let of = settings.cluster.as_ref();
    let register = RegisterSettings {
        node: settings.node.clone(),
        token_file: settings.token_file.clone(),
        master: of.and_then(|of| of.master.clone()),
        config_dir: settings.config_dir.clone(),
        data_dir: settings.data_dir.clone(),
        ip_address: settings.ip_address,
    };
    let cluster = cluster.zip(of.map(|of| of.api.clone()));
    Registrar::new(register, cluster)
}

/// The cluster's REST API and by what it is known.
pub(crate) fn cluster_client(of: &ClusterSettings) -> Outcome<ClusterClient> {
    let trust = match &of.ca {
        Some(path) => {
            let doing = format!("can't read the CA {}", path.display());
            ClusterTrust::Bundle(std::fs::read(path).or_fail(Kind::Usage, doing)?)
        }
        None => ClusterTrust::Machine,
    };
    ClusterClient::new(&of.api, &trust)
        .or_fail(Kind::Usage, "the cluster's API can't be called")
        .map_err(|failure| failure.next("correct api_endpoint in k3s and api_ca in security"))
}

fn beats(
    settings: &ApiSettings,
    cluster: Option<&ClusterClient>,
    figures: impl Fn() -> Option<Summary> + Send + 'static,
    registry: &mut Registry,
) -> Vec<AbortOnDropHandle<()>> {
    let metrics = BeatMetrics::register(registry);
    let Some(cluster) = cluster else {
        return Vec::new();
    };
    let token_file = settings.token_file.clone();
    let beats = Beats::new(
        HeartbeatSettings::new(settings.node.clone()),
        cluster.clone(),
        metrics,
        figures,
        move || own(&token_file),
    );
    vec![AbortOnDropHandle::new(tokio::spawn(beats.run()))]
}

/// Without TLS a token would be read by whoever sees the packets: then loopback it is.
fn listener(listen: SocketAddr, tls: Option<TlsFiles>) -> Outcome<ServerConfig> {
    let transport = match tls {
        Some(files) => Transport::Tls(files),
        None if listen.ip().is_loopback() => Transport::Plain,
        None => {
            let text = format!("the worker API would be plain HTTP on {listen}");
            return Err(Failure::message(Kind::Usage, text)
                .next("give tls_cert and tls_key in security, or an address on loopback"));
        }
    };
    Ok(ServerConfig {
        name: "worker",
        listen,
        transport,
        limits: limits(),
    })
}

fn limits() -> Limits {
    Limits {
        max_connections: CONNECTIONS,
        ..Limits::default()
    }
}
