//! Sui addresses and object ids: 32 bytes, written as `0x` and 64 lowercase hex digits.

use std::fmt;
use std::str::FromStr;

/// A text that is no address or object id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected 0x and up to 64 hex digits")]
pub struct ParseHexIdError;

macro_rules! hex_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name([u8; 32]);

        impl $name {
            /// Takes the 32 bytes as they stand on chain.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// The 32 bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("0x")?;
                write_hex(f, &self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{self}")
            }
        }

        impl FromStr for $name {
            type Err = ParseHexIdError;

            /// Takes short forms (`0x6`) as people write them; always shown in full.
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                parse(text).map(Self)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

hex_id! {
    /// The account of a person: who staked.
    Address
}

hex_id! {
    /// The id of an object on chain.
    ObjectId
}

/// Writes 64 lowercase hex digits without allocating: ids are in every answer to a review.
pub(crate) fn write_hex(f: &mut fmt::Formatter<'_>, bytes: &[u8; 32]) -> fmt::Result {
    let mut digits = [0u8; 64];
    hex::encode_to_slice(bytes, &mut digits).map_err(|_| fmt::Error)?;
    f.write_str(str::from_utf8(&digits).map_err(|_| fmt::Error)?)
}

fn parse(text: &str) -> Result<[u8; 32], ParseHexIdError> {
    let digits = text.strip_prefix("0x").ok_or(ParseHexIdError)?;
    if digits.is_empty() || digits.len() > 64 {
        return Err(ParseHexIdError);
    }
    let mut bytes = [0u8; 32];
    hex::decode_to_slice(format!("{digits:0>64}"), &mut bytes).map_err(|_| ParseHexIdError)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_forms_are_read_and_shown_in_full() {
        let clock: ObjectId = "0x6".parse().unwrap();
        assert_eq!(clock.to_string(), format!("0x{:0>64}", "6"));
        assert_eq!(clock.to_string().parse::<ObjectId>().unwrap(), clock);
    }

    #[test]
    fn refuses_what_is_no_id() {
        for bad in [
            "",
            "0x",
            "6",
            "0xg",
            "0x é",
            &format!("0x{}", "0".repeat(65)),
        ] {
            assert!(bad.parse::<Address>().is_err(), "{bad}");
        }
    }
}
