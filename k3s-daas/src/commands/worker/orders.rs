//! `worker stake`, `worker register` and `worker unstake`: the orders of the worker API, for people.
//!
//! The seal token that a stake answers stays in its file; it is not shown.

use seal::Mist;
use serde::Serialize;
use serde_json::{Value, json};
use sui_ledger::keystore::Keystore;

use super::own::Own;
use super::token_file;
use crate::commands::Context;
use crate::commands::seal::time;
use crate::commands::stake::{Validity, parse_validity};
use crate::failure::{Kind, OrFail, Outcome};
use crate::output;

const STAKE_EXAMPLES: &str = "\
The worker signs with its own key (keystore and wallet_address in the section sui), and keeps the seal
token in its file. A machine that has a usable seal keeps it: nothing is staked twice.

Examples:
  k3s-daas worker stake                     stake_amount of the section node, for 30 days
  k3s-daas worker stake 2 --validity 90d";

/// Options of `worker stake`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = STAKE_EXAMPLES)]
pub struct StakeArgs {
    /// How much, in SUI; the configured amount when not given
    #[arg(value_name = "SUI")]
    amount: Option<Mist>,
    /// For how long, such as 30d or 12h
    #[arg(long, value_name = "TIME", value_parser = parse_validity, default_value = "30d")]
    validity: Validity,
}

/// What a stake answers, without the token.
#[derive(Debug, Serialize)]
struct Staked {
    node_id: seal::NodeName,
    /// Ms since the epoch.
    expires_at: u64,
    permissions: Vec<String>,
    token_file: String,
}

/// Runs `worker stake`.
pub(super) async fn stake(context: &Context, args: &StakeArgs) -> Outcome {
    let own = Own::of(context).await?;
    let mut body = json!({
        "duration": args.validity.0 / 1_000,
        "wallet": wallet(&own)?.to_string(),
    });
    if let (Some(amount), Some(fields)) = (args.amount, body.as_object_mut()) {
        fields.insert("stake_amount".to_owned(), json!(amount.0.to_string()));
    }
    let mut answer = own.order("/api/v1/staking", body).await?;
    if let Some(Value::String(token)) = answer.get_mut("seal_token") {
        zeroize::Zeroize::zeroize(token);
    }
    let permissions = answer.get("permissions").and_then(Value::as_array);
    let permissions = permissions.into_iter().flatten();
    let staked = Staked {
        node_id: own.node.clone(),
        expires_at: number(&answer, "expires_at"),
        permissions: permissions
            .filter_map(|one| one.as_str().map(str::to_owned))
            .collect(),
        token_file: token_file(&own.config).display().to_string(),
    };
    output::print(context.format(), &staked, |staked| {
        output::facts([
            ("node", staked.node_id.to_string()),
            ("expires", shown(staked.expires_at)),
            ("may", staked.permissions.join(", ")),
            ("token", staked.token_file.clone()),
            ("next", "k3s-daas worker register".to_owned()),
        ])
    })
}

/// Runs `worker register`.
pub(super) async fn register(context: &Context) -> Outcome {
    let own = Own::of(context).await?;
    let answer = own.order("/api/v1/register", json!({})).await?;
    output::print(context.format(), &answer, |answer| {
        let said = |key: &str| answer.get(key).and_then(Value::as_str).unwrap_or("-");
        output::facts([
            ("node", said("node_id").to_owned()),
            ("cluster", said("api_server").to_owned()),
            ("configuration", said("config_file").to_owned()),
            ("token", said("token_file").to_owned()),
            ("next", "systemctl restart k3s-agent".to_owned()),
        ])
    })
}

/// Runs `worker unstake`.
pub(super) async fn unstake(context: &Context) -> Outcome {
    let own = Own::of(context).await?;
    let answer = own.order("/api/v1/unstake", json!({})).await?;
    output::print(context.format(), &answer, |answer| {
        output::facts([
            ("node", own.node.to_string()),
            ("withdrawable", shown(number(answer, "withdrawable_at"))),
            ("then", "k3s-daas withdraw".to_owned()),
        ])
    })
}

/// The address that the worker stakes with.
fn wallet(own: &Own) -> Outcome<seal::Address> {
    if let Some(address) = own.config.sui_wallet_address {
        return Ok(address);
    }
    let path = &own.config.sui_keystore;
    let doing = || format!("there is no one key to stake with in {}", path.display());
    let keys = Keystore::load(path).or_fail(Kind::Usage, doing())?;
    let key = keys.only_key().or_fail(Kind::Usage, doing());
    let key = key.map_err(|failure| failure.next("set wallet_address in the section sui"))?;
    Ok(key.address())
}

fn number(answer: &Value, key: &str) -> u64 {
    answer.get(key).and_then(Value::as_u64).unwrap_or_default()
}

fn shown(at: u64) -> String {
    time(seal::UnixMillis(at)).unwrap_or_else(|| "-".to_owned())
}
