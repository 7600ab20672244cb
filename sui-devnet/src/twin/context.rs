//! What a call is given besides the pool, and what it gives back.

use seal::{Address, ObjectId};
use sui_ledger::contract::{
    ConfigChangedBcs, NodeClaimedBcs, SealChangedBcs, SealTokenBcs, SlashCap,
};
use sui_ledger::ids;
use sui_sdk_types::Digest;

/// Move's `TxContext` and the Clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context {
    /// Who signed the transaction.
    pub sender: Address,
    /// The transaction's digest, the seed of fresh ids.
    pub digest: Digest,
    /// How many ids the transaction has made so far.
    pub ids_created: u64,
    /// The Clock.
    pub now_ms: u64,
}

impl Context {
    /// The next fresh id.
    pub fn fresh_id(&mut self) -> ObjectId {
        let id = sui_sdk_types::Address::derive_id(self.digest, self.ids_created);
        self.ids_created += 1;
        ids::object_id(id)
    }
}

/// An event, as the chain writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A record changed.
    SealChanged(SealChangedBcs),
    /// A name was claimed, or its claim voided.
    NodeClaimed(NodeClaimedBcs),
    /// Another config is in force.
    ConfigChanged(ConfigChangedBcs),
}

/// An object that a call made and transferred.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Made {
    /// The right to manage a record.
    Token(SealTokenBcs),
    /// A payment in SUI.
    Coin {
        /// The object's id.
        id: ObjectId,
        /// MIST.
        value: u64,
    },
    /// The right to slash.
    SlashCap(SlashCap),
}

/// What a call did besides changing the pool and its rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// In the order they were emitted.
    pub events: Vec<Event>,
    /// New objects and whom they were transferred to, in the order of their ids.
    pub made: Vec<(Made, Address)>,
    /// The caller's token, where the call changed it.
    pub token: Option<SealTokenBcs>,
}
