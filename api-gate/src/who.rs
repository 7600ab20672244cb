//! Whom a connection belongs to, by what Kubernetes calls its user.
//!
//! Source: Kubernetes UserInfo (authentication.k8s.io/v1). Service account tokens of pods name
//! their node in the extra `authentication.kubernetes.io/node-name`.

use std::fmt;

use seal::identity::{NODE_USER_PREFIX, USER_PREFIX};
use seal::{Address, CredentialHash};

/// What the user name of a service account begins with.
const ACCOUNT_PREFIX: &str = "system:serviceaccount:";
/// Identities that all machines share: who was seen with one may be any of them.
const SHARED: [&str; 2] = ["system:k3s-controller", "system:kube-proxy"];

/// A user of the API server.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Who {
    /// A seal's holder, with that seal.
    Seal {
        /// Its owner.
        owner: Address,
        /// The seal.
        hash: CredentialHash,
    },
    /// A service account.
    Account {
        /// Its namespace.
        namespace: Box<str>,
        /// Its name.
        name: Box<str>,
        /// The node that its token is for, where it is a pod's.
        node: Option<Box<str>>,
    },
    /// A node's kubelet.
    Node(Box<str>),
    /// Anybody else: operators, controllers.
    Other(Box<str>),
}

/// Longer names are cut for what is kept of people that nothing is decided by.
const LONGEST_OTHER: usize = 256;

impl Who {
    /// The kinds, for metrics.
    pub const KINDS: [&str; 4] = ["seal", "account", "node", "other"];

    /// By a user name and what goes with it. `None` for those identities that all machines share.
    #[must_use]
    pub fn of(user: &str, hash: Option<&str>, node: Option<&str>) -> Option<Self> {
        if SHARED.contains(&user) {
            return None;
        }
        Some(Self::known(user, hash, node).unwrap_or_else(|| {
            let end = user.floor_char_boundary(LONGEST_OTHER);
            Self::Other(user.get(..end).unwrap_or_default().into())
        }))
    }

    fn known(user: &str, hash: Option<&str>, node: Option<&str>) -> Option<Self> {
        if let Some(owner) = user.strip_prefix(USER_PREFIX) {
            return Some(Self::Seal {
                owner: owner.parse().ok()?,
                hash: CredentialHash::parse(hash?).ok()?,
            });
        }
        if let Some(name) = user.strip_prefix(NODE_USER_PREFIX) {
            return is_name(name).then(|| Self::Node(name.into()));
        }
        let (namespace, name) = user.strip_prefix(ACCOUNT_PREFIX)?.split_once(':')?;
        let node = node.filter(|node| is_name(node)).map(Into::into);
        (is_name(namespace) && is_name(name)).then(|| Self::Account {
            namespace: namespace.into(),
            name: name.into(),
            node,
        })
    }

    /// One of [`Who::KINDS`].
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Seal { .. } => "seal",
            Self::Account { .. } => "account",
            Self::Node(_) => "node",
            Self::Other(_) => "other",
        }
    }
}

/// Kubernetes' names have at most 253 bytes, and what is kept is to be bounded.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= 253
}

/// As the API server calls them.
impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Seal { owner, .. } => write!(f, "{USER_PREFIX}{owner}"),
            Self::Account {
                namespace, name, ..
            } => write!(f, "{ACCOUNT_PREFIX}{namespace}:{name}"),
            Self::Node(name) => write!(f, "{NODE_USER_PREFIX}{name}"),
            Self::Other(name) => f.write_str(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_told_apart_by_their_names() {
        let owner = format!("seal:0x{}", "1".repeat(64));
        let hash = "ab".repeat(32);
        let seal = Who::of(&owner, Some(&hash), None).unwrap();
        assert_eq!((seal.kind(), seal.to_string()), ("seal", owner.clone()));
        let account = Who::of("system:serviceaccount:ns:default", None, Some("w-1")).unwrap();
        assert!(matches!(&account, Who::Account { node: Some(node), .. } if &**node == "w-1"));
        assert_eq!(account.to_string(), "system:serviceaccount:ns:default");
        let node = Who::of("system:node:w-1", None, None).unwrap();
        assert_eq!(node, Who::Node("w-1".into()));
        for other in [
            "system:admin",
            "seal:",
            "system:node:",
            "system:serviceaccount:x",
            &owner,
        ] {
            assert_eq!(
                Who::of(other, None, None).unwrap().kind(),
                "other",
                "{other}"
            );
        }
    }

    #[test]
    fn what_all_machines_share_says_nothing() {
        assert_eq!(Who::of("system:kube-proxy", None, None), None);
        assert_eq!(Who::of("system:k3s-controller", None, None), None);
    }

    #[test]
    fn a_name_that_somebody_chose_is_bounded() {
        let long = "é".repeat(4000);
        assert!(Who::of(&long, None, None).unwrap().to_string().len() <= LONGEST_OTHER);
    }
}
