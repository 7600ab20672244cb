//! `devnet`: the embedded ledger alone.

use serde::Serialize;

use super::Context;
use crate::config::keys::{self, Group, StateKeys};
use crate::failure::Outcome;
use crate::output;
use crate::shutdown;
use crate::up::{DEFAULT_STATE, Layout, ledger};

const EXAMPLES: &str = "\
It speaks sui.rpc.v2 like a full node and keeps its chain in the state folder. The contract file and
the operator's wallet lie beside it.

Examples:
  k3s-daas devnet
  k3s-daas wallet new && k3s-daas wallet faucet 20 --contract ./.k3s-daas/contract.toml
  k3s-daas stake 2 --name mine --contract ./.k3s-daas/contract.toml";

/// Options of `devnet`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct DevnetArgs {
    /// The ledger.
    #[command(flatten)]
    pub devnet: keys::DevnetKeys,
    /// State.
    #[command(flatten)]
    pub state: StateKeys,
}

#[derive(Debug, Serialize)]
struct Summary {
    endpoint: String,
    faucet: String,
    contract: std::path::PathBuf,
    operator_wallet: std::path::PathBuf,
}

/// Runs the ledger until Ctrl-C.
pub async fn run(context: &Context, args: DevnetArgs) -> Outcome {
    let config = args.devnet.resolve(&context.sources)?;
    let state = args.state.resolve(&context.sources)?.state_dir;
    let layout = Layout::new(&state.unwrap_or_else(|| DEFAULT_STATE.into()))?;
    let _lock = layout.lock()?;
    let shutdown = shutdown::on_signal()?;
    let ledger = ledger::start(&layout, &config).await?;
    let summary = Summary {
        endpoint: ledger.ids.endpoint.clone(),
        faucet: ledger.faucet.clone(),
        contract: layout.contract(),
        operator_wallet: layout.operator_wallet(),
    };
    output::print(context.format(), &summary, |summary| {
        output::facts([
            ("ledger", summary.endpoint.clone()),
            ("faucet", summary.faucet.clone()),
            ("contract", summary.contract.display().to_string()),
            (
                "operator's wallet",
                summary.operator_wallet.display().to_string(),
            ),
        ])
    })?;
    shutdown.cancelled().await;
    ledger.stop().await;
    Ok(())
}
