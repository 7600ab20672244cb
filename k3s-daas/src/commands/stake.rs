//! `stake` and `refresh`: the two commands that make a token.
//!
//! Shape:  keep the new token in a pending file, send the transaction, read the record back with
//!         the sender as owner, then give the token its place. Whoever crashes in between finds
//!         it with `seal list --recover`.

use std::fmt::Write as _;
use std::path::PathBuf;

use seal::{Mist, NodeName, SealToken};
use serde::Serialize;

use super::Context;
use super::seal::{SealView, Which};
use crate::chain::{Chain, PoolView};
use crate::config::keys::{ChainKeys, Group};
use crate::failure::{Failure, Kind, Outcome};
use crate::output;
use crate::progress::Progress;
use crate::seals::{Seals, now};
use crate::secrets::Origin;

mod mint;

pub use mint::{Minted, Order, mint, mint_with, rotate};

const STAKE_EXAMPLES: &str = "\
Tiers: viewer from 0.5 SUI, developer from 2, admin from 5, super from 10.

Examples:
  k3s-daas stake 2 --name mine
  k3s-daas stake 0.5 --node-id worker-001 --name worker-001
  k3s-daas stake 2 --print-token -o json";

/// Options of `stake`.
#[derive(Debug, clap::Args)]
#[command(after_help = STAKE_EXAMPLES)]
pub struct StakeArgs {
    /// How much.
    #[command(flatten)]
    pub amount: Amount,
    /// The worker machine that this seal may join
    #[arg(long, value_name = "NAME")]
    pub node_id: Option<NodeName>,
    /// A wish for a namespace's name, written on chain; nothing is decided by it
    #[arg(long, value_name = "NAME")]
    pub namespace: Option<String>,
    /// For how long, such as 30d or 12h; the pool's default when not given
    #[arg(long, value_name = "TIME", value_parser = parse_validity)]
    pub validity: Option<Validity>,
    /// Where the token goes.
    #[command(flatten)]
    pub token: TokenPlace,
    /// The chain.
    #[command(flatten)]
    pub chain: ChainKeys,
}

/// How much SUI: as the first word or as an option.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct Amount {
    /// How much, in SUI
    #[arg(value_name = "SUI", required_unless_present = "amount")]
    sui: Option<Mist>,
    /// The same as an option
    #[arg(long, value_name = "SUI", conflicts_with = "sui")]
    amount: Option<Mist>,
}

impl Amount {
    /// The amount; one of the two is there.
    #[must_use]
    pub fn mist(self) -> Mist {
        self.sui.or(self.amount).unwrap_or_default()
    }
}

/// Where a new token goes.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct TokenPlace {
    /// Name of the token's file in the folder of seals; its hash when not given
    #[arg(long, conflicts_with = "token_file", value_parser = parse_name)]
    pub name: Option<String>,
    /// The token's file itself
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Print the token instead of keeping it in a file
    #[arg(long, conflicts_with_all = ["name", "token_file"])]
    pub print_token: bool,
}

const REFRESH_EXAMPLES: &str = "\
Examples:
  k3s-daas refresh --name mine          the new token takes the old one's place in its file
  k3s-daas refresh --token-file - --print-token < old.token";

/// Options of `refresh`.
#[derive(Debug, clap::Args)]
#[command(after_help = REFRESH_EXAMPLES)]
pub struct RefreshArgs {
    /// Which seal.
    #[command(flatten)]
    pub which: Which,
    /// For how long, such as 30d or 12h; the pool's default when not given
    #[arg(long, value_name = "TIME", value_parser = parse_validity)]
    pub validity: Option<Validity>,
    /// Print the new token instead of keeping it in the old one's file
    #[arg(long)]
    pub print_token: bool,
    /// The chain.
    #[command(flatten)]
    pub chain: ChainKeys,
}

/// How long a seal is valid, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity(pub u64);

/// Reads `30d`, `12h` or `90m`.
pub fn parse_validity(text: &str) -> Result<Validity, String> {
    let wrong = || "give a time such as 30d, 12h or 90m".to_owned();
    let unit = text.chars().last().ok_or_else(wrong)?;
    let ms: u64 = match unit {
        'd' => 86_400_000,
        'h' => 3_600_000,
        'm' => 60_000,
        _ => return Err(wrong()),
    };
    let number = text.strip_suffix(unit).ok_or_else(wrong)?;
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(ms).map(Validity).ok_or_else(wrong)
}

/// A file name, not a path.
fn parse_name(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if !text.is_empty() && text.len() <= 100 && !text.starts_with('.') && text.chars().all(fits) {
        Ok(text.to_owned())
    } else {
        Err("a name has letters, digits, hyphens, underscores and inner dots".to_owned())
    }
}

/// What staking answers.
#[derive(Debug, Serialize)]
pub struct Staked {
    /// The seal.
    #[serde(flatten)]
    pub view: SealView,
    /// The transaction.
    pub transaction: String,
    /// Where the token is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
    /// The token, if it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

/// `stake`
pub async fn stake(context: &Context, args: StakeArgs) -> Outcome {
    let config = args.chain.resolve(&context.sources)?;
    let seals = Seals::new(&config.seals_dir);
    let progress = Progress::start("staking");
    let chain = Chain::open(&config)?;
    let order = Order {
        amount: args.amount.mist(),
        node_id: args.node_id,
        namespace: args.namespace,
        validity_ms: args.validity.map_or(0, |validity| validity.0),
    };
    let minted = mint(&chain, &seals, &order, &args.token).await?;
    let pool = chain.pool().await?;
    progress.done();
    deliver(context, &seals, minted, &pool, args.token.print_token)
}

fn deliver(
    context: &Context,
    seals: &Seals,
    minted: Minted,
    pool: &PoolView,
    print_token: bool,
) -> Outcome {
    let Minted {
        token,
        pending,
        record,
        transaction,
    } = minted;
    let view = SealView::new(&token.credential_hash(), &record, pool, now());
    let mut staked = Staked {
        view,
        transaction,
        token_file: None,
        token: None,
    };
    if print_token {
        staked.token = Some(token.reveal().to_string());
        output::print(context.format(), &staked, |staked| {
            staked.token.clone().unwrap_or_default()
        })?;
        // Only now: what could not be printed is still there.
        return seals.forget_pending(&pending.hash);
    }
    seals.settle(&token, &pending)?;
    staked.token_file = Some(pending.destination);
    output::print(context.format(), &staked, for_people)
}

fn for_people(staked: &Staked) -> String {
    let file = staked
        .token_file
        .as_ref()
        .map(|path| path.display().to_string());
    let file = file.unwrap_or_default();
    // A viewer has no namespace of its own.
    let namespace = staked.view.namespace.as_ref();
    let namespace = namespace.map_or_else(String::new, |name| format!(" --namespace {name}"));
    let facts = staked.view.facts_and([("token file", file.clone())]);
    let mut text = format!(
        "{facts}\n\ntry: k3s-daas kubeconfig --token-file {file}{namespace} --to seal.kubeconfig"
    );
    if let Some(node) = &staked.view.node_id {
        // Writing to a string can't fail.
        let _ = write!(
            text,
            "\nfor the machine: k3s-daas join-token --token-file {file} --ca-file server-ca.crt --to \
             join.token\nthere: k3s agent --server https://<cluster>:6443 --token-file join.token \
             --node-name {node}"
        );
    }
    text
}

/// `refresh`
pub async fn refresh(context: &Context, args: RefreshArgs) -> Outcome {
    let config = args.chain.resolve(&context.sources)?;
    let seals = Seals::new(&config.seals_dir);
    let path = args
        .which
        .token_path(&seals)
        .filter(|path| path.as_os_str() != "-");
    if path.is_none() && !args.print_token {
        return Err(
            Failure::message(Kind::Usage, "there is no file for the new token")
                .next("give --token-file FILE or --name NAME, or --print-token"),
        );
    }
    let old = args.which.hash(&seals)?;
    let progress = Progress::start("refreshing the seal");
    let chain = Chain::open(&config)?;
    let validity = args.validity.map_or(0, |validity| validity.0);
    let minted = rotate(&chain, &seals, &old, path, validity).await?;
    let pool = chain.pool().await?;
    progress.done();
    deliver(context, &seals, minted, &pool, args.print_token)
}

/// Reads a token from a file that the caller knows, for the tour.
pub fn read_token(path: &std::path::Path) -> Outcome<SealToken> {
    Origin::File(path.to_owned()).seal_token()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn validities_are_read_with_their_unit() {
        assert_eq!(parse_validity("30d"), Ok(Validity(30 * 86_400_000)));
        assert_eq!(parse_validity("12h"), Ok(Validity(12 * 3_600_000)));
        assert_eq!(parse_validity("90m"), Ok(Validity(90 * 60_000)));
        for bad in [
            "",
            "30",
            "d",
            "-1d",
            "1.5h",
            "1y",
            "99999999999999999999d",
            "213503982335d",
        ] {
            assert!(parse_validity(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_name_is_no_path() {
        assert!(parse_name("worker-001").is_ok());
        for bad in ["", "a/b", "..", ".hidden", "a b"] {
            assert!(parse_name(bad).is_err(), "{bad}");
        }
    }
}
