//! `worker`: what runs on a machine that joins with a seal.

use super::Context;
use crate::config::keys::WorkerKeys;
use crate::failure::Outcome;

mod contract;
mod install;
mod machine;
mod orders;
mod own;
mod run;
mod status;

pub(super) use contract::{Keep, contract_ids};
pub use install::{InstallArgs, UninstallArgs};
pub use orders::StakeArgs;
pub(super) use run::{check, cluster, token_file};

/// What the help ends with.
pub const EXAMPLES: &str = "\
The configuration is /etc/k3s-daas/worker-config.yaml; its keys stand there in the sections sui, k3s,
node, security and worker. SIGTERM ends it in order: calls under way may end within 30 s, and callers
wait at the socket that systemd holds for the next process.

Examples:
  k3s-daas worker                                       with /etc/k3s-daas/worker-config.yaml
  k3s-daas worker --config ./worker-config.yaml --worker-mode observe
  k3s-daas worker install                               systemd units, and kubelet's way through it
  k3s-daas worker stake && k3s-daas worker register     the way into a cluster
  k3s-daas worker status
  curl -s http://127.0.0.1:9091/metrics
  k3s-daas doctor --worker                              what is wrong on this machine";

/// What else to do with a worker.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum WorkerCommand {
    /// Make this machine's kubelet go through the shim: systemd units and a drop-in of K3s
    Install(InstallArgs),
    /// Let kubelet go to containerd again, and take the shim away
    Uninstall(UninstallArgs),
    /// Show what the worker of this machine knows: seal, containerd, figures
    Status,
    /// Let the worker stake for this machine's node, with its own key
    Stake(StakeArgs),
    /// Register this machine with the cluster, and write what its agent starts with
    Register,
    /// Let the worker ask for its stake back: the machine leaves the cluster
    Unstake,
}

/// Options of `worker`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub struct WorkerArgs {
    /// Instead of running it.
    #[command(subcommand)]
    pub command: Option<WorkerCommand>,
    /// The worker.
    #[command(flatten)]
    pub keys: WorkerKeys,
}

/// Runs `worker`.
pub async fn run(context: &Context, args: WorkerArgs) -> Outcome {
    match &args.command {
        None => serve(context, &args.keys).await,
        Some(WorkerCommand::Install(args)) => install::install(context, args).await,
        Some(WorkerCommand::Uninstall(args)) => install::uninstall(context, args).await,
        Some(WorkerCommand::Status) => status::run(context).await,
        Some(WorkerCommand::Stake(args)) => orders::stake(context, args).await,
        Some(WorkerCommand::Register) => orders::register(context).await,
        Some(WorkerCommand::Unstake) => orders::unstake(context).await,
    }
}

/// Runs a worker until SIGTERM.
pub async fn serve(context: &Context, keys: &WorkerKeys) -> Outcome {
    run::run(context, keys).await
}
