//! What the operator does with tenants' namespaces: list, add, release.
//!
//! Errors: nothing but tenants' namespaces is ever touched; an existing one is never adopted.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::core::v1::{Namespace, ResourceQuota};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, ListParams, PostParams, Preconditions};
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
    pub deletes_at: Option<String>,
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
            let quota = quotas.as_ref();
            let quota = quota.and_then(|quotas| quotas.get(&namespace.name_any()));
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
    if quotas.is_none() {
        ask_each(client, &mut found).await?;
    }
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

/// Who may not list all quotas may read those of some namespaces: a tenant of the own ones, which
/// are asked for first. As many are asked for as an owner may have.
async fn ask_each(client: &kube::Client, found: &mut [TenantNamespace]) -> Result<(), HomeError> {
    let asking = who_asks(client).await;
    let mut order: Vec<&mut TenantNamespace> = found.iter_mut().collect();
    order.sort_by_key(|one| asking != Some(seal::identity::user_name(&one.owner)));
    for one in order.into_iter().take(MOST) {
        match quota(client, &one.name).await {
            Ok(quota) => (one.pods_used, one.pods_hard) = pods(quota.as_ref()),
            Err(error) if error.is_forbidden() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The user as whom the API server knows the client. Nothing but the order depends on it.
async fn who_asks(client: &kube::Client) -> Option<String> {
    let reviews: Api<SelfSubjectReview> = Api::all(client.clone());
    let (params, review) = (PostParams::default(), SelfSubjectReview::default());
    let answer = within("ask who asks", reviews.create(&params, &review)).await;
    answer.ok()?.status?.user_info?.username
}

/// The quotas by tier of all namespaces; none at all for those who may not list them.
async fn quotas(
    client: &kube::Client,
) -> Result<Option<HashMap<String, ResourceQuota>>, HomeError> {
    let quotas: Api<ResourceQuota> = Api::all(client.clone());
    let mut params = ListParams::default()
        .fields(&format!("metadata.name={QUOTA}"))
        .limit(PAGE);
    let mut found = HashMap::new();
    loop {
        let page = match within("list quotas", quotas.list(&params)).await {
            Err(error) if error.is_forbidden() => return Ok(None),
            page => page?,
        };
        let named = |quota: ResourceQuota| Some((quota.namespace()?, quota));
        found.extend(page.items.into_iter().filter_map(named));
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params.continue_token = Some(token),
            None => return Ok(Some(found)),
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

/// How many pods there are, and how many there may be.
fn pods(quota: Option<&ResourceQuota>) -> (Option<String>, Option<String>) {
    let pods = |amounts: Option<&BTreeMap<String, Quantity>>| {
        amounts.and_then(|amounts| amounts.get("pods").map(|amount| amount.0.clone()))
    };
    let used = quota.and_then(|quota| quota.status.as_ref()?.used.as_ref());
    let hard = quota.and_then(|quota| quota.spec.as_ref()?.hard.as_ref());
    (pods(used), pods(hard))
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
    let (pods_used, pods_hard) = pods(quota);
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
        deletes_at: text(marks::ANNOTATION_DELETES_AT),
        pods_used,
        pods_hard,
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
mod tests;
