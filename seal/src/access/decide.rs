//! The decision itself.

use super::cluster::{self, Cluster};
use super::roles::{self, Rule};
use super::standing::is_namespace_name;
use super::verbs::Verbs;
use super::{
    Attributes, Decision, DenyReason, Grant, Place, Policy, ResourceAttributes, Silence, Standing,
    Tenancy, forbidden, paths,
};
use crate::Tier;

/// What a seal of `tier` may do of `request`, which takes place at `place`.
///
/// `tier` is what the record gives *after* [`crate::ElevatedOwners::cap`].
#[must_use]
pub fn decide(policy: &Policy, tier: Tier, place: Place, request: &Attributes<'_>) -> Decision {
    if tier == Tier::Super {
        return Decision::Allow(Grant::Super);
    }
    let request = match request {
        Attributes::Path { verb, path } => {
            return if paths::is_open(verb, path) {
                Decision::Allow(Grant::Path)
            } else {
                Decision::NoOpinion(Silence::NotGranted)
            };
        }
        Attributes::Resource(request) => request,
    };
    if let Some(reason) = forbidden::anywhere(request) {
        return Decision::Deny(reason);
    }
    if cluster::is_own_access(request) {
        return Decision::Allow(Grant::OwnAccess);
    }
    // `kubectl auth can-i` sends the context's namespace with cluster-scoped kinds:
    // for these it means nothing.
    match cluster::look_up(request) {
        Cluster::Everyone => return Decision::Allow(Grant::ClusterRead),
        Cluster::Admin if tier >= Tier::Admin => return Decision::Allow(Grant::ClusterAdmin),
        Cluster::Admin | Cluster::Nobody => return Decision::NoOpinion(Silence::NotGranted),
        Cluster::Other => {}
    }
    if request.is_namespace_object() {
        return namespace_object(policy, tier, place, request);
    }
    match place {
        Place::Namespace(standing) => grant_in(policy, tier, standing, request)
            .map_or_else(|| rest(tier, standing, request), Decision::Allow),
        Place::Cluster => everywhere(policy, tier, request),
    }
}

/// What the tier grants in a namespace of this standing.
fn grant_in(
    policy: &Policy,
    tier: Tier,
    standing: Standing,
    request: &ResourceAttributes<'_>,
) -> Option<Grant> {
    let rule = roles::look_up(request);
    let view = |grant| (rule == Rule::View).then_some(grant);
    let custom = || is_custom(policy, request).then_some(Grant::CustomResource);
    match (tier, standing) {
        (Tier::Super, _) => Some(Grant::Super),
        (_, Standing::Unclear) | (Tier::Viewer | Tier::Developer, Standing::Protected) => None,
        (Tier::Admin, Standing::Protected) => protected(policy, rule, request),
        (Tier::Admin, Standing::Own | Standing::Unowned | Standing::Foreign) => {
            if rule != Rule::None || roles::is_quota(request) {
                Some(Grant::AdminNamespace)
            } else {
                custom()
            }
        }
        (Tier::Developer, Standing::Own) if rule == Rule::Work => Some(Grant::OwnNamespace),
        (Tier::Developer, Standing::Own) => view(Grant::View).or_else(custom),
        (Tier::Viewer, Standing::Own) | (Tier::Viewer | Tier::Developer, Standing::Unowned) => {
            view(Grant::View)
        }
        (Tier::Viewer | Tier::Developer, Standing::Foreign) => match policy.tenancy {
            Tenancy::Own => None,
            Tenancy::Shared => view(Grant::SharedView),
        },
    }
}

/// What the tier admin has in protected namespaces.
fn protected(policy: &Policy, rule: Rule, request: &ResourceAttributes<'_>) -> Option<Grant> {
    let evicts = request.group.is_empty()
        && (request.resource, request.subresource, request.verb) == ("pods", "eviction", "create");
    if evicts {
        return Some(Grant::Eviction);
    }
    let ruled = rule != Rule::None || roles::is_quota(request) || is_custom(policy, request);
    (ruled && forbidden::in_protected(request).is_none()).then_some(Grant::ProtectedRead)
}

/// Custom resources of the groups that the operator opened; never their status.
fn is_custom(policy: &Policy, request: &ResourceAttributes<'_>) -> bool {
    let verbs = match request.subresource {
        "" => Verbs::ALL,
        "scale" => Verbs::GET.and(Verbs::UPDATE).and(Verbs::PATCH),
        _ => return false,
    };
    let named = !request.resource.is_empty()
        && request
            .resource
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    named && verbs.has(request.verb) && policy.custom_resource_groups.contains(request.group)
}

/// Namespace objects: every seal reads them, the tier admin keeps those that are not protected.
fn namespace_object(
    policy: &Policy,
    tier: Tier,
    place: Place,
    request: &ResourceAttributes<'_>,
) -> Decision {
    let plain = request.subresource.is_empty();
    if plain && Verbs::READ.has(request.verb) {
        return Decision::Allow(Grant::ClusterRead);
    }
    // A creation by POST names no namespace; `kubectl auth can-i` sends the context's.
    let creates = plain && request.verb == "create" && request.name.is_empty();
    let standing = match place {
        Place::Namespace(standing) if !creates => standing,
        Place::Namespace(_) | Place::Cluster => {
            return if creates && tier >= Tier::Admin {
                Decision::Allow(Grant::NamespaceObject)
            } else {
                Decision::NoOpinion(Silence::NotGranted)
            };
        }
    };
    // Kubernetes repeats the name in the namespace. Where they differ, both count.
    let name = request.name;
    if !name.is_empty() && name != request.namespace {
        if !is_namespace_name(name) {
            return Decision::Deny(DenyReason::NamespaceUnclear);
        }
        if policy.protected.contains(name) {
            return Decision::Deny(DenyReason::ProtectedWrite);
        }
    }
    let keeps = Verbs::CREATE
        .and(Verbs::UPDATE)
        .and(Verbs::PATCH)
        .and(Verbs::DELETE);
    let unprotected = matches!(
        standing,
        Standing::Own | Standing::Unowned | Standing::Foreign
    );
    if tier >= Tier::Admin && plain && unprotected && !name.is_empty() && keeps.has(request.verb) {
        return Decision::Allow(Grant::NamespaceObject);
    }
    rest(tier, standing, request)
}

/// A request for all namespaces at once, or for a cluster-scoped kind of no table.
fn everywhere(policy: &Policy, tier: Tier, request: &ResourceAttributes<'_>) -> Decision {
    let namespaced = roles::is_namespaced(request);
    if !namespaced && !policy.custom_resource_groups.contains(request.group) {
        return Decision::NoOpinion(Silence::NotGranted);
    }
    let granted = |standing| grant_in(policy, tier, standing, request).is_some();
    if [
        Standing::Own,
        Standing::Unowned,
        Standing::Foreign,
        Standing::Protected,
    ]
    .into_iter()
    .all(granted)
    {
        return Decision::Allow(Grant::EveryNamespace);
    }
    // RBAC must not grant everywhere what is denied in protected namespaces. A custom
    // resource may be cluster-scoped, which only the API server knows.
    match forbidden::in_protected(request) {
        Some(reason) if namespaced => Decision::Deny(reason),
        Some(_) | None => Decision::NoOpinion(Silence::NotEverywhere),
    }
}

/// What the tier does not grant: final where the namespace has an owner.
fn rest(tier: Tier, standing: Standing, request: &ResourceAttributes<'_>) -> Decision {
    match standing {
        Standing::Own => Decision::Deny(DenyReason::BeyondTier),
        Standing::Foreign if tier >= Tier::Admin => Decision::Deny(DenyReason::BeyondTier),
        Standing::Foreign => Decision::Deny(DenyReason::NotYours),
        Standing::Unclear => Decision::Deny(DenyReason::NamespaceUnclear),
        Standing::Unowned => Decision::NoOpinion(Silence::NotGranted),
        Standing::Protected => forbidden::in_protected(request)
            .map_or(Decision::NoOpinion(Silence::Protected), Decision::Deny),
    }
}

#[cfg(test)]
mod tests;
