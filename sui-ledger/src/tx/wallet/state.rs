//! What a wallet remembers between transactions.
//!
//! Reads lag behind an executed transaction until its checkpoint, so the versions of the last
//! effects count for more than what was read.

use std::collections::HashMap;

use seal::{Mist, ObjectId};
use sui_sdk_types::{Address as SuiAddress, ObjectReference};

use crate::client::{Executed, Owner};
use crate::ids::to_sui;
use crate::tx::build::Gas;

/// Versions that are remembered; far more than an account's seals and caps.
const MAX_KNOWN: usize = 1_024;

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) gas: Option<GasCoin>,
    pub(super) price: Option<u64>,
    pub(super) known: HashMap<SuiAddress, ObjectReference>,
}

/// The coin in use and what it is worth, by our own account.
#[derive(Debug, Clone)]
pub(super) struct GasCoin {
    pub(super) reference: ObjectReference,
    pub(super) balance: Mist,
}

impl State {
    pub(super) fn knows(&self, id: &ObjectId) -> bool {
        self.known.contains_key(&to_sui(id.as_bytes()))
    }

    /// A read may lag behind what the last effects said.
    pub(super) fn newest(&self, read: ObjectReference) -> ObjectReference {
        self.known
            .get(read.object_id())
            .filter(|known| known.version() > read.version())
            .cloned()
            .unwrap_or(read)
    }

    pub(super) fn remember(&mut self, reference: ObjectReference) {
        if self.known.len() >= MAX_KNOWN {
            self.known.clear();
        }
        self.known.insert(*reference.object_id(), reference);
    }

    /// Takes over the versions of a transaction's effects.
    pub(super) fn learn(&mut self, executed: &Executed, spent: Mist, gas: &Gas) {
        for changed in &executed.changed {
            match (&changed.now, changed.owner) {
                (Some(now), Some(Owner::Address(_))) => self.remember(now.clone()),
                _ => {
                    self.known.remove(&to_sui(changed.id.as_bytes()));
                }
            }
        }
        let coin = executed
            .gas_object
            .clone()
            .filter(|now| now.object_id() == gas.coin.object_id());
        self.gas = self.gas.take().zip(coin).map(|(old, reference)| {
            let spent = if executed.failure.is_none() {
                spent.0
            } else {
                0
            };
            let left = i128::from(old.balance.0) - i128::from(spent) - executed.gas_used.net();
            // A failed merge leaves the coin with less than we count; a refusal reads it anew.
            let left = if executed.failure.is_some() && !gas.merge.is_empty() {
                0
            } else {
                left
            };
            GasCoin {
                reference,
                balance: Mist(u64::try_from(left).unwrap_or(0)),
            }
        });
    }
}
