//! `disconnect`: ends connections by hand, as the end of a seal or the cut of a node would.

use std::path::PathBuf;

use api_gate::{Disconnected, Target};
use serde::Serialize;

use super::Context;
use super::connections::state_dir;
use crate::config::keys::StateKeys;
use crate::control::Control;
use crate::failure::Outcome;
use crate::output;
use crate::secrets::Origin;

const EXAMPLES: &str = "\
It ends what is open now and forbids nothing: whoever still has a usable seal connects again. Closed are
the connections on which it was seen, and those on which nobody was seen that came from the same
address. To keep a seal out, slash or revoke it. 64 hex digits are taken for a credential hash: never
type a seal token, give its file.

Examples:
  k3s-daas disconnect a0059ad2a65d3c11ea4140fee3e7f0edd58653c361217eb3c94116f56c3c242d
  k3s-daas disconnect worker-001
  k3s-daas disconnect --token-file - < mine.token";

/// Options of `disconnect`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct DisconnectArgs {
    /// A seal by its credential hash, all seals of an owner by its address, or a node by its name
    #[arg(value_name = "WHOM", required_unless_present = "token_file")]
    pub whom: Option<Target>,
    /// A seal by its token's file; `-` reads standard input
    #[arg(long, value_name = "FILE", conflicts_with = "whom")]
    pub token_file: Option<PathBuf>,
    /// Where the server keeps its state.
    #[command(flatten)]
    pub state: StateKeys,
}

#[derive(Debug, Serialize)]
struct Done {
    target: Target,
    #[serde(flatten)]
    done: Disconnected,
}

/// Runs `disconnect`.
pub async fn run(context: &Context, args: DisconnectArgs) -> Outcome {
    let target = match (args.whom, &args.token_file) {
        (Some(whom), _) => whom,
        (None, Some(file)) => {
            let token = Origin::from_path(file).seal_token()?;
            Target::Hash(token.credential_hash())
        }
        // Clap asks for one of both.
        (None, None) => return Ok(()),
    };
    let control = Control::of(&state_dir(context, &args.state)?).await?;
    let done = control.disconnect(&target).await?;
    output::print(context.format(), &Done { target, done }, |answer| {
        let whom = &answer.target;
        match answer.done.closed {
            0 => format!("{whom} was on no open connection"),
            1 => format!("1 connection of {whom} and its address is closed"),
            count => format!("{count} connections of {whom} and its addresses are closed"),
        }
    })
}
