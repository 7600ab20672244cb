//! Pods of protected namespaces run on the operator's machines, or not at all.
//!
//! A kubelet may mint tokens of the service accounts of its pods. So every protected namespace
//! bears the node selector of trusted nodes, as the annotation that Kubernetes' `PodNodeSelector`
//! admission reads: who runs pods there can't choose another machine.
//!
//! Shape:  one look at all namespaces every [`EVERY`], and at once where the client is new; an
//!         operator's own selector is kept, ours is added to it. Replicas write the same.
//! Errors: told in the log; the next look tries again.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use authz_webhook::{NamespaceOwners, NamespaceWatch};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{ListParams, Patch, PatchParams};
use kube::core::PartialObjectMeta;
use kube::{Api, Client, ResourceExt};
use seal::access::{Bound, ProtectedNamespaces};
use seal::identity::{LABEL_TRUST, NAMESPACE_PREFIX, TRUST_OPERATOR};
use serde_json::json;
use tokio::time::MissedTickBehavior;

/// What Kubernetes' `PodNodeSelector` reads.
const ANNOTATION: &str = "scheduler.alpha.kubernetes.io/node-selector";
/// A namespace that becomes protected has its selector so long afterwards at most.
const EVERY: Duration = Duration::from_secs(5);
/// Who writes the annotation, for Kubernetes' field ownership.
const FIELD_MANAGER: &str = "k3s-daas-trust";
/// Namespaces in one page.
const PAGE: u32 = 500;

/// Which namespaces are bound to trusted nodes.
#[derive(Debug, Clone, Default)]
pub(super) struct TrustSettings {
    /// Those that are protected by name; those with accounts that reach beyond them come on top.
    pub(super) protected: ProtectedNamespaces,
    /// Those among them that are left alone: pods of theirs belong on every machine.
    pub(super) elsewhere: BTreeSet<String>,
}

/// Keeps the selector on protected namespaces. Clones are handles of the same one.
#[derive(Debug, Clone)]
pub(super) struct Trusted {
    watch: Arc<NamespaceWatch>,
    settings: Arc<ArcSwap<TrustSettings>>,
}

impl Trusted {
    pub(super) fn new(watch: Arc<NamespaceWatch>, settings: TrustSettings) -> Self {
        Self {
            watch,
            settings: Arc::new(ArcSwap::from_pointee(settings)),
        }
    }

    /// From the next look on these count. What was bound stays bound: a selector may be the
    /// operator's own.
    pub(super) fn replace(&self, settings: TrustSettings) {
        self.settings.store(Arc::new(settings));
    }

    /// Keeps them, for ever.
    pub(super) async fn run(&self, client: Client) {
        let namespaces: Api<Namespace> = Api::all(client);
        let mut every = tokio::time::interval(EVERY);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut said = false;
        loop {
            every.tick().await;
            match self.look(&namespaces).await {
                Ok(()) => said = false,
                Err(error) if !said => {
                    said = true;
                    tracing::warn!(
                        error = %crate::causes::in_one_line(&error),
                        "protected namespaces can't be bound to trusted nodes; trying again"
                    );
                }
                Err(_) => {}
            }
        }
    }

    async fn look(&self, namespaces: &Api<Namespace>) -> Result<(), kube::Error> {
        let mut page = ListParams::default().limit(PAGE);
        loop {
            let found = namespaces.list_metadata(&page).await?;
            for namespace in &found.items {
                let name = namespace.name_any();
                if self.is_bound(&name)
                    && let Some(selector) = lacking(namespace)
                {
                    bind(namespaces, &name, &selector).await?;
                }
            }
            match found.metadata.continue_ {
                Some(token) if !token.is_empty() => page = page.continue_token(&token),
                _ => return Ok(()),
            }
        }
    }

    /// A tenant's own namespace is none, whatever is bound there: its pods run on strangers'
    /// machines, as the tenant chose.
    fn is_bound(&self, name: &str) -> bool {
        let settings = self.settings.load();
        !name.starts_with(NAMESPACE_PREFIX)
            && !settings.elsewhere.contains(name)
            && (settings.protected.contains(name) || self.watch.view(name).bound == Bound::Yes)
    }
}

/// The selector that a namespace should bear, where it does not.
fn lacking(namespace: &PartialObjectMeta<Namespace>) -> Option<String> {
    let ours = selector();
    let there = namespace.annotations().get(ANNOTATION);
    let parts: Vec<&str> = there
        .into_iter()
        .flat_map(|there| there.split(','))
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .collect();
    let is_trust = |part: &&str| {
        part.split_once('=')
            .is_some_and(|(key, _)| key.trim() == LABEL_TRUST)
    };
    let (trust, mut kept): (Vec<&str>, Vec<&str>) = parts.into_iter().partition(is_trust);
    if trust == [ours.as_str()] {
        return None;
    }
    kept.push(&ours);
    Some(kept.join(","))
}

fn selector() -> String {
    format!("{LABEL_TRUST}={TRUST_OPERATOR}")
}

async fn bind(namespaces: &Api<Namespace>, name: &str, selector: &str) -> Result<(), kube::Error> {
    let document = json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": { "name": name, "annotations": { ANNOTATION: selector } },
    });
    // Not made by this: a namespace that is gone meanwhile stays gone.
    let params = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    match namespaces
        .patch_metadata(name, &params, &Patch::Merge(&document))
        .await
    {
        Ok(_) => {
            tracing::info!(
                namespace = name,
                "pods of this protected namespace run on trusted nodes alone"
            );
            Ok(())
        }
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn namespace(selector: Option<&str>) -> PartialObjectMeta<Namespace> {
        let annotations = selector.map(|text| json!({ ANNOTATION: text }));
        serde_json::from_value(json!({
            "metadata": { "name": "kube-system", "annotations": annotations },
        }))
        .unwrap()
    }

    #[test]
    fn ours_is_added_to_what_the_operator_chose_and_nothing_weaker_stays() {
        let ours = "node-restriction.kubernetes.io/k3s-daas-trust=operator";
        for (there, wanted) in [
            (None, Some(ours.to_owned())),
            (Some(""), Some(ours.to_owned())),
            (Some(ours), None),
            (Some("disk=ssd"), Some(format!("disk=ssd,{ours}"))),
            (
                Some("node-restriction.kubernetes.io/k3s-daas-trust=any,disk=ssd"),
                Some(format!("disk=ssd,{ours}")),
            ),
        ] {
            assert_eq!(lacking(&namespace(there)), wanted, "{there:?}");
        }
        let both = format!("disk=ssd, {ours}");
        assert_eq!(lacking(&namespace(Some(&both))), None);
    }

    #[test]
    fn tenants_namespaces_and_those_that_belong_on_every_machine_are_left_alone() {
        let settings = TrustSettings {
            protected: ProtectedNamespaces::new(["tools", "network"]).unwrap(),
            elsewhere: ["network".to_owned()].into(),
        };
        let trusted = Trusted::new(Arc::new(NamespaceWatch::new()), settings);
        for (name, protected) in [
            ("kube-system", true),
            ("default", true),
            ("k3s-daas-system", true),
            ("tools", true),
            ("network", false),
            ("seal-0123456789abcdef", false),
            ("free", false),
        ] {
            assert_eq!(trusted.is_bound(name), protected, "{name}");
        }
    }
}
