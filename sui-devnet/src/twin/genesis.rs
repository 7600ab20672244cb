//! The module's `init`: the pool and the two caps.

use seal::ObjectId;
use sui_ledger::contract::{AdminCap, Config, Pool, SlashCap, Table};

use super::VERSION;
use super::admin::is_allowed;
use super::context::Context;

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;
const DAY_MS: u64 = 24 * HOUR_MS;

/// The waiting times of the genesis config, which an embedded ledger sets shorter than a
/// published package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delays {
    /// The least time between two slashes of one seal.
    pub slash_interval_ms: u64,
    /// From a config's announcement to its effect.
    pub config_delay_ms: u64,
    /// From the request to the withdrawal.
    pub unbonding_ms: u64,
}

impl Delays {
    /// Those of a published package.
    pub const PUBLISHED: Self = Self {
        slash_interval_ms: DAY_MS,
        config_delay_ms: 2 * DAY_MS,
        unbonding_ms: 7 * DAY_MS,
    };

    /// Whether `announce_config` would take them.
    #[must_use]
    pub fn are_allowed(self) -> bool {
        is_allowed(&config(self))
    }
}

impl Default for Delays {
    /// Those of the embedded ledger: nothing waits, but an unbonding takes a minute.
    fn default() -> Self {
        Self {
            slash_interval_ms: 0,
            config_delay_ms: 0,
            unbonding_ms: MINUTE_MS,
        }
    }
}

/// What `init` makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Genesis {
    /// Shared.
    pub pool: Pool,
    /// To the publisher.
    pub admin: AdminCap,
    /// To the publisher.
    pub slasher: SlashCap,
}

/// Runs `init`. The order of the fresh ids is part of the contract's interface.
pub fn genesis(delays: Delays, context: &mut Context) -> Genesis {
    let id = context.fresh_id();
    let mut table = || Table {
        id: context.fresh_id(),
        size: 0,
    };
    let (seals, nodes, owners) = (table(), table(), table());
    let admin = AdminCap {
        id: context.fresh_id(),
    };
    let slasher = SlashCap {
        id: context.fresh_id(),
    };
    let slash_caps: Vec<ObjectId> = vec![slasher.id];
    let pool = Pool {
        id,
        version: VERSION,
        config: config(delays),
        pending: None,
        pooled: 0,
        treasury: 0,
        seq: 0,
        seals,
        nodes,
        owners,
        slash_caps,
        reserved: vec!["localhost".to_owned(), "kubernetes".to_owned()],
        paused: false,
        ext: Vec::new(),
    };
    Genesis {
        pool,
        admin,
        slasher,
    }
}

/// The config at genesis.
pub(super) fn config(delays: Delays) -> Config {
    Config {
        viewer: 500_000_000,
        developer: 2_000_000_000,
        admin: 5_000_000_000,
        super_: 10_000_000_000,
        slash_pct: 10,
        slash_interval_ms: delays.slash_interval_ms,
        config_delay_ms: delays.config_delay_ms,
        unbonding_ms: delays.unbonding_ms,
        validity_min_ms: HOUR_MS,
        validity_max_ms: 366 * DAY_MS,
        validity_default_ms: 30 * DAY_MS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_genesis_configs_keep_within_the_bounds() {
        assert!(Delays::PUBLISHED.are_allowed());
        assert!(Delays::default().are_allowed());
        let short = Delays {
            unbonding_ms: MINUTE_MS - 1,
            ..Delays::default()
        };
        assert!(!short.are_allowed());
    }
}
