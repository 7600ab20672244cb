//! Everything on this machine: ledger, webhooks, control plane, four demo tenants.
//!
//! Shape:  [`Layout`] says where things lie, [`start`] starts them in their order (ledger, then
//!         tenants and control plane side by side, then the webhooks with the control plane's
//!         kubeconfig and the gate through which all others come), [`Running::stop`] ends them in the opposite one. State survives: a second
//!         run goes on with the ledger, tokens and objects of the first.
//! Errors: each says which part did not start. Whatever started is ended again.

use std::path::{Path, PathBuf};
use std::time::Duration;

use k3s_configs::GateMode;
use k3s_configs::launch::{self, ControlPlane, Search, StartOptions};
use seal::{ElevatedOwners, Tier};
use tokio_util::sync::CancellationToken;
use webhook_server::pki::DevPki;

use crate::chain::Chain;
use crate::config::{Url, keys};
use crate::demo;
use crate::failure::{Failure, Kind, OrFail, Outcome};
use crate::kubeconfig::{API_SERVER_NAME, Cluster, Credential, write};
use crate::progress::Progress;
use crate::rendering;
use crate::seals::new_token;
use crate::server::reload::{Loaded, Reloads};
use crate::server::{self, Server};
use crate::shutdown;

pub mod kubectl;
mod layout;
pub mod ledger;
pub mod operator;
pub mod tenants;
pub mod workers;

pub use layout::Layout;

use kubectl::{Kubectl, Reply};
use ledger::Ledger;
use tenants::Tenant;
use workers::{Place, Worker, Workers};

/// Where `up` keeps its state when nobody says.
pub const DEFAULT_STATE: &str = "./.k3s-daas";
/// How often the workers are looked at, whether one has ended by itself.
const LOOK_AT_WORKERS: Duration = Duration::from_secs(2);
/// How long the webhooks may take to know the chain and the namespaces.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// What `up` is asked for.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Where state lies.
    pub layout: Layout,
    /// The embedded ledger.
    pub devnet: keys::DevnetConfig,
    /// The webhooks.
    pub server: keys::ServerConfig,
    /// The control plane.
    pub up: keys::UpConfig,
    /// Whether a write waits for the disk: not for a tour whose state is thrown away.
    pub durable: bool,
}

/// What the tour and the summary look at.
#[derive(Debug)]
pub struct Stage {
    /// Where things lie.
    pub layout: Layout,
    /// The chain, with the operator's wallet.
    pub chain: Chain,
    /// The cluster as kubeconfigs name it.
    pub cluster: Cluster,
    /// Which control plane runs, in words.
    pub control_plane: String,
    /// The kubectl to use.
    pub kubectl: Kubectl,
    /// The admin's kubeconfig.
    pub admin_kubeconfig: PathBuf,
    /// The demo tenants.
    pub tenants: Vec<Tenant>,
    /// The workers that joined.
    pub workers: Vec<Worker>,
    /// The gate, through which everybody comes.
    pub gate: Option<api_gate::Gate>,
}

impl Stage {
    /// The tenant that began with this tier.
    pub fn tenant(&self, tier: Tier) -> Outcome<&Tenant> {
        let tenant = self.tenants.iter().find(|tenant| tenant.tier == tier);
        tenant.ok_or_else(|| Failure::message(Kind::Failed, format!("there is no {tier}")))
    }

    /// A kubectl request.
    pub async fn ask(&self, kubeconfig: &Path, request: &[String]) -> Outcome<Reply> {
        self.kubectl.ask(kubeconfig, request).await
    }

    /// A kubeconfig with a token that nobody staked for.
    pub fn stranger(&self) -> Outcome<PathBuf> {
        let path = self.layout.folder().join("kubeconfigs/nobody.kubeconfig");
        write(
            &path,
            &self.cluster,
            &Credential::Token(&new_token()?),
            "default",
        )?;
        Ok(path)
    }
}

/// Everything, running. Ends in order with [`Running::stop`].
#[derive(Debug)]
pub struct Running {
    /// What there is to look at.
    pub stage: Stage,
    server: Server,
    config: keys::ServerConfig,
    // Before the control plane: who asks ends before whom it asks.
    workers: Option<Workers>,
    control_plane: ControlPlane,
    ledger: Ledger,
    _lock: std::fs::File,
}

/// The failure of Ctrl-C.
pub fn interrupted() -> Failure {
    Failure::message(Kind::Interrupted, "interrupted")
}

fn gone(ended: launch::LaunchError) -> Failure {
    Failure::new(Kind::Failed, ended).context("the control plane is gone")
}

/// Starts everything.
pub async fn start(plan: &Plan, shutdown: &CancellationToken) -> Outcome<Running> {
    tokio::select! {
        // Dropping what has started ends it.
        () = shutdown.cancelled() => Err(interrupted()),
        started = start_all(plan) => started,
    }
}

async fn start_all(plan: &Plan) -> Outcome<Running> {
    let layout = &plan.layout;
    if !layout.fits_sockets(0) {
        let folder = layout.folder().display();
        return Err(Failure::message(
            Kind::Usage,
            format!("the path {folder} is too long for the control plane's sockets"),
        )
        .next("give a --state-dir of at most 70 characters"));
    }
    let lock = layout.lock()?;
    let binary = find_control_plane(&plan.up)?;
    let kubectl = Kubectl::find(&binary, &layout.folder().join("kubectl-cache")).await?;
    let place = Place::find(layout, plan.up.workers)?;
    // The control plane is told where the webhooks will be before they are there.
    let listen = free_port("listen", plan.server.listen)?;
    let audit_listen = free_port("audit-listen", plan.server.audit_listen)?;
    let progress = Progress::told("starting the ledger");
    let ledger = ledger::start(layout, &plan.devnet).await?;
    let operator = tenants::wallet(&layout.operator_wallet())?;
    let chain = Chain::open_at(&layout.contract())?.with_wallet(operator);

    let (kind, path) = (binary.kind.label(), binary.path.display());
    let and_workers = match plan.up.workers {
        0 => String::new(),
        1 => " and a worker".to_owned(),
        count => format!(" and {count} workers"),
    };
    progress.now(format!(
        "starting {kind} ({path}), staking for four tenants{and_workers}"
    ));
    let reachable_at = place.as_ref().map(Place::server_address);
    let gate = GateMode {
        advertise: reachable_at.map(Into::into),
        audit_url: format!("https://{audit_listen}/audit"),
        ..GateMode::default()
    };
    let options = StartOptions {
        reachable_at,
        behind_gate: true,
        ..options(plan, listen, gate, &kubectl)?
    };
    let control_plane = async {
        launch::start(&binary, options)
            .await
            .or_fail(Kind::Failed, "the control plane did not start")
    };
    let (control_plane, tenants, seals) = tokio::try_join!(
        control_plane,
        all_tenants(layout, &chain, &ledger),
        workers::stake(layout, &chain, &ledger.faucet, place.as_ref()),
    )?;

    progress.now("starting the webhooks");
    let config = keys::ServerConfig {
        listen,
        audit_listen,
        kubeconfig: control_plane.admin_kubeconfig.clone(),
        ..chosen(plan.server.clone())
    };
    let config = server::with_doors(config, &control_plane.doors);
    // The CA is that of the control plane's own kubeconfig.
    let known = keys::ClusterConfig {
        cluster_url: Url(control_plane.url.clone()),
        cluster_ca: None,
        tls_server_name: None,
    };
    let server = server::start(&config, &known, chain.ids(), layout.folder()).await?;
    server.wait_ready(READY_WITHIN).await?;

    let cluster = Cluster {
        url: control_plane.url.clone(),
        ca_pem: Some(control_plane.ca_pem.clone().into_bytes()),
        tls_server_name: Some(API_SERVER_NAME.to_owned()),
    };
    for tenant in &tenants {
        tenants::write_kubeconfig(tenant, &cluster)?;
    }
    let workers = match place {
        Some(place) => {
            progress.now("the workers join");
            let started =
                Workers::start(layout, place, &binary, &control_plane, &kubectl, seals).await?;
            Some(started)
        }
        None => None,
    };
    progress.done();
    let ready_after = control_plane.ready_after.as_millis();
    let stage = Stage {
        layout: layout.clone(),
        control_plane: format!("{kind} ({path}, ready after {ready_after} ms)"),
        admin_kubeconfig: control_plane.admin_kubeconfig.clone(),
        chain,
        cluster,
        kubectl,
        tenants,
        gate: server.gate().cloned(),
        workers: workers
            .as_ref()
            .map(|workers| workers.joined.clone())
            .unwrap_or_default(),
    };
    Ok(Running {
        stage,
        server,
        config,
        workers,
        control_plane,
        ledger,
        _lock: lock,
    })
}

/// On one's own machine stake alone decides, unless somebody says otherwise.
pub fn chosen(config: keys::ServerConfig) -> keys::ServerConfig {
    let elevated_owners = config.elevated_owners.or(Some(ElevatedOwners::Any));
    keys::ServerConfig {
        elevated_owners,
        ..config
    }
}

fn find_control_plane(config: &keys::UpConfig) -> Outcome<launch::Binary> {
    let mut search = Search::from_environment();
    search.built = search.built.or_else(built_control_plane);
    if let Some(path) = &config.k3s_bin {
        search.k3s_bin = Some(path.clone());
    }
    launch::find_control_plane(&search).or_fail(Kind::Failed, "there is nothing to run")
}

/// What `tests/control-plane/build.sh` made, in the cache of the project's folder we run in.
fn built_control_plane() -> Option<PathBuf> {
    let script = Path::new("tests/control-plane/build.sh");
    if !script.is_file() {
        return None;
    }
    let output = std::process::Command::new("bash")
        .arg(script)
        .arg("--path")
        .output()
        .ok()?;
    let path = String::from_utf8(output.stdout).ok()?;
    let path = PathBuf::from(path.trim_end());
    path.is_file().then_some(path)
}

/// The address itself, with a free port where it has none; a taken one is said before anything
/// slow is started. Who takes the port meanwhile makes the webhooks' start fail, and says so.
fn free_port(flag: &str, listen: std::net::SocketAddr) -> Outcome<std::net::SocketAddr> {
    let listener = std::net::TcpListener::bind(listen);
    listener
        .and_then(|listener| listener.local_addr())
        .or_fail(
            Kind::Failed,
            format!("the webhooks can't listen on {listen}"),
        )
        .map_err(|failure| {
            failure.next(format!("end what listens there, or give another --{flag}"))
        })
}

fn options(
    plan: &Plan,
    listen: std::net::SocketAddr,
    gate: GateMode,
    kubectl: &Kubectl,
) -> Outcome<StartOptions> {
    let folder = plan.layout.folder();
    let names = ["localhost".to_owned(), listen.ip().to_string()];
    let pki = DevPki::generate(&server::pki_folder(folder), &names)
        .or_fail(Kind::Failed, "can't make certificates")?;
    let rendered = folder.join("k3s");
    let settings = rendering::settings_of_up(&rendered, &pki, listen, Some(gate));
    let files = rendering::write(&rendering::files(&settings)?, &rendered)?;
    let drop_in = files.into_iter().find(|path| {
        path.parent()
            .is_some_and(|folder| folder.ends_with("config.yaml.d"))
    });
    let arguments = k3s_configs::kube_apiserver_args(&settings)
        .or_fail(Kind::Failed, "the API server's arguments can't be rendered")?;
    Ok(StartOptions {
        api_server_args: arguments,
        controller_manager_args: k3s_configs::kube_controller_manager_args(),
        k3s_config_drop_in: drop_in,
        port: Some(plan.up.api_port).filter(|port| *port != 0),
        durable: plan.durable,
        kubectl: Some(kubectl.command()),
        ..StartOptions::new(folder.join("control-plane"))
    })
}

async fn all_tenants(layout: &Layout, chain: &Chain, ledger: &Ledger) -> Outcome<Vec<Tenant>> {
    let prepare = |tier| tenants::prepare(layout, chain, &ledger.faucet, tier);
    let (viewer, developer, admin, super_) = tokio::try_join!(
        prepare(Tier::Viewer),
        prepare(Tier::Developer),
        prepare(Tier::Admin),
        prepare(Tier::Super),
    )?;
    Ok(vec![viewer, developer, admin, super_])
}

impl Running {
    /// Waits for Ctrl-C, or for the end of the control plane or of a worker, which is a failure. With
    /// each SIGHUP the webhooks take what `read` gives; `keys` is what they began with.
    pub async fn until(
        &mut self,
        shutdown: &CancellationToken,
        keys: Vec<keys::Effective>,
        read: impl Fn() -> Outcome<Loaded>,
    ) -> Outcome {
        let mut hangup = shutdown::on_hangup()?;
        let config = self.config.clone();
        let mut reloads = Reloads::new(Loaded { config, keys });
        let mut looks = tokio::time::interval(LOOK_AT_WORKERS);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                _ = looks.tick() => {
                    if let Some(workers) = &mut self.workers {
                        workers.check()?;
                    }
                }
                ended = self.control_plane.ends() => return Err(gone(ended)),
                _ = hangup.recv() => {
                    self.server.reload(&mut reloads, read());
                }
            }
        }
    }

    /// Takes the tour, unless Ctrl-C or the control plane's end comes first.
    pub async fn tour(&mut self, shutdown: &CancellationToken) -> Outcome<demo::Report> {
        tokio::select! {
            () = shutdown.cancelled() => Err(interrupted()),
            ended = self.control_plane.ends() => Err(gone(ended)),
            report = demo::tour(&self.stage, self.workers.as_ref()) => report,
        }
    }

    /// Ends everything: first who asks the others.
    pub async fn stop(self) {
        if let Some(workers) = self.workers {
            workers.stop().await;
        }
        self.server.stop().await;
        self.control_plane.stop().await;
        self.ledger.stop().await;
    }
}
