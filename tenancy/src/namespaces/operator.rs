//! What the operator does with tenants' namespaces: list, add, release.
//!
//! Errors: nothing but tenants' namespaces is ever touched; an existing one is never adopted.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, ResourceQuota};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, ListParams, Preconditions};
use seal::{Address, UnixMillis};

use super::error::HomeError;
use super::home;
use super::marks::{self, Whose};
use super::metrics::TenantMetrics;
use super::names::{self, Suffix};
use super::objects::QUOTA;
use super::within::within;

/// Namespaces that an owner may have, the first included.
const MOST: usize = 8;
/// The server completes a new namespace in less than a second where nothing is wrong.
const COMPLETED_WITHIN: Duration = Duration::from_secs(30);
const ASK_EVERY: Duration = Duration::from_millis(250);
/// Objects a page.
const PAGE: u32 = 500;

/// A tenant's namespace, for people and programs.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct TenantNamespace {
    /// Its name.
    pub name: String,
    /// Whose it is.
    pub owner: Address,
    /// `active`, `ended`, `stopped`, `preparing` or `terminating`.
    pub state: &'static str,
    /// The tier by which its quota goes.
    pub tier: Option<&'static str>,
    /// When it was made, RFC 3339.
    pub created_at: Option<String>,
    /// When the owner's last seal of developer or more ended, RFC 3339.
    pub ended_at: Option<String>,
    /// When its workloads are scaled away, RFC 3339.
    pub stops_at: Option<String>,
    /// When it is deleted, RFC 3339.
    pub deleted_at: Option<String>,
    /// Pods that it has.
    pub pods_used: Option<String>,
    /// Pods that it may have.
    pub pods_hard: Option<String>,
}

/// A namespace that was given back, with all that was in it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Released {
    /// What it was.
    pub namespace: TenantNamespace,
    /// What its quota counted in it, without the zeroes.
    pub used: BTreeMap<String, String>,
}

/// The tenants' namespaces by name, all or one owner's.
pub async fn list(
    client: &kube::Client,
    owner: Option<&Address>,
) -> Result<Vec<TenantNamespace>, HomeError> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let quotas = quotas(client).await?;
    let mut found = Vec::new();
    let mut params = ListParams::default().limit(PAGE);
    loop {
        let page = within("list namespaces", namespaces.list_metadata(&params)).await?;
        for namespace in &page.items {
            let quota = quotas.get(&namespace.name_any());
            let Some(tenant) = shown(&namespace.metadata, quota) else {
                continue;
            };
            if owner.is_none_or(|owner| tenant.owner == *owner) {
                found.push(tenant);
            }
        }
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params.continue_token = Some(token),
            None => break,
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// Makes a namespace for an owner and waits until the server has completed it.
pub async fn add(
    client: &kube::Client,
    owner: &Address,
    suffix: Option<&str>,
) -> Result<TenantNamespace, HomeError> {
    let suffix: Option<Suffix> = suffix.map(str::parse).transpose()?;
    let name = names::name_of(owner, suffix.as_ref());
    let there = list(client, Some(owner)).await?;
    if there.len() >= MOST && !there.iter().any(|one| one.name == name) {
        return Err(HomeError::TooMany {
            count: there.len(),
            most: MOST,
        });
    }
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let made = home::create(&namespaces, &name, owner, &TenantMetrics::default()).await?;
    home::check(&made, &name, owner)?;
    let completed = async {
        loop {
            let found = within("read a namespace", namespaces.get(&name)).await?;
            home::check(&found, &name, owner)?;
            if marks::read(&found.metadata).state.is_some() {
                return Ok::<_, HomeError>(found);
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    };
    let found = match tokio::time::timeout(COMPLETED_WITHIN, completed).await {
        Ok(found) => found?,
        Err(_elapsed) => return Err(HomeError::NotCompleted { name }),
    };
    let quota = quota(client, &name).await?;
    shown(&found.metadata, quota.as_ref()).ok_or(HomeError::Foreign { name })
}

/// Deletes a tenant's namespace with all that is in it, and tells what that was.
pub async fn release(client: &kube::Client, name: &str) -> Result<Released, HomeError> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let found = within("read a namespace", namespaces.get_opt(name)).await?;
    let found = found.ok_or_else(|| HomeError::Missing {
        name: name.to_owned(),
    })?;
    let quota = quota(client, name).await?;
    let foreign = || HomeError::Foreign {
        name: name.to_owned(),
    };
    let namespace = shown(&found.metadata, quota.as_ref()).ok_or_else(foreign)?;
    if found.metadata.deletion_timestamp.is_none() {
        delete(&namespaces, &found.metadata).await?;
    }
    let used = quota.map(used).unwrap_or_default();
    Ok(Released { namespace, used })
}

/// Deletes exactly what was looked at: not another one of that name, and not one that changed.
pub(super) async fn delete(
    namespaces: &Api<Namespace>,
    meta: &ObjectMeta,
) -> Result<(), HomeError> {
    let params = DeleteParams::default().preconditions(Preconditions {
        uid: meta.uid.clone(),
        resource_version: meta.resource_version.clone(),
    });
    let name = meta.name.as_deref().unwrap_or_default();
    within("delete a namespace", namespaces.delete(name, &params)).await?;
    Ok(())
}

async fn quota(client: &kube::Client, namespace: &str) -> Result<Option<ResourceQuota>, HomeError> {
    let quotas: Api<ResourceQuota> = Api::namespaced(client.clone(), namespace);
    within("read a quota", quotas.get_opt(QUOTA)).await
}

/// The quotas by tier of all namespaces; none for those who may not list them, such as tenants.
async fn quotas(client: &kube::Client) -> Result<HashMap<String, ResourceQuota>, HomeError> {
    let quotas: Api<ResourceQuota> = Api::all(client.clone());
    let mut params = ListParams::default()
        .fields(&format!("metadata.name={QUOTA}"))
        .limit(PAGE);
    let mut found = HashMap::new();
    loop {
        let page = match within("list quotas", quotas.list(&params)).await {
            Err(error) if error.is_forbidden() => return Ok(HashMap::new()),
            page => page?,
        };
        let named = |quota: ResourceQuota| Some((quota.namespace()?, quota));
        found.extend(page.items.into_iter().filter_map(named));
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params.continue_token = Some(token),
            None => return Ok(found),
        }
    }
}

fn used(quota: ResourceQuota) -> BTreeMap<String, String> {
    let used = quota.status.and_then(|status| status.used);
    let used = used.unwrap_or_default().into_iter();
    used.map(|(resource, amount)| (resource, amount.0))
        .filter(|(_, amount)| amount != "0")
        .collect()
}

/// What is shown of a namespace; none where it is no tenant's.
fn shown(meta: &ObjectMeta, quota: Option<&ResourceQuota>) -> Option<TenantNamespace> {
    let Whose::Tenants(owner) = marks::whose(meta) else {
        return None;
    };
    let marks = marks::read(meta);
    let state = match marks.state {
        _ if meta.deletion_timestamp.is_some() => "terminating",
        Some(state) => state.label(),
        None => "preparing",
    };
    let pods = |amounts: Option<&BTreeMap<String, _>>| {
        amounts.and_then(
            |amounts: &BTreeMap<
                String,
                k8s_openapi::apimachinery::pkg::api::resource::Quantity,
            >| { amounts.get("pods").map(|amount| amount.0.clone()) },
        )
    };
    let status = quota.and_then(|quota| quota.status.as_ref());
    let hard = quota
        .and_then(|quota| quota.spec.as_ref())
        .and_then(|spec| spec.hard.as_ref());
    let text = |key| marks::annotation(meta, key).map(str::to_owned);
    Some(TenantNamespace {
        name: meta.name.clone()?,
        owner,
        state,
        tier: marks.tier.map(seal::Tier::label),
        created_at: meta
            .creation_timestamp
            .as_ref()
            .map(|time| time.0.to_string()),
        ended_at: marks.ended_at.map(rfc3339),
        stops_at: text(marks::ANNOTATION_STOPS_AT),
        deleted_at: text(marks::ANNOTATION_DELETES_AT),
        pods_used: pods(status.and_then(|status| status.used.as_ref())),
        pods_hard: pods(hard),
    })
}

/// A time for people, to the second; the number itself where it is none of this era.
pub(super) fn rfc3339(time: UnixMillis) -> String {
    let seconds = i64::try_from(time.0 / 1_000).ok();
    seconds
        .and_then(|seconds| Timestamp::from_second(seconds).ok())
        .map_or_else(|| time.0.to_string(), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::namespaces::objects;

    #[test]
    fn times_are_shown_for_people() {
        assert_eq!(rfc3339(UnixMillis(0)), "1970-01-01T00:00:00Z");
        assert_eq!(
            rfc3339(UnixMillis(1_767_225_600_999)),
            "2026-01-01T00:00:00Z"
        );
        assert_eq!(rfc3339(UnixMillis(u64::MAX)), u64::MAX.to_string());
    }

    #[test]
    fn what_is_no_tenants_is_not_shown() {
        let owner = Address::from_bytes([1; 32]);
        let mine = objects::namespace("seal-0101010101010101", &owner);
        let tenant = shown(&mine.metadata, None).unwrap();
        assert_eq!((tenant.state, tenant.owner), ("preparing", owner));
        let other = objects::namespace("kube-system", &owner);
        assert_eq!(shown(&other.metadata, None), None);
    }
}
