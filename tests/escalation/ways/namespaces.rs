//! Namespace objects, their marks, and quotas.

use seal::access::DenyReason::{BeyondTier, NotYours, ProtectedWrite};
use seal::access::Silence::NotGranted;
use serde_json::json;

use super::{ADMIN, BELOW_SUPER, DEVELOPER, SMALL, Tried, WORKERS};
use crate::attempt::Attempt;
use crate::stopper::{Stopper, denied, quota, silent};

ways! {
    "a namespace of one's own making", SMALL => make;
    "one's own namespace without Pod Security", SMALL => own_security;
    "finalizing a namespace", BELOW_SUPER => finalize;
    "deleting kube-system, default, the extension's namespace", BELOW_SUPER => delete_protected;
    "other labels on kube-system", BELOW_SUPER => label_protected;
    "deleting somebody else's namespace", SMALL => delete_victim;
    "deleting all namespaces at once", BELOW_SUPER => delete_all;
    "one's own quota raised, or deleted", SMALL => own_quota;
    "another, larger quota", DEVELOPER => second_quota;
    "more than the quota gives", WORKERS => over_quota;
    "a quota in kube-system that stops its pods", BELOW_SUPER => quota_in_kube_system;
    "a priority class of one's own", SMALL => priority_class;
    "a priority class above the system's", ADMIN => high_priority_class;
}

fn namespace(name: &str) -> String {
    format!("/api/v1/namespaces/{name}")
}

async fn make(t: &Attempt<'_>) -> Tried {
    t.create("/api/v1/namespaces", json!({}), silent(NotGranted))
        .await
}

async fn own_security(t: &Attempt<'_>) -> Tried {
    let patch =
        json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "privileged"}}});
    let path = namespace(t.home());
    let expected = t.at_home(denied(BeyondTier));
    if t.tier == seal::Tier::Viewer {
        t.patch(&path, patch, expected).await?;
        return t.absent(&path).await;
    }
    t.change(&path, patch, expected).await
}

async fn finalize(t: &Attempt<'_>) -> Tried {
    let name = t.stage.victim.home.as_str();
    let path = format!("{}/finalize", namespace(name));
    let body = json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": name}, "spec": {"finalizers": []},
    });
    let expected = t.by_tier(denied(NotYours), denied(BeyondTier));
    t.put(&path, body, expected).await?;
    t.present(&namespace(name)).await
}

async fn delete_protected(t: &Attempt<'_>) -> Tried {
    for name in ["kube-system", "default", seal::access::EXTENSION_NAMESPACE] {
        t.delete(&namespace(name), denied(ProtectedWrite)).await?;
    }
    t.present(&namespace("kube-system")).await?;
    t.present(&namespace("default")).await
}

async fn label_protected(t: &Attempt<'_>) -> Tried {
    let patch =
        json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "privileged"}}});
    t.change(&namespace("kube-system"), patch, denied(ProtectedWrite))
        .await
}

async fn delete_victim(t: &Attempt<'_>) -> Tried {
    t.remove(&namespace(&t.stage.victim.home), denied(NotYours))
        .await
}

async fn delete_all(t: &Attempt<'_>) -> Tried {
    let answer = t.client().delete("/api/v1/namespaces").await?;
    // Kubernetes has no such method, and we would not grant it.
    let stopper = Stopper::of(&answer);
    let expected = match stopper {
        Stopper::Method => Stopper::Method,
        _ => silent(NotGranted),
    };
    t.stopped(&answer, &expected);
    t.present(&namespace(&t.stage.victim.home)).await
}

async fn own_quota(t: &Attempt<'_>) -> Tried {
    let path = format!("{}/resourcequotas/k3s-daas-quota", namespace(t.home()));
    let expected = t.at_home(denied(BeyondTier));
    let patch = json!({"spec": {"hard": {"pods": "9999"}}});
    if t.tier == seal::Tier::Viewer {
        t.patch(&path, patch, expected.clone()).await?;
        t.delete(&path, expected).await?;
        return t
            .cannot(t.client(), t.home(), &["patch resourcequotas"])
            .await;
    }
    t.change(&path, patch, expected.clone()).await?;
    t.remove(&path, expected).await
}

async fn second_quota(t: &Attempt<'_>) -> Tried {
    let quotas = format!("{}/resourcequotas", namespace(t.home()));
    let more = json!({"spec": {"hard": {"pods": "9999"}}});
    t.create(&quotas, more, denied(BeyondTier)).await?;
    let limits = format!("{}/limitranges", namespace(t.home()));
    let less = json!({"spec": {"limits": [{"type": "Container", "max": {"cpu": "99"}}]}});
    t.create(&limits, less, denied(BeyondTier)).await
}

async fn over_quota(t: &Attempt<'_>) -> Tried {
    let pods = format!("{}/pods", namespace(t.home()));
    let pod = json!({"spec": {
        "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{
            "name": "c", "image": "x",
            "securityContext": {
                "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]},
            },
            "resources": {"requests": {"cpu": "999"}, "limits": {"cpu": "999"}},
        }],
    }});
    t.create(&pods, pod, quota("k3s-daas-quota")).await?;
    let claims = format!("{}/persistentvolumeclaims", namespace(t.home()));
    let claim = json!({"spec": {
        "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "9Pi"}},
    }});
    t.create(&claims, claim, quota("k3s-daas-quota")).await
}

async fn quota_in_kube_system(t: &Attempt<'_>) -> Tried {
    let quotas = format!("{}/resourcequotas", namespace("kube-system"));
    let none = json!({"spec": {"hard": {"pods": "0"}}});
    t.create(&quotas, none, denied(ProtectedWrite)).await
}

async fn priority_class(t: &Attempt<'_>) -> Tried {
    let path = "/apis/scheduling.k8s.io/v1/priorityclasses";
    let class = json!({"value": 999_999_999});
    t.create(path, class, silent(NotGranted)).await
}

async fn high_priority_class(t: &Attempt<'_>) -> Tried {
    let path = "/apis/scheduling.k8s.io/v1/priorityclasses";
    let class = json!({"value": 2_000_000_000});
    t.create(path, class, Stopper::Validation).await
}
