//! Which chain a node follows.
//!
//! Shape:  32 bytes, the digest of the genesis checkpoint, written in base58. Every answer's
//!         header `x-sui-chain-id` has its first 4 bytes as 8 hex digits (Sui 1.57); newer
//!         nodes may send the whole digest in base58. Both are compared.

use std::fmt;
use std::str::FromStr;

use sui_sdk_types::Digest;

/// The digest of a chain's genesis checkpoint.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ChainId(Digest);

/// A text that is no chain id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a chain id is 32 bytes in base58")]
pub struct ParseChainIdError;

impl ChainId {
    /// Takes the 32 bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Digest::new(bytes))
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        self.0.inner()
    }

    /// The form of the header: the first 4 bytes in hex.
    #[must_use]
    pub fn short(&self) -> String {
        let [a, b, c, d, ..] = *self.as_bytes();
        hex::encode([a, b, c, d])
    }

    /// Whether a header speaks of this chain.
    #[must_use]
    pub fn matches(&self, hint: &ChainHint) -> bool {
        match hint {
            ChainHint::Prefix(prefix) => self.as_bytes().starts_with(prefix),
            ChainHint::Full(chain) => self == chain,
        }
    }
}

impl fmt::Display for ChainId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for ChainId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChainId({self})")
    }
}

impl FromStr for ChainId {
    type Err = ParseChainIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // The decoder fills what is short with zeros, so a text must also be what it decodes to.
        Digest::from_base58(text)
            .ok()
            .map(Self)
            .filter(|id| id.to_string() == text)
            .ok_or(ParseChainIdError)
    }
}

impl serde::Serialize for ChainId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for ChainId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// What the header `x-sui-chain-id` tells of the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChainHint {
    /// The first 4 bytes of the id.
    Prefix([u8; 4]),
    /// The whole id.
    Full(ChainId),
}

impl ChainHint {
    /// Reads the header's text; none if it has neither form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut prefix = [0u8; 4];
        if hex::decode_to_slice(text, &mut prefix).is_ok() {
            return Some(Self::Prefix(prefix));
        }
        text.parse().ok().map(Self::Full)
    }
}

impl fmt::Display for ChainHint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prefix(prefix) => f.write_str(&hex::encode(prefix)),
            Self::Full(chain) => chain.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From a recorded answer of GetServiceInfo and its header.
    const RECORDED: (&str, &str) = ("BC3xSQ5SPrNFFgzWatmABviNR3HGP6eMobc9zgjXNefG", "976999ae");

    #[test]
    fn both_forms_of_the_header_name_the_chain() {
        let chain: ChainId = RECORDED.0.parse().unwrap();
        assert_eq!(chain.short(), RECORDED.1);
        assert_eq!(chain.to_string(), RECORDED.0);
        for header in [RECORDED.0, RECORDED.1] {
            assert!(
                chain.matches(&ChainHint::parse(header).unwrap()),
                "{header}"
            );
        }
    }

    #[test]
    fn another_chain_matches_neither_form() {
        let chain: ChainId = RECORDED.0.parse().unwrap();
        let other = ChainId::from_bytes([1; 32]);
        assert!(!other.matches(&ChainHint::parse(RECORDED.1).unwrap()));
        assert!(!other.matches(&ChainHint::Full(chain)));
    }

    #[test]
    fn what_has_no_form_is_refused() {
        for bad in ["", "0x976999ae", "97", "unknown", "lIO0"] {
            assert!(ChainHint::parse(bad).is_none(), "{bad}");
            assert_eq!(bad.parse::<ChainId>(), Err(ParseChainIdError), "{bad}");
        }
    }
}
