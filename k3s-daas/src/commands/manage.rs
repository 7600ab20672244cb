//! `restake`, `unstake`, `withdraw` (by the owner), `slash` and `revoke` (by the operator).

use seal::{CredentialHash, ObjectId, SealStatus};
use serde::Serialize;
use sui_ledger::tx::Call;

use super::Context;
use super::seal::{SealView, Which, no_such, parse_hash};
use super::stake::Amount;
use crate::chain::Chain;
use crate::config::keys::{ChainKeys, Group};
use crate::failure::{Failure, Kind, Outcome};
use crate::output;
use crate::progress::Progress;
use crate::seals::{Seals, now};

const RESTAKE_EXAMPLES: &str = "\
Examples:
  k3s-daas restake 3 --name mine";

/// Options of `restake`.
#[derive(Debug, clap::Args)]
#[command(after_help = RESTAKE_EXAMPLES)]
pub struct RestakeArgs {
    /// How much more.
    #[command(flatten)]
    pub amount: Amount,
    /// Which seal.
    #[command(flatten)]
    pub which: Which,
    /// The chain.
    #[command(flatten)]
    pub chain: ChainKeys,
}

const MANAGE_EXAMPLES: &str = "\
Examples:
  k3s-daas unstake --name mine
  k3s-daas withdraw --name mine        once `seal show` says that the unbonding is over";

/// Options of `unstake` and `withdraw`.
#[derive(Debug, clap::Args)]
#[command(after_help = MANAGE_EXAMPLES)]
pub struct ManageArgs {
    /// Which seal.
    #[command(flatten)]
    pub which: Which,
    /// The chain.
    #[command(flatten)]
    pub chain: ChainKeys,
}

const SLASH_EXAMPLES: &str = "\
The hash stands in the user's extra in every review and audit event. A revoked seal never comes back;
a slashed one does once its stake is restored.

Examples:
  k3s-daas slash a0059ad2a65d3c11ea4140fee3e7f0edd58653c361217eb3c94116f56c3c242d --reason 'mined coins'";

/// Options of `slash` and `revoke`.
#[derive(Debug, clap::Args)]
#[command(after_help = SLASH_EXAMPLES)]
pub struct SlashArgs {
    /// The seal's credential hash
    #[arg(value_name = "HASH", value_parser = parse_hash)]
    pub hash: CredentialHash,
    /// Why; stands on chain for all to read, at most 128 bytes
    #[arg(long, value_parser = parse_reason)]
    pub reason: String,
    /// The SlashCap; the contract file's own when not given
    #[arg(long, value_name = "ID")]
    pub cap: Option<ObjectId>,
    /// The chain.
    #[command(flatten)]
    pub chain: ChainKeys,
}

fn parse_reason(text: &str) -> Result<String, String> {
    if text.len() <= 128 {
        Ok(text.to_owned())
    } else {
        Err("a reason has at most 128 bytes".to_owned())
    }
}

/// `restake`
pub async fn restake(context: &Context, args: RestakeArgs) -> Outcome {
    let amount = args.amount.mist();
    manage(context, &args.which, &args.chain, "restaking", |token| {
        Call::Restake { token, amount }
    })
    .await
}

/// `unstake`
pub async fn unstake(context: &Context, args: ManageArgs) -> Outcome {
    manage(
        context,
        &args.which,
        &args.chain,
        "asking for the stake",
        |token| Call::RequestUnstake { token },
    )
    .await
}

/// `withdraw`
pub async fn withdraw(context: &Context, args: ManageArgs) -> Outcome {
    manage(
        context,
        &args.which,
        &args.chain,
        "withdrawing the stake",
        |token| Call::Withdraw { token },
    )
    .await
}

/// `slash`
pub async fn slash(context: &Context, args: SlashArgs) -> Outcome {
    let (hash, reason) = (args.hash, args.reason.clone());
    operate(context, &args, "slashing", |cap| Call::Slash {
        cap,
        hash,
        reason,
    })
    .await
}

/// `revoke`
pub async fn revoke(context: &Context, args: SlashArgs) -> Outcome {
    let (hash, reason) = (args.hash, args.reason.clone());
    operate(context, &args, "revoking", |cap| Call::Revoke {
        cap,
        hash,
        reason,
    })
    .await
}

/// What changing a seal answers.
#[derive(Debug, Serialize)]
struct Changed {
    #[serde(flatten)]
    view: SealView,
    transaction: String,
}

async fn manage(
    context: &Context,
    which: &Which,
    chain: &ChainKeys,
    doing: &str,
    call: impl FnOnce(ObjectId) -> Call,
) -> Outcome {
    let config = chain.resolve(&context.sources)?;
    let hash = which.hash(&Seals::new(&config.seals_dir))?;
    let progress = Progress::start(doing);
    let chain = Chain::open(&config)?;
    let record = chain.record(&hash).await?.ok_or_else(|| no_such(&hash))?;
    if record.owner != chain.wallet()?.address() {
        let failure = format!(
            "the seal belongs to {}, not to the wallet's address",
            record.owner
        );
        return Err(Failure::message(Kind::Refused, failure)
            .next("give --address or --keystore of the owner"));
    }
    if record.status == SealStatus::Retired {
        return Err(Failure::message(Kind::Refused, "the seal is retired")
            .next("it was refreshed or withdrawn; `k3s-daas seal list` shows what is left"));
    }
    change(context, &chain, hash, call(record.seal_id), progress).await
}

async fn operate(
    context: &Context,
    args: &SlashArgs,
    doing: &str,
    call: impl FnOnce(ObjectId) -> Call,
) -> Outcome {
    let config = args.chain.resolve(&context.sources)?;
    let progress = Progress::start(doing);
    let chain = Chain::open(&config)?;
    let cap = args.cap.or(chain.ids().caps.slash).ok_or_else(|| {
        Failure::message(Kind::Usage, "no SlashCap is known").next("give --cap ID")
    })?;
    change(context, &chain, args.hash, call(cap), progress).await
}

async fn change(
    context: &Context,
    chain: &Chain,
    hash: CredentialHash,
    call: Call,
    progress: Progress,
) -> Outcome {
    let before = chain.record(&hash).await?.ok_or_else(|| no_such(&hash))?;
    let transaction = chain.call(&call).await?;
    let record = chain
        .read_back(&hash, |record| record.seq > before.seq)
        .await?;
    let pool = chain.pool().await?;
    progress.done();
    let changed = Changed {
        view: SealView::new(&hash, &record, &pool, now()),
        transaction,
    };
    output::print(context.format(), &changed, |changed| {
        changed
            .view
            .facts_and([("transaction", changed.transaction.clone())])
    })
}
