//! What an owner left behind, after its seal was slashed.

use std::time::Duration;

use seal::Tier;
use seal::access::DenyReason::BeyondTier;
use serde_json::json;

use super::{DEVELOPER, Tried};
use crate::attempt::Attempt;
use crate::stage::COMMONS;
use crate::stopper::{Stopper, denied};

ways! {
    "a slashed seal and the RoleBindings that name its owner", DEVELOPER => role_bindings;
    "a token of a service account that outlives its owner's seal", DEVELOPER => account_token;
    "a token Secret that outlives its owner's seal", DEVELOPER => token_secret;
    "a workload that makes itself anew after its owner's end", DEVELOPER => workload;
    "a weaker seal of the same owner in the stronger one's namespace", DEVELOPER => weaker_seal;
}

async fn role_bindings(t: &Attempt<'_>) -> Tried {
    let guest = t.stage.guest(Tier::Developer).await?;
    let binding = json!({
        "metadata": {"name": t.name()},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "admin"},
        "subjects": [{
            "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": guest.user(),
        }],
    });
    let path = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{COMMONS}/rolebindings");
    t.works(&t.stage.operator.post(&path, &binding).await?);
    let commons = format!("/api/v1/namespaces/{COMMONS}/secrets");
    let own = format!("/api/v1/namespaces/{}/secrets", guest.home);
    for path in [&commons, &own] {
        t.works_soon(&guest.client, path).await?;
    }
    t.stage.slash(&guest).await?;
    for path in [&commons, &own] {
        let answer = guest.client.get(path).await?;
        let stopper = Stopper::of(&answer);
        let ended = matches!(stopper, Stopper::Authentication | Stopper::Ended("slashed"));
        t.proof(ended, "its requests are refused");
        // Which of the two depends on how long ago the token was last looked at.
        t.stopped_by(Stopper::Ended("slashed"));
    }
    let undo = format!("{path}/{}", t.name());
    t.works(&t.stage.operator.delete(&undo).await?);
    Ok(())
}

async fn until_ended(t: &Attempt<'_>, account: &crate::client::Client, path: &str) -> Tried {
    for _ in 0..200 {
        let answer = account.get(path).await?;
        if !answer.ok() {
            t.stopped(&answer, &Stopper::Ended("account_owner_ended"));
            t.proof(true, "its requests are refused");
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    t.proof(false, "its requests are refused");
    Ok(())
}

async fn account_token(t: &Attempt<'_>) -> Tried {
    let guest = t.stage.guest(Tier::Developer).await?;
    let year = json!({"expirationSeconds": 31_536_000});
    let account = t.bound_account(&guest.client, &guest.home, year).await?;
    let own = format!("/api/v1/namespaces/{}/secrets", guest.home);
    t.works(&account.get(&own).await?);
    t.stage.slash(&guest).await?;
    until_ended(t, &account, &own).await?;
    // What every authenticated user may do in a stock cluster ends too.
    t.refused(&account, "/version").await.map(drop)
}

async fn token_secret(t: &Attempt<'_>) -> Tried {
    let guest = t.stage.guest(Tier::Developer).await?;
    let secrets = format!("/api/v1/namespaces/{}/secrets", guest.home);
    let secret = json!({
        "metadata": {
            "name": t.name(),
            "annotations": {"kubernetes.io/service-account.name": "default"},
        },
        "type": "kubernetes.io/service-account-token",
    });
    t.works(&guest.client.post(&secrets, &secret).await?);
    let one = format!("{secrets}/{}", t.name());
    t.stage
        .until(&one, |found| found.pointer("/data/token").is_some())
        .await?;
    let found = guest.client.get(&one).await?;
    let encoded = found.text_at("/data/token")?;
    let token = {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.decode(encoded)?
    };
    let account = t.stage.anonymous.bearer(std::str::from_utf8(&token)?);
    t.works(&account.get("/version").await?);
    t.stage.slash(&guest).await?;
    until_ended(t, &account, "/version").await
}

/// RoleBindings name the owner, not the seal.
async fn weaker_seal(t: &Attempt<'_>) -> Tried {
    let guest = t.stage.guest(Tier::Developer).await?;
    let weaker = t.stage.second_seal(&guest, Tier::Viewer).await?;
    let path = format!("/api/v1/namespaces/{}/secrets", guest.home);
    let secret = json!({"metadata": {"name": t.name()}});
    t.stopped(&weaker.post(&path, &secret).await?, &denied(BeyondTier));
    t.stopped(&weaker.get(&path).await?, &denied(BeyondTier));
    let pods = format!("/api/v1/namespaces/{}/pods", guest.home);
    t.works(&weaker.get(&pods).await?);
    t.absent(&format!("{path}/{}", t.name())).await
}

/// What runs stays for the grace; nothing new begins.
async fn workload(t: &Attempt<'_>) -> Tried {
    let guest = t.stage.guest(Tier::Developer).await?;
    let labels = json!({"way": t.name()});
    let deployment = json!({
        "metadata": {"name": t.name()},
        "spec": {"selector": {"matchLabels": labels}, "template": {
            "metadata": {"labels": labels},
            "spec": {
                "securityContext": {
                    "runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"},
                },
                "containers": [{"name": "c", "image": "x", "securityContext": {
                    "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]},
                }}],
            },
        }},
    });
    let home = guest.home.as_str();
    let deployments = format!("/apis/apps/v1/namespaces/{home}/deployments");
    t.works(&guest.client.post(&deployments, &deployment).await?);
    let pods = format!("/api/v1/namespaces/{home}/pods");
    t.stage
        .until(&pods, |found| found.pointer("/items/0").is_some())
        .await?;
    t.stage.slash(&guest).await?;
    let quota = format!("/api/v1/namespaces/{home}/resourcequotas/k3s-daas-quota");
    t.stage
        .until(&quota, |found| {
            found
                .pointer("/status/hard/pods")
                .is_some_and(|pods| pods == "0")
        })
        .await?;
    t.works(&t.stage.operator.delete(&pods).await?);
    let one = format!("{deployments}/{}", t.name());
    let refused = |found: &serde_json::Value| {
        let conditions = found.pointer("/status/conditions");
        conditions.is_some_and(|all| all.to_string().contains("exceeded quota: k3s-daas-quota"))
    };
    t.stage.until(&one, refused).await?;
    t.stopped_by(quota_of_pods());
    let left = t.stage.operator.get(&pods).await?;
    let none = left.field("/items").as_array().is_some_and(Vec::is_empty);
    t.proof(none, "no pod is made again");
    Ok(())
}

fn quota_of_pods() -> Stopper {
    crate::stopper::quota("k3s-daas-quota")
}
