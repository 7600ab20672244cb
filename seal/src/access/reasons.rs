//! The answers and their reasons. Closed sets: metric label, log field and test name.

use std::fmt;

/// What the holder of a seal is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Decision {
    /// Yes, whatever RBAC says.
    Allow(Grant),
    /// No, whatever RBAC says.
    Deny(DenyReason),
    /// Not by the tier; RBAC may still say yes.
    NoOpinion(Silence),
}

impl Decision {
    /// True for [`Decision::Allow`].
    #[must_use]
    pub const fn is_allow(&self) -> bool {
        matches!(self, Self::Allow(_))
    }

    /// The reason's name in metrics and logs.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Allow(grant) => grant.label(),
            Self::Deny(reason) => reason.label(),
            Self::NoOpinion(silence) => silence.label(),
        }
    }

    /// The reason for people.
    #[must_use]
    pub const fn text(&self) -> &'static str {
        match self {
            Self::Allow(grant) => grant.text(),
            Self::Deny(reason) => reason.text(),
            Self::NoOpinion(silence) => silence.text(),
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

macro_rules! closed_reasons {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $label:literal, $text:literal;)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name {
            $(#[doc = $text] $variant,)+
        }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name in metrics and logs.
            #[must_use]
            pub const fn label(self) -> &'static str {
                match self { $(Self::$variant => $label,)+ }
            }

            /// The sentence for people.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.text())
            }
        }
    };
}

closed_reasons! {
    /// Why something is allowed.
    Grant {
        Super = "super", "a seal of tier super may do everything";
        Path = "path", "discovery, version, health and OpenAPI are open to every seal";
        OwnAccess = "own_access", "every seal may ask about its own access";
        ClusterRead = "cluster_read", "every seal may read this cluster-scoped kind";
        View = "view", "every seal may read here by the rules of the ClusterRole view";
        SharedView = "shared_view", "tenancy is shared: every seal may read here by the rules of the ClusterRole view";
        OwnNamespace = "own_namespace", "the tier developer works in its own namespaces by the rules of the ClusterRole admin";
        CustomResource = "custom_resource", "the operator lists this API group for tenants";
        AdminNamespace = "admin_namespace", "the tier admin works in every namespace that is not protected";
        NamespaceObject = "namespace_object", "the tier admin keeps the namespaces that are not protected";
        ProtectedRead = "protected_read", "the tier admin may read in protected namespaces";
        Eviction = "eviction", "the tier admin may evict pods everywhere, to drain nodes";
        ClusterAdmin = "cluster_admin", "the tier admin keeps this cluster-scoped kind";
        EveryNamespace = "every_namespace", "the tier has this in every namespace";
    }
}

closed_reasons! {
    /// Why something is denied, whatever RBAC says.
    DenyReason {
        AddonGroup = "addon_group", "only the tier super may touch helm.cattle.io, k3s.cattle.io and upgrade.cattle.io: their objects install anything as cluster admin";
        OurObjects = "our_objects", "only the tier super may change objects of k3s-daas.io";
        Impersonation = "impersonation", "only the tier super may impersonate others";
        RoleEscalation = "role_escalation", "only the tier super may use the verbs escalate and bind";
        ClusterRoles = "cluster_roles", "only the tier super may change cluster roles and their bindings";
        Certificates = "certificates", "only the tier super may approve or sign certificates";
        Admission = "admission", "only the tier super may change admission configurations and policies";
        ApiServices = "api_services", "only the tier super may change API services";
        VolumePlumbing = "volume_plumbing", "only the tier super may change volume attachments and CSI objects";
        DeviceClasses = "device_classes", "only the tier super may change device classes";
        NodeLifecycle = "node_lifecycle", "only the tier super may create or delete nodes: nodes come and go with their seals";
        NodeInternals = "node_internals", "only the tier super may reach into a node by proxy, log, configz or checkpoint";
        ProtectedSecrets = "protected_secrets", "only the tier super may touch Secrets in protected namespaces";
        ProtectedExec = "protected_exec", "only the tier super may exec, attach, forward or proxy into protected namespaces";
        ProtectedToken = "protected_token", "only the tier super may make tokens in protected namespaces";
        ProtectedWrite = "protected_write", "only the tier super may change anything in protected namespaces";
        NotYours = "not_yours", "this namespace is not yours, or is not there yet";
        BeyondTier = "beyond_tier", "the tier does not grant this in a namespace that has an owner";
        NamespaceUnclear = "namespace_unclear", "this is no namespace's name, or it is not known now whether it is protected";
    }
}

closed_reasons! {
    /// Why there is no opinion.
    Silence {
        NotGranted = "not_granted", "the tier does not grant this; RBAC may";
        Protected = "protected", "the tier does not grant this in protected namespaces; RBAC may";
        NotEverywhere = "not_everywhere", "the tier does not grant this in every namespace; name one, or ask for RBAC";
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn labels_are_distinct_and_fit_a_metric() {
        let labels: Vec<&str> = Grant::ALL
            .iter()
            .map(|reason| reason.label())
            .chain(DenyReason::ALL.iter().map(|reason| reason.label()))
            .chain(Silence::ALL.iter().map(|reason| reason.label()))
            .collect();
        let distinct: BTreeSet<&str> = labels.iter().copied().collect();
        assert_eq!(distinct.len(), labels.len());
        for label in labels {
            assert!(label.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'));
        }
    }
}
