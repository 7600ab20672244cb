//! Whom an operator disconnects by hand.

use std::fmt;
use std::str::FromStr;

use seal::{Address, CredentialHash, NodeName};

/// A seal, all seals of an owner, or a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A seal, by its credential hash: 64 hex digits.
    Hash(CredentialHash),
    /// All seals of an owner: `0x` and 64 hex digits.
    Owner(Address),
    /// A machine, by its Node's name.
    Node(NodeName),
}

/// What was given is none of the three.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "neither a credential hash (64 hex digits), an owner's address (0x and 64 hex digits) nor a node's name"
)]
pub struct ParseTargetError;

impl FromStr for Target {
    type Err = ParseTargetError;

    fn from_str(text: &str) -> Result<Self, ParseTargetError> {
        if let Ok(hash) = CredentialHash::parse(text) {
            return Ok(Self::Hash(hash));
        }
        if text.starts_with("0x")
            && let Ok(owner) = text.parse()
        {
            return Ok(Self::Owner(owner));
        }
        text.parse().map(Self::Node).map_err(|_| ParseTargetError)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hash(hash) => hash.fmt(f),
            Self::Owner(owner) => owner.fmt(f),
            Self::Node(name) => name.fmt(f),
        }
    }
}

impl serde::Serialize for Target {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Target {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_read_as_it_is_shown() {
        let (hash, owner) = ("ab".repeat(32), format!("0x{}", "12".repeat(32)));
        for text in [hash.as_str(), owner.as_str(), "worker-001"] {
            let target: Target = text.parse().unwrap();
            assert_eq!(target.to_string(), text);
            let json = serde_json::to_string(&target).unwrap();
            assert_eq!(serde_json::from_str::<Target>(&json).unwrap(), target);
        }
        for wrong in ["", "a.b", "A", &"a".repeat(65)] {
            assert!(wrong.parse::<Target>().is_err(), "{wrong}");
        }
    }
}
