//! What the directory needs of the chain.

mod node;

use std::fmt;
use std::future::Future;

use futures::Stream;
use seal::{Address, CredentialHash, NodeClaim, NodeName, SealRecord, Thresholds, UnixMillis};

use crate::chain_id::ChainId;
use crate::frame::Frame;

pub use node::{NodeChain, NodeFrames};

/// A row of one of the pool's tables.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Key {
    /// The record of a credential hash.
    Seal(CredentialHash),
    /// The claim on a node's name.
    Node(NodeName),
    /// The hashes of an owner's seals that are not retired.
    Owner(Address),
}

/// What stands in a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowRead {
    /// The record, if there is a row.
    Seal(Option<SealRecord>),
    /// The claim, if there is a row.
    Node(Option<NodeClaim>),
    /// The hashes; none when there is no row.
    Owner(Vec<CredentialHash>),
}

/// The answer to one read: the pool, and rows as of that pool or later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The pool as it was before any of the rows was read.
    pub pool: PoolRead,
    /// One for each key, in their order.
    pub rows: Vec<Result<RowRead, UnknownForm>>,
}

/// The pool, and how current the node was that told of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolRead {
    /// The pool's sequence number.
    pub seq: u64,
    /// The tiers' thresholds in force.
    pub thresholds: Thresholds,
    /// The node's newest checkpoint (`x-sui-checkpoint-height`).
    pub height: u64,
    /// That checkpoint's time (`x-sui-timestamp-ms`).
    pub at: UnixMillis,
}

/// A row that this version of the program can't read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownForm;

/// Who the node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeInfo {
    /// The chain it follows.
    pub chain: ChainId,
    /// Its newest checkpoint.
    pub height: u64,
}

/// Why the chain gave nothing. A closed set: metric label and log field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum ChainError {
    /// The node is not there, or refused.
    #[error("the node could not be reached")]
    Unreachable,
    /// No answer in time.
    #[error("the node did not answer in time")]
    TimedOut,
    /// The node does not have it (yet, or any more).
    #[error("the node does not have it")]
    NotFound,
    /// An answer of another chain.
    #[error("the node follows another chain")]
    WrongChain,
    /// An answer that this version of the program can't read.
    #[error("the node's answer has an unknown form")]
    Undecodable,
}

impl ChainError {
    /// All of them, for metrics that start at zero.
    pub const ALL: [Self; 5] = [
        Self::Unreachable,
        Self::TimedOut,
        Self::NotFound,
        Self::WrongChain,
        Self::Undecodable,
    ];

    /// The name in metrics and logs.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::TimedOut => "timed_out",
            Self::NotFound => "not_found",
            Self::WrongChain => "wrong_chain",
            Self::Undecodable => "undecodable",
        }
    }
}

/// One full node, as far as the directory asks it. Implementations need no deadlines of their
/// own and keep no state: the directory sets the deadlines and judges every answer.
pub trait Chain: Send + Sync + 'static {
    /// New checkpoints as they are made, from some checkpoint on.
    type Frames: Stream<Item = Result<Frame, ChainError>> + Send + Unpin;

    /// Who the node is and how far it got.
    fn info(&self) -> impl Future<Output = Result<NodeInfo, ChainError>> + Send;

    /// Opens the stream of checkpoints. A clean end means nothing but "open it again".
    fn subscribe(&self) -> impl Future<Output = Result<Self::Frames, ChainError>> + Send;

    /// One checkpoint by its number, with the same contents as on the stream.
    fn checkpoint(&self, number: u64) -> impl Future<Output = Result<Frame, ChainError>> + Send;

    /// The pool and then the rows, in one request and in that order: children are written
    /// before their parent, so each row is as of the pool returned, or later.
    fn read(&self, keys: &[Key]) -> impl Future<Output = Result<Answer, ChainError>> + Send;
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Seal(hash) => write!(f, "seal {hash}"),
            Self::Node(name) => write!(f, "node {name}"),
            Self::Owner(owner) => write!(f, "owner {owner}"),
        }
    }
}
