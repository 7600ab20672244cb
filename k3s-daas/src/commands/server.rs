//! `server`: the webhooks that a K3s server asks.

use sui_ledger::manifest::ContractIds;

use super::Context;
use crate::config::Sources;
use crate::config::keys::{self, ChainKeys, ClusterKeys, Group, LogKeys, ServerKeys, StateKeys};
use crate::failure::{Kind, OrFail, Outcome};
use crate::server::reload::{Loaded, Reloads};
use crate::server::{self, DEFAULT_STATE};
use crate::shutdown;

const EXAMPLES: &str = "\
SIGTERM ends it in order. SIGHUP reads the configuration and the kubeconfig again: who may do what,
quotas, times and closed networks change at once, a wrong configuration changes nothing, and the log
names what needs a restart. Certificates are read again when they change. It starts without the chain and without the API server, and says at /readyz what is missing.

Examples:
  k3s-daas server --contract /etc/k3s-daas/contract.toml --elevated-owners none
  k3s-daas server --config /etc/k3s-daas/config.yaml
  curl -s http://127.0.0.1:9090/readyz?verbose";

/// Options of `server`.
#[derive(Debug, Clone, clap::Args)]
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
    /// The cluster, as the REST API tells of it.
    #[command(flatten)]
    pub cluster: ClusterKeys,
}

impl ServerArgs {
    /// What counts by these sources, everything resolved.
    fn load(&self, sources: &Sources, log: &LogKeys) -> Outcome<Loaded> {
        self.chain.resolve(sources)?;
        self.state.resolve(sources)?;
        self.cluster.resolve(sources)?;
        log.resolve(sources)?;
        Ok(Loaded {
            config: self.server.resolve(sources)?,
            keys: [
                keys::effective(&self.server, sources),
                keys::effective(&self.chain, sources),
                keys::effective(&self.state, sources),
                keys::effective(&self.cluster, sources),
                keys::effective(log, sources),
            ]
            .concat(),
        })
    }
}

/// Runs the webhooks until SIGTERM.
pub async fn run(context: &Context, args: ServerArgs) -> Outcome {
    let sources = &context.sources;
    let log = context.global.log.group();
    let loaded = args.load(sources, &log)?;
    server::elevated_owners(&loaded.config)?;
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
    let mut hangup = shutdown::on_hangup()?;
    let cluster = args.cluster.resolve(sources)?;
    let server = server::start(&loaded.config, &cluster, &ids, &state_dir).await?;
    let mut reloads = Reloads::new(loaded);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            _ = hangup.recv() => {
                let read = sources.read_again().and_then(|sources| args.load(&sources, &log));
                server.reload(&mut reloads, read);
            }
        }
    }
    server.stop().await;
    Ok(())
}
