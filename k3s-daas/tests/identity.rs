//! The server's identity at a real API server: who it is, what it may do, and what it may not.
//!
//! Ignored, since it needs a control plane: `$K3S_BIN` or `$K3S_DAAS_CONTROL_PLANE` (what
//! `tests/control-plane/build.sh` prints), and run with `--include-ignored`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use std::time::Duration;

use k3s_configs::launch::{Search, StartOptions, find_control_plane, start};
use k3s_daas::server::kube_client::acting;
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use k8s_openapi::api::rbac::v1::ClusterRoleBinding;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use kube::core::Status;
use node_admission::sealed_node::SealedNode;

const SEALED_NODES: &str = "sealednodes.k3s-daas.io";
const CRDS: (&str, &str) = ("apiextensions.k8s.io", "customresourcedefinitions");
const WEBHOOKS: (&str, &str) = (
    "admissionregistration.k8s.io",
    "validatingwebhookconfigurations",
);

async fn may(client: &kube::Client, verb: &str, group: &str, resource: &str, name: &str) -> bool {
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(ResourceAttributes {
                verb: Some(verb.to_owned()),
                group: Some(group.to_owned()),
                resource: Some(resource.to_owned()),
                name: Some(name.to_owned()).filter(|name| !name.is_empty()),
                ..ResourceAttributes::default()
            }),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    };
    let reviews: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let answer = reviews.create(&PostParams::default(), &review).await;
    answer.unwrap().status.unwrap().allowed
}

#[tokio::test]
#[ignore = "needs a control plane"]
async fn the_server_acts_as_its_service_account_with_bounded_rights() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let binary = find_control_plane(&Search::from_environment()).unwrap();
    let options = StartOptions {
        durable: false,
        ..StartOptions::new(folder.path().join("cp"))
    };
    let work = async {
        let control_plane = start(&binary, options).await.unwrap();
        let client = acting(&control_plane.admin_kubeconfig).await.unwrap();
        // Again, on what is there already.
        acting(&control_plane.admin_kubeconfig).await.unwrap();

        let me: Api<SelfSubjectReview> = Api::all(client.clone());
        let me = me
            .create(&PostParams::default(), &SelfSubjectReview::default())
            .await;
        let user = me.unwrap().status.unwrap().user_info.unwrap().username;
        assert_eq!(user.as_deref(), Some(seal::identity::SERVER_USER));

        let namespaces: Api<Namespace> = Api::all(client.clone());
        let found = namespaces.list(&ListParams::default()).await.unwrap();
        let names: Vec<_> = found
            .items
            .iter()
            .map(|one| one.metadata.name.clone().unwrap())
            .collect();
        assert!(names.contains(&"k3s-daas-system".to_owned()));
        let rbac = "rbac.authorization.k8s.io";
        assert!(may(&client, "bind", rbac, "clusterroles", "admin").await);
        for (verb, group, resource, name) in [
            ("bind", rbac, "clusterroles", "cluster-admin"),
            ("escalate", rbac, "clusterroles", "admin"),
            ("create", rbac, "clusterrolebindings", ""),
            ("get", "", "secrets", ""),
            ("create", "", "pods", ""),
            ("impersonate", "", "users", "system:admin"),
            ("create", "", "serviceaccounts", ""),
            ("get", "", "nodes/proxy", ""),
            ("create", CRDS.0, CRDS.1, "others.example.com"),
            ("delete", CRDS.0, CRDS.1, SEALED_NODES),
            ("patch", WEBHOOKS.0, WEBHOOKS.1, "others"),
            ("patch", WEBHOOKS.0, "mutatingwebhookconfigurations", ""),
        ] {
            assert!(
                !may(&client, verb, group, resource, name).await,
                "{verb} {resource} {name}"
            );
        }
        for (verb, group, resource, name) in [
            ("create", "", "nodes", "worker-001"),
            ("create", "", "pods/eviction", ""),
            ("patch", "k3s-daas.io", "sealednodes/status", "worker-001"),
        ] {
            assert!(
                may(&client, verb, group, resource, name).await,
                "{verb} {resource} {name}"
            );
        }
        makes_its_own_kind_and_webhook(&client).await;
        let secrets: Api<Secret> = Api::all(client.clone());
        let refused = secrets.list(&ListParams::default()).await.unwrap_err();
        assert!(
            matches!(&refused, kube::Error::Api(status) if is_forbidden(status)),
            "{refused}"
        );
        let bindings: Api<ClusterRoleBinding> = Api::all(client);
        bindings.list(&ListParams::default()).await.unwrap();
        control_plane.stop().await;
    };
    let in_time = tokio::time::timeout(Duration::from_mins(4), work).await;
    in_time.unwrap();
}

/// Rights that are bound to a name hold for a server-side apply that makes the object too.
async fn makes_its_own_kind_and_webhook(client: &kube::Client) {
    let apply = PatchParams::apply("k3s-daas");
    let kinds: Api<CustomResourceDefinition> = Api::all(client.clone());
    let kind = SealedNode::crd();
    kinds
        .patch(SEALED_NODES, &apply, &Patch::Apply(&kind))
        .await
        .unwrap();
    let webhooks: Api<ValidatingWebhookConfiguration> = Api::all(client.clone());
    let document = |name: &str| {
        serde_json::json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingWebhookConfiguration",
            "metadata": { "name": name },
        })
    };
    let made = webhooks
        .patch(
            "k3s-daas-nodes",
            &apply,
            &Patch::Apply(document("k3s-daas-nodes")),
        )
        .await;
    made.unwrap();
    let refused = webhooks
        .patch("others", &apply, &Patch::Apply(document("others")))
        .await
        .unwrap_err();
    assert!(
        matches!(&refused, kube::Error::Api(status) if is_forbidden(status)),
        "{refused}"
    );
}

fn is_forbidden(status: &Status) -> bool {
    status.code == 403
}
