//! Starts a Kubernetes control plane beside the webhooks: a K3s server, or the one that
//! `tests/control-plane` builds from the Kubernetes modules.
//!
//! Shape:  find, then start. The control plane is a child whose standard input we hold: when that
//!         closes, because it is stopped, dropped, or this process dies in whatever way, it ends.
//! Errors: `LaunchError`; each says what to do about it.
//! Not here: building or downloading anything.

pub mod agent;
mod error;
mod find;
mod k3s;
mod kubectl;
mod modules;
mod place;
mod port;
mod running;
#[cfg(feature = "testing")]
pub mod testing;

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub use error::LaunchError;
pub use find::{Binary, ControlPlaneKind, FoundBy, Search, find_control_plane, find_kubectl};
pub use kubectl::KubectlCommand;
pub use place::Door;
pub use running::ControlPlane;

use place::Place;

/// How long a start may take. Measured: 3 s for the modules and 5 s for K3s on two idle cores;
/// the rest is for busy ones.
pub const READY_WITHIN: Duration = Duration::from_mins(2);

/// How to start a control plane.
#[derive(Debug, Clone)]
pub struct StartOptions {
    /// Its folder: state, credentials and logs. Made if missing; a start on the folder of an
    /// earlier run goes on with its state and port. Keep the path short: Unix sockets go below it.
    pub dir: PathBuf,
    /// Arguments of the API server as K3s takes them (`name=value`, `name+=value`), such as
    /// [`kube_apiserver_args`](crate::kube_apiserver_args) gives.
    pub api_server_args: Vec<String>,
    /// The controller manager's, such as
    /// [`kube_controller_manager_args`](crate::kube_controller_manager_args) gives.
    pub controller_manager_args: Vec<String>,
    /// A rendered drop-in for K3s. Where there is one, K3s takes it *instead of* both lists of
    /// arguments, which it holds already; the modules only know the arguments.
    pub k3s_config_drop_in: Option<PathBuf>,
    /// The API server's port, or the gate's. `None`: the one of an earlier run, else a free one.
    pub port: Option<u16>,
    /// The address that it listens on for workers in namespaces of their own, such as
    /// [`AgentNetwork::server_address`](agent::AgentNetwork::server_address). `None`: 127.0.0.1, and
    /// no workers.
    pub reachable_at: Option<Ipv4Addr>,
    /// Whether it listens on loopback alone and its clients come through a gate, which the caller
    /// opens: [`ControlPlane::doors`](ControlPlane) says where. The arguments should then be those
    /// of [`Settings::gate`](crate::Settings), or the gate hears of nobody.
    pub behind_gate: bool,
    /// Whether each write waits for the disk. Tests do without.
    pub durable: bool,
    /// How long a start may take.
    pub ready_within: Duration,
    /// `kubectl`, for questions about readiness and for the users of the control plane. `None`:
    /// what [`find_kubectl`] finds.
    pub kubectl: Option<KubectlCommand>,
}

impl StartOptions {
    /// A stock control plane in a folder.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            api_server_args: Vec::new(),
            controller_manager_args: Vec::new(),
            k3s_config_drop_in: None,
            port: None,
            reachable_at: None,
            behind_gate: false,
            durable: true,
            ready_within: READY_WITHIN,
            kubectl: None,
        }
    }
}

/// Starts the control plane and waits until it answers.
///
/// Webhooks that its arguments name need not be up yet, but the files must exist.
pub async fn start(binary: &Binary, options: StartOptions) -> Result<ControlPlane, LaunchError> {
    let started = Instant::now();
    let dir = absolute(&options.dir)?;
    make_private_dir(&dir)?;
    let place = Place::choose(&dir, &options, binary.kind)?;
    let arguments = Arguments::of(&options);
    let kubectl = match options.kubectl {
        Some(kubectl) => kubectl,
        None => find_kubectl(&Search::from_environment(), Some(binary))?,
    }
    .with_cache(&dir.join("kubectl-cache"));
    let plan = match binary.kind {
        ControlPlaneKind::K3s => k3s::plan(
            binary,
            &dir,
            place,
            &arguments,
            options.k3s_config_drop_in.as_deref(),
        )?,
        ControlPlaneKind::Modules => {
            modules::plan(binary, &dir, place, &arguments, options.durable)
        }
    };
    tracing::debug!(kind = binary.kind.label(), dir = %dir.display(), at = place.direct_url(), "starting a control plane");
    let mut running = running::spawn(binary.kind, plan, kubectl)?;
    running.wait_ready(started, options.ready_within).await?;
    Ok(running)
}

/// The arguments of the components as flags, which K3s and the modules spell alike.
struct Arguments(Vec<String>);

impl Arguments {
    fn of(options: &StartOptions) -> Self {
        let flags = |component: &'static str, items: &[String]| {
            let flag = |item: &String| format!("--{component}-arg={item}");
            items.iter().map(flag).collect::<Vec<_>>()
        };
        let mut all = flags("kube-apiserver", &options.api_server_args);
        all.extend(flags(
            "kube-controller-manager",
            &options.controller_manager_args,
        ));
        Self(all)
    }
}

fn absolute(path: &Path) -> Result<PathBuf, LaunchError> {
    std::path::absolute(path).map_err(|source| LaunchError::file(path, source))
}

/// Makes the folder for this user alone: it will hold the cluster's keys.
fn make_private_dir(dir: &Path) -> Result<(), LaunchError> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|source| LaunchError::file(dir, source))
}
