//! `wallet`: just enough to get going; everything else is the `sui` command line's.

use seal::Mist;
use serde::Serialize;
use sui_ledger::keystore::{self, Keystore, WalletKey};

use super::Context;
use crate::chain::{Chain, faucet};
use crate::config::keys::{ChainKeys, Group};
use crate::failure::{Kind, OrFail, Outcome};
use crate::output;
use crate::progress::Progress;
use crate::secrets::make_private_folder;

const EXAMPLES: &str = "\
The keystore is the `sui` command line's own: what one makes the other reads.

Examples:
  k3s-daas wallet new --keystore ./wallet.keystore
  k3s-daas wallet show
  k3s-daas wallet faucet 20 --contract ./.k3s-daas/contract.toml";

/// What to do with the wallet.
#[derive(Debug, clap::Subcommand)]
#[command(after_help = EXAMPLES)]
pub enum WalletCommand {
    /// Make a new key and add it to the keystore
    New(WalletArgs),
    /// Show the keystore's addresses and, where the chain answers, their balances
    Show(WalletArgs),
    /// Ask a faucet for SUI, on the embedded ledger or a test network
    Faucet(FaucetArgs),
}

/// Options of `wallet`.
#[derive(Debug, clap::Args)]
pub struct WalletArgs {
    /// The chain.
    #[command(flatten)]
    pub chain: ChainKeys,
}

/// Options of `wallet faucet`.
#[derive(Debug, clap::Args)]
pub struct FaucetArgs {
    /// How much the wallet should have at least, in SUI
    #[arg(value_name = "SUI", default_value = "20")]
    pub amount: Mist,
    /// The faucet's address
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9123")]
    pub faucet: String,
    /// The chain.
    #[command(flatten)]
    pub chain: ChainKeys,
}

#[derive(Debug, Serialize)]
struct Account {
    address: seal::Address,
    #[serde(skip_serializing_if = "Option::is_none")]
    balance: Option<String>,
}

/// Runs `wallet ...`.
pub async fn run(context: &Context, command: WalletCommand) -> Outcome {
    match command {
        WalletCommand::New(args) => new(context, &args),
        WalletCommand::Show(args) => show(context, args).await,
        WalletCommand::Faucet(args) => get_funds(context, args).await,
    }
}

fn new(context: &Context, args: &WalletArgs) -> Outcome {
    let path = args.chain.resolve(&context.sources)?.keystore;
    let doing = || format!("can't add a key to {}", path.display());
    let key = WalletKey::generate().or_fail(Kind::Failed, doing())?;
    if let Some(folder) = path.parent() {
        make_private_folder(folder).or_fail(Kind::Failed, doing())?;
    }
    if path.exists() {
        keystore::add(&path, &key).or_fail(Kind::Failed, doing())?;
    } else {
        keystore::create(&path, &key).or_fail(Kind::Failed, doing())?;
    }
    let answer = serde_json::json!({ "address": key.address(), "keystore": path });
    output::print(context.format(), &answer, |_| {
        format!("{}\nkept in {} (mode 0600)", key.address(), path.display())
    })
}

async fn show(context: &Context, args: WalletArgs) -> Outcome {
    let config = args.chain.resolve(&context.sources)?;
    let keystore = Keystore::load(&config.keystore)
        .or_fail(Kind::Usage, "the wallet can't be read")
        .map_err(|failure| failure.next("`k3s-daas wallet new` makes one"))?;
    let chain = Chain::open(&config).ok();
    let progress = Progress::start("asking the chain");
    let mut accounts = Vec::new();
    for address in keystore.addresses() {
        let balance = match &chain {
            Some(chain) => chain.balance(&address).await.ok(),
            None => None,
        };
        let balance = balance.map(|balance| balance.to_string());
        accounts.push(Account { address, balance });
    }
    progress.done();
    output::print(context.format(), &accounts, |accounts| {
        let rows = accounts.iter().map(|account| {
            let balance = account
                .balance
                .as_ref()
                .map(|balance| format!("{balance} SUI"));
            [
                account.address.to_string(),
                balance.unwrap_or_else(|| "not known".to_owned()),
            ]
        });
        output::table(["address", "balance"], rows.collect())
    })
}

async fn get_funds(context: &Context, args: FaucetArgs) -> Outcome {
    let config = args.chain.resolve(&context.sources)?;
    let progress = Progress::start("asking the faucet");
    let chain = Chain::open(&config)?;
    let address = chain.wallet()?.address();
    let balance = faucet::fund(&args.faucet, &address, args.amount, &chain).await?;
    progress.done();
    let account = Account {
        address,
        balance: Some(balance.to_string()),
    };
    output::print(context.format(), &account, |account| {
        format!("{} has {balance} SUI", account.address)
    })
}
