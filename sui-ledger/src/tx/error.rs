//! Why a transaction did not do what it was meant to.

use std::time::Duration;

use seal::{Address, Mist, ObjectId};
use sui_sdk_types::Digest;

use super::abort::ContractAbort;
use crate::client::Failure;
use crate::contract::DecodeError;
use crate::error::LedgerError;
use crate::keystore::KeystoreError;

/// What went wrong, and whether anything happened on chain.
#[derive(Debug, thiserror::Error)]
pub enum TxError {
    /// A read beforehand failed, or the node refused the transaction: nothing happened.
    #[error("the transaction was not accepted")]
    Ledger(#[from] LedgerError),
    /// The key did not sign: nothing happened.
    #[error("the transaction could not be signed")]
    Key(#[from] KeystoreError),
    /// The transaction can't be put together: a fault of ours.
    #[error("the transaction could not be built")]
    Build(#[source] sui_transaction_builder::Error),
    /// The account has no SUI at all: nothing happened.
    #[error("{owner} has no SUI coin: fund it first")]
    NoCoins {
        /// The account.
        owner: Address,
    },
    /// The account's SUI does not suffice: nothing happened.
    #[error("{owner} has {have} SUI, {need} SUI are needed (gas budget included)")]
    NotEnough {
        /// The account.
        owner: Address,
        /// Amount and gas budget.
        need: Mist,
        /// What its coins are worth.
        have: Mist,
    },
    /// The account has enough SUI, but no one coin that covers the gas: nothing happened.
    #[error(
        "the richest coin of {owner} has {richest} SUI, the gas needs {budget} SUI in one coin: merge coins first"
    )]
    NoGasCoin {
        /// The account.
        owner: Address,
        /// What one coin must be worth.
        budget: Mist,
        /// What the richest is worth.
        richest: Mist,
    },
    /// The token or cap belongs to somebody else: nothing happened.
    #[error("object {object} does not belong to {owner}")]
    NotOwned {
        /// The token or cap.
        object: ObjectId,
        /// The account that signs.
        owner: Address,
    },
    /// The token or cap is not there: nothing happened.
    #[error("object {object} does not exist (any more)")]
    MissingObject {
        /// The token or cap.
        object: ObjectId,
    },
    /// The contract refused; gas was paid.
    #[error("transaction {digest} failed")]
    Aborted {
        /// The transaction.
        digest: Digest,
        /// Why, and what to do.
        #[source]
        abort: ContractAbort,
    },
    /// It was executed and failed for another reason; gas was paid.
    #[error("transaction {digest} failed: {}", .failure.kind.label())]
    Failed {
        /// The transaction.
        digest: Digest,
        /// Why.
        failure: Box<Failure>,
    },
    /// Nobody knows whether it was executed. It may still be, later.
    #[error(
        "the outcome of transaction {digest} is unknown after {} s: look it up before trying again",
        .after.as_secs()
    )]
    OutcomeUnknown {
        /// The transaction.
        digest: Digest,
        /// How long we tried.
        after: Duration,
        /// The last answer.
        #[source]
        last: Box<LedgerError>,
    },
    /// It was executed, but its checkpoint did not come in time.
    #[error("transaction {digest} was executed, but no checkpoint has it after {} s", .after.as_secs())]
    NotVisible {
        /// The transaction.
        digest: Digest,
        /// How long we waited.
        after: Duration,
    },
    /// The record under the hash is not ours: somebody took the hash out of our pending
    /// transaction. Start over with a new seal token.
    #[error("the seal under this hash belongs to somebody else: start over with a new seal token")]
    Taken,
    /// What was read back can't be understood.
    #[error("the contract's answer can't be read")]
    Decode(#[from] DecodeError),
    /// The publication did not make what it should.
    #[error("the publication is not usable")]
    Publish(#[from] PublishError),
}

/// What is wrong with a package or its publication.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The build's artefact is not what the Move build writes.
    #[error("the package artefact is no JSON with base64 `modules` and `dependencies`")]
    Artefact,
    /// The artefact can't be read.
    #[error("the package artefact can't be read")]
    Read(#[source] std::io::Error),
    /// There is no package of this id.
    #[error("under {id} is {found}")]
    NoPackage {
        /// What was asked for.
        id: ObjectId,
        /// What is there.
        found: &'static str,
    },
    /// The node keeps no transactions that old.
    #[error("the node no longer has transaction {digest}, which published the package")]
    Forgotten {
        /// The publication.
        digest: Digest,
    },
    /// An object that every publication makes is missing.
    #[error("the publication made no {what}")]
    Missing {
        /// Its Move type.
        what: &'static str,
    },
    /// No publication of this contract.
    #[error("the publication made {found} objects, and the contract's makes a few")]
    TooMany {
        /// How many.
        found: usize,
    },
}

impl TxError {
    /// The name in logs and metrics.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Ledger(error) => error.label(),
            Self::Key(_) => "key",
            Self::Build(_) => "build",
            Self::NoCoins { .. } => "no_coins",
            Self::NotEnough { .. } => "not_enough",
            Self::NoGasCoin { .. } => "no_gas_coin",
            Self::NotOwned { .. } => "not_owned",
            Self::MissingObject { .. } => "missing_object",
            Self::Aborted { .. } => "aborted",
            Self::Failed { failure, .. } => failure.kind.label(),
            Self::OutcomeUnknown { .. } => "outcome_unknown",
            Self::NotVisible { .. } => "not_visible",
            Self::Taken => "taken",
            Self::Decode(_) => "decode",
            Self::Publish(_) => "publish",
        }
    }

    /// The contract's abort, if that is what happened.
    #[must_use]
    pub const fn abort(&self) -> Option<&ContractAbort> {
        match self {
            Self::Aborted { abort, .. } => Some(abort),
            _ => None,
        }
    }

    /// Whether the transaction may have changed something on chain beyond its gas.
    #[must_use]
    pub const fn may_have_happened(&self) -> bool {
        matches!(
            self,
            Self::OutcomeUnknown { .. } | Self::NotVisible { .. } | Self::Publish(_)
        )
    }
}
