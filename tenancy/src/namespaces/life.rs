//! The life of a namespace: what is next, and when to look again.
//!
//! Shape:  [`next`] is a pure function of the namespace's marks, its owner's standing, the time
//!         and the settings. One step at a time: ended before stopped before deleted, however long
//!         nobody looked.
//! Laws:   an owner with a usable seal never ends. What is not known changes nothing. The time of
//!         the end, once written, stays until the owner is back.
//!
//! ```text
//!   (none) ─► active ──no seal──► ended ──grace──► stopped ──retention──► deleted
//!                ▲                  │                 │
//!                └──── a new seal ──┴─────────────────┘
//! ```

use std::time::Duration;

use seal::{Tier, UnixMillis};

use super::marks::{Marks, State, Warned};
use super::objects::quota_tier;
use super::owner::{OwnerStanding, Usable};

/// Nothing is left alone for longer: what no watch told is found then.
pub(super) const LOOK_AGAIN: Duration = Duration::from_mins(5);
/// A deadline that just passed is looked at no sooner.
const SOONEST: Duration = Duration::from_millis(50);
/// The second warning comes at this part of the first one's time: an hour of a day.
const SECOND_WARNING: u32 = 24;

/// How long the parts of a life take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) grace: Duration,
    pub(super) retention: Duration,
    pub(super) warn_before: Duration,
}

/// The deadlines of a namespace that has ended.
#[allow(clippy::struct_field_names, reason = "each is the time of something")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Deadlines {
    pub(super) ended_at: UnixMillis,
    pub(super) stops_at: UnixMillis,
    pub(super) deletes_at: UnixMillis,
}

impl Times {
    pub(super) fn deadlines(&self, ended_at: UnixMillis) -> Deadlines {
        Deadlines {
            ended_at,
            stops_at: after(ended_at, self.grace),
            // Workloads always stop before their volumes go.
            deletes_at: after(ended_at, self.retention.max(self.grace)),
        }
    }
}

/// What to do with a namespace now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Nobody knows how its owner stands and it has no state yet: guard it, and wait.
    Wait,
    /// It is what it should be: keep it so.
    Keep(State),
    /// It is complete, or its owner is back: everything as it was, then active.
    Activate {
        /// From an end, not from its making.
        back: bool,
    },
    /// Another tier.
    ChangeTier,
    /// Its owner has no seal any more.
    End,
    /// The grace is over: workloads go, then stopped.
    Stop,
    /// The retention is over.
    Delete,
}

/// The next step and all that belongs to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Next {
    pub(super) step: Step,
    /// By whose quota it goes.
    pub(super) tier: Tier,
    /// Whether there may be pods.
    pub(super) pods: bool,
    /// Where it has ended.
    pub(super) deadlines: Option<Deadlines>,
    /// The owner is to be warned of this expiry.
    pub(super) warn: Option<Warned>,
    pub(super) look_again: Duration,
}

/// What is next.
pub(super) fn next(
    marks: &Marks,
    standing: &OwnerStanding,
    now: UnixMillis,
    times: &Times,
) -> Next {
    match standing {
        OwnerStanding::Usable(usable) => active(marks, usable, now, times),
        OwnerStanding::None => ended(marks, now, times),
        OwnerStanding::Unknown => unknown(marks, times),
    }
}

fn active(marks: &Marks, usable: &Usable, now: UnixMillis, times: &Times) -> Next {
    let was = marks.tier.map(quota_tier);
    let tier = match was {
        // A seal that could not be read may be the better one.
        Some(was) if !usable.complete => was.max(usable.tier),
        _ => usable.tier,
    };
    let step = match marks.state {
        Some(State::Active) if marks.tier == Some(tier) => Step::Keep(State::Active),
        Some(State::Active) => Step::ChangeTier,
        Some(State::Ended | State::Stopped) => Step::Activate { back: true },
        None => Step::Activate { back: false },
    };
    let (warn, next_warning) = if usable.complete {
        warning(marks.warned, usable.until, now, times.warn_before)
    } else {
        (None, None)
    };
    let soonest = next_warning.map_or(usable.next, |at| at.min(usable.next));
    Next {
        step,
        tier,
        pods: true,
        deadlines: None,
        warn,
        look_again: until(now, soonest),
    }
}

/// The warning that is due, and when the next one is.
fn warning(
    warned: Option<Warned>,
    expiry: UnixMillis,
    now: UnixMillis,
    before: Duration,
) -> (Option<Warned>, Option<UnixMillis>) {
    let given = warned.filter(|warned| warned.expiry == expiry);
    let given = given.map_or(0, |warned| warned.times);
    let first = ahead(expiry, before);
    let second = ahead(expiry, before / SECOND_WARNING);
    let due = if now >= second {
        2
    } else {
        u8::from(now >= first)
    };
    let warn = (due > given).then_some(Warned { expiry, times: due });
    let upcoming = match due {
        0 => Some(first),
        1 => Some(second),
        _ => None,
    };
    (warn, upcoming)
}

fn ended(marks: &Marks, now: UnixMillis, times: &Times) -> Next {
    let tier = marks.tier.map_or(Tier::Developer, quota_tier);
    // Only what an ended namespace says of its end counts, and never an end that is yet to come:
    // all else ended now.
    let state = marks.state.filter(|state| *state > State::Active);
    let ended_at = state.and(marks.ended_at).filter(|at| *at <= now);
    let deadlines = times.deadlines(ended_at.unwrap_or(now));
    let step = match (state, ended_at) {
        (None, _) | (_, None) => Step::End,
        (Some(State::Stopped), _) if now >= deadlines.deletes_at => Step::Delete,
        (Some(State::Stopped), _) => Step::Keep(State::Stopped),
        (Some(_), _) if now >= deadlines.stops_at => Step::Stop,
        (Some(_), _) => Step::Keep(State::Ended),
    };
    let deadline = match step {
        Step::Keep(State::Stopped) | Step::Stop => deadlines.deletes_at,
        _ => deadlines.stops_at,
    };
    Next {
        step,
        tier,
        pods: false,
        deadlines: Some(deadlines),
        warn: None,
        look_again: until(now, deadline),
    }
}

fn unknown(marks: &Marks, times: &Times) -> Next {
    let tier = marks.tier.map_or(Tier::Developer, quota_tier);
    let (step, pods) = match marks.state {
        Some(State::Active) => (Step::Keep(State::Active), true),
        Some(state) => (Step::Keep(state), false),
        None => (Step::Wait, true),
    };
    let deadlines = match marks.state {
        Some(State::Ended | State::Stopped) => marks.ended_at.map(|at| times.deadlines(at)),
        Some(State::Active) | None => None,
    };
    Next {
        step,
        tier,
        pods,
        deadlines,
        warn: None,
        // The directory tells no listener that it can be read again.
        look_again: Duration::from_secs(15),
    }
}

fn after(time: UnixMillis, by: Duration) -> UnixMillis {
    UnixMillis(time.0.saturating_add(millis(by)))
}

fn ahead(time: UnixMillis, by: Duration) -> UnixMillis {
    UnixMillis(time.0.saturating_sub(millis(by)))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// How long to wait for a time, within bounds.
fn until(now: UnixMillis, time: UnixMillis) -> Duration {
    Duration::from_millis(time.0.saturating_sub(now.0)).clamp(SOONEST, LOOK_AGAIN)
}

#[cfg(test)]
mod tests;
