//! What a wallet may spend and how long it waits.

use std::time::Duration;

use seal::Mist;

/// How a wallet pays and waits.
#[derive(Debug, Clone)]
pub struct WalletSettings {
    /// What a call may cost in storage. 0.06 SUI: a record takes some 400 bytes at 7,600 MIST a
    /// byte, and the pool is charged again before its rebate. What is not used is not paid.
    pub call_storage: Mist,
    /// What a publication may cost in storage. 0.5 SUI: the package has some 20 KiB.
    pub publish_storage: Mist,
    /// Units of gas a call may take; most take 1,000.
    pub computation_units: u64,
    /// What an urgent call bids, in reference gas prices. Ten: among 140 stakes at once a slash
    /// took 0.6 s instead of 0.9 s.
    pub urgent_price_factor: u64,
    /// How often a call cancelled for congestion is tried, each time at twice the price.
    pub congestion_attempts: u32,
    /// How long a transaction's outcome is looked for.
    pub outcome_limit: Duration,
    /// How long its checkpoint is waited for.
    pub visible_limit: Duration,
}

impl Default for WalletSettings {
    fn default() -> Self {
        Self {
            call_storage: Mist(60_000_000),
            publish_storage: Mist(500_000_000),
            computation_units: 5_000,
            urgent_price_factor: 10,
            congestion_attempts: 6,
            outcome_limit: Duration::from_mins(2),
            visible_limit: Duration::from_secs(30),
        }
    }
}
