//! The names of tenants' namespaces.

use std::fmt;
use std::str::FromStr;

use seal::{Address, identity};

/// The longest name of a namespace (RFC 1123 label).
const MAX_NAME: usize = 63;
/// `seal-` and 16 hex digits.
const HOME_LENGTH: usize = 21;
/// What is left for a suffix after the `-`.
const MAX_SUFFIX: usize = MAX_NAME - HOME_LENGTH - 1;

/// What distinguishes an owner's further namespaces from the first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Suffix(String);

/// A text that is no suffix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a suffix is 1 to 41 lower-case letters, digits and hyphens, and begins and ends with a letter or digit"
)]
pub struct InvalidSuffix;

impl FromStr for Suffix {
    type Err = InvalidSuffix;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let fits = (1..=MAX_SUFFIX).contains(&text.len())
            && text.bytes().all(allowed)
            && !text.starts_with('-')
            && !text.ends_with('-');
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidSuffix)
        }
    }
}

impl fmt::Display for Suffix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of an owner's namespace: the first one, or the one with this suffix.
pub(super) fn name_of(owner: &Address, suffix: Option<&Suffix>) -> String {
    let home = identity::home_namespace(owner);
    match suffix {
        None => home,
        Some(suffix) => format!("{home}-{suffix}"),
    }
}

/// Whether the name is one that this owner's namespaces have.
pub(super) fn fits(name: &str, owner: &Address) -> bool {
    match name.strip_prefix(&identity::home_namespace(owner)) {
        Some("") => true,
        Some(rest) => rest
            .strip_prefix('-')
            .is_some_and(|suffix| suffix.parse::<Suffix>().is_ok()),
        None => false,
    }
}

/// Whether the name looks like a tenant's: nobody else should have one like it.
pub(super) fn looks_ours(name: &str) -> bool {
    let Some(rest) = name.strip_prefix(identity::NAMESPACE_PREFIX) else {
        return false;
    };
    let Some((head, tail)) = rest.split_at_checked(16) else {
        return false;
    };
    head.bytes()
        .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
        && (tail.is_empty() || tail.starts_with('-'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn owner(byte: u8) -> Address {
        Address::from_bytes([byte; 32])
    }

    #[test]
    fn a_suffix_is_a_label_that_leaves_room_for_the_owner() {
        for good in ["a", "0", "team-1", "a--b", &"x".repeat(41)] {
            let suffix: Suffix = good.parse().unwrap();
            let name = name_of(&owner(1), Some(&suffix));
            assert!(name.len() <= 63, "{name}");
            assert!(fits(&name, &owner(1)), "{name}");
            assert!(looks_ours(&name), "{name}");
        }
        for bad in ["", "-", "-a", "a-", "A", "a.b", "a_b", "ä", &"x".repeat(42)] {
            assert_eq!(bad.parse::<Suffix>(), Err(InvalidSuffix), "{bad}");
        }
    }

    #[test]
    fn a_name_fits_its_owner_only() {
        let home = name_of(&owner(1), None);
        assert_eq!(home, "seal-0101010101010101");
        assert!(fits(&home, &owner(1)));
        assert!(!fits(&home, &owner(2)));
        for other in [
            "seal-010101010101010",
            "seal-01010101010101011",
            "seal-0101010101010101-",
            "seal-0101010101010101--",
            "SEAL-0101010101010101",
        ] {
            assert!(!fits(other, &owner(1)), "{other}");
        }
    }

    #[test]
    fn what_looks_like_a_tenants_is_told_from_the_rest() {
        for (name, ours) in [
            ("seal-0101010101010101", true),
            ("seal-0101010101010101-x", true),
            ("seal-0101010101010101x", false),
            ("seal-010101010101010g", false),
            ("seal-0101", false),
            ("sealed-secrets", false),
            ("kube-system", false),
        ] {
            assert_eq!(looks_ours(name), ours, "{name}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,80}") {
            let _ = fits(&text, &owner(1));
            let _ = looks_ours(&text);
            let _ = text.parse::<Suffix>();
        }
    }
}
