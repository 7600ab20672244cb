//! Why a transaction is not executed at all.
//!
//! The texts are those of a recorded 1.57 node, where one was recorded. A client matches codes.

use sui_sdk_types::{Address, Digest};

/// Why a transaction is not executed. It changes nothing and costs nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The price is under the reference.
    #[error("Gas price {found} under reference gas price (RGP) {reference}.")]
    GasPrice {
        /// What was offered.
        found: u64,
        /// The least.
        reference: u64,
    },
    /// The budget does not pay for the smallest transaction.
    #[error("Gas budget: {found} is lower than min: {least}.")]
    BudgetTooLow {
        /// What was offered.
        found: u64,
        /// The least.
        least: u64,
    },
    /// The budget is over the protocol's limit.
    #[error("Gas budget: {found} is higher than max: {most}")]
    BudgetTooHigh {
        /// What was offered.
        found: u64,
        /// The most.
        most: u64,
    },
    /// The coins do not hold the budget.
    #[error("Balance of gas object {found} is lower than the needed amount: {needed}")]
    GasBalance {
        /// What the coins hold.
        found: u128,
        /// The budget.
        needed: u64,
    },
    /// No coin to pay with.
    #[error("Missing gas payment")]
    NoGas,
    /// The gas object is no SUI coin of an address.
    #[error("Invalid gas object {id}: it is no SUI coin owned by an address")]
    NotAGasCoin {
        /// The object.
        id: Address,
    },
    /// No such object at this version.
    #[error(
        "Could not find the referenced object {id} at version Some(SequenceNumber({version}))."
    )]
    NotFound {
        /// The object.
        id: Address,
        /// The version asked for.
        version: u64,
    },
    /// Another object than the one meant.
    #[error("Invalid Object digest for object {id}. Expected digest : {expected}.")]
    Digest {
        /// The object.
        id: Address,
        /// What its digest is at that version.
        expected: Digest,
    },
    /// A version that was used already.
    #[error(
        "Object ID {id} Version {version:#x} Digest {digest} is not available for consumption, \
         current version: {current:#x}"
    )]
    Spent {
        /// The object.
        id: Address,
        /// The version asked for.
        version: u64,
        /// The digest asked for.
        digest: Digest,
        /// What the version is now.
        current: u64,
    },
    /// Somebody else's object.
    #[error(
        "Transaction was not signed by the correct sender: Object {id} is owned by account \
         address {owner}, but given owner/signer address is {signer}."
    )]
    Owner {
        /// The object.
        id: Address,
        /// Whose it is.
        owner: Address,
        /// Who signed.
        signer: Address,
    },
    /// An owned input that is shared, a child or a package.
    #[error("Object {id} is not owned by an address: it can't be an owned input")]
    NotOwned {
        /// The object.
        id: Address,
    },
    /// A shared input that does not exist. A real node waits for it and gives up.
    #[error("shared object {id} does not exist")]
    NoSharedObject {
        /// The object.
        id: Address,
    },
    /// Not the version at which the object was shared.
    #[error("Shared object {id} started at version {expected}, not {found}")]
    InitialVersion {
        /// The object.
        id: Address,
        /// At which it was shared.
        expected: u64,
        /// What the transaction says.
        found: u64,
    },
    /// The Clock is read only.
    #[error("The transaction attempts to mutate {id}, which is read-only")]
    ReadOnly {
        /// The object.
        id: Address,
    },
    /// One object twice.
    #[error("Mutable object {id} cannot appear more than one in one transaction.")]
    Duplicate {
        /// The object.
        id: Address,
    },
    /// Over a limit of the protocol.
    #[error("Size limit exceeded: {what} is limited to {limit}")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// Something this ledger does not do.
    #[error("Feature is not supported by the embedded ledger: {what}")]
    Unsupported {
        /// What it is.
        what: String,
    },
    /// The transaction is for another epoch or another chain.
    #[error("Transaction Expired")]
    Expired,
    /// The objects are used by a transaction that is at work.
    #[error(
        "Failed to sign transaction by a quorum of validators because of locked objects. \
         Conflicting Transactions:\n{{\n    TransactionDigest(\n        {by},\n    ): [\n        \
         (\n            {id},\n            SequenceNumber(\n                {version},\n            \
         ),\n            o#{digest},\n        ),\n    ],\n}}"
    )]
    Locked {
        /// The transaction that has it.
        by: Digest,
        /// The object.
        id: Address,
        /// Its version.
        version: u64,
        /// Its digest.
        digest: Digest,
    },
}
