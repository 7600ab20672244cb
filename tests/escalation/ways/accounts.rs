//! Service accounts and their tokens.

use seal::access::DenyReason::{NotYours, ProtectedSecrets, ProtectedToken, ProtectedWrite};
use serde_json::json;

use super::{ADMIN, BELOW_SUPER, SMALL, Tried, WORKERS};
use crate::attempt::Attempt;
use crate::stage::COMMONS;
use crate::stopper::{Stopper, denied};

ways! {
    "a token for a service account of kube-system", BELOW_SUPER => mint_system;
    "a token for the extension's own service account", BELOW_SUPER => mint_server;
    "a token for a service account of default", BELOW_SUPER => mint_default;
    "a token for somebody else's service account", SMALL => mint_victim;
    "a Secret that Kubernetes fills with a token of kube-system", BELOW_SUPER => token_secret;
    "a Secret at home that names an account of kube-system", WORKERS => foreign_token_secret;
    "one's own service account, elsewhere", WORKERS => account_elsewhere;
    "one's own service account, cluster-wide", WORKERS => account_cluster_wide;
    "one's own service account bound to admin, impersonating others", WORKERS => account_impersonates;
    "one's own service account and the objects that its owner may not make", WORKERS => account_forbidden;
    "a token for another audience, at the API", WORKERS => other_audience;
    "a token bound to a node, as if it were the node's", WORKERS => bound_to_node;
    "a service account where nobody owns the namespace", ADMIN => account_in_commons;
    "a forged token without signature", BELOW_SUPER => forged;
}

async fn mint(t: &Attempt<'_>, namespace: &str, account: &str, expected: Stopper) -> Tried {
    let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token");
    let answer = t.post(&path, json!({"spec": {}}), expected).await?;
    t.proof(
        answer.field("/status/token").is_null(),
        "the answer holds no token",
    );
    Ok(())
}

async fn mint_system(t: &Attempt<'_>) -> Tried {
    mint(t, "kube-system", "the-operator", denied(ProtectedToken)).await?;
    mint(
        t,
        "kube-system",
        "generic-garbage-collector",
        denied(ProtectedToken),
    )
    .await
}

async fn mint_server(t: &Attempt<'_>) -> Tried {
    let namespace = seal::access::EXTENSION_NAMESPACE;
    let account = seal::identity::SERVER_ACCOUNT;
    mint(t, namespace, account, denied(ProtectedToken)).await
}

async fn mint_default(t: &Attempt<'_>) -> Tried {
    mint(t, "default", "default", denied(ProtectedToken)).await
}

async fn mint_victim(t: &Attempt<'_>) -> Tried {
    mint(t, &t.stage.victim.home, "default", denied(NotYours)).await
}

async fn token_secret(t: &Attempt<'_>) -> Tried {
    let secret = json!({
        "metadata": {"annotations": {"kubernetes.io/service-account.name": "the-operator"}},
        "type": "kubernetes.io/service-account-token",
    });
    let path = "/api/v1/namespaces/kube-system/secrets";
    t.create(path, secret, denied(ProtectedSecrets)).await
}

/// Accepted, and deleted again: there is no such account in this namespace.
async fn foreign_token_secret(t: &Attempt<'_>) -> Tried {
    let path = format!("/api/v1/namespaces/{}/secrets", t.home());
    let secret = json!({
        "metadata": {
            "name": t.name(),
            "annotations": {"kubernetes.io/service-account.name": "the-operator"},
        },
        "type": "kubernetes.io/service-account-token",
    });
    t.works(&t.client().post(&path, &secret).await?);
    t.stopped_by(Stopper::Powerless);
    let one = format!("{path}/{}", t.name());
    for _ in 0..100 {
        let found = t.client().get(&one).await?;
        if !found.field("/data/token").is_null() || found.status == 404 {
            t.proof(found.status == 404, "it is deleted again, without a token");
            return Ok(());
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    t.proof(true, "it never gets a token");
    Ok(())
}

async fn bound_to_admin(t: &Attempt<'_>) -> anyhow::Result<crate::client::Client> {
    t.bound_account(t.client(), t.home(), json!({})).await
}

async fn account_elsewhere(t: &Attempt<'_>) -> Tried {
    let account = bound_to_admin(t).await?;
    let own = format!("/api/v1/namespaces/{}/configmaps", t.home());
    t.works(&account.get(&own).await?);
    for namespace in ["kube-system", "default", COMMONS, &t.stage.victim.home] {
        let path = format!("/api/v1/namespaces/{namespace}/configmaps");
        t.stopped(&account.get(&path).await?, &Stopper::Rbac);
    }
    t.treasure_is_safe(&account).await
}

async fn account_cluster_wide(t: &Attempt<'_>) -> Tried {
    let account = bound_to_admin(t).await?;
    for path in ["/api/v1/nodes", "/api/v1/namespaces", "/api/v1/secrets"] {
        t.stopped(&account.get(path).await?, &Stopper::Rbac);
    }
    t.cannot(&account, "", &["list secrets", "create nodes"])
        .await
}

/// The ClusterRole `admin` may impersonate service accounts, of its own namespace alone.
async fn account_impersonates(t: &Attempt<'_>) -> Tried {
    let account = bound_to_admin(t).await?;
    for (user, group) in [
        ("system:serviceaccount:kube-system:the-operator", None),
        (seal::identity::SERVER_USER, None),
        ("system:admin", Some("system:masters")),
    ] {
        let mut as_user = account.header("Impersonate-User", user);
        if let Some(group) = group {
            as_user = as_user.header("Impersonate-Group", group);
        }
        t.stopped(&as_user.get("/api/v1/nodes").await?, &Stopper::Rbac);
        t.treasure_is_safe(&as_user).await?;
    }
    // Of its own namespace it may, and gains a group by that which nobody is bound to there.
    let neighbour = format!("system:serviceaccount:{}:default", t.home());
    let with_group = account
        .header("Impersonate-User", &neighbour)
        .header("Impersonate-Group", "system:masters");
    t.stopped(&with_group.get("/api/v1/nodes").await?, &Stopper::Rbac);
    Ok(())
}

/// RBAC's ClusterRole `admin` could in the future hold more than we grant its owner.
async fn account_forbidden(t: &Attempt<'_>) -> Tried {
    let account = bound_to_admin(t).await?;
    let home = t.home();
    for (path, object) in [
        (
            format!("/apis/helm.cattle.io/v1/namespaces/{home}/helmcharts"),
            json!({"apiVersion": "helm.cattle.io/v1", "kind": "HelmChart"}),
        ),
        (
            format!("/apis/discovery.k8s.io/v1/namespaces/{home}/endpointslices"),
            json!({"addressType": "IPv4", "endpoints": []}),
        ),
        (
            format!("/api/v1/namespaces/{home}/resourcequotas"),
            json!({"spec": {"hard": {"pods": "9999"}}}),
        ),
    ] {
        let object = crate::attempt::with_name(object, &t.name());
        t.stopped(&account.post(&path, &object).await?, &Stopper::Rbac);
        t.absent(&format!("{path}/{}", t.name())).await?;
    }
    Ok(())
}

async fn other_audience(t: &Attempt<'_>) -> Tried {
    let spec = json!({"audiences": ["vault"]});
    let account = t.account(t.client(), t.home(), &t.name(), spec).await?;
    t.stopped(
        &account.get("/api/v1/nodes").await?,
        &Stopper::Authentication,
    );
    t.treasure_is_safe(&account).await
}

async fn bound_to_node(t: &Attempt<'_>) -> Tried {
    let spec = json!({"boundObjectRef": {
        "apiVersion": "v1", "kind": "Node", "name": crate::stage::NODE,
    }});
    let account = t.account(t.client(), t.home(), &t.name(), spec).await?;
    let node = format!("/api/v1/nodes/{}", crate::stage::NODE);
    t.stopped(&account.get(&node).await?, &Stopper::Rbac);
    let status = format!("{node}/status");
    let patch = json!({"status": {"phase": "Running"}});
    t.stopped(&account.patch(&status, &patch).await?, &Stopper::Rbac);
    t.treasure_is_safe(&account).await
}

/// Made, and nobody: a RoleBinding would need rights that its maker lacks in RBAC.
async fn account_in_commons(t: &Attempt<'_>) -> Tried {
    let account = t.account(t.client(), COMMONS, &t.name(), json!({})).await?;
    let path = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{COMMONS}/rolebindings");
    let binding = json!({
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"},
        "subjects": [{"kind": "ServiceAccount", "name": t.name(), "namespace": COMMONS}],
    });
    t.create(&path, binding, Stopper::EscalationCheck).await?;
    let own = format!("/api/v1/namespaces/{COMMONS}/pods");
    t.refused(&account, &own).await?;
    t.treasure_is_safe(&account).await
}

async fn forged(t: &Attempt<'_>) -> Tried {
    // {"alg":"none","typ":"JWT"} . {"iss":"kubernetes/serviceaccount","sub":"system:serviceaccount:kube-system:the-operator"} .
    let token = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.\
                 eyJpc3MiOiJrdWJlcm5ldGVzL3NlcnZpY2VhY2NvdW50Iiwic3ViIjoic3lzdGVtOnNlcnZpY2VhY2NvdW50Omt1YmUtc3lzdGVtOnRoZS1vcGVyYXRvciJ9.";
    let forged = t.stage.anonymous.bearer(token);
    t.stopped(
        &forged.get("/api/v1/nodes").await?,
        &Stopper::Authentication,
    );
    t.treasure_is_safe(&forged).await?;
    // Nor is it worth anything as the name of a system account in a protected namespace.
    let path = "/api/v1/namespaces/kube-system/serviceaccounts";
    t.create(path, json!({}), denied(ProtectedWrite)).await
}
