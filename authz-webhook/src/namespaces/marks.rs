//! Reading a Namespace's marks and a binding's subjects.

use std::collections::BTreeMap;

use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, RoleBinding, Subject};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use seal::Tier;
use seal::access::Ownership;
use seal::identity::{
    self, ANNOTATION_OWNER, LABEL_STATE, LABEL_TIER, NAMESPACE_PREFIX,
    SERVICE_ACCOUNTS_GROUP_PREFIX, STATE_ACTIVE,
};

/// What a Namespace's marks say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Marks {
    /// Whose it is.
    pub(super) ownership: Ownership,
    /// The tier that its quota is for, while it is in use.
    pub(super) active: Option<Tier>,
}

impl Marks {
    /// Reads name, annotations and labels.
    pub(super) fn of(metadata: &ObjectMeta) -> Self {
        let label = |key| metadata.labels.as_ref().and_then(|labels| labels.get(key));
        let state = label(LABEL_STATE);
        let tier = label(LABEL_TIER).and_then(|tier| tier.parse().ok());
        Self {
            ownership: ownership(
                metadata.name.as_deref().unwrap_or_default(),
                metadata.annotations.as_ref(),
                state.is_some(),
            ),
            active: tier.filter(|_| state.is_some_and(|state| state == STATE_ACTIVE)),
        }
    }
}

/// Whose a namespace is, by its name, annotation and label together.
///
/// The annotation names the owner, the name must fit the owner's address
/// (`seal-<16 hex>` or `seal-<16 hex>-<suffix>`), and the label of its state must be
/// there, whichever it is: it is set when everything that guards the namespace is in place.
/// Where one says tenant and another does not, nobody can tell whose it is: then it is
/// somebody else's to everyone, so that whoever may annotate namespaces can give none
/// away, and none loses its owner to the public by losing its annotation.
fn ownership(
    name: &str,
    annotations: Option<&BTreeMap<String, String>>,
    guarded: bool,
) -> Ownership {
    let mark = annotations.and_then(|annotations| annotations.get(ANNOTATION_OWNER));
    match mark {
        None if name.starts_with(NAMESPACE_PREFIX) => Ownership::Unknown,
        None => Ownership::Unowned,
        Some(text) => match text.parse() {
            Ok(owner) if text.len() == FULL_ADDRESS && guarded && fits(name, &owner) => {
                Ownership::Owned(owner)
            }
            Ok(_) | Err(_) => Ownership::Unknown,
        },
    }
}

/// `0x` and 64 digits.
const FULL_ADDRESS: usize = 66;

fn fits(name: &str, owner: &seal::Address) -> bool {
    name.strip_prefix(identity::HomeName::of(owner).as_str())
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

/// The namespaces whose service accounts this binding binds cluster-wide, each once.
///
/// A binding of all service accounts (`system:serviceaccounts`) concerns every namespace
/// alike and protects none. A subject of kind `ServiceAccount` without a namespace binds
/// nobody in a ClusterRoleBinding (`appliesToUser` in Kubernetes' RBAC authorizer).
///
/// Only the tier super and the operator make such bindings, so only they protect a
/// namespace or end its protection. Where they bind a service account of a tenant's
/// namespace, that namespace is protected: its owner can't write there any more, since
/// whoever can run a pod there can act as that account. Its marks stay, and with the end
/// of the binding the owner has it back.
pub(super) fn bound_namespaces(binding: &ClusterRoleBinding) -> Vec<Box<str>> {
    namespaces_of(binding.subjects.as_deref(), None)
}

/// Whom a RoleBinding lets into its namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reach {
    /// The binding's namespace.
    pub(super) place: Box<str>,
    /// The namespaces whose service accounts it binds there, each once.
    pub(super) namespaces: Vec<Box<str>>,
}

/// Reads a RoleBinding. One in a tenant's namespace binds nobody that counts: a tenant names
/// whom it likes, and could have others' namespaces protected.
pub(super) fn reach(binding: &RoleBinding) -> Reach {
    let place = binding.metadata.namespace.as_deref().unwrap_or_default();
    let mut namespaces = Vec::new();
    if !place.starts_with(NAMESPACE_PREFIX) {
        // Without a namespace of its own, a subject is of the binding's.
        namespaces = namespaces_of(binding.subjects.as_deref(), Some(place));
        namespaces.retain(|namespace| **namespace != *place);
    }
    Reach {
        place: place.into(),
        namespaces,
    }
}

fn namespaces_of(subjects: Option<&[Subject]>, own: Option<&str>) -> Vec<Box<str>> {
    let mut namespaces: Vec<Box<str>> = subjects
        .into_iter()
        .flatten()
        .filter_map(|subject| match subject.kind.as_str() {
            "ServiceAccount" => subject.namespace.as_deref().or(own),
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
    use super::*;

    const OWNER: &str = "0x29dfbf688abce7ab43bb8e70cae158ae961196e721440f515482f8ba1684390f";

    fn of(name: &str, mark: Option<&str>) -> Ownership {
        let annotations =
            mark.map(|mark| BTreeMap::from([(ANNOTATION_OWNER.to_owned(), mark.to_owned())]));
        ownership(name, annotations.as_ref(), true)
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

    fn marks(labels: &[(&str, &str)]) -> Marks {
        let texts = |pairs: &[(&str, &str)]| {
            let owned = pairs
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
            Some(owned.collect())
        };
        Marks::of(&ObjectMeta {
            name: Some("seal-29dfbf688abce7ab".to_owned()),
            annotations: texts(&[(ANNOTATION_OWNER, OWNER)]),
            labels: texts(labels),
            ..ObjectMeta::default()
        })
    }

    #[test]
    fn a_namespace_without_the_label_of_its_state_is_nobodys_yet() {
        let owned = Ownership::Owned(OWNER.parse().unwrap());
        assert_eq!(marks(&[]).ownership, Ownership::Unknown);
        assert_eq!(
            marks(&[(LABEL_TIER, "developer")]).ownership,
            Ownership::Unknown
        );
        for state in ["active", "ended", "stopped", ""] {
            assert_eq!(marks(&[(LABEL_STATE, state)]).ownership, owned, "{state}");
        }
    }

    #[test]
    fn a_home_is_in_use_while_it_is_active_and_its_tier_is_told() {
        let active = |state, tier| marks(&[(LABEL_STATE, state), (LABEL_TIER, tier)]).active;
        assert_eq!(active("active", "developer"), Some(Tier::Developer));
        assert_eq!(active("active", "super"), Some(Tier::Super));
        assert_eq!(active("active", "Super"), None);
        assert_eq!(active("ended", "developer"), None);
        assert_eq!(marks(&[(LABEL_STATE, "active")]).active, None);
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
                subject("ServiceAccount", "z", None),
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

    #[test]
    fn a_role_binding_names_namespaces_as_a_cluster_wide_one_does() {
        let subject = |namespace: Option<&str>| Subject {
            kind: "ServiceAccount".to_owned(),
            name: "agent".to_owned(),
            namespace: namespace.map(str::to_owned),
            ..Subject::default()
        };
        let of = |place: &str| {
            reach(&RoleBinding {
                metadata: ObjectMeta {
                    namespace: Some(place.to_owned()),
                    ..ObjectMeta::default()
                },
                subjects: Some(vec![subject(Some("tools")), subject(None)]),
                ..RoleBinding::default()
            })
        };
        let system = of("kube-system");
        assert_eq!(&*system.place, "kube-system");
        assert_eq!(system.namespaces, ["tools".into()]);
        assert!(of("seal-29dfbf688abce7ab").namespaces.is_empty());
    }
}
