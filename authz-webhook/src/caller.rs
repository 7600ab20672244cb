//! Who asks, by the names in the review. Nothing of it is verified yet.

use seal::identity::{
    NAMESPACE_PREFIX, NODE_USER_PREFIX, SERVICE_ACCOUNTS_GROUP_PREFIX, USER_PREFIX,
};

use crate::review::SubjectAccessReviewSpec;

/// What the user name of a service account begins with.
const SERVICE_ACCOUNT_USER_PREFIX: &str = "system:serviceaccount:";

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Caller<'a> {
    /// A user by the name of a seal's owner.
    Seal,
    /// Somebody else in a group of seal holders.
    SealGroupOnly,
    /// A service account of a tenant's namespace.
    TenantAccount {
        /// The namespace; `None` where user and groups name several.
        namespace: Option<&'a str>,
    },
    /// The kubelet of this node.
    Node(&'a str),
    /// An identity that all machines share.
    Shared(SharedIdentity),
    /// Anybody else: not ours to judge.
    Other,
}

/// The identities whose certificates every joiner gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SharedIdentity {
    /// `system:kube-proxy`.
    KubeProxy,
    /// `system:k3s-controller`.
    K3sController,
}

impl<'a> Caller<'a> {
    /// Reads the names. Seals come first: no group makes a seal's user anybody else.
    pub(crate) fn of(spec: &'a SubjectAccessReviewSpec) -> Self {
        let user = spec.user.as_str();
        if user.starts_with(USER_PREFIX) {
            return Self::Seal;
        }
        if spec
            .groups
            .iter()
            .any(|group| group.starts_with(USER_PREFIX))
        {
            return Self::SealGroupOnly;
        }
        if let Some(caller) = tenant_account(spec) {
            return caller;
        }
        if let Some(name) = user.strip_prefix(NODE_USER_PREFIX) {
            return Self::Node(name);
        }
        match user {
            "system:kube-proxy" => Self::Shared(SharedIdentity::KubeProxy),
            "system:k3s-controller" => Self::Shared(SharedIdentity::K3sController),
            _ => Self::Other,
        }
    }
}

fn tenant_account(spec: &SubjectAccessReviewSpec) -> Option<Caller<'_>> {
    let by_user = spec
        .user
        .strip_prefix(SERVICE_ACCOUNT_USER_PREFIX)
        .map(|rest| {
            rest.split_once(':')
                .map_or(rest, |(namespace, _)| namespace)
        });
    let by_groups = spec
        .groups
        .iter()
        .filter_map(|group| group.strip_prefix(SERVICE_ACCOUNTS_GROUP_PREFIX));
    let mut named = by_user.into_iter().chain(by_groups);
    let first = named.next()?;
    let mut tenants = first.starts_with(NAMESPACE_PREFIX);
    let mut agree = true;
    for namespace in named {
        tenants |= namespace.starts_with(NAMESPACE_PREFIX);
        agree &= namespace == first;
    }
    tenants.then_some(Caller::TenantAccount {
        namespace: agree.then_some(first),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(user: &str, groups: &[&str]) -> SubjectAccessReviewSpec {
        serde_json::from_value(serde_json::json!({"user": user, "groups": groups})).unwrap()
    }

    #[test]
    fn callers_are_told_by_their_names() {
        let account = |namespace| Caller::TenantAccount { namespace };
        for (user, groups, expected) in [
            ("seal:0x1", &["system:nodes"][..], Caller::Seal),
            ("seal:", &[], Caller::Seal),
            ("bob", &["seal:holders"], Caller::SealGroupOnly),
            ("system:node:a", &["seal:tier:super"], Caller::SealGroupOnly),
            (
                "system:serviceaccount:seal-a:default",
                &["system:serviceaccounts", "system:serviceaccounts:seal-a"],
                account(Some("seal-a")),
            ),
            (
                "system:serviceaccount:seal-a:default",
                &[],
                account(Some("seal-a")),
            ),
            (
                "bob",
                &["system:serviceaccounts:seal-a"],
                account(Some("seal-a")),
            ),
            (
                "system:serviceaccount:kube-system:x",
                &["system:serviceaccounts:seal-a"],
                account(None),
            ),
            (
                "bob",
                &[
                    "system:serviceaccounts:seal-a",
                    "system:serviceaccounts:seal-b",
                ],
                account(None),
            ),
            (
                "system:serviceaccount:kube-system:x",
                &["system:serviceaccounts:kube-system"],
                Caller::Other,
            ),
            (
                "system:node:worker-1",
                &["system:nodes"],
                Caller::Node("worker-1"),
            ),
            ("system:node:worker-1", &[], Caller::Node("worker-1")),
            (
                "system:kube-proxy",
                &[],
                Caller::Shared(SharedIdentity::KubeProxy),
            ),
            (
                "system:k3s-controller",
                &[],
                Caller::Shared(SharedIdentity::K3sController),
            ),
            ("system:kube-scheduler", &[], Caller::Other),
            ("Seal:0x1", &["Seal:holders"], Caller::Other),
        ] {
            assert_eq!(
                Caller::of(&spec(user, groups)),
                expected,
                "{user} {groups:?}"
            );
        }
    }
}
