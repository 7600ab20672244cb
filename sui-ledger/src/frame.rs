//! One checkpoint as a follower sees it: when it was, and what it says of our pool.
//!
//! Shape:  events in the order of the chain. Other packages' and other pools' events are left
//!         out; one of ours that can't be decoded is there as [`ContractEvent::Undecodable`].
//! Errors: a checkpoint without number or time is no frame; nothing may be concluded from it.

use seal::{CredentialHash, NodeClaim, NodeName, ObjectId, SealRecord, UnixMillis};
use sui_rpc::field::{FieldMask, FieldMaskUtil};
use sui_rpc::proto::sui::rpc::v2::Checkpoint;
use sui_sdk_types::{Address as SuiAddress, StructTag};

use crate::contract::{
    Cause, Config, ConfigChangedBcs, DecodeError, Layout, MODULE, NodeClaimedBcs, SealChangedBcs,
};
use crate::ids::{ContractType, to_sui};

/// What a frame asks for: number, time and events, nothing else. With 2,000 foreign
/// transactions a second that is about 3 MB/s; with the objects' contents three times that.
pub const READ_MASK: [&str; 3] = [
    "sequence_number",
    "summary.timestamp",
    "transactions.events",
];

/// The mask as the protocol has it.
#[must_use]
pub fn read_mask() -> FieldMask {
    FieldMask::from_paths(READ_MASK)
}

/// One checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Its number; the chain's numbers have no gap.
    pub sequence: u64,
    /// When the validators made it.
    pub timestamp: UnixMillis,
    /// What it says of our pool.
    pub events: Vec<ContractEvent>,
}

/// Something our pool said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContractEvent {
    /// A record changed.
    Seal(SealChanged),
    /// A node's name was claimed.
    Node(NodeClaimed),
    /// Another config is in force.
    Config(ConfigChanged),
    /// Our pool said something we can't read: treat it as a gap.
    Undecodable(Undecodable),
}

impl ContractEvent {
    /// The pool's number of this event; none where it can't be read.
    #[must_use]
    pub const fn seq(&self) -> Option<u64> {
        match self {
            Self::Seal(event) => Some(event.seq),
            Self::Node(event) => Some(event.seq),
            Self::Config(event) => Some(event.seq),
            Self::Undecodable(_) => None,
        }
    }
}

/// A record changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealChanged {
    /// The pool's number, the record's too.
    pub seq: u64,
    /// What was done.
    pub cause: Cause,
    /// Why, in the operator's words; at most 128 bytes, written by a person: escape it.
    pub reason: String,
    /// Whose record.
    pub hash: CredentialHash,
    /// The record after the change.
    pub record: SealRecord,
}

/// A node's name was claimed, or its claim was voided ([`crate::contract::is_voided`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeClaimed {
    /// The pool's number.
    pub seq: u64,
    /// The node's name.
    pub name: NodeName,
    /// The claim after the change.
    pub claim: NodeClaim,
}

/// Another config is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConfigChanged {
    /// The pool's number.
    pub seq: u64,
    /// What is in force now.
    pub config: Config,
}

/// An event of our package that can't be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undecodable {
    /// The event's name in Move, where it is one we know.
    pub event: Option<&'static str>,
    /// Why; none where the answer lacked the contents or the type had no form at all.
    pub error: Option<DecodeError>,
}

/// Why a checkpoint is no frame. The node is to blame, or a mask it does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// No checkpoint, or one without number: what a node answers to an empty mask.
    #[error("the answer has no checkpoint number")]
    NoSequence,
    /// No time, or one before 1970.
    #[error("the checkpoint has no timestamp")]
    NoTimestamp,
    /// The stream's cursor and the checkpoint's number differ.
    #[error("the stream's cursor is {cursor}, the checkpoint's number {sequence}")]
    Cursor {
        /// What the stream says.
        cursor: u64,
        /// What the checkpoint says.
        sequence: u64,
    },
}

impl FrameError {
    /// The name in logs and metrics.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::NoSequence => "no_sequence",
            Self::NoTimestamp => "no_timestamp",
            Self::Cursor { .. } => "cursor",
        }
    }
}

/// Picks our pool's events out of checkpoints.
#[derive(Debug, Clone)]
pub struct FrameDecoder {
    pool: ObjectId,
    package: SuiAddress,
    tags: [(ContractType, StructTag); 3],
}

impl FrameDecoder {
    /// A decoder for one pool; `original_package` is the id of the first publication, which
    /// types keep through upgrades.
    #[must_use]
    pub fn new(original_package: &ObjectId, pool: ObjectId) -> Self {
        Self {
            pool,
            package: to_sui(original_package.as_bytes()),
            tags: ContractType::EVENTS.map(|event| (event, event.tag(original_package))),
        }
    }

    /// Reads a checkpoint that was asked for with [`read_mask`].
    pub fn frame(&self, checkpoint: &Checkpoint) -> Result<Frame, FrameError> {
        let sequence = checkpoint.sequence_number.ok_or(FrameError::NoSequence)?;
        let timestamp = checkpoint
            .summary
            .as_ref()
            .and_then(|summary| summary.timestamp)
            .and_then(|timestamp| to_millis(&timestamp))
            .ok_or(FrameError::NoTimestamp)?;
        let events = checkpoint
            .transactions
            .iter()
            .filter_map(|transaction| transaction.events.as_ref())
            .flat_map(|events| &events.events)
            .filter_map(|event| {
                let contents = event.contents.as_ref().and_then(|bcs| bcs.value.as_deref());
                self.event(event.event_type.as_deref().unwrap_or_default(), contents)
            })
            .collect();
        Ok(Frame {
            sequence,
            timestamp,
            events,
        })
    }

    /// Reads one event; none if it is not our pool's.
    #[must_use]
    pub fn event(&self, event_type: &str, contents: Option<&[u8]>) -> Option<ContractEvent> {
        let kind = match self.kind(event_type) {
            Kind::Foreign => return None,
            Kind::Ours(kind) => kind,
            Kind::Unreadable => {
                return Some(ContractEvent::Undecodable(Undecodable {
                    event: None,
                    error: None,
                }));
            }
        };
        let Some(contents) = contents else {
            return Some(ContractEvent::Undecodable(Undecodable {
                event: Some(kind.name()),
                error: None,
            }));
        };
        self.decode(kind, contents).unwrap_or_else(|error| {
            Some(ContractEvent::Undecodable(Undecodable {
                event: Some(kind.name()),
                error: Some(error),
            }))
        })
    }

    fn decode(
        &self,
        kind: ContractType,
        contents: &[u8],
    ) -> Result<Option<ContractEvent>, DecodeError> {
        Ok(match kind {
            ContractType::SealChanged => {
                let event = SealChangedBcs::decode(contents)?;
                if event.pool == self.pool {
                    Some(ContractEvent::Seal(event.try_into()?))
                } else {
                    None
                }
            }
            ContractType::NodeClaimed => {
                let event = NodeClaimedBcs::decode(contents)?;
                if event.pool == self.pool {
                    Some(ContractEvent::Node(event.try_into()?))
                } else {
                    None
                }
            }
            ContractType::ConfigChanged => {
                let event = ConfigChangedBcs::decode(contents)?;
                (event.pool == self.pool).then(|| ContractEvent::Config(event.into()))
            }
            ContractType::Pool
            | ContractType::SealToken
            | ContractType::AdminCap
            | ContractType::SlashCap => None,
        })
    }

    /// Types are compared parsed: nodes differ in spaces and in leading zeros.
    fn kind(&self, event_type: &str) -> Kind {
        // Nearly all events are foreign: they cost one search and no parser.
        if !event_type.contains(MODULE) {
            return Kind::Foreign;
        }
        let Ok(tag) = event_type.trim().parse::<StructTag>() else {
            // A stranger may have a type that the parser finds too deep; that must not
            // blind us. Ours have no parameters, so one that fails to parse is the node's fault.
            let address = event_type.split("::").next().unwrap_or_default().trim();
            return match address.parse::<SuiAddress>() {
                Ok(address) if address == self.package => Kind::Unreadable,
                _ => Kind::Foreign,
            };
        };
        self.tags
            .iter()
            .find(|(_, ours)| *ours == tag)
            .map_or(Kind::Foreign, |(kind, _)| Kind::Ours(*kind))
    }
}

enum Kind {
    Foreign,
    Ours(ContractType),
    Unreadable,
}

/// A protobuf timestamp in milliseconds; none before 1970 or out of range.
pub(crate) fn to_millis(timestamp: &prost_types::Timestamp) -> Option<UnixMillis> {
    let seconds = u64::try_from(timestamp.seconds).ok()?;
    let millis = u64::try_from(timestamp.nanos).ok()? / 1_000_000;
    seconds
        .checked_mul(1_000)?
        .checked_add(millis)
        .map(UnixMillis)
}
