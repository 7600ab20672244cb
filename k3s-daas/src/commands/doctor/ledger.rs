//! Whether the chain can be reached, is the right one, and moves.

use super::Check;
use crate::causes::in_one_line;
use crate::chain::{Chain, ledger_failure};
use crate::config::keys::ChainConfig;
use crate::seals::now;

/// Past this a newest checkpoint is old: seals are refused at the default `max_staleness`.
const STALE_MS: u64 = 15_000;
/// A clock this far ahead of the chain's or behind it makes expiries wrong by as much.
const SKEW_MS: u64 = 5_000;

/// Contract file, node, chain id, pool, staleness, wallet.
pub(super) async fn checks(config: &ChainConfig) -> Vec<Check> {
    let chain = match Chain::open(config) {
        Ok(chain) => chain,
        Err(failure) => return vec![Check::failed("contract file", &failure)],
    };
    let file = config.contract.display();
    let mut checks = vec![Check::ok(
        "contract file",
        format!("{file} is readable and right"),
    )];
    let endpoint = &chain.ids().endpoint;
    match chain.client().service_info().await {
        Err(error) => {
            checks.push(Check::failed("chain", &ledger_failure(error, endpoint)));
            return checks;
        }
        Ok(answer) => {
            let info = answer.value;
            let found = format!(
                "{endpoint} answers: chain {}, checkpoint {}, {}",
                info.chain, info.checkpoint, info.server
            );
            checks.push(Check::ok("chain", found));
            checks.push(age(now().0, info.timestamp.0));
        }
    }
    checks.push(match chain.pool().await {
        Ok(view) if view.pool.paused => Check::warn(
            "pool",
            "paused: nobody can stake, restake or refresh",
            "the holder of the AdminCap can end that",
        ),
        Ok(view) => Check::ok(
            "pool",
            format!("{} with {} seals", chain.ids().pool, view.pool.seals.size),
        ),
        Err(failure) => Check::failed("pool", &failure),
    });
    checks.push(match chain.wallet() {
        Ok(wallet) => Check::ok("wallet", wallet.address().to_string()),
        Err(failure) => Check::warn(
            "wallet",
            in_one_line(failure.cause.as_ref()),
            "needed for staking only: --keystore, --address or `k3s-daas wallet new`",
        ),
    });
    checks
}

/// Staleness and skew can't be told apart from here when the chain is behind.
fn age(local: u64, newest: u64) -> Check {
    const NAME: &str = "staleness and clock";
    if newest > local.saturating_add(SKEW_MS) {
        let ahead = newest - local;
        return Check::fail(
            NAME,
            format!("the newest checkpoint is {ahead} ms ahead of this machine's clock"),
            "set the clock (NTP)",
        );
    }
    let behind = local.saturating_sub(newest);
    if behind > STALE_MS {
        Check::fail(
            NAME,
            format!("the newest checkpoint is {behind} ms behind this machine's clock"),
            "the node or the network is stuck, or the clock is ahead: seals are refused past \
             max_staleness_seconds",
        )
    } else if behind > SKEW_MS {
        Check::warn(
            NAME,
            format!("the newest checkpoint is {behind} ms behind this machine's clock"),
            "look at the node's health and at NTP",
        )
    } else {
        Check::ok(NAME, format!("the newest checkpoint is {behind} ms old"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn a_checkpoint_from_the_future_or_the_past_is_noticed() {
        let now = 1_000_000;
        for (newest, state) in [
            (now, State::Ok),
            (now + SKEW_MS, State::Ok),
            (now + SKEW_MS + 1, State::Fail),
            (now - SKEW_MS, State::Ok),
            (now - SKEW_MS - 1, State::Warn),
            (now - STALE_MS - 1, State::Fail),
        ] {
            assert_eq!(age(now, newest).state, state, "{newest}");
        }
    }
}
