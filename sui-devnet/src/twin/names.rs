//! Node names: their form, who may claim one, and the claim.

use seal::Address;
use sui_ledger::contract::{NodeClaimBcs, NodeClaimedBcs};

use super::abort::{Abort, Code, ensure};
use super::context::Event;
use super::machine::{Machine, RETIRED};
use super::rows::{self, Rows};

/// A DNS label (RFC 1123).
const MAX_NAME_LENGTH: usize = 63;

/// The owner of a claim that was voided.
pub(super) const VOIDED: Address = Address::from_bytes([0; 32]);

/// `[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?`
pub(super) fn is_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    !bytes.is_empty()
        && bytes.len() <= MAX_NAME_LENGTH
        && bytes.first() != Some(&b'-')
        && bytes.last() != Some(&b'-')
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-')
}

impl<R: Rows> Machine<'_, R> {
    pub(super) fn assert_namespace(namespace: Option<&str>) -> Result<(), Abort> {
        ensure(
            namespace.is_none_or(is_name),
            Code::Namespace,
            "assert_namespace",
        )
    }

    pub(super) fn assert_node_free(&self, name: &String, sender: Address) -> Result<(), Abort> {
        const HERE: &str = "assert_node_free";
        ensure(is_name(name), Code::NodeName, HERE)?;
        ensure(!self.pool.reserved.contains(name), Code::NameReserved, HERE)?;
        let Some(claim) = self.claim(name) else {
            return Ok(());
        };
        if claim.owner == VOIDED {
            return Ok(());
        }
        let retired = self
            .seal(&claim.hash)
            .is_some_and(|record| record.status == RETIRED);
        ensure(retired, Code::NodeTaken, HERE)?;
        ensure(claim.owner == sender, Code::NodeOwner, HERE)
    }

    pub(super) fn claim(&self, name: &String) -> Option<NodeClaimBcs> {
        rows::get(self.rows, &self.pool.nodes, name)
    }

    /// Writes a claim, numbers it and tells it.
    pub(super) fn claim_node(&mut self, name: String, claim: NodeClaimBcs) {
        rows::put(self.rows, &mut self.pool.nodes, name.clone(), claim.clone());
        let seq = self.next_seq();
        let pool = self.pool.id;
        self.outcome.events.push(Event::NodeClaimed(NodeClaimedBcs {
            pool,
            seq,
            name,
            claim,
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_dns_label() {
        for name in ["a", "0", "a-b", "node-1", &"a".repeat(63)] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "-", "-a", "a-", "A", "a.b", "a_b", "ä", &"a".repeat(64)] {
            assert!(!is_name(name), "{name}");
        }
    }
}
