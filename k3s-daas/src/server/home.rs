//! An owner's first namespace: made when the first seal of developer or more is authenticated.
//!
//! Shape:  Namespace `seal-<16 hex>` with the owner's annotation and Pod Security `restricted`, all
//!         in one create, so that it never exists half guarded; then a RoleBinding of the owner to
//!         the ClusterRole `admin` (Kubernetes checks the Roles that a tenant makes against RBAC
//!         alone), two quotas and default limits.
//! Errors: a namespace of that name without our annotation is never adopted: whoever made it
//!         would share it. It is left alone and reported.

use std::collections::BTreeMap;
use std::fmt::Debug;

use k8s_openapi::api::core::v1::{LimitRange, Namespace, ResourceQuota};
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::core::Status;
use seal::{Address, identity};
use serde::de::DeserializeOwned;
use serde_json::json;

/// Who applies, for Kubernetes' field ownership.
const FIELD_MANAGER: &str = "k3s-daas";

/// Why an owner has no namespace. The cluster or its operator is to blame, never the owner.
#[derive(Debug, thiserror::Error)]
pub(super) enum HomeError {
    /// Somebody else made it.
    #[error("namespace {name} exists without the annotation of its owner")]
    Foreign {
        /// The name.
        name: String,
    },
    /// It is being deleted.
    #[error("namespace {name} is being deleted")]
    Terminating {
        /// The name.
        name: String,
    },
    /// The API server did not do it.
    #[error("the API server did not make {what}")]
    Api {
        /// What was to be made.
        what: &'static str,
        /// What it said.
        #[source]
        source: Box<kube::Error>,
    },
}

/// Makes the namespace of an owner, or completes it. Doing it again changes nothing.
pub(super) async fn ensure(client: &kube::Client, owner: &Address) -> Result<String, HomeError> {
    let name = identity::home_namespace(owner);
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let found = match namespaces
        .get_opt(&name)
        .await
        .map_err(api("a namespace"))?
    {
        Some(found) => found,
        None => create(&namespaces, &name, owner).await?,
    };
    check(&found, &name, owner)?;
    for (quota, spec) in quotas() {
        let body = named("v1", "ResourceQuota", quota, &name, json!({ "spec": spec }));
        apply::<ResourceQuota>(client, &name, quota, "a quota", &body).await?;
    }
    let body = named(
        "v1",
        "LimitRange",
        "k3s-daas-defaults",
        &name,
        json!({ "spec": limits() }),
    );
    apply::<LimitRange>(client, &name, "k3s-daas-defaults", "default limits", &body).await?;
    // Last: whoever may use the namespace finds it guarded.
    let body = named(
        "rbac.authorization.k8s.io/v1",
        "RoleBinding",
        "k3s-daas-owner",
        &name,
        binding(owner),
    );
    apply::<RoleBinding>(client, &name, "k3s-daas-owner", "a role binding", &body).await?;
    Ok(name)
}

fn api(what: &'static str) -> impl Fn(kube::Error) -> HomeError {
    move |source| HomeError::Api {
        what,
        source: Box::new(source),
    }
}

async fn create(
    namespaces: &Api<Namespace>,
    name: &str,
    owner: &Address,
) -> Result<Namespace, HomeError> {
    let namespace = namespace(name, owner).map_err(|error| api("a namespace")(error))?;
    match namespaces.create(&PostParams::default(), &namespace).await {
        // Somebody was faster, perhaps another of our reviews: its annotation tells.
        Err(kube::Error::Api(status)) if is_conflict(&status) => {
            namespaces.get(name).await.map_err(api("a namespace"))
        }
        created => created.map_err(api("a namespace")),
    }
}

fn is_conflict(status: &Status) -> bool {
    status.code == 409
}

/// The namespace as it is made, in one piece.
fn namespace(name: &str, owner: &Address) -> Result<Namespace, kube::Error> {
    let mut labels = BTreeMap::new();
    for mode in ["enforce", "audit", "warn"] {
        labels.insert(format!("pod-security.kubernetes.io/{mode}"), "restricted");
    }
    labels.insert(identity::LABEL_STATE.to_owned(), identity::STATE_ACTIVE);
    labels.insert(identity::LABEL_TIER.to_owned(), "developer");
    serde_json::from_value(json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": name,
            "labels": labels,
            "annotations": { identity::ANNOTATION_OWNER: owner.to_string() },
        },
    }))
    .map_err(kube::Error::SerdeError)
}

/// Ours, of this owner, and staying.
fn check(found: &Namespace, name: &str, owner: &Address) -> Result<(), HomeError> {
    let name = name.to_owned();
    let annotations = found.metadata.annotations.as_ref();
    let annotated = annotations.and_then(|all| all.get(identity::ANNOTATION_OWNER));
    if annotated.is_none_or(|annotated| *annotated != owner.to_string()) {
        return Err(HomeError::Foreign { name });
    }
    if found.metadata.deletion_timestamp.is_some() {
        return Err(HomeError::Terminating { name });
    }
    Ok(())
}

/// What an owner may use. The second keeps out pods that would push the system's own aside.
fn quotas() -> [(&'static str, serde_json::Value); 2] {
    let usual = json!({ "hard": {
        "pods": "50",
        "requests.cpu": "4",
        "requests.memory": "8Gi",
        "limits.cpu": "8",
        "limits.memory": "16Gi",
        "requests.storage": "50Gi",
        "persistentvolumeclaims": "10",
        "services": "20",
        "services.loadbalancers": "0",
        "services.nodeports": "0",
        "secrets": "100",
        "configmaps": "100",
    }});
    let system = json!({
        "hard": { "pods": "0" },
        "scopeSelector": { "matchExpressions": [{
            "scopeName": "PriorityClass",
            "operator": "In",
            "values": ["system-node-critical", "system-cluster-critical"],
        }]},
    });
    [
        ("k3s-daas-quota", usual),
        ("k3s-daas-no-system-pods", system),
    ]
}

/// With a quota on CPU and memory, a pod that says nothing of them would be refused.
fn limits() -> serde_json::Value {
    json!({ "limits": [{
        "type": "Container",
        "defaultRequest": { "cpu": "50m", "memory": "64Mi" },
        "default": { "cpu": "500m", "memory": "512Mi" },
    }]})
}

fn binding(owner: &Address) -> serde_json::Value {
    json!({
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "admin" },
        "subjects": [{
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "User",
            "name": identity::user_name(owner),
        }],
    })
}

fn named(
    api_version: &str,
    kind: &str,
    name: &str,
    namespace: &str,
    mut body: serde_json::Value,
) -> serde_json::Value {
    if let Some(body) = body.as_object_mut() {
        body.insert("apiVersion".into(), api_version.into());
        body.insert("kind".into(), kind.into());
        body.insert(
            "metadata".into(),
            json!({ "name": name, "namespace": namespace }),
        );
    }
    body
}

async fn apply<K>(
    client: &kube::Client,
    namespace: &str,
    name: &str,
    what: &'static str,
    body: &serde_json::Value,
) -> Result<(), HomeError>
where
    K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + Debug
        + DeserializeOwned,
    K::DynamicType: Default,
{
    let all: Api<K> = Api::namespaced(client.clone(), namespace);
    let params = PatchParams::apply(FIELD_MANAGER).force();
    all.patch(name, &params, &Patch::Apply(body))
        .await
        .map(drop)
        .map_err(api(what))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(byte: u8) -> Address {
        Address::from_bytes([byte; 32])
    }

    #[test]
    fn the_namespace_is_guarded_from_its_first_moment() {
        let namespace = namespace("seal-0101010101010101", &owner(1)).unwrap();
        let labels = namespace.metadata.labels.unwrap();
        assert_eq!(labels["pod-security.kubernetes.io/enforce"], "restricted");
        let annotations = namespace.metadata.annotations.unwrap();
        assert_eq!(annotations["k3s-daas.io/owner"], owner(1).to_string());
    }

    #[test]
    fn a_namespace_without_our_annotation_is_never_adopted() {
        let mine = namespace("seal-x", &owner(1)).unwrap();
        assert!(check(&mine, "seal-x", &owner(1)).is_ok());
        assert!(matches!(
            check(&mine, "seal-x", &owner(2)),
            Err(HomeError::Foreign { .. })
        ));
        let foreign = Namespace::default();
        assert!(matches!(
            check(&foreign, "seal-x", &owner(1)),
            Err(HomeError::Foreign { .. })
        ));
    }

    #[test]
    fn a_namespace_that_is_being_deleted_is_no_home() {
        let mut ending = namespace("seal-x", &owner(1)).unwrap();
        ending.metadata.deletion_timestamp =
            Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(
                k8s_openapi::jiff::Timestamp::UNIX_EPOCH,
            ));
        let error = check(&ending, "seal-x", &owner(1)).unwrap_err();
        assert!(matches!(error, HomeError::Terminating { .. }));
    }

    #[test]
    fn the_bodies_are_of_their_kinds() {
        for (name, spec) in quotas() {
            let body = named("v1", "ResourceQuota", name, "a", json!({ "spec": spec }));
            let quota: ResourceQuota = serde_json::from_value(body).unwrap();
            assert!(quota.spec.unwrap().hard.unwrap().contains_key("pods"));
        }
        let body = named("v1", "LimitRange", "a", "a", json!({ "spec": limits() }));
        let range: LimitRange = serde_json::from_value(body).unwrap();
        assert_eq!(range.spec.unwrap().limits.len(), 1);
        let body = named(
            "rbac.authorization.k8s.io/v1",
            "RoleBinding",
            "a",
            "a",
            binding(&owner(1)),
        );
        let binding: RoleBinding = serde_json::from_value(body).unwrap();
        assert_eq!(
            binding.subjects.unwrap()[0].name,
            identity::user_name(&owner(1))
        );
        assert_eq!(binding.role_ref.name, "admin");
    }
}
