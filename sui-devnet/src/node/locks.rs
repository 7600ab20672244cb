//! Owned objects that a transaction at work has hold of.
//!
//! Validators lock owned inputs; two transactions that want the same version at once end with one
//! executed and one refused. Here a lock lasts from the request to its answer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use sui_sdk_types::{Address, Digest, Input, ObjectReference, Transaction, TransactionKind};

use crate::ledger::Rejection;

type Held = HashMap<(Address, u64), (Digest, usize)>;

/// All locks.
#[derive(Debug, Default)]
pub(crate) struct Locks {
    held: Mutex<Held>,
}

/// The locks of one request, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Guard {
    locks: Arc<Locks>,
    keys: Vec<(Address, u64)>,
}

impl Locks {
    /// Locks all owned inputs of a transaction. The same transaction may be at work twice.
    pub(crate) fn lock(
        self: &Arc<Self>,
        transaction: &Transaction,
        digest: Digest,
    ) -> Result<Guard, Rejection> {
        let references = owned_inputs(transaction);
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        for reference in &references {
            let id = *reference.object_id();
            let version = reference.version();
            if let Some((by, _)) = held.get(&(id, version))
                && *by != digest
            {
                return Err(Rejection::Locked {
                    by: *by,
                    id,
                    version,
                    digest: *reference.digest(),
                });
            }
        }
        let mut keys = Vec::with_capacity(references.len());
        for reference in references {
            let key = (*reference.object_id(), reference.version());
            held.entry(key).or_insert((digest, 0)).1 += 1;
            keys.push(key);
        }
        Ok(Guard {
            locks: Arc::clone(self),
            keys,
        })
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let mut held = self
            .locks
            .held
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for key in &self.keys {
            if let Some((_, count)) = held.get_mut(key) {
                *count -= 1;
                if *count == 0 {
                    held.remove(key);
                }
            }
        }
    }
}

fn owned_inputs(transaction: &Transaction) -> Vec<ObjectReference> {
    let mut references = transaction.gas_payment.objects.clone();
    if let TransactionKind::ProgrammableTransaction(program) = &transaction.kind {
        references.extend(program.inputs.iter().filter_map(|input| match input {
            Input::ImmutableOrOwned(reference) => Some(reference.clone()),
            _ => None,
        }));
    }
    references
}
