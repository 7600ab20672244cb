//! Follows the objects that are kept in tenants' namespaces, and keeps them.
//!
//! Shape:  a watch for each kind, by the label of who manages them, into a store; a change of what
//!         matters (not of a quota's use) asks for a look at the namespace. What is not as it
//!         should be is replaced: server-side apply alone leaves what others added.

use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use futures::future::try_join5;
use futures::stream::BoxStream;
use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::{LimitRange, Namespace, ResourceQuota};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::{Api, DeleteParams, PostParams, Preconditions};
use kube::core::{NamespaceResourceScope, PartialObjectMeta};
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::watcher::Event;
use kube::runtime::{WatchStreamExt, watcher};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::OnceCell;

use super::FIELD_MANAGER;
use super::error::HomeError;
use super::home::apply;
use super::marks::LABEL_MANAGED_BY;
use super::metrics::{TenantMetrics, Thing};
use super::objects::{BINDING, Kept, LIMITS, NO_SYSTEM_PODS, Objects, POLICY, QUOTA};
use super::within::within;

/// A namespace to be looked at.
pub(super) type Touched = ObjectRef<PartialObjectMeta<Namespace>>;

/// What is there, as the watches tell.
pub(super) struct Owned {
    quotas: Store<ResourceQuota>,
    limits: Store<LimitRange>,
    policies: Store<NetworkPolicy>,
    bindings: Store<RoleBinding>,
    /// A store wakes only the last one that waits for it, so only one may wait at a time.
    ready: OnceCell<bool>,
}

/// Begins to follow. The streams have to be polled for the stores to fill.
pub(super) fn follow(client: &kube::Client) -> (Owned, BoxStream<'static, Touched>) {
    let (quotas, quota_changes) = watch::<ResourceQuota>(client, |quota| quota.status = None);
    let (limits, limit_changes) = watch::<LimitRange>(client, |_| {});
    let (policies, policy_changes) = watch::<NetworkPolicy>(client, |_| {});
    let (bindings, binding_changes) = watch::<RoleBinding>(client, |_| {});
    let changes = stream::select_all([
        quota_changes,
        limit_changes,
        policy_changes,
        binding_changes,
    ]);
    let owned = Owned {
        quotas,
        limits,
        policies,
        bindings,
        ready: OnceCell::new(),
    };
    (owned, changes.boxed())
}

fn watch<K>(client: &kube::Client, strip: fn(&mut K)) -> (Store<K>, BoxStream<'static, Touched>)
where
    K: kube::Resource<DynamicType = ()>
        + Clone
        + Debug
        + DeserializeOwned
        + Serialize
        + Send
        + Sync
        + 'static,
{
    let (store, writer) = reflector::store::<K>();
    let ours = watcher::Config::default().labels(&format!("{LABEL_MANAGED_BY}={FIELD_MANAGER}"));
    let mut seen: HashMap<(String, String), u64> = HashMap::new();
    let changes = watcher(Api::<K>::all(client.clone()), ours)
        .default_backoff()
        .modify(move |object| {
            object.meta_mut().managed_fields = None;
            strip(object);
        })
        .reflect(writer)
        .flat_map(move |event| stream::iter(touched(&mut seen, event)))
        .boxed();
    (store, changes)
}

/// The namespaces in which an event changed something that matters.
fn touched<K>(
    seen: &mut HashMap<(String, String), u64>,
    event: Result<Event<K>, watcher::Error>,
) -> Vec<Touched>
where
    K: kube::Resource<DynamicType = ()> + Clone + Serialize,
{
    let key = |object: &K| {
        let meta = object.meta();
        let name = meta.name.clone()?;
        // Others may carry the label too; they are nothing to us.
        let kept = [QUOTA, NO_SYSTEM_PODS, LIMITS, POLICY, BINDING].contains(&name.as_str());
        kept.then_some((meta.namespace.clone()?, name))
    };
    match event {
        Ok(Event::Apply(object) | Event::InitApply(object)) => {
            let Some(key) = key(&object) else {
                return Vec::new();
            };
            let hash = digest(&object);
            let namespace = ObjectRef::new(&key.0);
            if seen.insert(key, hash) == Some(hash) {
                return Vec::new();
            }
            vec![namespace]
        }
        Ok(Event::Delete(object)) => {
            let Some(key) = key(&object) else {
                return Vec::new();
            };
            let namespace = ObjectRef::new(&key.0);
            seen.remove(&key);
            vec![namespace]
        }
        // What was deleted while the watch was broken is not told: look at all.
        Ok(Event::InitDone) => seen.keys().map(|(name, _)| ObjectRef::new(name)).collect(),
        Ok(Event::Init) | Err(_) => Vec::new(),
    }
}

/// Of everything but the version, which changes with the status too.
fn digest<K: kube::Resource + Clone + Serialize>(object: &K) -> u64 {
    let mut object = object.clone();
    object.meta_mut().resource_version = None;
    let mut hasher = DefaultHasher::new();
    let bytes = serde_json::to_vec(&object).unwrap_or_default();
    bytes.hash(&mut hasher);
    hasher.finish()
}

/// What a look needs to repair.
#[derive(Clone, Copy)]
pub(super) struct Keeper<'a> {
    pub(super) client: &'a kube::Client,
    pub(super) owned: &'a Owned,
    pub(super) metrics: &'a TenantMetrics,
}

impl Owned {
    /// Waits for the first lists; false if a watch is gone.
    pub(super) async fn ready(&self) -> bool {
        let all = async || {
            self.quotas.wait_until_ready().await.is_ok()
                && self.limits.wait_until_ready().await.is_ok()
                && self.policies.wait_until_ready().await.is_ok()
                && self.bindings.wait_until_ready().await.is_ok()
        };
        *self.ready.get_or_init(all).await
    }
}

impl Keeper<'_> {
    /// Makes what is there what should be there. Writes nothing where it is.
    pub(super) async fn keep(&self, namespace: &str, wanted: &Objects) -> Result<(), HomeError> {
        let owned = self.owned;
        let all = try_join5(
            self.one(&owned.quotas, namespace, &wanted.quota, Thing::Quota),
            self.one(
                &owned.quotas,
                namespace,
                &wanted.no_system_pods,
                Thing::Quota,
            ),
            self.one(&owned.limits, namespace, &wanted.limits, Thing::Limits),
            self.one(&owned.policies, namespace, &wanted.policy, Thing::Policy),
            self.one(&owned.bindings, namespace, &wanted.binding, Thing::Binding),
        );
        Box::pin(all).await?;
        Ok(())
    }

    async fn one<K>(
        &self,
        store: &Store<K>,
        namespace: &str,
        wanted: &K,
        thing: Thing,
    ) -> Result<(), HomeError>
    where
        K: kube::Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Kept
            + Clone
            + Debug
            + DeserializeOwned
            + Serialize
            + Send
            + Sync
            + 'static,
    {
        let name = wanted.meta().name.as_deref().unwrap_or_default();
        let there: Option<Arc<K>> = store.get(&ObjectRef::new(name).within(namespace));
        let Some(there) = there else {
            return apply(self.client, namespace, wanted, thing, self.metrics).await;
        };
        if there.is_as(wanted) {
            return Ok(());
        }
        tracing::info!(namespace, object = name, "an object is not as it should be");
        let objects: Api<K> = Api::namespaced(self.client.clone(), namespace);
        let mut replacement = wanted.clone();
        let meta = replacement.meta_mut();
        meta.resource_version
            .clone_from(&there.meta().resource_version);
        meta.uid.clone_from(&there.meta().uid);
        let params = PostParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PostParams::default()
        };
        let replaced = objects.replace(name, &params, &replacement);
        match within("replace an object", replaced).await {
            Ok(_) => self.metrics.wrote(thing),
            // What can't be changed (a quota's scopes, whom a binding binds to) is made anew.
            Err(error) if error.is_invalid() => {
                let same = Preconditions {
                    uid: there.meta().uid.clone(),
                    resource_version: None,
                };
                let params = DeleteParams::default().preconditions(same);
                within("delete an object", objects.delete(name, &params)).await?;
                apply(self.client, namespace, wanted, thing, self.metrics).await?;
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use k8s_openapi::api::core::v1::ResourceQuotaSpec;
    use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

    use super::*;

    fn quota(name: &str, version: &str, pods: &str) -> ResourceQuota {
        let hard = BTreeMap::from([("pods".to_owned(), Quantity(pods.to_owned()))]);
        ResourceQuota {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                namespace: Some("a".to_owned()),
                resource_version: Some(version.to_owned()),
                ..ObjectMeta::default()
            },
            spec: Some(ResourceQuotaSpec {
                hard: Some(hard),
                ..ResourceQuotaSpec::default()
            }),
            ..ResourceQuota::default()
        }
    }

    #[test]
    fn only_what_matters_asks_for_a_look() {
        let mut seen = HashMap::new();
        let mut looks = |event| touched(&mut seen, Ok(event)).len();
        assert_eq!(looks(Event::InitApply(quota(QUOTA, "1", "5"))), 1);
        assert_eq!(
            looks(Event::Apply(quota(QUOTA, "2", "5"))),
            0,
            "its use changed"
        );
        assert_eq!(looks(Event::Apply(quota(QUOTA, "3", "6"))), 1);
        assert_eq!(looks(Event::Apply(quota("theirs", "4", "6"))), 0);
        assert_eq!(looks(Event::InitDone), 1);
        assert_eq!(looks(Event::Delete(quota(QUOTA, "5", "6"))), 1);
        assert_eq!(looks(Event::Apply(quota(QUOTA, "6", "6"))), 1, "it is back");
        assert_eq!(looks(Event::Init), 0);
    }
}
