//! What the server may do, and what for. Nothing is here that no code uses.

use serde_json::{Value, json};

/// One rule of a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Right {
    /// API groups; `""` is the core one.
    pub groups: &'static [&'static str],
    /// Resources, subresources after a slash.
    pub resources: &'static [&'static str],
    /// Names of objects; empty for all.
    pub names: &'static [&'static str],
    /// What may be done with them.
    pub verbs: &'static [&'static str],
    /// What the server needs it for.
    pub why: &'static str,
}

/// The definition of SealedNodes.
const SEALED_NODES: &str = "sealednodes.k3s-daas.io";
/// The configuration of the webhook that looks at Nodes.
const NODE_WEBHOOK: &str = "k3s-daas-nodes";
const RBAC: &str = "rbac.authorization.k8s.io";
const READ: &[&str] = &["get", "list", "watch"];
const KEEP: &[&str] = &[
    "get", "list", "watch", "create", "update", "patch", "delete",
];

/// In the whole cluster.
pub const CLUSTER_RIGHTS: &[Right] = &[
    Right {
        groups: &[""],
        resources: &["namespaces"],
        names: &[],
        verbs: &["get", "list", "watch", "create", "patch", "delete"],
        why: "tenants' namespaces, from first use to release",
    },
    Right {
        groups: &[""],
        resources: &["resourcequotas", "limitranges"],
        names: &[],
        verbs: KEEP,
        why: "what a tenant's pods may use",
    },
    Right {
        groups: &["networking.k8s.io"],
        resources: &["networkpolicies"],
        names: &[],
        verbs: KEEP,
        why: "whom a tenant's pods may reach",
    },
    Right {
        groups: &[RBAC],
        resources: &["rolebindings"],
        names: &[],
        verbs: KEEP,
        why: "the owner's rights in its namespace",
    },
    Right {
        groups: &[RBAC],
        resources: &["clusterroles"],
        names: &["admin"],
        verbs: &["bind"],
        why: "that binding gives the role admin, and no other role may be given",
    },
    Right {
        groups: &["", "events.k8s.io"],
        resources: &["events"],
        names: &[],
        verbs: &["create", "patch"],
        why: "tell owners what happens to their namespaces",
    },
    Right {
        groups: &["apps"],
        resources: &["deployments", "statefulsets", "replicasets", "daemonsets"],
        names: &[],
        verbs: &["list", "patch"],
        why: "scale the workloads of ended owners away and back",
    },
    Right {
        groups: &[""],
        resources: &["replicationcontrollers"],
        names: &[],
        verbs: &["list", "patch"],
        why: "the same",
    },
    Right {
        groups: &["batch"],
        resources: &["jobs", "cronjobs"],
        names: &[],
        verbs: &["list", "patch"],
        why: "suspend the jobs of ended owners",
    },
    Right {
        groups: &[""],
        resources: &["pods"],
        names: &[],
        verbs: &["list", "delete", "deletecollection"],
        why: "end the pods of ended owners and of nodes that are cut off",
    },
    Right {
        groups: &[""],
        resources: &["pods/eviction"],
        names: &[],
        verbs: &["create"],
        why: "drain a node whose seal ended, with respect for disruption budgets",
    },
    Right {
        groups: &[""],
        resources: &["nodes"],
        names: &[],
        verbs: &["get", "list", "watch", "create", "patch", "delete"],
        why: "the Node of every active seal, from first join to cut; and the addresses that \
              tenants' pods must not reach",
    },
    Right {
        groups: &["k3s-daas.io"],
        resources: &["sealednodes"],
        names: &[],
        // What was cut stays known: its end outlives an outage of the chain.
        verbs: &["get", "list", "watch", "create", "patch"],
        why: "what is known of nodes that join by stake",
    },
    Right {
        groups: &["k3s-daas.io"],
        resources: &["sealednodes/status"],
        names: &[],
        verbs: &["patch"],
        why: "how each of them stands",
    },
    Right {
        groups: &["apiextensions.k8s.io"],
        resources: &["customresourcedefinitions"],
        names: &[SEALED_NODES],
        // A server-side apply that makes it is asked for `create` with the name.
        verbs: &["get", "create", "patch"],
        why: "the kind SealedNode itself, and no other",
    },
    Right {
        groups: &["discovery.k8s.io"],
        resources: &["endpointslices"],
        names: &[],
        verbs: READ,
        why: "the control plane's addresses",
    },
    Right {
        groups: &[RBAC],
        resources: &["clusterrolebindings"],
        names: &[],
        verbs: READ,
        why: "namespaces with cluster-wide rights are protected",
    },
    Right {
        groups: &["admissionregistration.k8s.io"],
        resources: &[
            "validatingadmissionpolicies",
            "validatingadmissionpolicybindings",
            "mutatingadmissionpolicies",
            "mutatingadmissionpolicybindings",
        ],
        names: &[],
        verbs: KEEP,
        why: "the guards inside the API server",
    },
    Right {
        groups: &["admissionregistration.k8s.io"],
        resources: &["validatingwebhookconfigurations"],
        names: &[NODE_WEBHOOK],
        verbs: &["get", "list", "watch", "create", "update", "patch"],
        why: "when the API server asks us about Nodes, and nobody else about anything",
    },
];

/// In the extension's own namespace.
pub const NAMESPACE_RIGHTS: &[Right] = &[
    Right {
        groups: &["coordination.k8s.io"],
        resources: &["leases"],
        names: &[],
        verbs: &["get", "list", "watch", "create", "update", "patch"],
        why: "one of several servers looks after the namespaces, and one after the nodes",
    },
    Right {
        groups: &[""],
        resources: &["configmaps"],
        names: &[],
        verbs: &["create"],
        why: "the probe that each guard must refuse",
    },
];

/// As a role's `rules`.
pub(super) fn rules(rights: &[Right]) -> Value {
    rights
        .iter()
        .map(|right| {
            let mut rule = json!({
                "apiGroups": right.groups,
                "resources": right.resources,
                "verbs": right.verbs,
            });
            if let (Some(rule), false) = (rule.as_object_mut(), right.names.is_empty()) {
                rule.insert("resourceNames".to_owned(), json!(right.names));
            }
            rule
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_reads_no_secrets_and_gives_no_rights_but_admin_of_a_namespace() {
        for right in CLUSTER_RIGHTS.iter().chain(NAMESPACE_RIGHTS) {
            assert!(!right.why.is_empty());
            for text in right
                .groups
                .iter()
                .chain(right.resources)
                .chain(right.verbs)
            {
                assert_ne!(*text, "*", "{right:?}");
                assert!(!text.starts_with("secrets"), "{right:?}");
                assert!(!text.starts_with("serviceaccounts"), "{right:?}");
                assert!(*text != "escalate" && *text != "impersonate", "{right:?}");
            }
            let binds = right.verbs.contains(&"bind");
            assert_eq!(binds, right.names == ["admin"], "{right:?}");
            let roles = ["roles", "clusterroles", "clusterrolebindings"];
            let writes = right.verbs.iter().any(|verb| !READ.contains(verb));
            if right.resources.iter().any(|one| roles.contains(one)) {
                assert!(!writes || right.verbs == ["bind"], "{right:?}");
            }
        }
    }

    fn with(resource: &str) -> Vec<&'static Right> {
        let all = CLUSTER_RIGHTS.iter().chain(NAMESPACE_RIGHTS);
        all.filter(|right| right.resources.contains(&resource))
            .collect()
    }

    #[test]
    fn of_kinds_that_rule_the_whole_cluster_the_server_writes_its_own_objects_alone() {
        for (resource, name) in [
            ("customresourcedefinitions", SEALED_NODES),
            ("validatingwebhookconfigurations", NODE_WEBHOOK),
        ] {
            let rights = with(resource);
            assert!(!rights.is_empty());
            for right in rights {
                assert_eq!(right.names, [name]);
                assert!(!right.verbs.contains(&"delete"), "{right:?}");
            }
        }
        assert!(with("mutatingwebhookconfigurations").is_empty());
    }

    #[test]
    fn the_server_makes_no_pods_and_goes_through_no_node() {
        for right in CLUSTER_RIGHTS.iter().chain(NAMESPACE_RIGHTS) {
            for resource in right.resources {
                let (kind, sub) = resource.split_once('/').unwrap_or((resource, ""));
                let allowed = ["eviction", "status", ""];
                assert!(allowed.contains(&sub), "{right:?}");
                assert!(kind != "nodes" || sub.is_empty(), "{right:?}");
                if *resource == "pods" {
                    for verb in ["create", "update", "patch"] {
                        assert!(!right.verbs.contains(&verb), "{right:?}");
                    }
                }
            }
        }
    }
}
