//! The running node: the chain behind a lock, one writer, many readers.
//!
//! Shape:  one thread executes, logs and seals; readers take the lock for microseconds. A
//!         transaction's answer is sent once its record is on the disk, and readers see it once
//!         its checkpoint is sealed: never before.

mod locks;
mod subscribers;
mod writer;

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use crate::faults::Switches;
use crate::ledger::Ledger;

pub(crate) use locks::Locks;
pub(crate) use subscribers::{Frame, Subscribers};
pub(crate) use writer::{Request, WriteError, Writer, WriterHandle, now_ms};

/// What all services share.
#[derive(Debug)]
pub(crate) struct Node {
    ledger: RwLock<Ledger>,
    pub(crate) switches: Arc<Switches>,
    pub(crate) subscribers: Arc<Subscribers>,
    pub(crate) locks: Arc<Locks>,
}

impl Node {
    pub(crate) fn new(
        ledger: Ledger,
        switches: Arc<Switches>,
        subscribers: Arc<Subscribers>,
    ) -> Self {
        Self {
            ledger: RwLock::new(ledger),
            switches,
            subscribers,
            locks: Arc::default(),
        }
    }

    /// The chain, to be read.
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Ledger> {
        self.ledger.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the chain. Only the writer does.
    fn write<T>(&self, change: impl FnOnce(&mut Ledger) -> T) -> T {
        change(&mut self.ledger.write().unwrap_or_else(PoisonError::into_inner))
    }

    /// The checkpoint that a read sees.
    pub(crate) fn visible(&self, ledger: &Ledger) -> u64 {
        self.switches.visible(ledger.height(), ledger.lowest())
    }
}
