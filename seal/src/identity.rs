//! The names under which Kubernetes knows a seal's holder.
//!
//! Source: Kubernetes UserInfo (authentication.k8s.io/v1): user name, groups, extra.

use crate::{Address, Tier};

/// What every seal holder's user name begins with.
pub const USER_PREFIX: &str = "seal:";
/// The group of all seal holders.
pub const GROUP_HOLDERS: &str = "seal:holders";
/// What the group of a tier begins with.
pub const GROUP_TIER_PREFIX: &str = "seal:tier:";
/// Extra: the seal's object id.
pub const EXTRA_SEAL: &str = "k3s-daas.io/seal";
/// Extra: the credential hash, 64 hex digits.
pub const EXTRA_CREDENTIAL_HASH: &str = "k3s-daas.io/credential-hash";
/// Extra: the tier at the time of the TokenReview. Shown to people; nothing is decided by it.
pub const EXTRA_TIER: &str = "k3s-daas.io/tier";
/// Extra: the owner's first namespace.
pub const EXTRA_NAMESPACE: &str = "k3s-daas.io/namespace";
/// Extra: ms since the epoch, decimal.
pub const EXTRA_EXPIRES_AT: &str = "k3s-daas.io/expires-at";
/// Annotation on a Namespace: the owner's address.
pub const ANNOTATION_OWNER: &str = "k3s-daas.io/owner";
/// Annotation on a Namespace: when its owner's last seal of developer or more ended, ms since the
/// epoch, decimal. Absent while the owner has one.
pub const ANNOTATION_ENDED_AT: &str = "k3s-daas.io/ended-at";
/// Label on a Namespace: where it is in its life. Present once everything that guards the
/// namespace is in place: without it the namespace is nobody's yet.
pub const LABEL_STATE: &str = "k3s-daas.io/state";
/// The value of [`LABEL_STATE`] while the owner has a usable seal of developer or more.
pub const STATE_ACTIVE: &str = "active";
/// Label on a Namespace: the tier by which its quota goes.
pub const LABEL_TIER: &str = "k3s-daas.io/tier";
/// What every label, annotation and taint of ours begins with.
pub const OUR_PREFIX: &str = "k3s-daas.io/";
/// The service account in the extension's namespace as which the server acts.
pub const SERVER_ACCOUNT: &str = "server";
/// The user name of that service account.
pub const SERVER_USER: &str = "system:serviceaccount:k3s-daas-system:server";
/// Annotations on a Node, and on the Nodes that the server makes from the first moment: the object
/// id of its seal. With it goes [`ANNOTATION_OWNER`].
pub const ANNOTATION_SEAL: &str = "k3s-daas.io/seal";
/// Annotation on a Node: the stake, MIST, decimal.
pub const ANNOTATION_STAKE: &str = "k3s-daas.io/stake-mist";
/// Annotation on a Node: the tier that the stake gives.
pub const ANNOTATION_TIER: &str = "k3s-daas.io/tier";
/// Annotation on a Node: when its seal expires, ms since the epoch, decimal.
pub const ANNOTATION_EXPIRES_AT: &str = "k3s-daas.io/expires-at";
/// Taint (`NoSchedule`) of a Node that is being drained.
pub const TAINT_DRAINING: &str = "k3s-daas.io/draining";
/// Taint (`NoExecute`) of a Node that is cut off.
pub const TAINT_CUT: &str = "k3s-daas.io/cut";
/// Label of the Nodes that pods of protected namespaces may run on. Kubelets can't set labels of
/// this domain (Kubernetes' NodeRestriction).
pub const LABEL_TRUST: &str = "node-restriction.kubernetes.io/k3s-daas-trust";
/// The value of [`LABEL_TRUST`].
pub const TRUST_OPERATOR: &str = "operator";
/// The group of all nodes.
pub const GROUP_NODES: &str = "system:nodes";
/// What every tenant's namespace begins with.
pub const NAMESPACE_PREFIX: &str = "seal-";
/// What the user name of a node's kubelet begins with.
pub const NODE_USER_PREFIX: &str = "system:node:";
/// The group of the service accounts of a namespace begins with this.
pub const SERVICE_ACCOUNTS_GROUP_PREFIX: &str = "system:serviceaccounts:";

/// The user name of a seal's owner.
#[must_use]
pub fn user_name(owner: &Address) -> String {
    format!("{USER_PREFIX}{owner}")
}

/// The group of a tier.
#[must_use]
pub fn tier_group(tier: Tier) -> String {
    format!("{GROUP_TIER_PREFIX}{tier}")
}

/// The owner's first namespace: `seal-` and the first 16 hex digits of the address.
#[must_use]
pub fn home_namespace(owner: &Address) -> String {
    HomeName::of(owner).as_str().to_owned()
}

/// The name of an owner's first namespace, on the stack: it is made with every review.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HomeName([u8; HOME_NAME]);

/// [`NAMESPACE_PREFIX`] and 16 digits.
const HOME_NAME: usize = NAMESPACE_PREFIX.len() + 16;

impl HomeName {
    /// Of this owner.
    #[must_use]
    pub fn of(owner: &Address) -> Self {
        let mut text = [0; HOME_NAME];
        let (prefix, digits) = text.split_at_mut(NAMESPACE_PREFIX.len());
        prefix.copy_from_slice(NAMESPACE_PREFIX.as_bytes());
        for (pair, byte) in digits.chunks_exact_mut(2).zip(owner.as_bytes()) {
            pair.copy_from_slice(&hex_pair(*byte));
        }
        Self(text)
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // ASCII from beginning to end: never the default.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

fn hex_pair(byte: u8) -> [u8; 2] {
    let digit = |four: u8| {
        if four < 10 {
            b'0' + four
        } else {
            b'a' + four - 10
        }
    };
    [digit(byte >> 4), digit(byte & 0xf)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_as_published() {
        let owner: Address = "0x29dfbf688abce7ab43bb8e70cae158ae961196e721440f515482f8ba1684390f"
            .parse()
            .unwrap();
        assert_eq!(
            user_name(&owner),
            "seal:0x29dfbf688abce7ab43bb8e70cae158ae961196e721440f515482f8ba1684390f"
        );
        assert_eq!(home_namespace(&owner), "seal-29dfbf688abce7ab");
        assert_eq!(tier_group(Tier::Super), "seal:tier:super");
        assert_eq!(
            SERVER_USER,
            format!(
                "system:serviceaccount:{}:{SERVER_ACCOUNT}",
                crate::access::EXTENSION_NAMESPACE
            )
        );
    }
}
