//! The worker in one process: the CRI proxy with its guard, what the machine uses, its seal, and the
//! worker's REST API.
//!
//! Shape:  the proxy runs on a thread of its own; all else shares this one. Nothing waits for
//!         containerd or for the chain: kubelet is served from the first moment.
//! Errors: what is wrong with this machine (a socket that can't be opened) ends the start. A proxy
//!         that ends by itself ends the process, so that systemd starts it anew. A port that somebody
//!         else has is waited for: kubelet, which may have to end that somebody, is served meanwhile.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cri_shim::guard::{Guard, GuardSettings};
use cri_shim::metrics::ShimMetrics;
use cri_shim::observe::{self, ObserveMetrics, Observing};
use cri_shim::proxy::{self, ProxySettings, Proxying};
use cri_shim::standing::Standings;
use cri_shim::stats::{Stats, StatsSettings};
use prometheus_client::registry::Registry;
use sui_ledger::manifest::ContractIds;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use webhook_server::{
    Health, Limits, ServerConfig, ServerMetrics, SocketFile, Transport, operations,
};

use crate::failure::{Failure, Kind, OrFail, Outcome};
use crate::secrets::make_private_folder;

mod api;
mod chain;
mod listen;
mod machine;
mod readiness;
mod register;
mod seal;
mod socket;
mod unset;

pub(crate) use api::cluster_client;
pub use api::{ApiSettings, ClusterSettings};
pub use chain::KeySettings;

/// Whether kubelet's calls come through here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// They do: calls are counted, and the guard may refuse new pods.
    Proxy,
    /// They don't: figures are read from containerd alone.
    Observe,
}

/// Which seal is the machine's.
#[derive(Debug, Clone)]
pub struct SealSettings {
    /// The contract.
    pub ids: ContractIds,
    /// The file of the seal token; it may come later and may change.
    pub token_file: PathBuf,
    /// Between two looks at the chain.
    pub every: Duration,
}

/// What a worker runs on.
#[derive(Debug, Clone)]
pub struct WorkerSettings {
    /// Whether kubelet's calls come through here.
    pub mode: Mode,
    /// Where kubelet calls.
    pub cri_socket: PathBuf,
    /// containerd's socket.
    pub containerd_socket: PathBuf,
    /// What is kept between starts.
    pub state_dir: PathBuf,
    /// The machine's seal, where a contract is configured.
    pub seal: Option<SealSettings>,
    /// What the guard goes by; none where it is off.
    pub guard: Option<GuardSettings>,
    /// Between two looks at what pods and machine use.
    pub stats_every: Duration,
    /// Where health and metrics are.
    pub metrics_listen: SocketAddr,
    /// The worker's REST API and its heartbeats.
    pub api: ApiSettings,
}

/// A running worker.
#[derive(Debug)]
pub struct Worker {
    path: Path,
    shutdown: CancellationToken,
    listeners: Vec<AbortOnDropHandle<()>>,
    _tasks: Vec<AbortOnDropHandle<()>>,
}

/// How kubelet's calls are seen.
#[derive(Debug)]
enum Path {
    /// They come through; the file of a socket of our own is gone with it.
    Proxy(Proxying, Option<SocketFile>),
    /// containerd tells of what they came to.
    Observe(Observing),
}

/// Starts a worker.
pub async fn start(settings: WorkerSettings) -> Outcome<Worker> {
    let doing = format!(
        "can't make the state folder {}",
        settings.state_dir.display()
    );
    make_private_folder(&settings.state_dir).or_fail(Kind::Failed, doing)?;
    let mut registry = Registry::default();
    let metrics = ServerMetrics::register(&mut registry);
    let mut tasks = Vec::new();
    let wake = Arc::default();
    let standings = match settings.seal {
        Some(ref of) => {
            let folder = &settings.state_dir;
            let (standings, following) = seal::follow(of, folder, &wake, &mut registry)?;
            tasks.push(following);
            standings
        }
        None => Standings::fixed(None),
    };
    let stats = Stats::new(StatsSettings {
        every: settings.stats_every,
        tasks: settings.mode == Mode::Observe,
        ..StatsSettings::new(&settings.containerd_socket)
    });
    stats.register(&mut registry);
    tasks.push(AbortOnDropHandle::new(tokio::spawn(stats.clone().run())));
    let health = Health::new();
    readiness::add_checks(&health, &stats, &settings, standings.clone());
    let path = match settings.mode {
        Mode::Proxy => proxy(&settings, standings.clone(), &mut registry).await?,
        Mode::Observe => {
            let metrics = ObserveMetrics::register(&mut registry);
            let socket = settings.containerd_socket.clone();
            let observing = observe::spawn(socket, stats.clone(), metrics)
                .or_fail(Kind::Failed, "containerd can't be observed")?;
            Path::Observe(observing)
        }
    };
    let shutdown = CancellationToken::new();
    let parts = api::start(
        &settings.api,
        standings,
        wake,
        stats,
        &mut registry,
        &metrics,
        &shutdown,
    )
    .await?;
    tasks.extend(parts.tasks);
    let mut listeners = parts.listeners;
    let listener = ServerConfig {
        name: "operations",
        listen: settings.metrics_listen,
        transport: Transport::Plain,
        limits: Limits::default(),
    };
    let router = operations::router(health, Arc::new(registry));
    let operations = listen::once_free(listener, router, metrics, shutdown.clone());
    listeners.push(operations);
    Ok(Worker {
        path,
        shutdown,
        listeners,
        _tasks: tasks,
    })
}

async fn proxy(
    settings: &WorkerSettings,
    standings: Standings,
    registry: &mut Registry,
) -> Outcome<Path> {
    let guard = match settings.guard.clone() {
        Some(guard) => Guard::new(guard, standings),
        None => Guard::off(),
    };
    let (listener, file) = socket::listen(&settings.cri_socket).await?;
    let upstream = ProxySettings::new(&settings.containerd_socket);
    let metrics = ShimMetrics::register(registry);
    let proxying = proxy::spawn(listener, upstream, Arc::new(guard), metrics)
        .or_fail(Kind::Failed, "kubelet's calls can't be taken")?;
    Ok(Path::Proxy(proxying, file))
}

impl Worker {
    /// Ends when the proxy has ended by itself.
    pub async fn ended(&mut self) -> Failure {
        match &mut self.path {
            Path::Proxy(proxying, _) => proxying.ended().await,
            Path::Observe(_) => std::future::pending().await,
        }
        Failure::message(
            Kind::Failed,
            "the proxy of kubelet's calls has ended by itself",
        )
    }

    /// Ends it in order: no more calls are taken, those under way may end.
    pub async fn stop(self) {
        self.shutdown.cancel();
        match self.path {
            Path::Proxy(proxying, _file) => proxying.stop().await,
            Path::Observe(observing) => observing.stop().await,
        }
        for listener in self.listeners {
            // Cancelled above; it ends once it is drained.
            let _ = listener.await;
        }
    }
}
