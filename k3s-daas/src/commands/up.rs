//! `up`: everything on this machine, in the foreground, until Ctrl-C.

use std::fmt::Write;
use std::path::Path;

use serde::Serialize;

use super::Context;
use crate::config::keys::{self, Group};
use crate::demo;
use crate::failure::Outcome;
use crate::output;
use crate::server::reload::Loaded;
use crate::shutdown;
use crate::up::{self, Layout, Plan, Stage, tenants, workers};

/// What the folder of a tour is called; six characters of chance follow.
const DEMO_PREFIX: &str = "demo-";

const EXAMPLES: &str = "\
SIGHUP reads the configuration again, as for `server`. Needs no root (but for workers) and no K3s: the control plane is K3S_BIN, else a k3s on PATH, else one built from the
Kubernetes modules by tests/control-plane/build.sh. State lies in ./.k3s-daas and is used again.

Examples:
  k3s-daas up
  k3s-daas up --state-dir /tmp/k3s-daas --api-port 0 --listen 127.0.0.1:0
  k3s-daas up --demo                 start, take the scripted tour, print its table, end
  k3s-daas up --demo -o json
  sudo -E k3s-daas up --workers 1    with a worker machine that joins by a seal: a stock K3s agent in
                                     namespaces of its own, or the test control plane's kubelet";

/// Options of `up`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct UpArgs {
    /// Take the scripted tour and end: with code 1 when any line is not as expected. Its state is
    /// made anew, its ports are free ones unless they are given
    #[arg(long)]
    pub demo: bool,
    /// State.
    #[command(flatten)]
    pub state: keys::StateKeys,
    /// The embedded ledger.
    #[command(flatten)]
    pub devnet: keys::DevnetKeys,
    /// The control plane.
    #[command(flatten)]
    pub up: keys::UpKeys,
    /// The webhooks.
    #[command(flatten)]
    pub server: keys::ServerKeys,
}

/// `up`
pub async fn up(context: &Context, args: UpArgs) -> Outcome {
    let sources = &context.sources;
    let state = args.state.resolve(sources)?;
    let folder = state.state_dir.unwrap_or_else(|| up::DEFAULT_STATE.into());
    if args.demo {
        return Box::pin(demo(context, args, &folder)).await;
    }
    let plan = Plan {
        layout: Layout::new(&folder)?,
        devnet: args.devnet.resolve(sources)?,
        server: args.server.resolve(sources)?,
        up: args.up.resolve(sources)?,
        durable: true,
    };
    let shutdown = shutdown::on_signal()?;
    let mut running = Box::pin(up::start(&plan, &shutdown)).await?;
    output::print(context.format(), &Summary::of(&running.stage), |_| {
        summary(&running.stage)
    })?;
    let begun = keys::effective(&args.server, sources);
    let read = || {
        let sources = sources.read_again()?;
        Ok(Loaded {
            config: up::chosen(args.server.resolve(&sources)?),
            keys: keys::effective(&args.server, &sources),
        })
    };
    let ended = running.until(&shutdown, begun, read).await;
    output::say("stopping");
    running.stop().await;
    ended
}

/// The tour changes what it looks at (it slashes, for one), so it begins with nothing.
async fn demo(context: &Context, args: UpArgs, folder: &Path) -> Outcome {
    const FREE: &str = "127.0.0.1:0";
    let sources = &context.sources;
    let beside = Layout::new(folder)?;
    let parent = if beside.fits_sockets(DEMO_PREFIX.len() + 6) {
        beside.folder().to_owned()
    } else {
        std::env::temp_dir()
    };
    let folder = tempfile::Builder::new()
        .prefix(DEMO_PREFIX)
        .tempdir_in(parent)?;
    let plan = Plan {
        layout: Layout::new(folder.path())?,
        devnet: args
            .devnet
            .with_defaults(sources, &[("devnet_listen", FREE), ("faucet_listen", FREE)])
            .resolve(sources)?,
        server: args
            .server
            .with_defaults(
                sources,
                &[
                    ("listen", FREE),
                    ("metrics_listen", FREE),
                    ("admit_listen", FREE),
                    ("api_listen", FREE),
                    // What ends with a seal is shown, and nobody wants to wait ten minutes.
                    ("namespace_grace_seconds", "1"),
                ],
            )
            .resolve(sources)?,
        up: args
            .up
            .with_defaults(sources, &[("api_port", "0")])
            .resolve(sources)?,
        durable: false,
    };
    let shutdown = shutdown::on_signal()?;
    let mut running = Box::pin(up::start(&plan, &shutdown)).await?;
    let report = running.tour(&shutdown).await;
    running.stop().await;
    demo::print(context.format(), &report?)
}

/// What `up` tells of itself.
#[derive(Debug, Serialize)]
struct Summary<'a> {
    state_dir: &'a Path,
    control_plane: &'a str,
    kubectl: String,
    server: &'a str,
    contract: std::path::PathBuf,
    admin_kubeconfig: &'a Path,
    tenants: &'a [tenants::Tenant],
    workers: &'a [workers::Worker],
}

impl<'a> Summary<'a> {
    fn of(stage: &'a Stage) -> Self {
        Self {
            state_dir: stage.layout.folder(),
            control_plane: &stage.control_plane,
            kubectl: stage.kubectl.words(),
            server: &stage.cluster.url,
            contract: stage.layout.contract(),
            admin_kubeconfig: &stage.admin_kubeconfig,
            tenants: &stage.tenants,
            workers: &stage.workers,
        }
    }
}

fn summary(stage: &Stage) -> String {
    let kubectl = stage.kubectl.words();
    let mut text = output::facts([
        ("control plane", stage.control_plane.clone()),
        ("kubectl", kubectl.clone()),
        ("API server", stage.cluster.url.clone()),
        ("ledger", stage.chain.ids().endpoint.clone()),
        ("contract", stage.layout.contract().display().to_string()),
    ]);
    for tenant in &stage.tenants {
        let amount = tenants::stake_of(tenant.tier);
        let kubeconfig = tenant.kubeconfig.display();
        let _ = write!(text, "\n\n{} ({amount} SUI): {kubeconfig}", tenant.name);
        for words in tenants::commands_to_try(tenant) {
            let _ = write!(text, "\n  {kubectl} --kubeconfig {kubeconfig} {words}");
        }
    }
    for worker in &stage.workers {
        let (name, address) = (&worker.seal.name, worker.address);
        let admin = stage.admin_kubeconfig.display();
        let join = worker.join_token_file.display();
        let _ = write!(
            text,
            "\n\n{name} (joined by a seal of 0.5 SUI, Ready after {} ms at {address}): {join}\n  \
             {kubectl} --kubeconfig {admin} get node {name} --output wide",
            worker.ready_ms
        );
    }
    text + "\n\nCtrl-C ends it; the state stays."
}
