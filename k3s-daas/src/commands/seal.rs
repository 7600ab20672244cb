//! `seal`: what the chain says of a seal, the seals of an owner, what follows from a token.

use std::fmt::Write;
use std::path::PathBuf;

use comfy_table::Cell;
use seal::{Address, CredentialHash};
use serde::Serialize;

use super::Context;
use crate::chain::{Chain, PoolView};
use crate::config::keys::{ChainKeys, Group};
use crate::failure::{Failure, Kind, Outcome};
use crate::output;
use crate::progress::Progress;
use crate::seals::{Pending, Purpose, Seals, now};
use crate::secrets::Origin;

mod view;

pub use view::SealView;
pub(in crate::commands) use view::time;

/// A pending token without a record is somebody's mistake only after this long: a transaction
/// that a node could not finish may still come through.
pub(crate) const SETTLED_AFTER_MS: u64 = 10 * 60 * 1000;

const EXAMPLES: &str = "\
Examples:
  k3s-daas seal list
  k3s-daas seal show --name mine
  k3s-daas seal show --hash a0059ad2a65d3c11ea4140fee3e7f0edd58653c361217eb3c94116f56c3c242d -o json
  k3s-daas seal derive < mine.token";

/// What to do with seals.
#[derive(Debug, clap::Subcommand)]
#[command(after_help = EXAMPLES)]
pub enum SealCommand {
    /// Show one seal as the chain knows it
    Show(ShowArgs),
    /// Show all seals of an owner, and the tokens whose transaction did not finish
    List(ListArgs),
    /// Read a seal token on standard input, print its join credential and credential hash
    Derive,
}

/// Which seal is meant.
#[derive(Debug, Clone, clap::Args)]
#[group(required = true, multiple = false)]
pub struct Which {
    /// By its token's file; `-` reads standard input
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// By the name under which the token is kept
    #[arg(long)]
    pub name: Option<String>,
    /// By its credential hash
    #[arg(long, value_name = "HEX", value_parser = parse_hash)]
    pub hash: Option<CredentialHash>,
}

/// Reads a credential hash.
pub fn parse_hash(text: &str) -> Result<CredentialHash, String> {
    CredentialHash::parse(text).map_err(|error| error.to_string())
}

impl Which {
    /// The file of the seal's token, where it is one.
    pub fn token_path(&self, seals: &Seals) -> Option<PathBuf> {
        let unused = CredentialHash::from_bytes([0; 32]);
        match (&self.token_file, &self.name) {
            (Some(path), _) => Some(path.clone()),
            (None, Some(name)) => Some(seals.path(Some(name), &unused)),
            (None, None) => None,
        }
    }

    /// The seal's credential hash.
    pub fn hash(&self, seals: &Seals) -> Outcome<CredentialHash> {
        match (self.token_path(seals), self.hash) {
            (Some(path), _) => Ok(Origin::from_path(&path).seal_token()?.credential_hash()),
            (None, Some(hash)) => Ok(hash),
            (None, None) => Err(Failure::message(Kind::Usage, "say which seal is meant")),
        }
    }
}

/// Options of `seal show`.
#[derive(Debug, clap::Args)]
pub struct ShowArgs {
    /// Which seal.
    #[command(flatten)]
    pub which: Which,
    /// The chain.
    #[command(flatten)]
    pub chain: ChainKeys,
}

/// Options of `seal list`.
#[derive(Debug, clap::Args)]
pub struct ListArgs {
    /// Whose seals; the wallet's own when not given
    #[arg(long, value_name = "ADDRESS")]
    pub owner: Option<Address>,
    /// Finish what was interrupted: give tokens their place whose record is on chain, remove those
    /// older than ten minutes without one
    #[arg(long)]
    pub recover: bool,
    /// The chain.
    #[command(flatten)]
    pub chain: ChainKeys,
}

/// Runs `seal ...`.
pub async fn run(context: &Context, command: SealCommand) -> Outcome {
    match command {
        SealCommand::Show(args) => show(context, args).await,
        SealCommand::List(args) => list(context, args).await,
        SealCommand::Derive => derive(context),
    }
}

/// What follows from a token.
#[derive(Serialize)]
struct Derived {
    join_credential: String,
    credential_hash: String,
}

/// JSON also for people: whoever asks for this is about to pipe it.
fn derive(context: &Context) -> Outcome {
    let join = Origin::Stdin.seal_token()?.join_credential();
    let derived = Derived {
        join_credential: join.reveal().to_string(),
        credential_hash: join.credential_hash().to_string(),
    };
    output::print(context.format(), &derived, |derived| {
        serde_json::to_string(derived).unwrap_or_default()
    })
}

async fn show(context: &Context, args: ShowArgs) -> Outcome {
    let config = args.chain.resolve(&context.sources)?;
    let hash = args.which.hash(&Seals::new(&config.seals_dir))?;
    let progress = Progress::start("asking the chain");
    let chain = Chain::open(&config)?;
    let pool = chain.pool().await?;
    let record = chain.record(&hash).await?.ok_or_else(|| no_such(&hash))?;
    progress.done();
    let view = SealView::new(&hash, &record, &pool, now());
    output::print(context.format(), &view, SealView::for_people)
}

/// The failure for a hash without a record.
pub fn no_such(hash: &CredentialHash) -> Failure {
    Failure::message(
        Kind::Failed,
        format!("the chain knows no seal with the hash {hash}"),
    )
    .next("`k3s-daas seal list` shows yours; a transaction takes a moment to appear")
}

/// One line of `seal list`.
#[derive(Serialize)]
struct Listed {
    #[serde(flatten)]
    view: SealView,
    token_file: Option<PathBuf>,
}

/// What became of a token whose transaction was interrupted.
#[derive(Serialize)]
struct Unfinished {
    #[serde(flatten)]
    pending: Pending,
    found: Found,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Found {
    /// The chain has the record: `--recover` gives the token its place.
    Minted,
    /// Its token has its place now.
    Recovered,
    /// Not on chain; may still come.
    Waiting,
    /// Not on chain, and old: `--recover` removes it.
    Stale,
    /// Removed.
    Removed,
    /// Somebody else staked on this hash.
    Taken,
}

#[derive(Serialize)]
struct Listing {
    owner: Address,
    seals: Vec<Listed>,
    unfinished: Vec<Unfinished>,
}

async fn list(context: &Context, args: ListArgs) -> Outcome {
    let config = args.chain.resolve(&context.sources)?;
    let seals = Seals::new(&config.seals_dir);
    let progress = Progress::start("asking the chain");
    let chain = Chain::open(&config)?;
    let owner = match args.owner {
        Some(owner) => owner,
        None => chain.wallet()?.address(),
    };
    let pool = chain.pool().await?;
    let unfinished = unfinished(&chain, &seals, args.recover).await?;
    let known = seals.known()?;
    let mut listed = Vec::new();
    for hash in chain.hashes_of(&owner).await? {
        let Some(record) = chain.record(&hash).await? else {
            continue;
        };
        let token_file = known.iter().find(|known| known.hash == hash);
        listed.push(Listed {
            view: SealView::new(&hash, &record, &pool, now()),
            token_file: token_file.map(|known| known.path.clone()),
        });
    }
    progress.done();
    let listing = Listing {
        owner,
        seals: listed,
        unfinished,
    };
    output::print(context.format(), &listing, listing_for_people)
}

fn listing_for_people(listing: &Listing) -> String {
    let mut text = if listing.seals.is_empty() {
        format!("{} has no seals", listing.owner)
    } else {
        let mut table = comfy_table::Table::new();
        table
            .load_preset(comfy_table::presets::ASCII_MARKDOWN)
            .set_header([
                "hash",
                "state",
                "tier",
                "stake",
                "expires",
                "node",
                "token file",
            ]);
        for seal in &listing.seals {
            let file = seal
                .token_file
                .as_ref()
                .map(|path| path.display().to_string());
            let row = seal.view.row().into_iter().map(Cell::new);
            table.add_row(row.chain([Cell::new(file.unwrap_or_else(|| "-".into()))]));
        }
        table.to_string()
    };
    for unfinished in &listing.unfinished {
        let pending = &unfinished.pending;
        let what = match unfinished.found {
            Found::Minted => "is on chain: `seal list --recover` gives its token its place",
            Found::Recovered => "was recovered",
            Found::Waiting => "is not on chain yet; its transaction may still come through",
            Found::Stale => "is not on chain: `seal list --recover` removes it",
            Found::Removed => "was removed",
            Found::Taken => "belongs to somebody else: `seal list --recover` removes it",
        };
        let _ = write!(text, "\nunfinished {} {what}", pending.hash);
    }
    text
}

async fn unfinished(chain: &Chain, seals: &Seals, recover: bool) -> Outcome<Vec<Unfinished>> {
    let mut all = Vec::new();
    for (token, pending) in seals.pending()? {
        let record = chain.record(&token.credential_hash()).await?;
        let age = now().0.saturating_sub(pending.since.0);
        let found = match record {
            Some(record) if record.owner == pending.owner => Found::Minted,
            Some(_) => Found::Taken,
            None if age > SETTLED_AFTER_MS => Found::Stale,
            None => Found::Waiting,
        };
        let found = match found {
            Found::Minted if recover => {
                seals.settle(
                    &token,
                    &free_place(seals, &pending, &token.credential_hash()),
                )?;
                Found::Recovered
            }
            Found::Stale | Found::Taken if recover => {
                seals.forget_pending(&pending.hash)?;
                Found::Removed
            }
            found => found,
        };
        all.push(Unfinished { pending, found });
    }
    Ok(all)
}

/// The place that was meant, or one by the hash where another token has taken it meanwhile.
fn free_place(seals: &Seals, pending: &Pending, hash: &CredentialHash) -> Pending {
    let mut pending = pending.clone();
    if pending.purpose == Purpose::Stake && pending.destination.exists() {
        pending.destination = seals.path(None, hash);
    }
    pending
}

/// The pool's rules as they bear on a stake.
pub fn tier_of(pool: &PoolView, stake: seal::Mist) -> String {
    pool.thresholds
        .tier(stake)
        .map_or_else(|| "none".to_owned(), |tier| tier.to_string())
}
