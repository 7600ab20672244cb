//! Keeps the webhook's configuration as it should be.

use std::time::Duration;

use futures::StreamExt;
use futures::future::FutureExt;
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use kube::api::{Patch, PatchParams, PostParams};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{Config, watcher};
use kube::{Api, Client};

use super::configuration::{MANAGED_BY, NAME, WebhookTarget, compose};
use super::metrics::AdmitMetrics;

/// Between two looks while all is well.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// Between two looks at least: who quarrels with us over it costs a write a second.
const SHORTEST_GAP: Duration = Duration::from_secs(1);
/// What one request may take.
const DEADLINE: Duration = Duration::from_secs(10);
const FIELD_MANAGER: &str = "k3s-daas";

/// Why it could not be seen or written.
#[derive(Debug, thiserror::Error)]
enum KeepError {
    #[error("{0}")]
    Kube(#[from] kube::Error),
    #[error("no answer within {DEADLINE:?}")]
    TimedOut,
}

/// Keeps it for ever; drop the future to stop. The configuration stays as it is then, and fails
/// closed. Several keepers with different targets would quarrel: run one at a time.
///
/// Needs get, list, watch, create, patch and update of `validatingwebhookconfigurations`.
pub async fn keep(client: Client, target: WebhookTarget, metrics: AdmitMetrics) {
    let wanted = compose(&target);
    let api: Api<ValidatingWebhookConfiguration> = Api::all(client);
    let ours = Config::default().fields(&format!("metadata.name={NAME}"));
    let changes = watcher(api.clone(), ours).default_backoff();
    let mut changes = std::pin::pin!(changes);
    let mut complained = false;
    loop {
        match look(&api, &wanted).await {
            Ok(false) => complained = false,
            Ok(true) => {
                complained = false;
                metrics.repaired();
                tracing::info!(url = target.url, "the webhook's configuration was written");
            }
            Err(error) if !complained => {
                complained = true;
                tracing::warn!(%error, "the webhook's configuration can't be kept");
            }
            Err(_) => {}
        }
        tokio::time::sleep(SHORTEST_GAP).await;
        let pause = if complained { SHORTEST_GAP } else { LOOK_AGAIN };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = changes.next() => {}
        }
        // One look sees all changes so far.
        while let Some(Some(_)) = changes.next().now_or_never() {}
    }
}

/// Looks, and puts right what differs; true if it had to.
async fn look(
    api: &Api<ValidatingWebhookConfiguration>,
    wanted: &ValidatingWebhookConfiguration,
) -> Result<bool, KeepError> {
    let Some(mut live) = within(api.get_opt(NAME)).await? else {
        let params = PatchParams::apply(FIELD_MANAGER).force();
        within(api.patch(NAME, &params, &Patch::Apply(wanted))).await?;
        return Ok(true);
    };
    if is_as_wanted(&live, wanted) {
        return Ok(false);
    }
    // Replaced as a whole: an apply would leave conditions and webhooks that others added.
    let (key, value) = MANAGED_BY;
    live.webhooks.clone_from(&wanted.webhooks);
    let labels = live.metadata.labels.get_or_insert_default();
    labels.insert(key.to_owned(), value.to_owned());
    live.metadata.owner_references = None;
    live.metadata.finalizers = None;
    let params = PostParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PostParams::default()
    };
    within(api.replace(NAME, &params, &live)).await?;
    Ok(true)
}

fn is_as_wanted(
    live: &ValidatingWebhookConfiguration,
    wanted: &ValidatingWebhookConfiguration,
) -> bool {
    let (key, value) = MANAGED_BY;
    let metadata = &live.metadata;
    let labelled = metadata
        .labels
        .as_ref()
        .and_then(|labels| labels.get(key))
        .is_some_and(|found| found == value);
    live.webhooks == wanted.webhooks
        && labelled
        && metadata.owner_references.is_none()
        && metadata.finalizers.is_none()
}

async fn within<T>(request: impl Future<Output = Result<T, kube::Error>>) -> Result<T, KeepError> {
    match tokio::time::timeout(DEADLINE, request).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(KeepError::TimedOut),
    }
}
