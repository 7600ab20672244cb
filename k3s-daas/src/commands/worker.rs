//! `worker`: what runs on a machine that joins with a seal.

use super::Context;
use crate::config::keys::WorkerKeys;
use crate::failure::Outcome;

mod run;

const EXAMPLES: &str = "\
The configuration is /etc/k3s-daas/worker-config.yaml; its keys stand there in the sections sui, k3s,
node, security and worker. SIGTERM ends it in order: calls under way may end within 30 s, and callers
wait at the socket that systemd holds for the next process.

Examples:
  k3s-daas worker                                       with /etc/k3s-daas/worker-config.yaml
  k3s-daas worker --config ./worker-config.yaml --worker-mode observe
  curl -s http://127.0.0.1:9091/metrics
  k3s-daas doctor --worker                              what is wrong on this machine";

/// Options of `worker`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct WorkerArgs {
    /// The worker.
    #[command(flatten)]
    pub keys: WorkerKeys,
}

/// Runs `worker`.
pub async fn run(context: &Context, args: WorkerArgs) -> Outcome {
    run::run(context, &args.keys).await
}
