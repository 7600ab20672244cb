//! Amounts and times with their units in the type.

use std::fmt;
use std::str::FromStr;

/// An amount of SUI in MIST; 1 SUI is 10^9 MIST.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(transparent)]
pub struct Mist(pub u64);

impl Mist {
    /// MIST in one SUI.
    pub const PER_SUI: u64 = 1_000_000_000;

    /// Reads a decimal amount of SUI such as `0.5`, at most nine digits after the point.
    ///
    /// Exact: no floating point, so `0.499999999` stays below `0.5`.
    pub fn parse_sui(text: &str) -> Result<Self, ParseMistError> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits_only = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !digits_only(whole) || !digits_only(fraction) || fraction.len() > 9 {
            return Err(ParseMistError::Shape);
        }
        if text.ends_with('.') {
            return Err(ParseMistError::Shape);
        }
        let whole: u64 = whole.parse().map_err(|_| ParseMistError::TooLarge)?;
        let fraction: u64 = format!("{fraction:0<9}")
            .parse()
            .map_err(|_| ParseMistError::Shape)?;
        whole
            .checked_mul(Self::PER_SUI)
            .and_then(|mist| mist.checked_add(fraction))
            .map(Self)
            .ok_or(ParseMistError::TooLarge)
    }
}

/// Shown in SUI without trailing zeros: `0.5`.
impl fmt::Display for Mist {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, fraction) = (self.0 / Self::PER_SUI, self.0 % Self::PER_SUI);
        if fraction == 0 {
            write!(f, "{whole}")
        } else {
            let digits = format!("{fraction:09}");
            write!(f, "{whole}.{}", digits.trim_end_matches('0'))
        }
    }
}

impl FromStr for Mist {
    type Err = ParseMistError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse_sui(text)
    }
}

/// Why a text is no amount of SUI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseMistError {
    /// Not digits with an optional point and at most nine more.
    #[error("expected an amount of SUI such as 2 or 0.5, with at most 9 decimals")]
    Shape,
    /// More than 2^64 MIST.
    #[error("the amount is larger than all SUI there is")]
    TooLarge,
}

/// Milliseconds since the Unix epoch, UTC. On chain 0 stands for "none".
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(transparent)]
pub struct UnixMillis(pub u64);

impl fmt::Display for UnixMillis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn amounts_are_exact_to_the_mist() {
        for (text, mist) in [
            ("0.5", 500_000_000),
            ("0.499999999", 499_999_999),
            ("2", 2_000_000_000),
            ("10.000000001", 10_000_000_001),
            ("18446744073.709551615", u64::MAX),
        ] {
            assert_eq!(Mist::parse_sui(text).unwrap(), Mist(mist));
            assert_eq!(Mist(mist).to_string(), text);
        }
    }

    #[test]
    fn refuses_what_is_no_amount() {
        for bad in [
            "",
            ".",
            ".5",
            "1.",
            "-1",
            "+1",
            "1e9",
            "1,5",
            "0.0000000001",
            "0x1",
            " 1",
            "１",
        ] {
            assert_eq!(
                Mist::parse_sui(bad).unwrap_err(),
                ParseMistError::Shape,
                "{bad}"
            );
        }
        assert_eq!(
            Mist::parse_sui("18446744073.709551616").unwrap_err(),
            ParseMistError::TooLarge
        );
        assert_eq!(
            Mist::parse_sui(&"9".repeat(30)).unwrap_err(),
            ParseMistError::TooLarge
        );
    }

    proptest! {
        #[test]
        fn every_amount_round_trips(mist: u64) {
            prop_assert_eq!(Mist::parse_sui(&Mist(mist).to_string()).unwrap(), Mist(mist));
        }
    }
}
