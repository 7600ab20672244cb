//! How an embedded ledger is set up.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::twin::Delays;

/// What an embedded ledger runs on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DevnetConfig {
    /// Where gRPC is served; port 0 takes a free one. Default 127.0.0.1:9000.
    pub listen: SocketAddr,
    /// Where the faucet is served; port 0 takes a free one. Default 127.0.0.1:9123.
    pub faucet_listen: SocketAddr,
    /// Where the chain and the operator's key are kept; `None` forgets them at the end.
    pub data_dir: Option<PathBuf>,
    /// The time between checkpoints. Default 250 ms, about that of a real network.
    pub checkpoint_interval: Duration,
    /// From `request_unstake` to `withdraw`. Default 60 s, the least that the contract allows.
    /// This and the next two hold for a new chain; one that is there keeps its own.
    pub unbonding: Duration,
    /// The least time between two slashes of one seal. Default 0.
    pub slash_interval: Duration,
    /// From the announcement of a config to its effect. Default 0.
    pub config_delay: Duration,
    /// How many checkpoints, with their transactions and old object versions, can be read.
    /// Default 8,192, some 34 minutes; a follower asks for at most 3,000.
    pub retained_checkpoints: usize,
    /// After how many checkpoints the state is stored anew, so that a restart reads little.
    /// Default 4,096.
    pub snapshot_checkpoints: u64,
    /// When `ExecuteTransaction` gives up waiting. Default 90 s, as a full node does.
    pub finality_timeout: Duration,
    /// How many frames wait for a subscriber before it is dropped. Default 256, as in a node.
    pub subscriber_queue: usize,
    /// How many subscribers there can be at once. Default 1,024.
    pub max_subscribers: usize,
    /// What one faucet request gives, MIST a coin. Default 200 SUI.
    pub faucet_amount: u64,
    /// How many coins one faucet request gives. Default 5, so that clients see several.
    pub faucet_coins: usize,
}

impl Default for DevnetConfig {
    fn default() -> Self {
        let delays = Delays::default();
        Self {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9000),
            faucet_listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9123),
            data_dir: None,
            checkpoint_interval: Duration::from_millis(250),
            unbonding: Duration::from_millis(delays.unbonding_ms),
            slash_interval: Duration::from_millis(delays.slash_interval_ms),
            config_delay: Duration::from_millis(delays.config_delay_ms),
            retained_checkpoints: 8_192,
            snapshot_checkpoints: 4_096,
            finality_timeout: Duration::from_secs(90),
            subscriber_queue: 256,
            max_subscribers: 1_024,
            faucet_amount: 200_000_000_000,
            faucet_coins: 5,
        }
    }
}

impl DevnetConfig {
    /// For tests: free ports, nothing stored, checkpoints every 20 ms.
    #[must_use]
    pub fn for_tests() -> Self {
        let free = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
        Self {
            listen: free,
            faucet_listen: free,
            checkpoint_interval: Duration::from_millis(20),
            finality_timeout: Duration::from_secs(5),
            ..Self::default()
        }
    }

    /// The waiting times of the contract.
    #[must_use]
    pub fn delays(&self) -> Delays {
        Delays {
            slash_interval_ms: millis(self.slash_interval),
            config_delay_ms: millis(self.config_delay),
            unbonding_ms: millis(self.unbonding),
        }
    }

    pub(crate) fn validate(&self) -> Result<(), InvalidConfig> {
        if !self.delays().are_allowed() {
            return Err(InvalidConfig::Delays);
        }
        if self.checkpoint_interval < Duration::from_millis(1) {
            return Err(InvalidConfig::Interval);
        }
        if self.faucet_coins == 0 || self.faucet_coins > 100 || self.faucet_amount == 0 {
            return Err(InvalidConfig::Faucet);
        }
        if self.subscriber_queue == 0 || self.max_subscribers == 0 || self.snapshot_checkpoints == 0
        {
            return Err(InvalidConfig::Limits);
        }
        Ok(())
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A setting that makes no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidConfig {
    /// The contract would refuse such a config.
    #[error("unbonding must be 1 minute to 90 days, slash interval and config delay up to 30 days")]
    Delays,
    /// A chain that does nothing else.
    #[error("the checkpoint interval must be at least 1 ms")]
    Interval,
    /// Nothing to give, or too much at once.
    #[error("the faucet must give 1 to 100 coins of at least 1 MIST")]
    Faucet,
    /// A zero where nothing could work.
    #[error("queues and limits must be at least 1")]
    Limits,
}
