//! How a namespace stands to the holder of a seal.

use super::Policy;
use crate::Address;

/// Whose namespace it is, as far as the watch knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ownership {
    /// This owner's.
    Owned(Address),
    /// It exists and nobody owns it.
    Unowned,
    /// The watch does not know it (yet), or its marks contradict each other.
    Unknown,
}

/// Whether a service account of the namespace is bound cluster-wide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// None is.
    No,
    /// At least one is: who works there can borrow its rights.
    Yes,
    /// Not known yet.
    Unknown,
}

/// What is known of one namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NamespaceView {
    /// Whose it is.
    pub ownership: Ownership,
    /// Whether its service accounts reach beyond it.
    pub bound: Bound,
}

impl NamespaceView {
    /// What is known of a namespace that no watch has told of.
    pub const UNKNOWN: Self = Self {
        ownership: Ownership::Unknown,
        bound: Bound::Unknown,
    };
}

/// A namespace seen from one holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Standing {
    /// The holder's own.
    Own,
    /// Neither owned nor protected.
    Unowned,
    /// Somebody else's, or not known to the watch.
    Foreign,
    /// Of the system or of the operator.
    Protected,
    /// No namespace's name, or nobody can tell whether it is protected.
    Unclear,
}

impl Standing {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Own,
        Self::Unowned,
        Self::Foreign,
        Self::Protected,
        Self::Unclear,
    ];

    /// The name in messages and tables.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Unowned => "unowned",
            Self::Foreign => "foreign",
            Self::Protected => "protected",
            Self::Unclear => "unclear",
        }
    }
}

/// Where a request takes place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// In no namespace: cluster-scoped, or all namespaces at once.
    Cluster,
    /// In a namespace of this standing.
    Namespace(Standing),
}

impl Policy {
    /// How the namespace `name`, of which `view` is known, stands to `holder`.
    ///
    /// Protection comes first: an owner's mark on a protected namespace gives nothing.
    #[must_use]
    pub fn standing(&self, name: &str, view: &NamespaceView, holder: &Address) -> Standing {
        if !is_namespace_name(name) {
            return Standing::Unclear;
        }
        if self.protected.contains(name) {
            return Standing::Protected;
        }
        match view.bound {
            Bound::Yes => return Standing::Protected,
            Bound::Unknown => return Standing::Unclear,
            Bound::No => {}
        }
        match view.ownership {
            Ownership::Owned(owner) if owner == *holder => Standing::Own,
            Ownership::Owned(_) | Ownership::Unknown => Standing::Foreign,
            Ownership::Unowned => Standing::Unowned,
        }
    }
}

/// A DNS label (RFC 1123), as Kubernetes demands of a namespace's name.
pub(super) fn is_namespace_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&name.len())
        && name.bytes().all(allowed)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ElevatedOwners;

    fn view(ownership: Ownership) -> NamespaceView {
        NamespaceView {
            ownership,
            bound: Bound::No,
        }
    }

    fn standing(name: &str, view: NamespaceView) -> Standing {
        Policy::new(ElevatedOwners::Any).standing(name, &view, &Address::from_bytes([1; 32]))
    }

    #[test]
    fn stands_by_owner() {
        let me = Address::from_bytes([1; 32]);
        let other = Address::from_bytes([2; 32]);
        for (ownership, expected) in [
            (Ownership::Owned(me), Standing::Own),
            (Ownership::Owned(other), Standing::Foreign),
            (Ownership::Unknown, Standing::Foreign),
            (Ownership::Unowned, Standing::Unowned),
        ] {
            assert_eq!(standing("team-a", view(ownership)), expected);
        }
    }

    #[test]
    fn a_protected_namespace_stays_protected_whoever_owns_it() {
        let mine = view(Ownership::Owned(Address::from_bytes([1; 32])));
        for name in [
            "default",
            "kube-system",
            "kube-public",
            "kube-node-lease",
            "kube-anything",
            "k3s-daas-system",
        ] {
            assert_eq!(standing(name, mine), Standing::Protected, "{name}");
        }
        for name in ["kube", "kubeflow", "defaults", "k3s-daas"] {
            assert_eq!(standing(name, mine), Standing::Own, "{name}");
        }
    }

    #[test]
    fn a_service_account_bound_cluster_wide_protects_its_namespace() {
        let mine = Ownership::Owned(Address::from_bytes([1; 32]));
        let bound = |bound| NamespaceView {
            ownership: mine,
            bound,
        };
        assert_eq!(standing("a", bound(Bound::Yes)), Standing::Protected);
        assert_eq!(standing("a", bound(Bound::Unknown)), Standing::Unclear);
    }

    #[test]
    fn a_name_that_no_namespace_can_have_is_unclear() {
        for name in ["", "*", "Default", "kube-system ", "a/b", "-a", "a.b", "ｄ"] {
            assert_eq!(
                standing(name, view(Ownership::Unowned)),
                Standing::Unclear,
                "{name}"
            );
        }
    }
}
