//! The webhooks in one process: TokenReviews and SubjectAccessReviews on one listener, admission of
//! Nodes on another, node operators' REST API on a third, health and metrics on a fourth; the gate
//! in front of K3s with its audit events; one seal directory behind all.
//!
//! Shape:  nothing here waits for the chain or for the API server: the process comes up without
//!         either, says what is missing at `/readyz`, and serves as soon as they are there.
//! Errors: what is wrong with this machine (an address taken, a file unreadable) ends the start.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use authn_webhook::{Authn, AuthnMetrics};
use authz_webhook::{AuthzMetrics, NamespaceWatch};
use node_admission::admit::{Admit, AdmitMetrics, MAX_BODY, router as admit_router};
use node_admission::api::ApiMetrics;
use node_admission::{NodeMetrics, Nodes};
use prometheus_client::registry::Registry;
use seal::ElevatedOwners;
use seal::access::GuardState;
use sui_ledger::directory::Running as DirectoryTasks;
use sui_ledger::manifest::ContractIds;
use tenancy::guards::{GuardMetrics, Guards};
use tenancy::namespaces::{TenantMetrics, Tenants};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::field;
use webhook_server::{GroupLimits, Health, RouteGroup, ServerMetrics};

use crate::config::keys::{ClusterConfig, ServerConfig};
use crate::failure::{Failure, Kind, Outcome};

mod admission;
mod answers;
mod bearer;
mod build;
mod calls;
mod chain;
pub mod control;
mod gate;
mod homes;
pub mod identity;
mod joins;
pub mod kube_client;
mod listeners;
mod readiness;
pub mod reload;
mod rest;
mod settings;
mod trusted;
mod work;

use admission::Webhook;
use answers::Answers;
use calls::Calls;
use gate::TheGate;
use homes::Homes;
use joins::Joins;
use kube_client::KubeClient;
use listeners::Served;
use reload::ReloadMetrics;
use rest::Door;
use settings::Settings;
use trusted::Trusted;
use work::Work;

pub use gate::{doors, with_doors};
pub use listeners::{admit_url, pki_folder, validate_gate};
pub use settings::{elevated_owners, guards as guard_settings, nodes as node_settings};
pub use work::host_name;

/// Where the server keeps its state when nobody says.
pub const DEFAULT_STATE: &str = "/var/lib/k3s-daas";
/// How often readiness is looked at while somebody waits for it.
const POLL: Duration = Duration::from_millis(25);

/// The webhooks, running. Dropping it ends it at once, [`Server::stop`] in order.
#[derive(Debug)]
pub struct Server {
    /// Where the API server asks.
    pub address: SocketAddr,
    /// Where the API server asks about Nodes.
    pub admit_address: SocketAddr,
    /// Where node operators' REST API is, if it is on.
    pub api_address: Option<SocketAddr>,
    /// Where health and metrics are.
    pub metrics_address: SocketAddr,
    /// Where the gate listens, if there is one.
    pub gate_addresses: Vec<SocketAddr>,
    gate: Option<TheGate>,
    health: Health,
    answers: Answers,
    work: Work,
    door: Option<Door>,
    webhook: Webhook,
    reloads: ReloadMetrics,
    shutdown: CancellationToken,
    listeners: Vec<AbortOnDropHandle<()>>,
    directory: DirectoryTasks,
    _tasks: Vec<AbortOnDropHandle<()>>,
}

/// Says what keeps these values from working together, before anything is started.
pub fn validate(config: &ServerConfig) -> Outcome {
    Settings::with_owners(config, ElevatedOwners::None)?;
    listeners::validate(config)
}

/// Starts the webhooks.
///
/// `cluster` is what the REST API tells of the cluster; without a CA there it is the one of the
/// operator's kubeconfig.
pub async fn start(
    config: &ServerConfig,
    cluster: &ClusterConfig,
    ids: &ContractIds,
    state_dir: &Path,
) -> Outcome<Server> {
    let settings = Settings::new(config)?;
    let elevated = settings.authn.elevated.clone();
    let tls = listeners::tls(config, state_dir)?;
    let mut registry = Registry::default();
    let metrics = ServerMetrics::register(&mut registry);
    let (directory, directory_tasks) = chain::follow(config, ids, state_dir, &mut registry)?;

    let kube = KubeClient::new(config.kubeconfig.clone(), Calls::register(&mut registry));
    let watch = Arc::new(NamespaceWatch::new());
    watch.protect(settings.protected.clone());
    // Nobody is above viewer until the keeper of the guards says that they are in place.
    let in_place = GuardState::default();
    let guards = Guards::new(
        in_place.clone(),
        settings.guards,
        GuardMetrics::register(&mut registry),
    );
    let tenants = Tenants::new(
        Arc::clone(&directory),
        settings.namespaces,
        TenantMetrics::register(&mut registry),
    );
    let homes = Homes::new(kube.clone(), tenants.clone(), Arc::clone(&watch));
    let nodes = Nodes::new(
        Arc::clone(&directory),
        settings.nodes,
        NodeMetrics::register(&mut registry),
    );
    let joins = Joins::new(kube.clone(), nodes.clone());
    let answers = Answers {
        authenticator: Arc::new(Authn::new(
            Arc::clone(&directory),
            settings.authn,
            in_place.clone(),
            homes,
            joins.clone(),
            AuthnMetrics::register(&mut registry),
        )),
        authorizer: Arc::new(authz_webhook::App::new(
            Arc::clone(&directory),
            Arc::clone(&watch),
            Arc::new(joins),
            settings.authz,
            in_place.clone(),
            AuthzMetrics::register(&mut registry),
        )),
        watch: Arc::clone(&watch),
    };
    let claims = AdmitMetrics::register(&mut registry);
    let admit = Arc::new(Admit::new(settings.admit, claims.clone()));
    let work = Work {
        kube,
        admit,
        trusted: Trusted::new(Arc::clone(&watch), settings.trusted),
        watch,
        guards,
        tenants,
        nodes,
    };
    let name = work::name(state_dir);
    let mut tasks = work.start(&name);
    let door = config.api_listen.map(|_| {
        let parts = rest::Parts {
            directory: Arc::clone(&directory),
            nodes: work.nodes.clone(),
            kube: work.kube.clone(),
            guards: in_place,
            metrics: ApiMetrics::register(&mut registry),
            server_metrics: metrics.clone(),
        };
        Door::new(
            cluster.clone(),
            config.kubeconfig.clone(),
            settings.api,
            parts,
        )
    });
    if let Some(door) = door.clone() {
        let opening = tokio::spawn(async move { door.open_once_known().await });
        tasks.push(AbortOnDropHandle::new(opening));
    }

    // Before the registry is served; nobody gets in through it who would not without it.
    let gate = TheGate::open(config, elevated, &directory, &work, &mut registry)?;
    let reloads = ReloadMetrics::register(&mut registry);
    build::register(&mut registry);
    let health = Health::new();
    readiness::add_checks(&health, &directory, &work, door.as_ref());
    if let Some(gate) = &gate {
        readiness::add_gate(&health, &gate.gate);
    }
    let shutdown = CancellationToken::new();
    // Reviews have a budget of their own that nothing else can use up.
    let limits = GroupLimits {
        max_in_flight: usize::try_from(config.reviews_in_flight).unwrap_or(usize::MAX),
        deadline: Duration::from_millis(config.review_deadline_ms),
        ..GroupLimits::reviews()
    };
    let admission = GroupLimits {
        max_in_flight: usize::try_from(config.reviews_in_flight).unwrap_or(usize::MAX),
        deadline: Duration::from_millis(config.review_deadline_ms),
        max_body: MAX_BODY,
    };
    let admission = RouteGroup::new("admission", admission, &metrics);
    let events = RouteGroup::new("audit", gate::events(), &metrics);
    let listeners = listeners::start(
        config,
        &tls,
        Served {
            reviews: RouteGroup::new("reviews", limits, &metrics).wrap(answers.router()),
            admit: admission.wrap(admit_router(Arc::clone(&work.admit))),
            api: door.as_ref().map(Door::router),
            audit: gate.as_ref().map(|gate| events.wrap(gate.gate.router())),
            health: health.clone(),
            registry,
        },
        &metrics,
        &shutdown,
    )
    .await?;
    let control = control::serve(
        gate.as_ref().map(|gate| gate.gate.clone()),
        state_dir,
        &metrics,
        shutdown.clone(),
    )
    .await;
    let control = match control {
        Ok(control) => Some(control.task),
        // There is nothing to ask over it.
        Err(failure) if gate.is_none() => {
            tracing::warn!(%failure, "there is no socket for operators");
            None
        }
        Err(failure) => return Err(failure),
    };
    // Only now is it known where it is heard.
    let webhook = Webhook::new(config, listeners.admit.address, &tls, claims)?;
    tasks.push(work::webhook(work.kube.clone(), webhook.clone(), name));
    tracing::info!(
        reviews = %listeners.reviews.address,
        operations = %listeners.operations.address,
        api = listeners.api.as_ref().map(|serving| field::display(serving.address)),
        admission = %listeners.admit.address,
        audit = listeners.audit.as_ref().map(|serving| field::display(serving.address)),
        elevated_owners = config.elevated_owners.as_ref().map(crate::config::owners_text),
        "the webhooks are up"
    );
    Ok(Server {
        address: listeners.reviews.address,
        metrics_address: listeners.operations.address,
        gate_addresses: gate
            .as_ref()
            .map(|gate| gate.addresses.clone())
            .unwrap_or_default(),
        gate,
        health,
        answers,
        work,
        door,
        webhook,
        reloads,
        shutdown,
        admit_address: listeners.admit.address,
        api_address: listeners.api.as_ref().map(|serving| serving.address),
        listeners: [
            Some(listeners.reviews),
            Some(listeners.admit),
            listeners.api,
            listeners.audit,
            Some(listeners.operations),
        ]
        .into_iter()
        .flatten()
        .map(|serving| serving.task)
        .chain(control)
        .map(AbortOnDropHandle::new)
        .collect(),
        directory: directory_tasks,
        _tasks: tasks,
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

    /// The gate, if there is one.
    pub fn gate(&self) -> Option<&api_gate::Gate> {
        self.gate.as_ref().map(|gate| &gate.gate)
    }

    /// Ends in order: the gate first, then the listeners, so that nobody asks any more.
    pub async fn stop(mut self) {
        if let Some(gate) = self.gate.take() {
            gate.stop().await;
        }
        self.shutdown.cancel();
        for listener in std::mem::take(&mut self.listeners) {
            // A listener that panicked has nothing left to drain.
            let _ = listener.await;
        }
        self.directory.stop().await;
    }
}
