//! An owner's first namespace, made while its owner waits.
//!
//! Shape:  one create, so that the namespace never exists half guarded; the objects in it, all at
//!         once; last the label that makes it the owner's: seven calls. The controller may do the
//!         same at the same time: every call but the last says the same as the controller's, and
//!         the last one gives way to it.

use futures::future::try_join5;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::core::NamespaceResourceScope;
use seal::{Address, Tier, identity};
use serde_json::json;

use super::FIELD_MANAGER;
use super::error::HomeError;
use super::marks::{self, State, Whose};
use super::metrics::{TenantMetrics, Thing};
use super::objects::{self, Objects};
use super::within::within;

/// What the namespace is made of.
#[derive(Debug)]
pub(super) struct Home<'a> {
    pub(super) name: &'a str,
    pub(super) owner: &'a Address,
    pub(super) tier: Tier,
    pub(super) objects: &'a Objects,
}

/// Makes the namespace, or completes it. One that is complete is left as it is: what state it is
/// in is the controller's to say.
pub(super) async fn ensure(
    client: &kube::Client,
    home: &Home<'_>,
    metrics: &TenantMetrics,
) -> Result<(), HomeError> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let mut found = create(&namespaces, home.name, home.owner, metrics).await?;
    check(&found, home.name, home.owner)?;
    if is_complete(&found) {
        return Ok(());
    }
    apply_all(client, home, metrics).await?;
    loop {
        match complete(&namespaces, &found, home.tier).await {
            Ok(_) => break,
            // Somebody changed it meanwhile: perhaps the controller completed it.
            Err(error) if error.is_conflict() => {
                found = within("read a namespace", namespaces.get(home.name)).await?;
                check(&found, home.name, home.owner)?;
                if is_complete(&found) {
                    return Ok(());
                }
            }
            Err(error) => return Err(error),
        }
    }
    metrics.wrote(Thing::Namespace);
    metrics.step("made");
    Ok(())
}

/// Makes the namespace; where there is one of that name, reads it.
pub(super) async fn create(
    namespaces: &Api<Namespace>,
    name: &str,
    owner: &Address,
    metrics: &TenantMetrics,
) -> Result<Namespace, HomeError> {
    let namespace = objects::namespace(name, owner);
    let params = PostParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PostParams::default()
    };
    match within("make a namespace", namespaces.create(&params, &namespace)).await {
        Ok(made) => {
            metrics.wrote(Thing::Namespace);
            Ok(made)
        }
        Err(error) if error.is_conflict() => within("read a namespace", namespaces.get(name)).await,
        Err(error) => Err(error),
    }
}

/// This owner's, and staying.
pub(super) fn check(found: &Namespace, name: &str, owner: &Address) -> Result<(), HomeError> {
    let name = name.to_owned();
    if marks::whose(&found.metadata) != Whose::Tenants(*owner) {
        return Err(HomeError::Foreign { name });
    }
    if found.metadata.deletion_timestamp.is_some() {
        return Err(HomeError::Terminating { name });
    }
    Ok(())
}

fn is_complete(found: &Namespace) -> bool {
    marks::read(&found.metadata).state.is_some()
}

async fn apply_all(
    client: &kube::Client,
    home: &Home<'_>,
    metrics: &TenantMetrics,
) -> Result<(), HomeError> {
    let objects = home.objects;
    let all = try_join5(
        apply(client, home.name, &objects.quota, Thing::Quota, metrics),
        apply(
            client,
            home.name,
            &objects.no_system_pods,
            Thing::Quota,
            metrics,
        ),
        apply(client, home.name, &objects.limits, Thing::Limits, metrics),
        apply(client, home.name, &objects.policy, Thing::Policy, metrics),
        apply(client, home.name, &objects.binding, Thing::Binding, metrics),
    );
    Box::pin(all).await?;
    Ok(())
}

/// Server-side apply: makes what is missing, and says nothing new where nothing is.
pub(super) async fn apply<K>(
    client: &kube::Client,
    namespace: &str,
    wanted: &K,
    thing: Thing,
    metrics: &TenantMetrics,
) -> Result<(), HomeError>
where
    K: kube::Resource<Scope = NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned
        + serde::Serialize,
    K::DynamicType: Default,
{
    let all: Api<K> = Api::namespaced(client.clone(), namespace);
    let name = wanted.meta().name.as_deref().unwrap_or_default();
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let patch = Patch::Apply(wanted);
    within("apply an object", all.patch(name, &params, &patch)).await?;
    metrics.wrote(thing);
    Ok(())
}

/// The label that makes it its owner's, if nobody changed it since it was read.
async fn complete(
    namespaces: &Api<Namespace>,
    found: &Namespace,
    tier: Tier,
) -> Result<Namespace, HomeError> {
    let patch = json!({ "metadata": {
        "resourceVersion": found.metadata.resource_version,
        "labels": {
            identity::LABEL_STATE: State::Active.label(),
            identity::LABEL_TIER: tier.label(),
        },
    }});
    let params = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    let name = found.metadata.name.as_deref().unwrap_or_default();
    let patch = Patch::Merge(&patch);
    within(
        "complete a namespace",
        namespaces.patch(name, &params, &patch),
    )
    .await
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use k8s_openapi::jiff::Timestamp;

    use super::*;

    fn owner(byte: u8) -> Address {
        Address::from_bytes([byte; 32])
    }

    const NAME: &str = "seal-0101010101010101";

    #[test]
    fn a_namespace_without_our_annotation_is_never_adopted() {
        let mine = objects::namespace(NAME, &owner(1));
        assert!(check(&mine, NAME, &owner(1)).is_ok());
        for (found, owner) in [
            (mine.clone(), owner(2)),
            (Namespace::default(), owner(1)),
            (objects::namespace(NAME, &owner(2)), owner(2)),
        ] {
            assert!(matches!(
                check(&found, NAME, &owner),
                Err(HomeError::Foreign { .. })
            ));
        }
    }

    #[test]
    fn a_namespace_that_is_being_deleted_is_no_home() {
        let mut ending = objects::namespace(NAME, &owner(1));
        ending.metadata.deletion_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
        let error = check(&ending, NAME, &owner(1)).unwrap_err();
        assert!(matches!(error, HomeError::Terminating { .. }));
    }
}
