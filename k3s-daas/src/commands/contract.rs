//! `contract publish`

use std::path::PathBuf;

use sui_ledger::tx::{Artefact, Wallet, WalletSettings};

use super::Context;
use crate::chain::{client, tx_failure, wallet_key};
use crate::config::keys::{ChainKeys, Group};
use crate::failure::{Failure, Kind, OrFail, Outcome};
use crate::output;
use crate::progress::Progress;
use crate::secrets::make_private_folder;

/// The package as the Move build wrote it.
const BYTECODE: &str = include_str!("../../../move/bytecode/k3s_daas.json");

const EXAMPLES: &str = "\
Whoever publishes holds the AdminCap, the SlashCap and the UpgradeCap; see docs/security.md.

Examples:
  k3s-daas contract publish --endpoint https://fullnode.testnet.sui.io:443 --contract ./contract.toml
  k3s-daas contract publish --bytecode ./k3s_daas.json --endpoint http://127.0.0.1:9000";

/// What to do with the contract.
#[derive(Debug, clap::Subcommand)]
pub enum ContractCommand {
    /// Publish the Move package and write the file with all its ids
    Publish(PublishArgs),
}

/// Options of `contract publish`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct PublishArgs {
    /// Another compiled package than the one this program was built with
    #[arg(long, value_name = "FILE")]
    pub bytecode: Option<PathBuf>,
    /// The chain.
    #[command(flatten)]
    pub chain: ChainKeys,
}

/// Runs `contract ...`.
pub async fn run(context: &Context, command: ContractCommand) -> Outcome {
    let ContractCommand::Publish(args) = command;
    let config = args.chain.resolve(&context.sources)?;
    let artefact = match &args.bytecode {
        Some(path) => Artefact::load(path),
        None => Artefact::parse(BYTECODE),
    }
    .or_fail(Kind::Failed, "the compiled package can't be used")?;
    let endpoint = config.endpoint.as_ref().ok_or_else(|| {
        Failure::message(Kind::Usage, "there is no endpoint to publish to").next("give --endpoint")
    })?;
    if config.contract.exists() {
        return Err(Failure::message(
            Kind::Usage,
            format!("{} exists already", config.contract.display()),
        )
        .next("give another --contract: the ids of a published contract are never overwritten"));
    }
    if let Some(folder) = config.contract.parent() {
        make_private_folder(folder)?;
    }
    let key = wallet_key(&config)
        .or_fail(Kind::Usage, "there is no wallet to sign with")
        .map_err(|failure| {
            failure.next("give --keystore and --address; `k3s-daas wallet new` makes one")
        })?;
    let progress = Progress::start("publishing");
    let wallet = Wallet::new(client(&endpoint.0, None)?, key, WalletSettings::default());
    let ids = wallet
        .publish(&artefact, &endpoint.0)
        .await
        .map_err(|error| tx_failure(error, &endpoint.0))?;
    ids.save(&config.contract)
        .or_fail(Kind::Failed, "the ids can't be kept")?;
    progress.done();
    output::print(context.format(), &ids, |ids| {
        format!(
            "{}\n\npublished; the ids are in {}",
            output::facts([
                ("package", ids.original_package.to_string()),
                ("pool", ids.pool.to_string()),
                ("chain", ids.chain_id.to_string()),
            ]),
            config.contract.display()
        )
    })
}
