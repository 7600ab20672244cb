//! The definition of SealedNodes, kept applied.

use std::time::Duration;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Patch, PatchParams};
use kube::{Api, CustomResourceExt};

use crate::join::JoinError;
use crate::records::LIFE_MANAGER;
use crate::sealed_node::SealedNode;
use crate::within::within;

/// The API server serves a new definition within a second or two.
const LOOKS: u32 = 50;
const BETWEEN_LOOKS: Duration = Duration::from_millis(200);

/// Applies the definition and waits until the API server serves it.
pub(super) async fn ensure(client: &kube::Client) -> Result<(), JoinError> {
    let all: Api<CustomResourceDefinition> = Api::all(client.clone());
    let wanted = SealedNode::crd();
    let params = PatchParams::apply(LIFE_MANAGER).force();
    let wanted = Patch::Apply(&wanted);
    let apply = all.patch(SealedNode::crd_name(), &params, &wanted);
    let mut found = within("apply the definition of sealed nodes", apply).await?;
    for _ in 0..LOOKS {
        if is_established(&found) {
            return Ok(());
        }
        tokio::time::sleep(BETWEEN_LOOKS).await;
        let read = all.get(SealedNode::crd_name());
        found = within("read the definition of sealed nodes", read).await?;
    }
    Err(JoinError::Late {
        what: "serve sealed nodes",
    })
}

fn is_established(found: &CustomResourceDefinition) -> bool {
    let status = found.status.as_ref();
    let conditions = status.and_then(|status| status.conditions.as_deref());
    let mut conditions = conditions.unwrap_or_default().iter();
    conditions.any(|condition| condition.type_ == "Established" && condition.status == "True")
}
