//! The webhooks in one process: TokenReviews and SubjectAccessReviews on one listener, health and
//! metrics on another, one seal directory behind both.
//!
//! Shape:  nothing here waits for the chain or for the API server: the process comes up without
//!         either, says what is missing at `/readyz`, and serves as soon as they are there.
//! Errors: what is wrong with this machine (an address taken, a file unreadable) ends the start.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use authn_webhook::{Authn, AuthnMetrics};
use authz_webhook::{AuthzMetrics, NamespaceWatch};
use prometheus_client::registry::Registry;
use seal::ElevatedOwners;
use seal::access::GuardState;
use sui_ledger::client::{ClientSettings, LedgerClient};
use sui_ledger::directory::chain::NodeChain;
use sui_ledger::directory::{Directory, DirectoryConfig, Running as DirectoryTasks};
use sui_ledger::manifest::ContractIds;
use sui_ledger::metrics::LedgerMetrics;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use webhook_server::pki::DevPki;
use webhook_server::{
    GroupLimits, Health, Limits, RouteGroup, ServerConfig as Listener, ServerMetrics, TlsFiles,
    Transport, operations, serve,
};

use crate::config::keys::ServerConfig;
use crate::failure::{Failure, Kind, OrFail, Outcome};
use crate::secrets::make_private_folder;

mod home;
mod homes;
pub mod kube_client;
mod policy;
mod promotions;

use homes::Homes;
use kube_client::KubeClient;

/// Where the server keeps its state when nobody says.
pub const DEFAULT_STATE: &str = "/var/lib/k3s-daas";
/// How often readiness is looked at while somebody waits for it.
const POLL: Duration = Duration::from_millis(25);

/// The certificates that are made where none are configured.
pub fn pki_folder(state_dir: &Path) -> PathBuf {
    state_dir.join("pki")
}

/// The webhooks, running. Dropping it ends it at once, [`Server::stop`] in order.
#[derive(Debug)]
pub struct Server {
    /// Where the API server asks.
    pub address: SocketAddr,
    /// Where health and metrics are.
    pub metrics_address: SocketAddr,
    health: Health,
    kube: KubeClient,
    shutdown: CancellationToken,
    listeners: Vec<AbortOnDropHandle<()>>,
    directory: DirectoryTasks,
    _namespaces: AbortOnDropHandle<()>,
    _promotions: AbortOnDropHandle<()>,
}

/// The refusal to start without the operator's choice.
pub fn elevated_owners(config: &ServerConfig) -> Outcome<ElevatedOwners> {
    config.elevated_owners.clone().ok_or_else(|| {
        Failure::message(
            Kind::Usage,
            "elevated_owners is not set, and who may own the cluster has no default",
        )
        .next(
            "set elevated_owners (--elevated-owners, K3S_DAAS_ELEVATED_OWNERS) to one of three: \
             `any`: stake alone decides, so whoever stakes 10 SUI owns the cluster; \
             `none`: nobody is above developer; \
             or a list of owners' addresses: all others are capped at developer",
        )
    })
}

/// Says what keeps these values from working together, before anything is started.
pub fn validate(config: &ServerConfig) -> Outcome {
    let unchosen = ElevatedOwners::None;
    policy::policy(config, unchosen.clone())?;
    policy::authn_policy(config, unchosen)?;
    guarded(config)?;
    certificate_pair(config).map(drop)
}

/// Starts the webhooks.
pub async fn start(config: &ServerConfig, ids: &ContractIds, state_dir: &Path) -> Outcome<Server> {
    let owners = elevated_owners(config)?;
    let authn_policy = policy::authn_policy(config, owners.clone())?;
    let policy = policy::policy(config, owners)?;
    let transport = Transport::Tls(tls(config, state_dir)?);
    let mut registry = Registry::default();
    let server_metrics = ServerMetrics::register(&mut registry);

    let chain = NodeChain::new(ledger(ids, &mut registry)?, ids.clone());
    let ends = state_dir.join("ends");
    let doing = format!("can't make the state folder {}", state_dir.display());
    make_private_folder(&ends)
        .or_fail(Kind::Usage, doing)
        .map_err(|failure| failure.next("give --state-dir"))?;
    let (directory, directory_tasks) =
        Directory::start(chain, ids, directory_config(config, ends), &mut registry)
            .or_fail(Kind::Failed, "the seal directory did not start")
            .map_err(|failure| {
                failure.next(format!(
                    "see that no other `k3s-daas server` has the state folder {}, and that this \
                     user may write there",
                    state_dir.display()
                ))
            })?;
    let directory = Arc::new(directory);

    let kube = KubeClient::new(config.kubeconfig.clone());
    let watch = Arc::new(NamespaceWatch::new());
    let namespaces = AbortOnDropHandle::new(tokio::spawn(kube.clone().watch(Arc::clone(&watch))));

    // Whoever keeps the guards inside the API server says whether they are in place.
    let guards = GuardState::default();
    guards.set(true);
    let authorize = authz_webhook::router(Arc::new(authz_webhook::App::new(
        Arc::clone(&directory),
        Arc::clone(&watch),
        policy::authz_settings(config, policy),
        guards.clone(),
        AuthzMetrics::register(&mut registry),
    )));
    let homes = Homes::new(kube.clone(), Arc::clone(&watch));
    let authenticate = authn_webhook::router(Arc::new(Authn::new(
        Arc::clone(&directory),
        authn_policy,
        guards,
        homes.clone(),
        AuthnMetrics::register(&mut registry),
    )));
    let promotions = promotions::follow(Arc::clone(&directory), homes);
    let promotions = AbortOnDropHandle::new(tokio::spawn(promotions));
    // Reviews have a budget of their own that nothing else can use up.
    let limits = GroupLimits {
        max_in_flight: usize::try_from(config.reviews_in_flight).unwrap_or(usize::MAX),
        deadline: Duration::from_millis(config.review_deadline_ms),
        ..GroupLimits::reviews()
    };
    let reviews =
        RouteGroup::new("reviews", limits, &server_metrics).wrap(authenticate.merge(authorize));

    let health = Health::new();
    add_checks(&health, &directory, &watch);
    let shutdown = CancellationToken::new();
    let listener = |name, listen, transport| Listener {
        name,
        listen,
        transport,
        limits: Limits::default(),
    };
    let unstarted = "a listener did not start";
    let elsewhere = "end what listens there, or give another --listen or --metrics-listen";
    let reviews = serve(
        listener("webhooks", config.listen, transport),
        reviews,
        &server_metrics,
        shutdown.clone(),
    )
    .await
    .or_fail(Kind::Failed, unstarted)
    .map_err(|failure| failure.next(elsewhere))?;
    let operations = serve(
        listener("operations", config.metrics_listen, Transport::Plain),
        operations::router(health.clone(), Arc::new(registry)),
        &server_metrics,
        shutdown.clone(),
    )
    .await
    .or_fail(Kind::Failed, unstarted)
    .map_err(|failure| failure.next(elsewhere))?;
    tracing::info!(
        reviews = %reviews.address,
        operations = %operations.address,
        elevated_owners = ?config.elevated_owners,
        "the webhooks are up"
    );
    Ok(Server {
        address: reviews.address,
        metrics_address: operations.address,
        health,
        kube,
        shutdown,
        listeners: [reviews, operations]
            .map(|serving| AbortOnDropHandle::new(serving.task))
            .into(),
        directory: directory_tasks,
        _namespaces: namespaces,
        _promotions: promotions,
    })
}

fn add_checks(health: &Health, directory: &Arc<Directory>, watch: &Arc<NamespaceWatch>) {
    let directory = Arc::clone(directory);
    health.add_fn("directory", move || match directory.status().unavailable {
        None => Ok(()),
        Some(why) => Err(why.to_string().into()),
    });
    let watch = Arc::clone(watch);
    health.add_fn("namespaces", move || {
        if watch.is_ready() {
            Ok(())
        } else {
            Err("the API server has not told of all namespaces yet".into())
        }
    });
}

fn ledger(ids: &ContractIds, registry: &mut Registry) -> Outcome<LedgerClient> {
    let settings = ClientSettings {
        chain: Some(ids.chain_id),
        ..ClientSettings::default()
    };
    LedgerClient::new(&ids.endpoint, settings, LedgerMetrics::register(registry))
        .or_fail(Kind::Usage, "the chain's endpoint can't be used")
}

fn directory_config(config: &ServerConfig, ends: PathBuf) -> DirectoryConfig {
    let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    DirectoryConfig {
        max_staleness: Duration::from_secs(config.max_staleness_seconds),
        grace: Duration::from_secs(config.grace_seconds),
        max_records: count(config.cached_records),
        max_absences: count(config.cached_absences),
        absence_ttl: Duration::from_secs(config.absence_seconds),
        state_dir: Some(ends),
        ..DirectoryConfig::default()
    }
}

/// Only the API server may ask.
fn guarded(config: &ServerConfig) -> Outcome {
    if config.tls_client_ca.is_none() && !config.listen.ip().is_loopback() {
        return Err(Failure::message(
            Kind::Usage,
            format!("listen is {}, and strangers could ask there", config.listen),
        )
        .next(
            "set tls_client_ca, so that only the API server is answered, or listen on loopback",
        ));
    }
    Ok(())
}

fn certificate_pair(config: &ServerConfig) -> Outcome<Option<(&PathBuf, &PathBuf)>> {
    match (&config.tls_certificate, &config.tls_key) {
        (Some(certificate), Some(key)) => Ok(Some((certificate, key))),
        (None, None) => Ok(None),
        _ => Err(Failure::message(
            Kind::Usage,
            "tls_certificate and tls_key go together",
        )),
    }
}

/// The configured certificate, or one that is made for this machine.
fn tls(config: &ServerConfig, state_dir: &Path) -> Outcome<TlsFiles> {
    guarded(config)?;
    let (certificate, key) = if let Some((certificate, key)) = certificate_pair(config)? {
        (certificate.clone(), key.clone())
    } else {
        let names = ["localhost".to_owned(), config.listen.ip().to_string()];
        let pki = DevPki::generate(&pki_folder(state_dir), &names)
            .or_fail(Kind::Failed, "can't make a certificate")?;
        (pki.server_certificate, pki.server_key)
    };
    Ok(TlsFiles {
        certificate,
        key,
        client_ca: config.tls_client_ca.clone(),
    })
}

impl Server {
    /// Waits until everything is known that answers need.
    pub async fn wait_ready(&self, within: Duration) -> Outcome {
        let started = Instant::now();
        loop {
            let report = self.health.report();
            if report.is_ready() {
                return Ok(());
            }
            if started.elapsed() > within {
                return Err(Failure::message(
                    Kind::Unavailable,
                    format!(
                        "the webhooks are not ready: {}",
                        report.lines().replace('\n', "; ")
                    ),
                ));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Reads the kubeconfig again. Certificates are read again by themselves.
    pub fn reload(&self) {
        self.kube.reload();
    }

    /// Ends in order: listeners first, so that nobody asks any more.
    pub async fn stop(mut self) {
        self.shutdown.cancel();
        for listener in std::mem::take(&mut self.listeners) {
            // A listener that panicked has nothing left to drain.
            let _ = listener.await;
        }
        self.directory.stop().await;
    }
}
