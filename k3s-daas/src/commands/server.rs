//! `server`: the webhooks that a K3s server asks.

use tokio::signal::unix::{SignalKind, signal};

use sui_ledger::manifest::ContractIds;

use super::Context;
use crate::config::keys::{ChainKeys, Group, ServerKeys, StateKeys};
use crate::failure::{Kind, OrFail, Outcome};
use crate::server::{self, DEFAULT_STATE};
use crate::shutdown;

const EXAMPLES: &str = "\
SIGTERM ends it in order, SIGHUP reads the kubeconfig again; certificates are read again when they
change. It starts without the chain and without the API server, and says at /readyz what is missing.

Examples:
  k3s-daas server --contract /etc/k3s-daas/contract.toml --elevated-owners none
  k3s-daas server --config /etc/k3s-daas/config.yaml
  curl -s http://127.0.0.1:9090/readyz?verbose";

/// Options of `server`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct ServerArgs {
    /// The webhooks.
    #[command(flatten)]
    pub server: ServerKeys,
    /// The chain.
    #[command(flatten)]
    pub chain: ChainKeys,
    /// State.
    #[command(flatten)]
    pub state: StateKeys,
}

/// Runs the webhooks until SIGTERM.
pub async fn run(context: &Context, args: ServerArgs) -> Outcome {
    let sources = &context.sources;
    let config = args.server.resolve(sources)?;
    server::elevated_owners(&config)?;
    let chain = args.chain.resolve(sources)?;
    let mut ids = ContractIds::load(&chain.contract)
        .or_fail(Kind::Usage, "the contract is not known")
        .map_err(|failure| {
            failure.next("give --contract: the file that `contract publish` wrote")
        })?;
    if let Some(endpoint) = chain.endpoint {
        ids.endpoint = endpoint.0;
    }
    let state_dir = args.state.resolve(sources)?.state_dir;
    let state_dir = state_dir.unwrap_or_else(|| DEFAULT_STATE.into());
    let shutdown = shutdown::on_signal()?;
    let mut hangup =
        signal(SignalKind::hangup()).or_fail(Kind::Failed, "can't listen for SIGHUP")?;
    let server = server::start(&config, &ids, &state_dir).await?;
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            _ = hangup.recv() => {
                tracing::info!("reading the kubeconfig again");
                server.reload();
            }
        }
    }
    server.stop().await;
    Ok(())
}
