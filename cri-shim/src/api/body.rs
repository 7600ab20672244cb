//! The bodies of orders, read strictly: exactly the known fields, each once.

use std::net::IpAddr;

use axum::extract::{FromRequest, Request};
use seal::{Address, Mist, NodeName};
use serde::de::{Deserialize, DeserializeOwned, Deserializer};
use webhook_server::{Object, parse_strict, read_strict};

use super::orders::{Capacity, MachineOrder, StakeOrder};
use super::problem::{Problem, ProblemKind};

/// The longest stake in seconds: ten years. The contract's own bound is narrower.
const LONGEST_SECONDS: u64 = 10 * 365 * 24 * 3_600;
/// The longest amount: that of 2^64 - 1 MIST.
const MOST_DIGITS: usize = 20;
/// The longest text of a capacity, as the cluster has it.
const MOST_CAPACITY: usize = 32;

/// A whole body.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        let read = read_strict(request).await;
        read.map(Self).map_err(Problem::from)
    }
}

/// `POST /api/v1/staking`
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StakingBody {
    /// This machine's node.
    node_id: String,
    /// MIST as a decimal string; the configured amount when not given.
    #[serde(default, deserialize_with = "present")]
    stake_amount: Option<String>,
    /// Seconds.
    duration: u64,
    /// The address of the worker's key.
    wallet: String,
}

/// `POST /api/v1/register`
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RegisterBody {
    /// This machine's node.
    node_id: String,
    /// The machine's address; found out when not given.
    #[serde(default, deserialize_with = "present")]
    ip_address: Option<String>,
    /// How much it has; found out when not given.
    #[serde(default, deserialize_with = "present")]
    capacity: Option<Object<CapacityBody>>,
}

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct CapacityBody {
    cpu: String,
    memory: String,
    storage: String,
}

/// `POST /api/v1/unstake`
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UnstakeBody {
    /// This machine's node.
    node_id: String,
}

/// A field that is there: `null` is none.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

impl StakingBody {
    pub(super) fn order(&self, node: &NodeName) -> Result<StakeOrder, Problem> {
        own(&self.node_id, node)?;
        let amount = self.stake_amount.as_deref().map(mist).transpose()?;
        if !(1..=LONGEST_SECONDS).contains(&self.duration) {
            let detail = format!("expected seconds, from 1 to {LONGEST_SECONDS}");
            return Err(Problem::field("/duration", detail));
        }
        let wallet: Address = self
            .wallet
            .parse()
            .map_err(|_| Problem::field("/wallet", "expected an address: 0x and 64 hex digits"))?;
        Ok(StakeOrder {
            amount,
            validity_ms: self.duration.saturating_mul(1_000),
            wallet,
        })
    }
}

impl RegisterBody {
    pub(super) fn order(&self, node: &NodeName) -> Result<MachineOrder, Problem> {
        own(&self.node_id, node)?;
        let ip_address = self.ip_address.as_deref().map(address).transpose()?;
        let capacity = self
            .capacity
            .as_ref()
            .map(|of| capacity(&of.0))
            .transpose()?;
        Ok(MachineOrder {
            ip_address,
            capacity,
        })
    }
}

impl UnstakeBody {
    pub(super) fn order(&self, node: &NodeName) -> Result<(), Problem> {
        own(&self.node_id, node)
    }
}

fn own(node_id: &str, node: &NodeName) -> Result<(), Problem> {
    if node_id == node.as_str() {
        return Ok(());
    }
    let detail = format!("node_id is not {node}, the node of this machine");
    Err(Problem::new(ProblemKind::OtherNode, detail))
}

/// An amount of MIST: digits alone, and more than nothing.
fn mist(text: &str) -> Result<Mist, Problem> {
    let digits = !text.is_empty()
        && text.len() <= MOST_DIGITS
        && text.bytes().all(|byte| byte.is_ascii_digit());
    let amount = text.parse().ok().filter(|amount| digits && *amount > 0);
    amount.map(Mist).ok_or_else(|| {
        let detail = "expected MIST as a decimal string, such as \"500000000\" for half a SUI";
        Problem::field("/stake_amount", detail)
    })
}

fn address(text: &str) -> Result<IpAddr, Problem> {
    text.parse().map_err(|_| {
        let detail = "expected an IPv4 or IPv6 address, such as 10.0.1.5";
        Problem::field("/ip_address", detail)
    })
}

/// The shape of it; what the cluster makes of it the cluster says.
fn capacity(body: &CapacityBody) -> Result<Capacity, Problem> {
    for (pointer, text) in [
        ("/capacity/cpu", &body.cpu),
        ("/capacity/memory", &body.memory),
        ("/capacity/storage", &body.storage),
    ] {
        let fits = text.starts_with(|c: char| c.is_ascii_digit())
            && text.len() <= MOST_CAPACITY
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.');
        if !fits {
            let detail = "expected a Kubernetes quantity, such as 4, 500m or 16Gi";
            return Err(Problem::field(pointer, detail));
        }
    }
    Ok(Capacity {
        cpu: body.cpu.clone(),
        memory: body.memory.clone(),
        storage: body.storage.clone(),
    })
}

/// What the API would do by this body of a stake; none where it is refused.
#[must_use]
pub fn read_staking(body: &[u8], node: &NodeName) -> Option<StakeOrder> {
    parse_strict::<StakingBody>(body).ok()?.order(node).ok()
}

/// What the API would do by this body of a registration; none where it is refused.
#[must_use]
pub fn read_register(body: &[u8], node: &NodeName) -> Option<MachineOrder> {
    parse_strict::<RegisterBody>(body).ok()?.order(node).ok()
}

/// Whether the API would ask for the stake by this body.
#[must_use]
pub fn read_unstake(body: &[u8], node: &NodeName) -> bool {
    let read = parse_strict::<UnstakeBody>(body);
    read.is_ok_and(|body| body.order(node).is_ok())
}

#[cfg(test)]
mod tests;
