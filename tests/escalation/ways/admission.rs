//! Objects of the cluster that see or change everybody's requests.

use seal::access::DenyReason::{
    Admission, ApiServices, BeyondTier, Certificates, DeviceClasses, NotYours,
};
use seal::access::Silence::NotGranted;
use serde_json::{Value, json};

use super::{BELOW_SUPER, SMALL, Tried};
use crate::attempt::Attempt;
use crate::stopper::{denied, silent};

ways! {
    "a webhook that sees everybody's Secrets", BELOW_SUPER => webhooks;
    "an admission policy that changes everybody's pods", BELOW_SUPER => policies;
    "deleting admission policies and webhooks", BELOW_SUPER => delete_policies;
    "an aggregated API server of one's own", BELOW_SUPER => api_service;
    "taking over an API that exists", BELOW_SUPER => edit_api_service;
    "a CRD of one's own", SMALL => crd;
    "changing or deleting a CRD", BELOW_SUPER => edit_crd;
    "a certificate request for system:masters", BELOW_SUPER => certificate_request;
    "approving and signing certificates", BELOW_SUPER => approve;
    "a pod's certificate request, and its status", BELOW_SUPER => pod_certificate;
    "a bundle of trusted authorities", BELOW_SUPER => trust_bundle;
    "priority at the API server", BELOW_SUPER => flow_control;
    "device classes and slices", BELOW_SUPER => devices;
    "storage versions and migrations", BELOW_SUPER => storage;
}

fn everywhere() -> Value {
    json!([{
        "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"],
        "operations": ["CREATE", "UPDATE"],
    }])
}

const ADMISSION: &str = "/apis/admissionregistration.k8s.io/v1";

async fn webhooks(t: &Attempt<'_>) -> Tried {
    let webhook = json!({"webhooks": [{
        "name": "way.example.com",
        "clientConfig": {"url": "https://example.com/"},
        "rules": everywhere(),
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "failurePolicy": "Ignore",
    }]});
    for kind in [
        "mutatingwebhookconfigurations",
        "validatingwebhookconfigurations",
    ] {
        let path = format!("{ADMISSION}/{kind}");
        t.create(&path, webhook.clone(), denied(Admission)).await?;
    }
    Ok(())
}

async fn policies(t: &Attempt<'_>) -> Tried {
    let policy = json!({"spec": {
        "matchConstraints": {"resourceRules": everywhere()},
        "validations": [{"expression": "false"}],
        "failurePolicy": "Fail",
    }});
    let binding = json!({"spec": {"policyName": "way", "validationActions": ["Deny"]}});
    for (kind, object) in [
        ("validatingadmissionpolicies", &policy),
        ("validatingadmissionpolicybindings", &binding),
        ("mutatingadmissionpolicies", &policy),
        ("mutatingadmissionpolicybindings", &binding),
    ] {
        let path = format!("{ADMISSION}/{kind}");
        t.create(&path, object.clone(), denied(Admission)).await?;
    }
    Ok(())
}

async fn delete_policies(t: &Attempt<'_>) -> Tried {
    for kind in [
        "validatingadmissionpolicies",
        "validatingadmissionpolicybindings",
        "mutatingadmissionpolicies",
        "mutatingadmissionpolicybindings",
        "mutatingwebhookconfigurations",
        "validatingwebhookconfigurations",
    ] {
        let path = format!("{ADMISSION}/{kind}");
        let before = t.stage.operator.get(&path).await?;
        t.delete(&path, denied(Admission)).await?;
        let after = t.stage.operator.get(&path).await?;
        let count = |list: &crate::client::Answer| list.field("/items").as_array().map(Vec::len);
        t.proof(count(&before) == count(&after), "all are still there");
    }
    Ok(())
}

async fn api_service(t: &Attempt<'_>) -> Tried {
    let service = json!({
        "metadata": {"name": "v1.way.example.com"},
        "spec": {
            "group": "way.example.com", "version": "v1",
            "groupPriorityMinimum": 20000, "versionPriority": 100,
            "insecureSkipTLSVerify": true,
            "service": {"name": "x", "namespace": t.home()},
        },
    });
    let path = "/apis/apiregistration.k8s.io/v1/apiservices";
    t.create(path, service, denied(ApiServices)).await
}

async fn edit_api_service(t: &Attempt<'_>) -> Tried {
    let path = "/apis/apiregistration.k8s.io/v1/apiservices/v1.apps";
    let patch = json!({"spec": {
        "insecureSkipTLSVerify": true, "service": {"name": "x", "namespace": t.home()},
    }});
    t.change(path, patch, denied(ApiServices)).await
}

pub(super) const CRDS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

/// A CRD of this kind in a group.
pub(super) fn definition(group: &str, plural: &str, spec: Value) -> Value {
    let mut crd = json!({
        "metadata": {"name": format!("{plural}.{group}")},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": plural, "kind": "Way"},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object"}},
            }],
        },
    });
    if let (Some(all), Value::Object(spec)) = (crd["spec"].as_object_mut(), spec) {
        all.extend(spec);
    }
    crd
}

async fn crd(t: &Attempt<'_>) -> Tried {
    let crd = definition("way.example.com", "ways", json!({}));
    t.create(CRDS, crd, silent(NotGranted)).await
}

async fn edit_crd(t: &Attempt<'_>) -> Tried {
    let crd = definition(&format!("{}.example.org", t.name()), "ways", json!({}));
    t.works(&t.stage.operator.post(CRDS, &crd).await?);
    let one = format!("{CRDS}/ways.{}.example.org", t.name());
    let patch = json!({"spec": {"scope": "Cluster"}});
    t.change(&one, patch, silent(NotGranted)).await?;
    t.remove(&one, silent(NotGranted)).await?;
    t.works(&t.stage.operator.delete(&one).await?);
    Ok(())
}

const CERTIFICATES: &str = "/apis/certificates.k8s.io/v1";

async fn certificate_request(t: &Attempt<'_>) -> Tried {
    for signer in [
        "kubernetes.io/kube-apiserver-client",
        "kubernetes.io/kube-apiserver-client-kubelet",
        "kubernetes.io/kubelet-serving",
        "kubernetes.io/legacy-unknown",
    ] {
        let request = json!({"spec": {
            "request": "eA==", "signerName": signer, "usages": ["client auth"],
        }});
        let path = format!("{CERTIFICATES}/certificatesigningrequests");
        t.create(&path, request, silent(NotGranted)).await?;
    }
    Ok(())
}

async fn approve(t: &Attempt<'_>) -> Tried {
    let one = format!("{CERTIFICATES}/certificatesigningrequests/any");
    let approval = json!({"status": {"conditions": [{
        "type": "Approved", "status": "True", "reason": "x",
    }]}});
    t.put(
        &format!("{one}/approval"),
        approval.clone(),
        denied(Certificates),
    )
    .await?;
    t.patch(
        &format!("{one}/approval"),
        approval.clone(),
        denied(Certificates),
    )
    .await?;
    t.patch(&format!("{one}/status"), approval, denied(Certificates))
        .await?;
    let what = [
        "create certificatesigningrequests.certificates.k8s.io/nodeclient",
        "create certificatesigningrequests.certificates.k8s.io/selfnodeclient",
        "approve signers.certificates.k8s.io",
        "sign signers.certificates.k8s.io",
        "attest signers.certificates.k8s.io",
        "update certificatesigningrequests.certificates.k8s.io/approval",
    ];
    t.cannot(t.client(), "", &what).await
}

async fn pod_certificate(t: &Attempt<'_>) -> Tried {
    let path = format!(
        "/apis/certificates.k8s.io/v1beta1/namespaces/{}/podcertificaterequests",
        t.home()
    );
    let request = json!({"spec": {"signerName": "x.io/x", "podName": "x", "nodeName": "x"}});
    t.post(&path, request, t.at_home(denied(BeyondTier)))
        .await?;
    let status = json!({"status": {"certificateChain": "x"}});
    t.patch(&format!("{path}/any/status"), status, denied(Certificates))
        .await?;
    let what = ["create podcertificaterequests.certificates.k8s.io"];
    t.cannot(t.client(), t.home(), &what).await
}

async fn trust_bundle(t: &Attempt<'_>) -> Tried {
    let path = "/apis/certificates.k8s.io/v1beta1/clustertrustbundles";
    let bundle = json!({"spec": {"trustBundle": "x"}});
    t.create(path, bundle, silent(NotGranted)).await
}

async fn flow_control(t: &Attempt<'_>) -> Tried {
    let path = "/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas";
    let schema = json!({"spec": {
        "priorityLevelConfiguration": {"name": "exempt"}, "matchingPrecedence": 1,
        "rules": [{"subjects": [{"kind": "User", "user": {"name": t.me().user()}}]}],
    }});
    t.create(path, schema, silent(NotGranted)).await?;
    let levels = "/apis/flowcontrol.apiserver.k8s.io/v1/prioritylevelconfigurations";
    let patch = json!({"spec": {"limited": {"nominalConcurrencyShares": 0}}});
    t.change(&format!("{levels}/system"), patch, silent(NotGranted))
        .await
}

async fn devices(t: &Attempt<'_>) -> Tried {
    let path = "/apis/resource.k8s.io/v1/deviceclasses";
    t.create(path, json!({"spec": {}}), denied(DeviceClasses))
        .await?;
    let path = "/apis/resource.k8s.io/v1/resourceslices";
    let slice = json!({"spec": {"driver": "x", "pool": {"name": "x"}, "allNodes": true}});
    t.create(path, slice, silent(NotGranted)).await
}

async fn storage(t: &Attempt<'_>) -> Tried {
    for (path, namespaced) in [
        (
            "/apis/internal.apiserver.k8s.io/v1alpha1/storageversions",
            false,
        ),
        (
            "/apis/storagemigration.k8s.io/v1beta1/storageversionmigrations",
            false,
        ),
        ("/api/v1/componentstatuses", false),
        ("/api/v1/podtemplates", true),
    ] {
        let answer = t.client().get(path).await?;
        // Templates are namespaced: they are reached in one namespace or in none.
        let expected = if namespaced && answer.text.contains("every namespace") {
            silent(seal::access::Silence::NotEverywhere)
        } else {
            silent(NotGranted)
        };
        t.stopped(&answer, &expected);
    }
    let victim = t.stage.victim.home.as_str();
    let path = format!("/api/v1/namespaces/{victim}/podtemplates");
    let expected = t.by_tier(denied(NotYours), denied(BeyondTier));
    t.get(&path, expected).await?;
    t.cannot(
        t.client(),
        "",
        &["list storageversions.internal.apiserver.k8s.io"],
    )
    .await
}
