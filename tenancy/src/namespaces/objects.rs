//! What belongs in a tenant's namespace, and whether what is there is that.
//!
//! Shape:  two quotas, default limits, one network policy and one role binding, named `k3s-daas-*`.
//!         Compared are the specs as Kubernetes keeps them, quantities by value.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    LimitRange, LimitRangeItem, LimitRangeSpec, Namespace, ResourceQuota, ResourceQuotaSpec,
    ScopeSelector, ScopedResourceSelectorRequirement,
};
use k8s_openapi::api::networking::v1::{
    IPBlock, NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer,
    NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::api::rbac::v1::{RoleBinding, RoleRef, Subject};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Wire;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use seal::{Address, Tier, identity};

use super::FIELD_MANAGER;
use super::marks::{self, LABEL_MANAGED_BY};
use super::quantity::Quantity;
use super::quota::Quota;
use super::ranges::Closed;

/// The quota by tier.
pub(super) const QUOTA: &str = "k3s-daas-quota";
/// Keeps out pods that would push the system's own aside.
pub(super) const NO_SYSTEM_PODS: &str = "k3s-daas-no-system-pods";
/// Defaults of containers that say nothing.
pub(super) const LIMITS: &str = "k3s-daas-defaults";
/// Who may talk to whom.
pub(super) const POLICY: &str = "k3s-daas-default";
/// What RBAC grants the owner.
pub(super) const BINDING: &str = "k3s-daas-owner";

const RBAC: &str = "rbac.authorization.k8s.io";

/// All that belongs in a namespace.
#[derive(Debug, Clone)]
pub(super) struct Objects {
    pub(super) quota: ResourceQuota,
    pub(super) no_system_pods: ResourceQuota,
    pub(super) limits: LimitRange,
    pub(super) policy: NetworkPolicy,
    pub(super) binding: RoleBinding,
}

/// An object that is kept as it should be.
pub(super) trait Kept {
    /// Whether `self`, which is there, is as `wanted`.
    fn is_as(&self, wanted: &Self) -> bool;
}

/// The namespace as it is made, in one piece: never there without its guards.
pub(super) fn namespace(name: &str, owner: &Address) -> Namespace {
    let annotation = (identity::ANNOTATION_OWNER.to_owned(), owner.to_string());
    Namespace {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            labels: Some(marks::guarding_labels()),
            annotations: Some(BTreeMap::from([annotation])),
            ..ObjectMeta::default()
        },
        ..Namespace::default()
    }
}

/// What belongs in the namespace. Where its owner's seals have ended, no pod does.
pub(super) fn objects(
    namespace: &str,
    owner: &Address,
    quota: &Quota,
    pods: bool,
    closed: &Closed,
) -> Objects {
    let mut hard: BTreeMap<String, Wire> = quota
        .hard()
        .iter()
        .map(|(resource, bound)| (resource.clone(), Wire(bound.clone())))
        .collect();
    if !pods {
        hard.insert("pods".to_owned(), Wire("0".to_owned()));
    }
    Objects {
        quota: ResourceQuota {
            metadata: meta(namespace, QUOTA),
            spec: Some(ResourceQuotaSpec {
                hard: Some(hard),
                ..ResourceQuotaSpec::default()
            }),
            ..ResourceQuota::default()
        },
        no_system_pods: no_system_pods(namespace),
        limits: limits(namespace),
        policy: policy(namespace, closed),
        binding: binding(namespace, owner),
    }
}

fn meta(namespace: &str, name: &str) -> ObjectMeta {
    let managed = (LABEL_MANAGED_BY.to_owned(), FIELD_MANAGER.to_owned());
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some(namespace.to_owned()),
        labels: Some(BTreeMap::from([managed])),
        ..ObjectMeta::default()
    }
}

fn no_system_pods(namespace: &str) -> ResourceQuota {
    let classes = ["system-cluster-critical", "system-node-critical"];
    ResourceQuota {
        metadata: meta(namespace, NO_SYSTEM_PODS),
        spec: Some(ResourceQuotaSpec {
            hard: Some(BTreeMap::from([("pods".to_owned(), Wire("0".to_owned()))])),
            scope_selector: Some(ScopeSelector {
                match_expressions: Some(vec![ScopedResourceSelectorRequirement {
                    scope_name: "PriorityClass".to_owned(),
                    operator: "In".to_owned(),
                    values: Some(classes.map(str::to_owned).to_vec()),
                }]),
            }),
            scopes: None,
        }),
        ..ResourceQuota::default()
    }
}

/// With a quota on CPU and memory, a pod that says nothing of them would be refused.
fn limits(namespace: &str) -> LimitRange {
    let map = |entries: [(&str, &str); 3]| {
        let entry = |(key, value): (&str, &str)| (key.to_owned(), Wire(value.to_owned()));
        Some(entries.into_iter().map(entry).collect())
    };
    let item = LimitRangeItem {
        type_: "Container".to_owned(),
        default: map([
            ("cpu", "500m"),
            ("memory", "512Mi"),
            ("ephemeral-storage", "1Gi"),
        ]),
        default_request: map([
            ("cpu", "50m"),
            ("memory", "64Mi"),
            ("ephemeral-storage", "64Mi"),
        ]),
        ..LimitRangeItem::default()
    };
    LimitRange {
        metadata: meta(namespace, LIMITS),
        spec: Some(LimitRangeSpec { limits: vec![item] }),
    }
}

/// In: from within. Out: within, DNS, the internet but for what is closed.
fn policy(namespace: &str, closed: &Closed) -> NetworkPolicy {
    let within = NetworkPolicyPeer {
        pod_selector: Some(LabelSelector::default()),
        ..NetworkPolicyPeer::default()
    };
    let labelled = |key: &str, value: &str| LabelSelector {
        match_labels: Some(BTreeMap::from([(key.to_owned(), value.to_owned())])),
        ..LabelSelector::default()
    };
    let dns = NetworkPolicyPeer {
        namespace_selector: Some(labelled("kubernetes.io/metadata.name", "kube-system")),
        pod_selector: Some(labelled("k8s-app", "kube-dns")),
        ..NetworkPolicyPeer::default()
    };
    let port = |protocol: &str| NetworkPolicyPort {
        protocol: Some(protocol.to_owned()),
        port: Some(IntOrString::Int(53)),
        end_port: None,
    };
    let mut egress = vec![
        NetworkPolicyEgressRule {
            to: Some(vec![within.clone()]),
            ports: None,
        },
        NetworkPolicyEgressRule {
            to: Some(vec![dns]),
            ports: Some(vec![port("UDP"), port("TCP")]),
        },
    ];
    let v4: Vec<String> = closed.v4.iter().map(ToString::to_string).collect();
    let v6: Vec<String> = closed.v6.iter().map(ToString::to_string).collect();
    let internet: Vec<_> = [("0.0.0.0/0", v4), ("::/0", v6)]
        .into_iter()
        // An exception has to be smaller than its block: where all is closed, no block is open.
        .filter(|(all, except)| !except.iter().any(|range| range == all))
        .map(|(all, except)| NetworkPolicyPeer {
            ip_block: Some(IPBlock {
                cidr: all.to_owned(),
                except: Some(except).filter(|except| !except.is_empty()),
            }),
            ..NetworkPolicyPeer::default()
        })
        .collect();
    // A rule without `to` would open everything.
    if !internet.is_empty() {
        egress.push(NetworkPolicyEgressRule {
            to: Some(internet),
            ports: None,
        });
    }
    NetworkPolicy {
        metadata: meta(namespace, POLICY),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(LabelSelector::default()),
            policy_types: Some(vec!["Ingress".to_owned(), "Egress".to_owned()]),
            ingress: Some(vec![NetworkPolicyIngressRule {
                from: Some(vec![within]),
                ports: None,
            }]),
            egress: Some(egress),
        }),
    }
}

/// Kubernetes checks the Roles that a tenant makes against RBAC alone: without this no chart with
/// a Role installs.
fn binding(namespace: &str, owner: &Address) -> RoleBinding {
    RoleBinding {
        metadata: meta(namespace, BINDING),
        role_ref: RoleRef {
            api_group: Some(RBAC.to_owned()),
            kind: "ClusterRole".to_owned(),
            name: "admin".to_owned(),
        },
        subjects: Some(vec![Subject {
            api_group: Some(RBAC.to_owned()),
            kind: "User".to_owned(),
            name: identity::user_name(owner),
            namespace: None,
        }]),
    }
}

/// The tier by whose quota a namespace goes: viewers have none of their own.
pub(super) const fn quota_tier(tier: Tier) -> Tier {
    match tier {
        Tier::Viewer | Tier::Developer => Tier::Developer,
        Tier::Admin => Tier::Admin,
        Tier::Super => Tier::Super,
    }
}

fn managed(meta: &ObjectMeta) -> bool {
    marks::label(meta, LABEL_MANAGED_BY) == Some(FIELD_MANAGER)
}

/// By value; what does not read as a quantity is equal to nothing else.
fn same_amounts(
    there: Option<&BTreeMap<String, Wire>>,
    wanted: Option<&BTreeMap<String, Wire>>,
) -> bool {
    let empty = BTreeMap::new();
    let (there, wanted) = (there.unwrap_or(&empty), wanted.unwrap_or(&empty));
    let same = |a: &Wire, b: &Wire| match (a.0.parse::<Quantity>(), b.0.parse::<Quantity>()) {
        (Ok(a), Ok(b)) => a == b,
        _ => a == b,
    };
    there.len() == wanted.len()
        && there
            .iter()
            .zip(wanted)
            .all(|((key, a), (wanted_key, b))| key == wanted_key && same(a, b))
}

impl Kept for ResourceQuota {
    fn is_as(&self, wanted: &Self) -> bool {
        let (Some(there), Some(wanted)) = (&self.spec, &wanted.spec) else {
            return false;
        };
        managed(&self.metadata)
            && same_amounts(there.hard.as_ref(), wanted.hard.as_ref())
            && there.scope_selector == wanted.scope_selector
            && there.scopes.as_deref().unwrap_or_default()
                == wanted.scopes.as_deref().unwrap_or_default()
    }
}

impl Kept for LimitRange {
    fn is_as(&self, wanted: &Self) -> bool {
        let (Some(there), Some(wanted)) = (&self.spec, &wanted.spec) else {
            return false;
        };
        let same = |a: &LimitRangeItem, b: &LimitRangeItem| {
            a.type_ == b.type_
                && same_amounts(a.default.as_ref(), b.default.as_ref())
                && same_amounts(a.default_request.as_ref(), b.default_request.as_ref())
                && same_amounts(a.max.as_ref(), b.max.as_ref())
                && same_amounts(a.min.as_ref(), b.min.as_ref())
                && same_amounts(
                    a.max_limit_request_ratio.as_ref(),
                    b.max_limit_request_ratio.as_ref(),
                )
        };
        managed(&self.metadata)
            && there.limits.len() == wanted.limits.len()
            && there
                .limits
                .iter()
                .zip(&wanted.limits)
                .all(|(a, b)| same(a, b))
    }
}

impl Kept for NetworkPolicy {
    fn is_as(&self, wanted: &Self) -> bool {
        managed(&self.metadata) && self.spec == wanted.spec
    }
}

impl Kept for RoleBinding {
    fn is_as(&self, wanted: &Self) -> bool {
        managed(&self.metadata)
            && self.role_ref == wanted.role_ref
            && self.subjects == wanted.subjects
    }
}

#[cfg(test)]
mod tests;
