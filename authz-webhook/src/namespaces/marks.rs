//! Reading a Namespace's marks and a ClusterRoleBinding's subjects.

use std::collections::BTreeMap;

use k8s_openapi::api::rbac::v1::ClusterRoleBinding;
use seal::access::Ownership;
use seal::identity::{self, ANNOTATION_OWNER, NAMESPACE_PREFIX, SERVICE_ACCOUNTS_GROUP_PREFIX};

/// Whose a namespace is, by its name and annotations together.
///
/// The annotation names the owner, the name must fit the owner's address
/// (`seal-<16 hex>` or `seal-<16 hex>-<suffix>`). Where one says tenant and the other
/// does not, nobody can tell whose it is: then it is somebody else's to everyone, so
/// that whoever may annotate namespaces can give none away, and none loses its owner
/// to the public by losing its annotation.
pub(super) fn ownership(name: &str, annotations: Option<&BTreeMap<String, String>>) -> Ownership {
    let mark = annotations.and_then(|annotations| annotations.get(ANNOTATION_OWNER));
    match mark {
        None if name.starts_with(NAMESPACE_PREFIX) => Ownership::Unknown,
        None => Ownership::Unowned,
        Some(text) => match text.parse() {
            Ok(owner) if text.len() == FULL_ADDRESS && fits(name, &owner) => {
                Ownership::Owned(owner)
            }
            Ok(_) | Err(_) => Ownership::Unknown,
        },
    }
}

/// `0x` and 64 digits.
const FULL_ADDRESS: usize = 66;

fn fits(name: &str, owner: &seal::Address) -> bool {
    name.strip_prefix(identity::home_namespace(owner).as_str())
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

/// The namespaces whose service accounts this binding binds cluster-wide, each once.
///
/// A binding of all service accounts (`system:serviceaccounts`) concerns every namespace
/// alike and protects none.
pub(super) fn bound_namespaces(binding: &ClusterRoleBinding) -> Vec<Box<str>> {
    let mut namespaces: Vec<Box<str>> = binding
        .subjects
        .iter()
        .flatten()
        .filter_map(|subject| match subject.kind.as_str() {
            "ServiceAccount" => subject.namespace.as_deref(),
            "Group" => subject.name.strip_prefix(SERVICE_ACCOUNTS_GROUP_PREFIX),
            "User" => subject
                .name
                .strip_prefix("system:serviceaccount:")
                .and_then(|rest| rest.split(':').next()),
            _ => None,
        })
        .map(Into::into)
        .collect();
    namespaces.sort_unstable();
    namespaces.dedup();
    namespaces
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::rbac::v1::Subject;

    use super::*;

    const OWNER: &str = "0x29dfbf688abce7ab43bb8e70cae158ae961196e721440f515482f8ba1684390f";

    fn of(name: &str, mark: Option<&str>) -> Ownership {
        let annotations =
            mark.map(|mark| BTreeMap::from([(ANNOTATION_OWNER.to_owned(), mark.to_owned())]));
        ownership(name, annotations.as_ref())
    }

    #[test]
    fn a_mark_counts_only_where_name_and_owner_fit() {
        let owned = Ownership::Owned(OWNER.parse().unwrap());
        assert_eq!(of("seal-29dfbf688abce7ab", Some(OWNER)), owned);
        assert_eq!(of("seal-29dfbf688abce7ab-two", Some(OWNER)), owned);
        for (name, mark) in [
            ("seal-29dfbf688abce7ab", None),
            ("seal-29dfbf688abce7ac", Some(OWNER)),
            ("seal-29dfbf688abce7ab0", Some(OWNER)),
            ("team-a", Some(OWNER)),
            ("seal-29dfbf688abce7ab", Some("0x29dfbf688abce7ab")),
            ("seal-29dfbf688abce7ab", Some("")),
            ("team-a", Some("nobody")),
        ] {
            assert_eq!(of(name, mark), Ownership::Unknown, "{name} {mark:?}");
        }
        assert_eq!(of("team-a", None), Ownership::Unowned);
    }

    #[test]
    fn every_way_to_name_a_service_account_counts() {
        let subject = |kind: &str, name: &str, namespace: Option<&str>| Subject {
            kind: kind.to_owned(),
            name: name.to_owned(),
            namespace: namespace.map(str::to_owned),
            ..Subject::default()
        };
        let binding = ClusterRoleBinding {
            subjects: Some(vec![
                subject("ServiceAccount", "x", Some("a")),
                subject("ServiceAccount", "y", Some("a")),
                subject("Group", "system:serviceaccounts:b", None),
                subject("User", "system:serviceaccount:c:x", None),
                subject("Group", "system:serviceaccounts", None),
                subject("Group", "system:authenticated", None),
                subject("User", "bob", None),
            ]),
            ..ClusterRoleBinding::default()
        };
        let expected: Vec<Box<str>> = vec!["a".into(), "b".into(), "c".into()];
        assert_eq!(bound_namespaces(&binding), expected);
    }
}
