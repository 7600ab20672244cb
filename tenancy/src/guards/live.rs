//! The guards as the API server has them: reading, comparing, putting right.

use std::collections::BTreeMap;
use std::time::Duration;

use kube::api::{
    ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams,
    PostParams,
};
use kube::core::Status;
use kube::{Api, Client, ResourceExt};
use serde_json::Value;

use super::compose::MANAGED_BY;

/// What one request may take.
const DEADLINE: Duration = Duration::from_secs(10);
/// Who we are in `managedFields`.
const FIELD_MANAGER: &str = "k3s-daas";

/// The four kinds that guards are made of.
pub(super) const KINDS: [&str; 4] = [
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "MutatingAdmissionPolicy",
    "MutatingAdmissionPolicyBinding",
];

/// Why a request of ours gave nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum LiveError {
    /// The API server answered no, and would again.
    #[error("{}", .0.message)]
    Refused(Box<Status>),
    /// No answer, or one that says "not now".
    #[error("{0}")]
    Unanswered(Box<kube::Error>),
    /// No answer in time.
    #[error("no answer within {DEADLINE:?}")]
    TimedOut,
}

impl LiveError {
    /// The API server knows no such kind.
    pub(super) fn is_not_served(&self) -> bool {
        matches!(self, Self::Refused(status) if status.code == 404)
    }
}

impl From<kube::Error> for LiveError {
    fn from(error: kube::Error) -> Self {
        match error {
            // Timeouts, conflicts of writers, overload and faults pass; the rest does not.
            kube::Error::Api(status)
                if (400..500).contains(&status.code) && !matches!(status.code, 408 | 409 | 429) =>
            {
                Self::Refused(status)
            }
            other => Self::Unanswered(Box::new(other)),
        }
    }
}

pub(super) async fn within<T>(
    request: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, LiveError> {
    match tokio::time::timeout(DEADLINE, request).await {
        Ok(answer) => answer.map_err(LiveError::from),
        Err(_) => Err(LiveError::TimedOut),
    }
}

/// What of a document differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Difference {
    /// There is none.
    Missing,
    /// It is another one.
    Changed,
}

impl Difference {
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Changed => "changed",
        }
    }
}

/// All objects of one kind that bear our label, by name.
pub(super) async fn ours(
    client: &Client,
    kind: &str,
) -> Result<BTreeMap<String, DynamicObject>, LiveError> {
    let ours = ListParams::default().labels(&label());
    let list = within(api(client, kind).list(&ours)).await?;
    let named = list
        .items
        .into_iter()
        .map(|object| (object.name_any(), object));
    Ok(named.collect())
}

/// What selects our objects.
pub(super) fn label() -> String {
    let (key, value) = MANAGED_BY;
    format!("{key}={value}")
}

/// Compares what is there with what should be. Whatever somebody added to the spec counts too: one
/// more condition or exclusion is all it takes to switch a guard off.
pub(super) fn compare(wanted: &Value, live: Option<&DynamicObject>) -> Option<Difference> {
    let Some(live) = live else {
        return Some(Difference::Missing);
    };
    let leaving = live.metadata.deletion_timestamp.is_some();
    let foreign = live.metadata.owner_references.is_some() || live.metadata.finalizers.is_some();
    let same = live.data.get("spec") == wanted.get("spec") && is_ours(live);
    (!same || leaving || foreign).then_some(Difference::Changed)
}

fn is_ours(live: &DynamicObject) -> bool {
    let (key, value) = MANAGED_BY;
    live.labels().get(key).is_some_and(|found| found == value)
}

/// Puts one document right.
///
/// What is missing is made by server-side apply. What is there is replaced as a whole: an apply
/// would leave what others have added (a condition, an exclusion), and is refused where the sum
/// makes no sense. It is never deleted and made again, which would leave a gap.
pub(super) async fn repair(client: &Client, wanted: &Value) -> Result<(), LiveError> {
    let name = name_of(wanted);
    let api = api(client, kind_of(wanted));
    let Some(mut whole) = within(api.get_opt(name)).await? else {
        let params = PatchParams::apply(FIELD_MANAGER).force();
        within(api.patch(name, &params, &Patch::Apply(wanted))).await?;
        return Ok(());
    };
    let spec = wanted.get("spec").cloned().unwrap_or_default();
    whole.data = serde_json::json!({ "spec": spec });
    let (key, value) = MANAGED_BY;
    whole.labels_mut().insert(key.to_owned(), value.to_owned());
    whole.metadata.owner_references = None;
    whole.metadata.finalizers = None;
    // The resource version stays: who writes at the same time makes us look again.
    let params = PostParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PostParams::default()
    };
    within(api.replace(name, &params, &whole)).await?;
    Ok(())
}

/// Deletes an object of ours that is none of the guards any more.
pub(super) async fn remove(client: &Client, kind: &str, name: &str) -> Result<(), LiveError> {
    let params = DeleteParams::default();
    within(api(client, kind).delete(name, &params)).await?;
    Ok(())
}

pub(super) fn kind_of(document: &Value) -> &str {
    document
        .get("kind")
        .and_then(Value::as_str)
        .unwrap_or_default()
}

pub(super) fn name_of(document: &Value) -> &str {
    document
        .pointer("/metadata/name")
        .and_then(Value::as_str)
        .unwrap_or_default()
}

pub(super) fn api(client: &Client, kind: &str) -> Api<DynamicObject> {
    Api::all_with(client.clone(), &resource(kind))
}

pub(super) fn resource(kind: &str) -> ApiResource {
    ApiResource::from_gvk_with_plural(
        &GroupVersionKind::gvk("admissionregistration.k8s.io", "v1", kind),
        &plural(kind),
    )
}

fn plural(kind: &str) -> String {
    let lower = kind.to_ascii_lowercase();
    match lower.strip_suffix("policy") {
        Some(stem) => format!("{stem}policies"),
        None => format!("{lower}s"),
    }
}
