//! The audit webhook: who is on which connection, as the API server tells it.
//!
//! Shape:  `POST /audit` with an EventList, read as a stream: of each event only a few fields are
//!         kept, and each is heard as soon as it is whole.
//! Errors: a body that is no EventList is a 400, and the API server tries again; what was heard
//!         of it counts already. A field that is not as it should be makes the event say nothing.
//! Source: `audit.k8s.io/v1` EventList; kube-apiserver's audit webhook backend.

pub mod event;
mod list;
mod receive;

pub use event::Event;
pub use list::{ListError, read_events};
pub(crate) use receive::router;

/// What an event told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heard {
    /// A user on a connection, not known before.
    Attributed,
    /// A user on a connection, known before.
    Known,
    /// A user on a connection that is closed by now.
    Gone,
    /// Its address is no connection's of this gate.
    Unknown,
    /// It was refused: nothing goes on there.
    Denied,
    /// An identity that all machines share.
    Shared,
    /// A connection with more users than can be told apart.
    Crowded,
}

impl Heard {
    pub(crate) const ALL: [Self; 7] = [
        Self::Attributed,
        Self::Known,
        Self::Gone,
        Self::Unknown,
        Self::Denied,
        Self::Shared,
        Self::Crowded,
    ];

    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Attributed => "attributed",
            Self::Known => "known",
            Self::Gone => "gone",
            Self::Unknown => "unknown",
            Self::Denied => "denied",
            Self::Shared => "shared",
            Self::Crowded => "crowded",
        }
    }
}
