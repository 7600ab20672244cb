//! One record of the log.

use serde::{Deserialize, Serialize};
use sui_sdk_types::{Digest, SignedTransaction};

/// What happened, enough to make it happen again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Record {
    /// The next checkpoint began, at this time.
    Open(u64),
    /// A transaction was executed.
    Transaction {
        signed: Box<SignedTransaction>,
        /// What came of it. Another program version must not quietly come to something else.
        effects: Digest,
    },
    /// The checkpoint was sealed.
    Seal,
}
