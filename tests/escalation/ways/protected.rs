//! What protected namespaces hold.

use seal::access::DenyReason::{NotYours, ProtectedSecrets, ProtectedWrite};
use seal::access::Silence::Protected;
use serde_json::json;

use super::{BELOW_SUPER, SMALL, Tried};
use crate::attempt::Attempt;
use crate::stage::{NODE, TREASURE};
use crate::stopper::{denied, silent};

ways! {
    "reading Secrets of kube-system", BELOW_SUPER => read_system;
    "watching Secrets of kube-system", BELOW_SUPER => watch_system;
    "Secrets of all namespaces at once", BELOW_SUPER => all_secrets;
    "Secrets as tables or as metadata alone", BELOW_SUPER => other_forms;
    "reading somebody else's Secrets", SMALL => read_victim;
    "changing a Secret of kube-system", BELOW_SUPER => change_system;
    "deleting all Secrets of kube-system", BELOW_SUPER => delete_collection;
    "a bootstrap token", BELOW_SUPER => bootstrap_token;
    "the password of a node", BELOW_SUPER => node_password;
    "configuration of kube-system", SMALL => read_config;
    "changing configuration of kube-system", BELOW_SUPER => change_config;
    "a node's lease", BELOW_SUPER => node_lease;
    "Events in protected namespaces", BELOW_SUPER => events;
}

const SYSTEM: &str = "/api/v1/namespaces/kube-system";

async fn read_system(t: &Attempt<'_>) -> Tried {
    for path in ["secrets", "secrets/treasure", "secrets?limit=1"] {
        let answer = t
            .get(&format!("{SYSTEM}/{path}"), denied(ProtectedSecrets))
            .await?;
        t.proof(
            !answer.text.contains("bXVjaA"),
            "the answer holds no Secret",
        );
    }
    t.cannot(t.client(), "kube-system", &["get secrets", "list secrets"])
        .await
}

async fn watch_system(t: &Attempt<'_>) -> Tried {
    for path in [
        "/api/v1/namespaces/kube-system/secrets?watch=1",
        "/api/v1/namespaces/kube-system/secrets?watch=true&resourceVersion=0",
        "/api/v1/watch/namespaces/kube-system/secrets",
        "/api/v1/watch/namespaces/kube-system/secrets/treasure",
        "/api/v1/watch/secrets",
    ] {
        t.get(path, denied(ProtectedSecrets)).await?;
    }
    t.cannot(t.client(), "kube-system", &["watch secrets"])
        .await
}

async fn all_secrets(t: &Attempt<'_>) -> Tried {
    for query in [
        "",
        "?watch=1",
        "?fieldSelector=metadata.namespace%3Dkube-system",
        "?fieldSelector=metadata.name%3Dtreasure",
        "?labelSelector=none",
        "?limit=1&continue=x",
    ] {
        t.get(&format!("/api/v1/secrets{query}"), denied(ProtectedSecrets))
            .await?;
    }
    t.cannot(t.client(), "", &["list secrets", "watch secrets"])
        .await
}

async fn other_forms(t: &Attempt<'_>) -> Tried {
    for accept in [
        "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
        "application/json;as=Table;g=meta.k8s.io;v=v1",
        "application/vnd.kubernetes.protobuf",
        "application/yaml",
    ] {
        let client = t.client().header("Accept", accept);
        let answer = client.get(&format!("{SYSTEM}/secrets")).await?;
        t.stopped(&answer, &denied(ProtectedSecrets));
        t.proof(
            !answer.text.contains(TREASURE),
            "the answer names no Secret",
        );
    }
    Ok(())
}

async fn read_victim(t: &Attempt<'_>) -> Tried {
    let path = format!("/api/v1/namespaces/{}/secrets", t.stage.victim.home);
    for path in [
        path.clone(),
        format!("{path}/{TREASURE}"),
        format!("{path}?watch=1"),
    ] {
        let answer = t.get(&path, denied(NotYours)).await?;
        t.proof(
            !answer.text.contains("c29tZQ"),
            "the answer holds no Secret",
        );
    }
    let namespace = t.stage.victim.home.as_str();
    t.cannot(
        t.client(),
        namespace,
        &["get secrets", "get configmaps", "list pods"],
    )
    .await
}

async fn change_system(t: &Attempt<'_>) -> Tried {
    let patch = json!({"data": {"gold": "bm9uZQ=="}});
    t.change(
        &format!("{SYSTEM}/secrets/{TREASURE}"),
        patch,
        denied(ProtectedSecrets),
    )
    .await
}

async fn delete_collection(t: &Attempt<'_>) -> Tried {
    t.delete(&format!("{SYSTEM}/secrets"), denied(ProtectedSecrets))
        .await?;
    t.delete(&format!("{SYSTEM}/configmaps"), denied(ProtectedWrite))
        .await?;
    t.present(&format!("{SYSTEM}/secrets/{TREASURE}")).await
}

async fn bootstrap_token(t: &Attempt<'_>) -> Tried {
    let secret = json!({
        "metadata": {"name": "bootstrap-token-abcdef"},
        "type": "bootstrap.kubernetes.io/token",
        "stringData": {
            "token-id": "abcdef", "token-secret": "0123456789abcdef",
            "usage-bootstrap-authentication": "true",
            "auth-extra-groups": "system:bootstrappers:k3s:default-node-token",
        },
    });
    let path = format!("{SYSTEM}/secrets");
    t.create(&path, secret, denied(ProtectedSecrets)).await?;
    let joined = t.stage.anonymous.bearer("abcdef.0123456789abcdef");
    t.treasure_is_safe(&joined).await
}

async fn node_password(t: &Attempt<'_>) -> Tried {
    let name = format!("{NODE}.node-password.k3s");
    let one = format!("{SYSTEM}/secrets/{name}");
    t.get(&one, denied(ProtectedSecrets)).await?;
    t.delete(&one, denied(ProtectedSecrets)).await?;
    let secret = json!({"metadata": {"name": name}, "stringData": {"hash": "$1:x:15:8:1:x"}});
    t.create(
        &format!("{SYSTEM}/secrets"),
        secret,
        denied(ProtectedSecrets),
    )
    .await
}

async fn read_config(t: &Attempt<'_>) -> Tried {
    let answer = t
        .get(
            &format!("{SYSTEM}/configmaps/{TREASURE}"),
            silent(Protected),
        )
        .await?;
    t.proof(!answer.text.contains("little"), "the answer holds no data");
    t.cannot(t.client(), "kube-system", &["get configmaps", "list pods"])
        .await
}

async fn change_config(t: &Attempt<'_>) -> Tried {
    let one = format!("{SYSTEM}/configmaps/{TREASURE}");
    t.change(
        &one,
        json!({"data": {"gold": "none"}}),
        denied(ProtectedWrite),
    )
    .await?;
    t.remove(&one, denied(ProtectedWrite)).await
}

async fn node_lease(t: &Attempt<'_>) -> Tried {
    let path = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";
    let lease = json!({"metadata": {"name": NODE}, "spec": {"holderIdentity": "me"}});
    t.create(path, lease, denied(ProtectedWrite)).await
}

async fn events(t: &Attempt<'_>) -> Tried {
    for namespace in ["default", "kube-system"] {
        let path = format!("/api/v1/namespaces/{namespace}/events");
        let event = json!({
            "involvedObject": {"kind": "Node", "name": NODE},
            "reason": "Trusted", "message": "x", "type": "Normal",
        });
        t.create(&path, event, denied(ProtectedWrite)).await?;
    }
    Ok(())
}
