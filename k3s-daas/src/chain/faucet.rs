//! The faucet of the embedded ledger (and of Sui's test networks).

use std::time::{Duration, Instant};

use seal::{Address, Mist};

use super::Chain;
use crate::failure::{Failure, Kind, OrFail, Outcome};

const TIMEOUT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(50);
/// A faucet gives a fixed amount a time; more requests than this are a misunderstanding.
const MOST_REQUESTS: usize = 20;

/// Asks until the address has at least `wanted`, as the chain shows it.
pub async fn fund(url: &str, address: &Address, wanted: Mist, chain: &Chain) -> Outcome<Mist> {
    let mut balance = chain.balance(address).await?;
    for _ in 0..MOST_REQUESTS {
        if balance >= wanted {
            return Ok(balance);
        }
        ask(url, address).await?;
        balance = await_more(chain, address, balance).await?;
    }
    Err(Failure::message(
        Kind::Refused,
        format!("the faucet gave {balance} SUI, {wanted} are wanted"),
    ))
}

async fn ask(url: &str, address: &Address) -> Outcome {
    let doing = || format!("the faucet at {url} gave nothing");
    let client = reqwest::Client::builder()
        .timeout(TIMEOUT)
        .no_proxy()
        .build()
        .or_fail(Kind::Failed, doing())?;
    let body = serde_json::json!({
        "FixedAmountRequest": { "recipient": address.to_string() },
    });
    client
        .post(format!("{}/v2/gas", url.trim_end_matches('/')))
        .json(&body)
        .send()
        .await
        .and_then(reqwest::Response::error_for_status)
        .map(drop)
        .or_fail(Kind::Unavailable, doing())
        .map_err(|failure| {
            failure.next("see that the embedded ledger runs; --faucet names another")
        })
}

async fn await_more(chain: &Chain, address: &Address, before: Mist) -> Outcome<Mist> {
    let started = Instant::now();
    while started.elapsed() < TIMEOUT {
        let balance = chain.balance(address).await?;
        if balance > before {
            return Ok(balance);
        }
        tokio::time::sleep(POLL).await;
    }
    Err(Failure::message(
        Kind::Unavailable,
        "the faucet's coins did not arrive",
    ))
}
