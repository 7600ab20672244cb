//! Why the directory gives no answer.

use std::fmt;

/// Why nothing can be said of a seal now. Never a "no", and never a "yes".
///
/// A closed set: metric label, log field and test name. `Display` is written for the operator
/// who reads it in `status.error` or in a log; it names nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Unavailable {
    /// The directory has not seen the chain's first checkpoint and the pool yet.
    Starting,
    /// The stream has not moved for too long: the node is stuck, cut off or behind, or the
    /// chain stands still.
    Stale {
        /// For how long, in ms, by the stricter of the two clocks.
        for_ms: u64,
    },
    /// The node follows another chain than the configured one.
    WrongChain,
    /// Something of the stream was missed; all that was known is being read again.
    Gap,
    /// The chain could not be read.
    ReadFailed,
    /// The chain did not answer in time.
    ReadTimedOut,
    /// The node that was asked lags behind what is already known.
    ReadBehind,
    /// Too many look-ups wait for the chain already.
    Overloaded,
    /// Reads failed in a row; none is tried for a moment.
    CircuitOpen,
    /// The chain's answer is not what this version of the program knows.
    Undecodable,
    /// Local time is behind the chain's by more than can be explained.
    ClockSkew {
        /// By how much, in ms.
        behind_ms: u64,
    },
}

impl Unavailable {
    /// One of each, for metrics that start at zero.
    pub const ALL: [Self; 11] = [
        Self::Starting,
        Self::Stale { for_ms: 0 },
        Self::WrongChain,
        Self::Gap,
        Self::ReadFailed,
        Self::ReadTimedOut,
        Self::ReadBehind,
        Self::Overloaded,
        Self::CircuitOpen,
        Self::Undecodable,
        Self::ClockSkew { behind_ms: 0 },
    ];

    /// The name in metrics and logs.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Stale { .. } => "stale",
            Self::WrongChain => "wrong_chain",
            Self::Gap => "gap",
            Self::ReadFailed => "read_failed",
            Self::ReadTimedOut => "read_timed_out",
            Self::ReadBehind => "read_behind",
            Self::Overloaded => "overloaded",
            Self::CircuitOpen => "circuit_open",
            Self::Undecodable => "undecodable",
            Self::ClockSkew { .. } => "clock_skew",
        }
    }

    /// The place in [`Unavailable::ALL`], for counters kept in an array.
    pub(crate) const fn index(&self) -> usize {
        match self {
            Self::Starting => 0,
            Self::Stale { .. } => 1,
            Self::WrongChain => 2,
            Self::Gap => 3,
            Self::ReadFailed => 4,
            Self::ReadTimedOut => 5,
            Self::ReadBehind => 6,
            Self::Overloaded => 7,
            Self::CircuitOpen => 8,
            Self::Undecodable => 9,
            Self::ClockSkew { .. } => 10,
        }
    }

    /// Whether the whole directory is closed, not just this one look-up.
    #[must_use]
    pub const fn concerns_all(&self) -> bool {
        match self {
            Self::Starting
            | Self::Stale { .. }
            | Self::WrongChain
            | Self::Gap
            | Self::ClockSkew { .. } => true,
            Self::ReadFailed
            | Self::ReadTimedOut
            | Self::ReadBehind
            | Self::Overloaded
            | Self::CircuitOpen
            | Self::Undecodable => false,
        }
    }
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Starting => f.write_str("the seal directory is starting: no checkpoint seen yet"),
            Self::Stale { for_ms } => write!(
                f,
                "the view of the chain is stale: no new checkpoint for {}.{} s (node stuck or \
                 behind, or chain stalled)",
                for_ms / 1_000,
                for_ms % 1_000 / 100
            ),
            Self::WrongChain => f.write_str("the node follows another chain than the configured"),
            Self::Gap => {
                f.write_str("part of the chain's stream was missed: the directory is rebuilding")
            }
            Self::ReadFailed => f.write_str("the chain could not be read"),
            Self::ReadTimedOut => f.write_str("the chain did not answer in time"),
            Self::ReadBehind => f.write_str("the node lags behind what is already known"),
            Self::Overloaded => f.write_str("too many look-ups wait for the chain"),
            Self::CircuitOpen => {
                f.write_str("reads of the chain failed in a row: none is tried for a moment")
            }
            Self::Undecodable => f.write_str("the chain's answer has an unknown form"),
            Self::ClockSkew { behind_ms } => write!(
                f,
                "local time is {}.{} s behind the chain's: set the clock",
                behind_ms / 1_000,
                behind_ms % 1_000 / 100
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_reason_has_its_own_label_and_place() {
        let labels: HashSet<_> = Unavailable::ALL.iter().map(Unavailable::label).collect();
        assert_eq!(labels.len(), Unavailable::ALL.len());
        for (at, reason) in Unavailable::ALL.iter().enumerate() {
            assert_eq!(reason.index(), at);
        }
    }

    #[test]
    fn a_stale_view_says_for_how_long() {
        let text = Unavailable::Stale { for_ms: 17_340 }.to_string();
        assert!(text.contains("17.3 s"), "{text}");
    }
}
