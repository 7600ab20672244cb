//! What the API's orders are, and whom they go to.

use std::fmt;
use std::future::Future;
use std::net::IpAddr;
use std::path::PathBuf;

use seal::{Address, Mist, SealToken, Tier, UnixMillis};

/// Stake for this machine's node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StakeOrder {
    /// How much; the configured amount when not given.
    pub amount: Option<Mist>,
    /// For how long, in ms.
    pub validity_ms: u64,
    /// Whose stake it is; must be the address of the worker's own key.
    pub wallet: Address,
}

/// A seal that is there and can be used.
#[derive(Debug, Clone)]
pub struct Staked {
    /// Its token.
    pub token: SealToken,
    /// When it expires.
    pub expires_at: UnixMillis,
    /// What its stake is worth.
    pub tier: Tier,
}

/// A seal whose stake was asked back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unstaked {
    /// From when on the stake can be withdrawn.
    pub withdrawable_at: UnixMillis,
}

/// Register this machine. What is absent is found out from the machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MachineOrder {
    /// The address under which other machines reach it.
    pub ip_address: Option<IpAddr>,
    /// How much it has.
    pub capacity: Option<Capacity>,
}

/// How much a machine has, as Kubernetes quantities.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capacity {
    /// Processors.
    pub cpu: String,
    /// Bytes.
    pub memory: String,
    /// Bytes.
    pub storage: String,
}

/// A machine whose agent can start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    /// The cluster's address.
    pub api_server: String,
    /// The agent's configuration.
    pub config_file: PathBuf,
    /// The agent's token.
    pub token_file: PathBuf,
}

/// Why an order was not carried out. The texts are for people and hold no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WorkError {
    /// The configuration lacks what the order needs.
    #[error("{0}")]
    NotSetUp(String),
    /// The wallet is not the key's address.
    #[error("the worker's key stakes for another address")]
    OtherWallet,
    /// The machine has no seal token.
    #[error("this machine has no seal yet: stake first")]
    NotStaked,
    /// The machine's seal can't be used, and another one is not staked for in its place.
    #[error("{detail}")]
    SealEnded {
        /// Why, in one word.
        reason: &'static str,
        /// What to do.
        detail: String,
    },
    /// The contract said no.
    #[error("{0}")]
    ContractRefused(String),
    /// The worker's key has not enough coins; nothing was changed.
    #[error("{0}")]
    NotEnough(String),
    /// The chain can't be asked now; nothing was changed.
    #[error("{0}")]
    ChainUnavailable(String),
    /// A transaction was sent, and what became of it is not known yet.
    #[error("{0}")]
    OutcomeUnknown(String),
    /// The cluster said no.
    #[error("{0}")]
    ClusterRefused(String),
    /// What answers is not the cluster that it should be.
    #[error("{0}")]
    ClusterUntrusted(String),
    /// The cluster does not answer.
    #[error("{0}")]
    ClusterUnavailable(String),
    /// A file that somebody else wrote stands where one of ours should.
    #[error("{0}")]
    FileInTheWay(String),
    /// Something on this machine is wrong.
    #[error("{0}")]
    Failed(String),
}

/// Executes stakes with the machine's own key.
pub trait Staking: Send + Sync + 'static {
    /// Stakes for the machine's node and keeps the token. Where its seal can be used already, that
    /// one is answered: an order that is repeated never stakes twice.
    fn stake(
        &self,
        order: StakeOrder,
    ) -> impl Future<Output = Result<Staked, WorkError>> + Send + '_;

    /// Asks for the stake of the machine's seal. May be repeated.
    fn unstake(&self) -> impl Future<Output = Result<Unstaked, WorkError>> + Send + '_;
}

/// Registers the machine with the cluster.
pub trait Registering: Send + Sync + 'static {
    /// Registers and writes what the agent needs. May be repeated.
    fn register(
        &self,
        order: MachineOrder,
    ) -> impl Future<Output = Result<Joined, WorkError>> + Send + '_;
}

/// What a worker's seal permits, in words for programs: `join-node`, and each tier up to its own.
pub fn permissions(tier: Tier) -> Vec<&'static str> {
    let tiers = Tier::ALL.into_iter().filter(|held| *held <= tier);
    std::iter::once("join-node")
        .chain(tiers.map(Tier::label))
        .collect()
}

/// Shown as it is told to people.
impl fmt::Display for Capacity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "cpu {}, memory {}, storage {}",
            self.cpu, self.memory, self.storage
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tier_permits_what_lesser_ones_do() {
        assert_eq!(permissions(Tier::Viewer), ["join-node", "viewer"]);
        let all = ["join-node", "viewer", "developer", "admin", "super"];
        assert_eq!(permissions(Tier::Super), all);
    }
}
