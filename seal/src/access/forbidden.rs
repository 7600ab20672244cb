//! What is denied to everyone below super, whatever RBAC grants.
//!
//! A `*` in the group, resource or subresource of a request asks for all of
//! them, so for what stands here too. A verb that is not exactly a reading one
//! counts as a write.

use super::verbs::{Verbs, is_write};
use super::{DenyReason, ResourceAttributes};

/// What K3s's own controllers act on with the rights of a cluster admin.
pub(super) const ADDON_GROUPS: [&str; 3] = ["helm.cattle.io", "k3s.cattle.io", "upgrade.cattle.io"];
/// The API group of this project's own objects.
pub(super) const OUR_GROUP: &str = "k3s-daas.io";

/// What is denied wherever it is asked for.
pub(super) fn anywhere(request: &ResourceAttributes<'_>) -> Option<DenyReason> {
    let write = is_write(request.verb);
    if ADDON_GROUPS.contains(&request.group) || request.group == "*" {
        return Some(DenyReason::AddonGroup);
    }
    // Kubernetes 1.36 asks for `impersonate:user-info` and its like before `impersonate`.
    if request.verb.starts_with("impersonate") {
        return Some(DenyReason::Impersonation);
    }
    if matches!(request.verb, "escalate" | "bind") {
        return Some(DenyReason::RoleEscalation);
    }
    match request.group {
        "" => node(request),
        OUR_GROUP if write => Some(DenyReason::OurObjects),
        "rbac.authorization.k8s.io"
            if write && any(request.resource, &["clusterroles", "clusterrolebindings"]) =>
        {
            Some(DenyReason::ClusterRoles)
        }
        "certificates.k8s.io" if certificate_authority(request, write) => {
            Some(DenyReason::Certificates)
        }
        "admissionregistration.k8s.io" if write => Some(DenyReason::Admission),
        "apiregistration.k8s.io" if write => Some(DenyReason::ApiServices),
        "storage.k8s.io" if write && any(request.resource, VOLUME_PLUMBING) => {
            Some(DenyReason::VolumePlumbing)
        }
        "resource.k8s.io" if write && any(request.resource, &["deviceclasses"]) => {
            Some(DenyReason::DeviceClasses)
        }
        _ => None,
    }
}

/// What is denied in protected namespaces, and so in "all namespaces" too.
pub(super) fn in_protected(request: &ResourceAttributes<'_>) -> Option<DenyReason> {
    if matches!(request.group, "" | "*") {
        if any(request.resource, &["secrets"]) {
            return Some(DenyReason::ProtectedSecrets);
        }
        // Such requests carry the verb of their HTTP method: a `get` of them is no read.
        let reaches_in = match request.resource {
            "pods" => any(
                request.subresource,
                &["exec", "attach", "portforward", "proxy"],
            ),
            "services" => any(request.subresource, &["proxy"]),
            _ => false,
        };
        if reaches_in {
            return Some(DenyReason::ProtectedExec);
        }
        if request.resource == "serviceaccounts" && any(request.subresource, &["token"]) {
            return Some(DenyReason::ProtectedToken);
        }
    }
    is_write(request.verb).then_some(DenyReason::ProtectedWrite)
}

const VOLUME_PLUMBING: &[&str] = &[
    "volumeattachments",
    "csinodes",
    "csidrivers",
    "csistoragecapacities",
];

fn node(request: &ResourceAttributes<'_>) -> Option<DenyReason> {
    if request.resource != "nodes" {
        return None;
    }
    // `checkpoint` is kubelet's: it writes a container's memory to disk.
    if any(
        request.subresource,
        &["proxy", "log", "configz", "checkpoint"],
    ) {
        return Some(DenyReason::NodeInternals);
    }
    let keeps = Verbs::READ.and(Verbs::UPDATE).and(Verbs::PATCH);
    (request.subresource.is_empty() && !keeps.has(request.verb))
        .then_some(DenyReason::NodeLifecycle)
}

/// Whoever may `create` these has certificates of kubelets approved without anybody
/// looking (`pkg/controller/certificates/approver`).
const AUTOMATIC_APPROVAL: &[&str] = &["nodeclient", "selfnodeclient", "selfnodeserver"];

fn certificate_authority(request: &ResourceAttributes<'_>, write: bool) -> bool {
    match request.resource {
        // The virtual resource of the verbs `approve`, `sign` and `attest`.
        "signers" => write,
        // Both kinds of request are signed by writing their status.
        "certificatesigningrequests" | "podcertificaterequests" | "*" => {
            any(request.subresource, &["approval"])
                || (write && any(request.subresource, &["status"]))
                || (write && any(request.subresource, AUTOMATIC_APPROVAL))
        }
        _ => false,
    }
}

fn any(text: &str, names: &[&str]) -> bool {
    text == "*" || names.contains(&text)
}
