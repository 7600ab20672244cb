//! Quantities of Kubernetes: `100m`, `1.5Gi`, `2e3`.
//!
//! Units:  the value is kept in billionths, rounded up as Kubernetes does, capped at 2^63 - 1.
//! Source: `k8s.io/apimachinery/pkg/api/resource`, `ParseQuantity` and `suffixer.interpret`; its
//!         quirks are kept (`+`, `1.` and `.` are quantities, the last of them is zero).

use std::fmt;
use std::str::FromStr;

const NANO: i128 = 1_000_000_000;
/// Kubernetes caps what is larger than an `int64`.
const MAX: i128 = (i64::MAX as i128) * NANO;
/// No sensible quantity is longer; Kubernetes has no bound.
const MAX_LENGTH: usize = 64;
/// An exponent beyond this is a cap or a rounding whatever the digits are.
const MAX_EXPONENT: i32 = 100;

/// A quantity by its value: `1024Mi` equals `1Gi`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quantity {
    nanos: i128,
}

/// Why a text is no quantity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseQuantityError {
    /// Neither digits nor a suffix, or in the wrong order.
    #[error("expected a number with an optional suffix, such as 4, 500m or 8Gi")]
    Shape,
    /// The suffix is none of Kubernetes'.
    #[error("the suffix is none of n, u, m, k, M, G, T, P, E, Ki, Mi, Gi, Ti, Pi, Ei or e<number>")]
    Suffix,
    /// Longer than any sensible quantity.
    #[error("longer than 64 characters")]
    TooLong,
}

impl Quantity {
    /// Below zero.
    #[must_use]
    pub const fn is_negative(self) -> bool {
        self.nanos < 0
    }

    /// Nothing.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.nanos == 0
    }

    /// Without a fraction.
    #[must_use]
    pub const fn is_whole(self) -> bool {
        self.nanos % NANO == 0
    }
}

/// What the number is multiplied by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scale {
    Ten(i32),
    Two(u32),
}

impl FromStr for Quantity {
    type Err = ParseQuantityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() {
            return Err(ParseQuantityError::Shape);
        }
        if text.len() > MAX_LENGTH {
            return Err(ParseQuantityError::TooLong);
        }
        let (negative, rest) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        let (whole, rest) = digits(rest);
        let (fraction, suffix) = match rest.strip_prefix('.') {
            Some(rest) => digits(rest),
            None => ("", rest),
        };
        let scale = scale(suffix)?;
        let nanos = value(whole, fraction, scale).min(MAX);
        Ok(Self {
            nanos: if negative { -nanos } else { nanos },
        })
    }
}

/// The digits at the beginning, and the rest.
fn digits(text: &str) -> (&str, &str) {
    let end = text
        .bytes()
        .position(|byte| !byte.is_ascii_digit())
        .unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

fn scale(suffix: &str) -> Result<Scale, ParseQuantityError> {
    let scale = match suffix {
        "" => Scale::Ten(0),
        "n" => Scale::Ten(-9),
        "u" => Scale::Ten(-6),
        "m" => Scale::Ten(-3),
        "k" => Scale::Ten(3),
        "M" => Scale::Ten(6),
        "G" => Scale::Ten(9),
        "T" => Scale::Ten(12),
        "P" => Scale::Ten(15),
        "E" => Scale::Ten(18),
        "Ki" => Scale::Two(10),
        "Mi" => Scale::Two(20),
        "Gi" => Scale::Two(30),
        "Ti" => Scale::Two(40),
        "Pi" => Scale::Two(50),
        "Ei" => Scale::Two(60),
        _ => return exponent(suffix).map(Scale::Ten),
    };
    Ok(scale)
}

/// `e3`, `E-3`, `e+3`.
fn exponent(suffix: &str) -> Result<i32, ParseQuantityError> {
    let number = suffix
        .strip_prefix(['e', 'E'])
        .ok_or_else(|| wrong(suffix))?;
    let digits = number.strip_prefix(['-', '+']).unwrap_or(number);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong(suffix));
    }
    let number: i64 = number.parse().map_err(|_| ParseQuantityError::Suffix)?;
    let bound = i64::from(MAX_EXPONENT);
    i32::try_from(number.clamp(-bound, bound)).map_err(|_| ParseQuantityError::Suffix)
}

/// Letters of suffixes in the wrong order are a wrong suffix, everything else is no quantity.
fn wrong(suffix: &str) -> ParseQuantityError {
    if suffix.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        ParseQuantityError::Suffix
    } else {
        ParseQuantityError::Shape
    }
}

/// The value in billionths, rounded up, saturating.
fn value(whole: &str, fraction: &str, scale: Scale) -> i128 {
    let number = |text: &str| {
        text.bytes().fold(0_i128, |sum, digit| {
            sum.saturating_mul(10)
                .saturating_add(i128::from(digit.saturating_sub(b'0')))
        })
    };
    // Digits beyond the 27th can't matter but for rounding up, which any digit does.
    let kept = fraction.len().min(27);
    let (kept, cut) = fraction.split_at_checked(kept).unwrap_or((fraction, ""));
    let mantissa = number(whole)
        .saturating_mul(ten_to(kept.len()))
        .saturating_add(number(kept));
    let places = i32::try_from(kept.len()).unwrap_or(0);
    let up = i128::from(cut.bytes().any(|digit| digit != b'0'));
    let (factor, ten) = match scale {
        Scale::Ten(ten) => (1, ten),
        Scale::Two(two) => (1_i128 << two, 0),
    };
    let exponent = ten.saturating_add(9).saturating_sub(places);
    if mantissa == 0 {
        return up;
    }
    if exponent >= 0 {
        let power = ten_to(usize::try_from(exponent).unwrap_or(usize::MAX));
        return mantissa
            .saturating_mul(factor)
            .saturating_mul(power)
            .saturating_add(up);
    }
    let power = ten_to(usize::try_from(exponent.unsigned_abs()).unwrap_or(usize::MAX));
    // Divide before multiplying where the product would not fit.
    match mantissa.checked_mul(factor) {
        Some(product) => product / power + i128::from(product % power != 0 || up != 0),
        None => (mantissa / power).saturating_add(1).saturating_mul(factor),
    }
}

fn ten_to(power: usize) -> i128 {
    u32::try_from(power)
        .ok()
        .and_then(|power| 10_i128.checked_pow(power))
        .unwrap_or(i128::MAX)
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_whole() {
            write!(f, "{}", self.nanos / NANO)
        } else {
            write!(f, "{}n", self.nanos)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn nanos(text: &str) -> Result<i128, ParseQuantityError> {
        text.parse::<Quantity>().map(|quantity| quantity.nanos)
    }

    #[test]
    fn quantities_have_the_value_that_kubernetes_gives_them() {
        for (text, billionths) in [
            ("0", 0),
            ("1", NANO),
            ("007", 7 * NANO),
            ("500m", NANO / 2),
            ("0.5", NANO / 2),
            (".5", NANO / 2),
            ("1.", NANO),
            ("+1", NANO),
            ("-1", -NANO),
            ("1n", 1),
            ("1u", 1_000),
            ("0.1n", 1),
            ("1k", 1_000 * NANO),
            ("1Ki", 1_024 * NANO),
            ("1.5Gi", 1_610_612_736 * NANO),
            ("1024Mi", (1 << 30) * NANO),
            ("1E", 1_000_000_000_000_000_000 * NANO),
            ("1e3", 1_000 * NANO),
            ("1E+3", 1_000 * NANO),
            ("1e-3", NANO / 1_000),
            ("1e-99", 1),
            ("1e99", MAX),
            ("0e99", 0),
            ("9999999999999999999999", MAX),
            ("9Ei", MAX),
            // Quirks.
            ("+", 0),
            ("-", 0),
            (".", 0),
            ("m", 0),
        ] {
            assert_eq!(nanos(text), Ok(billionths), "{text}");
        }
    }

    #[test]
    fn what_kubernetes_refuses_is_refused() {
        for (text, why) in [
            ("", ParseQuantityError::Shape),
            ("1 ", ParseQuantityError::Shape),
            (" 1", ParseQuantityError::Shape),
            ("1,5", ParseQuantityError::Shape),
            ("--1", ParseQuantityError::Shape),
            ("1.1.1", ParseQuantityError::Shape),
            ("0x1", ParseQuantityError::Suffix),
            ("1K", ParseQuantityError::Suffix),
            ("1ki", ParseQuantityError::Suffix),
            ("1GB", ParseQuantityError::Suffix),
            ("1e", ParseQuantityError::Suffix),
            ("1e+", ParseQuantityError::Shape),
            ("1e1.5", ParseQuantityError::Shape),
            ("1ee1", ParseQuantityError::Suffix),
            ("１", ParseQuantityError::Shape),
            (&"1".repeat(65), ParseQuantityError::TooLong),
        ] {
            assert_eq!(nanos(text), Err(why), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[-+.0-9eEinumkKMGTP]{0,70}|.{0,70}") {
            let _ = text.parse::<Quantity>();
        }

        #[test]
        fn what_is_shown_reads_as_the_same(text in "-?[0-9]{1,12}(\\.[0-9]{1,9})?(n|u|m|k|M|Ki|Mi)?") {
            let quantity: Quantity = text.parse().unwrap();
            prop_assert_eq!(quantity.to_string().parse::<Quantity>().unwrap(), quantity);
        }

        #[test]
        fn more_digits_are_more(a in 0_u32.., b in 0_u32..) {
            let of = |number: u32| format!("{number}Mi").parse::<Quantity>().unwrap();
            prop_assert_eq!(a.cmp(&b), of(a).cmp(&of(b)));
        }
    }
}
