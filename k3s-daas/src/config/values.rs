//! The types of values, and how each is read from text.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;

use std::time::Duration;

use ipnet::IpNet;
use seal::access::Tenancy;
use seal::{Address, ElevatedOwners, Mist, NodeName};
use tenancy::namespaces::Quota;

/// A value that is read from one text. The error says what would be right.
pub trait FromText: Sized {
    /// Reads the text.
    fn from_text(text: &str) -> Result<Self, String>;
}

/// A value that may or must be there.
pub trait Setting: Sized {
    /// Reads what was found, if anything was.
    fn from_setting(text: Option<&str>) -> Result<Self, String>;
}

impl<T: FromText> Setting for T {
    fn from_setting(text: Option<&str>) -> Result<Self, String> {
        T::from_text(text.ok_or("it needs one")?)
    }
}

impl<T: FromText> Setting for Option<T> {
    /// Empty counts as absent, so that a variable can take a value away.
    fn from_setting(text: Option<&str>) -> Result<Self, String> {
        text.filter(|text| !text.is_empty())
            .map(T::from_text)
            .transpose()
    }
}

/// A list, comma-separated. May be empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List<T>(pub Vec<T>);

impl<T: FromText> FromText for List<T> {
    fn from_text(text: &str) -> Result<Self, String> {
        text.split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty())
            .map(T::from_text)
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

macro_rules! from_str {
    ($($type:ty => $fix:literal),* $(,)?) => {
        $(impl FromText for $type {
            fn from_text(text: &str) -> Result<Self, String> {
                text.parse().map_err(|_| $fix.to_owned())
            }
        })*
    };
}

from_str! {
    u16 => "give a whole number up to 65535",
    u32 => "give a whole number",
    NonZeroU32 => "give a whole number, at least 1",
    u64 => "give a whole number",
    SocketAddr => "give an address and a port, such as 127.0.0.1:9443",
    IpAddr => "give an IP address, such as 127.0.0.1",
    Address => "give an address, 0x and 64 hex digits",
    NodeName => "give a node name: 1 to 63 lowercase letters, digits and inner hyphens, no dots",
    Tenancy => "give own or shared",
    Mist => "give an amount of SUI, such as 2 or 0.5",
}

/// A time in whole seconds, at most ten years: times far beyond are typing errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seconds(pub Duration);

const TEN_YEARS: u64 = 315_360_000;

impl FromText for Seconds {
    fn from_text(text: &str) -> Result<Self, String> {
        let seconds = text.parse().ok().filter(|seconds| *seconds <= TEN_YEARS);
        let seconds = seconds.ok_or("give whole seconds, at most 315360000 (ten years)")?;
        Ok(Self(Duration::from_secs(seconds)))
    }
}

/// The name of a Node or of a host, a DNS subdomain: dots are allowed, as in a server's own name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct KubeName(pub String);

impl FromText for KubeName {
    fn from_text(text: &str) -> Result<Self, String> {
        let label = |label: &str| {
            let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
            !label.is_empty()
                && label.len() <= 63
                && label.bytes().all(inner)
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        if text.len() <= 253 && text.split('.').all(label) {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!(
                "{text:?} is no node's name: lowercase letters, digits, dots and inner hyphens"
            ))
        }
    }
}

impl FromText for IpNet {
    fn from_text(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| {
            format!("{text:?} is no network: give some such as 10.0.0.0/8 or fc00::/7")
        })
    }
}

impl FromText for Quota {
    fn from_text(text: &str) -> Result<Self, String> {
        text.parse()
            .map_err(|error| format!("{error}; give some such as pods=50,requests.cpu=4"))
    }
}

impl FromText for bool {
    fn from_text(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| "give true or false".to_owned())
    }
}

impl FromText for String {
    fn from_text(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }
}

impl FromText for PathBuf {
    /// `~/` is the home folder of whoever runs the command.
    fn from_text(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("give a path".to_owned());
        }
        match text.strip_prefix("~/") {
            Some(rest) => std::env::home_dir()
                .map(|home| home.join(rest))
                .ok_or_else(|| "HOME is not set: give a whole path".to_owned()),
            None => Ok(text.into()),
        }
    }
}

impl FromText for ElevatedOwners {
    fn from_text(text: &str) -> Result<Self, String> {
        match text {
            "any" => Ok(Self::Any),
            "none" => Ok(Self::None),
            list => {
                let owners = List::<Address>::from_text(list).map_err(|_| CHOICES.to_owned())?;
                Self::only(owners.0).map_err(|_| CHOICES.to_owned())
            }
        }
    }
}

/// The choice as it is written in a configuration, for the log.
pub fn owners_text(owners: &ElevatedOwners) -> String {
    match owners {
        ElevatedOwners::Any => "any".to_owned(),
        ElevatedOwners::None => "none".to_owned(),
        ElevatedOwners::Only(list) => {
            let list: Vec<String> = list.iter().map(ToString::to_string).collect();
            list.join(",")
        }
    }
}

/// The three choices of `elevated_owners`.
const CHOICES: &str = "say `any` (stake alone decides: whoever stakes 10 SUI owns the cluster), \
     `none` (nobody is above developer) or a list of owners' addresses (all others are capped at \
     developer)";

/// An `http://` or `https://` address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url(pub String);

impl FromText for Url {
    fn from_text(text: &str) -> Result<Self, String> {
        let rest = text
            .strip_prefix("http://")
            .or_else(|| text.strip_prefix("https://"));
        match rest {
            Some(rest) if !rest.is_empty() && !rest.starts_with('/') => Ok(Self(text.to_owned())),
            _ => Err("give an address that begins with http:// or https://".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elevated_owners_are_told_as_they_are_written() {
        let (one, two) = (format!("0x{:064x}", 1), format!("0x{:064x}", 2));
        for text in ["any", "none", &one, &format!("{one},{two}")] {
            let owners = ElevatedOwners::from_text(text).unwrap();
            assert_eq!(owners_text(&owners), text);
        }
    }
}
