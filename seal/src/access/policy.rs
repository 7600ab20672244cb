//! What the operator chooses about access.

use std::collections::BTreeSet;

use super::forbidden::ADDON_GROUPS;
use super::standing::is_namespace_name;
use crate::ElevatedOwners;

/// The extension's own namespace.
pub const EXTENSION_NAMESPACE: &str = "k3s-daas-system";

/// All choices of the operator that a decision needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Namespaces that are protected besides those that always are.
    pub protected: ProtectedNamespaces,
    /// Whether tenants may read each other's namespaces.
    pub tenancy: Tenancy,
    /// API groups whose custom resources tenants may use in their own namespaces.
    pub custom_resource_groups: CustomResourceGroups,
    /// Who may be admin or super at all.
    pub elevated_owners: ElevatedOwners,
}

impl Policy {
    /// The strictest policy with this choice of elevated owners, which has no default.
    #[must_use]
    pub fn new(elevated_owners: ElevatedOwners) -> Self {
        Self {
            protected: ProtectedNamespaces::default(),
            tenancy: Tenancy::default(),
            custom_resource_groups: CustomResourceGroups::default(),
            elevated_owners,
        }
    }
}

/// Whether viewers and developers may read the namespaces of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tenancy {
    /// They may not.
    #[default]
    Own,
    /// They may, by the rules of the ClusterRole `view`.
    Shared,
}

impl Tenancy {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Own, Self::Shared];

    /// The name in the configuration.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Shared => "shared",
        }
    }
}

impl std::fmt::Display for Tenancy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.label())
    }
}

impl std::str::FromStr for Tenancy {
    type Err = InvalidPolicy;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|tenancy| tenancy.label() == text)
            .ok_or(InvalidPolicy::Tenancy)
    }
}

/// A choice that can't be meant. The operator's to mend.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidPolicy {
    /// Neither `own` nor `shared`.
    #[error("tenancy is own or shared")]
    Tenancy,
    /// Not the name of a namespace.
    #[error("{name:?} is not the name of a namespace")]
    NamespaceName {
        /// The text.
        name: String,
    },
    /// Not the group of a custom resource: no dot, a wildcard, odd characters.
    #[error("{group:?} is not an API group of custom resources, such as example.com")]
    GroupName {
        /// The text.
        group: String,
    },
    /// A group of Kubernetes itself: its kinds have rules of their own.
    #[error("{group:?} is an API group of Kubernetes itself and can't be opened to tenants")]
    BuiltInGroup {
        /// The text.
        group: String,
    },
    /// A group that is denied to everyone below super.
    #[error("{group:?} is denied to everyone below super")]
    DeniedGroup {
        /// The text.
        group: String,
    },
}

/// The protected namespaces: `kube-*`, `default`, the extension's own, and these.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProtectedNamespaces(BTreeSet<String>);

impl ProtectedNamespaces {
    /// Protects these too.
    pub fn new<S: Into<String>>(names: impl IntoIterator<Item = S>) -> Result<Self, InvalidPolicy> {
        let mut set = BTreeSet::new();
        for name in names {
            let name = name.into();
            if !is_namespace_name(&name) {
                return Err(InvalidPolicy::NamespaceName { name });
            }
            set.insert(name);
        }
        Ok(Self(set))
    }

    /// True if the namespace of this name is protected by name.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        name.starts_with("kube-")
            || name == "default"
            || name == EXTENSION_NAMESPACE
            || self.0.contains(name)
    }
}

/// API groups whose custom resources tenants may use.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CustomResourceGroups(BTreeSet<String>);

impl CustomResourceGroups {
    /// Opens these groups; refuses those of Kubernetes itself and those that are denied.
    pub fn new<S: Into<String>>(
        groups: impl IntoIterator<Item = S>,
    ) -> Result<Self, InvalidPolicy> {
        let mut set = BTreeSet::new();
        for group in groups {
            let group = group.into();
            let well_formed = group.contains('.') && group.split('.').all(is_namespace_name);
            if BUILT_IN_GROUPS.contains(&group.as_str()) {
                return Err(InvalidPolicy::BuiltInGroup { group });
            }
            if !well_formed {
                return Err(InvalidPolicy::GroupName { group });
            }
            if ADDON_GROUPS.contains(&group.as_str()) || group == super::forbidden::OUR_GROUP {
                return Err(InvalidPolicy::DeniedGroup { group });
            }
            set.insert(group);
        }
        Ok(Self(set))
    }

    /// True if this group is open.
    #[must_use]
    pub fn contains(&self, group: &str) -> bool {
        // Most clusters list none: spare the walk.
        !self.0.is_empty() && self.0.contains(group)
    }
}

/// The API groups that Kubernetes 1.36 serves itself, and those of its aggregator.
const BUILT_IN_GROUPS: &[&str] = &[
    "",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "apiregistration.k8s.io",
    "apps",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "coordination.k8s.io",
    "discovery.k8s.io",
    "events.k8s.io",
    "extensions",
    "flowcontrol.apiserver.k8s.io",
    "internal.apiserver.k8s.io",
    "networking.k8s.io",
    "node.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "resource.k8s.io",
    "scheduling.k8s.io",
    "storage.k8s.io",
    "storagemigration.k8s.io",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_groups_of_custom_resources_can_be_opened() {
        let open = CustomResourceGroups::new(["example.com", "gateway.networking.k8s.io"]).unwrap();
        assert!(open.contains("example.com"));
        assert!(!open.contains("example.co"));
        for bad in ["", "apps", "rbac.authorization.k8s.io", "storage.k8s.io"] {
            assert!(
                matches!(
                    CustomResourceGroups::new([bad]),
                    Err(InvalidPolicy::BuiltInGroup { .. })
                ),
                "{bad}"
            );
        }
        for bad in [
            "*",
            "*.example.com",
            "Example.com",
            "example",
            "a..b",
            "a.b ",
        ] {
            assert!(
                matches!(
                    CustomResourceGroups::new([bad]),
                    Err(InvalidPolicy::GroupName { .. })
                ),
                "{bad}"
            );
        }
        for bad in [
            "helm.cattle.io",
            "k3s.cattle.io",
            "upgrade.cattle.io",
            "k3s-daas.io",
        ] {
            assert!(
                matches!(
                    CustomResourceGroups::new([bad]),
                    Err(InvalidPolicy::DeniedGroup { .. })
                ),
                "{bad}"
            );
        }
    }

    #[test]
    fn protects_what_is_listed_besides_the_fixed_ones() {
        let protected = ProtectedNamespaces::new(["monitoring"]).unwrap();
        assert!(protected.contains("monitoring"));
        assert!(!protected.contains("monitoring-2"));
        assert!(ProtectedNamespaces::new(["a b"]).is_err());
    }

    #[test]
    fn tenancy_has_two_words() {
        for tenancy in Tenancy::ALL {
            assert_eq!(tenancy.label().parse(), Ok(tenancy));
        }
        assert_eq!("Shared".parse::<Tenancy>(), Err(InvalidPolicy::Tenancy));
    }
}
