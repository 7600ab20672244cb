//! Warnings of an expiry: which is due, and when the next one is.
//!
//! Shape:  two of them, the second at a part of the first one's time: an hour of a day. The Node
//!         says which was given for which expiry.

use std::time::Duration;

use seal::UnixMillis;

/// On a Node: the warning that was given last.
pub(super) const ANNOTATION_WARNED: &str = "k3s-daas.io/warned";
/// The second warning comes at this part of the first one's time.
const SECOND: u32 = 24;

/// Which warning, of which expiry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Warned {
    pub(super) expiry: UnixMillis,
    pub(super) times: u8,
}

impl Warned {
    /// As it stands on the Node.
    pub(super) fn text(&self) -> String {
        format!("{}.{}", self.expiry.0, self.times)
    }

    /// Reads it; what is no warning was none.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (expiry, times) = text.split_once('.')?;
        Some(Self {
            expiry: UnixMillis(expiry.parse().ok()?),
            times: times.parse().ok()?,
        })
    }
}

/// The warning that is due, and when the next one is.
pub(super) fn due(
    given: Option<Warned>,
    expiry: UnixMillis,
    now: UnixMillis,
    before: Duration,
) -> (Option<Warned>, Option<UnixMillis>) {
    let given = given.filter(|given| given.expiry == expiry);
    let given = given.map_or(0, |given| given.times);
    let ahead = |by: Duration| {
        let by = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        UnixMillis(expiry.0.saturating_sub(by))
    };
    let (first, second) = (ahead(before), ahead(before / SECOND));
    let times = if now >= second {
        2
    } else {
        u8::from(now >= first)
    };
    let warn = (times > given).then_some(Warned { expiry, times });
    let upcoming = match times {
        0 => Some(first),
        1 => Some(second),
        _ => None,
    };
    (warn, upcoming)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_warnings_a_life_and_each_once() {
        let before = Duration::from_millis(2_400);
        let expiry = UnixMillis(10_000);
        let at = |now, given| due(given, expiry, UnixMillis(now), before);
        let warned = |times| Some(Warned { expiry, times });
        assert_eq!(at(7_599, None), (None, Some(UnixMillis(7_600))));
        assert_eq!(at(7_600, None), (warned(1), Some(UnixMillis(9_900))));
        assert_eq!(at(9_899, warned(1)), (None, Some(UnixMillis(9_900))));
        assert_eq!(at(9_900, warned(1)), (warned(2), None));
        assert_eq!(at(9_950, warned(2)), (None, None));
        // Of another expiry: the seal was refreshed meanwhile.
        let other = Warned {
            expiry: UnixMillis(1),
            times: 2,
        };
        assert_eq!(at(7_600, Some(other)).0, warned(1));
    }

    #[test]
    fn is_read_as_it_is_written() {
        let warned = Warned {
            expiry: UnixMillis(u64::MAX),
            times: 2,
        };
        assert_eq!(Warned::parse(&warned.text()), Some(warned));
        for text in ["", "5", "5.", ".1", "5.256", "x.1", "5.1.1"] {
            assert_eq!(Warned::parse(text), None, "{text}");
        }
    }
}
