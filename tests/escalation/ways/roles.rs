//! RBAC objects that give more than their maker holds, and being somebody else.

use seal::Tier;
use seal::access::DenyReason::{
    AddonGroup, ClusterRoles, Impersonation, NodeLifecycle, NotYours, ProtectedSecrets,
    ProtectedToken, ProtectedWrite, RoleEscalation,
};
use serde_json::{Value, json};

use super::{BELOW_SUPER, DEVELOPER, SMALL, Tried, WORKERS};
use crate::attempt::Attempt;
use crate::stage::COMMONS;
use crate::stopper::{Stopper, denied};

ways! {
    "a ClusterRole with everything", BELOW_SUPER => cluster_role;
    "a ClusterRoleBinding of oneself to cluster-admin", BELOW_SUPER => cluster_role_binding;
    "more rules in the ClusterRole admin, which every owner is bound to", BELOW_SUPER => edit_cluster_role;
    "a ClusterRole that is aggregated into admin", BELOW_SUPER => aggregated;
    "another subject in an existing ClusterRoleBinding", BELOW_SUPER => edit_binding;
    "a RoleBinding to cluster-admin in one's own namespace", BELOW_SUPER => bind_cluster_admin;
    "a RoleBinding to a ClusterRole of a controller", WORKERS => bind_controller_role;
    "a Role with more than one holds", WORKERS => role_with_more;
    "adding to a Role that one made", WORKERS => grow_role;
    "a Role that may impersonate groups or bind roles", WORKERS => role_to_escalate;
    "a RoleBinding in somebody else's namespace", SMALL => bind_elsewhere;
    "a RoleBinding in kube-system", BELOW_SUPER => bind_in_kube_system;
    "a RoleBinding of oneself to admin where nobody owns the namespace", BELOW_SUPER => bind_in_commons;
    "the verbs escalate and bind", BELOW_SUPER => escalate_verbs;
    "impersonating system:masters by headers", BELOW_SUPER => impersonate_masters;
    "impersonating a seal of tier super, extra and all", BELOW_SUPER => impersonate_super;
    "impersonating a service account, a node, a uid", BELOW_SUPER => impersonate_others;
    "kubectl --as", BELOW_SUPER => kubectl_as;
    "a tenant's user that the operator bound to cluster-admin", DEVELOPER => bound_by_mistake;
}

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";
const GROUP: &str = "rbac.authorization.k8s.io";

fn everything() -> Value {
    json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}])
}

fn binding(kind: &str, role: &str, user: &str) -> Value {
    json!({
        "roleRef": {"apiGroup": GROUP, "kind": kind, "name": role},
        "subjects": [{"apiGroup": GROUP, "kind": "User", "name": user}],
    })
}

async fn cluster_role(t: &Attempt<'_>) -> Tried {
    let role = json!({"rules": everything()});
    let path = format!("{RBAC}/clusterroles");
    t.create(&path, role, denied(ClusterRoles)).await
}

async fn cluster_role_binding(t: &Attempt<'_>) -> Tried {
    let path = format!("{RBAC}/clusterrolebindings");
    let binding = binding("ClusterRole", "cluster-admin", &t.me().user());
    t.create(&path, binding, denied(ClusterRoles)).await?;
    t.treasure_is_safe(t.client()).await
}

async fn edit_cluster_role(t: &Attempt<'_>) -> Tried {
    let path = format!("{RBAC}/clusterroles/admin");
    let patch = json!([{"op": "replace", "path": "/rules", "value": everything()}]);
    t.change(&path, patch, denied(ClusterRoles)).await
}

async fn aggregated(t: &Attempt<'_>) -> Tried {
    let role = json!({
        "metadata": {"labels": {"rbac.authorization.k8s.io/aggregate-to-admin": "true"}},
        "rules": everything(),
    });
    let path = format!("{RBAC}/clusterroles");
    t.create(&path, role, denied(ClusterRoles)).await
}

async fn edit_binding(t: &Attempt<'_>) -> Tried {
    let path = format!("{RBAC}/clusterrolebindings/cluster-admin");
    let me = json!({"apiGroup": GROUP, "kind": "User", "name": t.me().user()});
    let patch = json!([{"op": "add", "path": "/subjects/-", "value": me}]);
    t.change(&path, patch, denied(ClusterRoles)).await
}

async fn bind_cluster_admin(t: &Attempt<'_>) -> Tried {
    let path = format!("{RBAC}/namespaces/{}/rolebindings", t.home());
    let binding = binding("ClusterRole", "cluster-admin", &t.me().user());
    t.create(&path, binding, t.at_home(Stopper::EscalationCheck))
        .await
}

async fn bind_controller_role(t: &Attempt<'_>) -> Tried {
    let path = format!("{RBAC}/namespaces/{}/rolebindings", t.home());
    let role = "system:controller:generic-garbage-collector";
    let binding = binding("ClusterRole", role, &t.me().user());
    t.create(&path, binding, Stopper::EscalationCheck).await
}

async fn role_with_more(t: &Attempt<'_>) -> Tried {
    let path = format!("{RBAC}/namespaces/{}/roles", t.home());
    for rules in [
        everything(),
        json!([{"apiGroups": [""], "resources": ["pods/status"], "verbs": ["patch"]}]),
        json!([{"apiGroups": [""], "resources": ["resourcequotas"], "verbs": ["delete"]}]),
        json!([{"apiGroups": ["helm.cattle.io"], "resources": ["helmcharts"], "verbs": ["create"]}]),
    ] {
        t.create(&path, json!({ "rules": rules }), Stopper::EscalationCheck)
            .await?;
    }
    Ok(())
}

async fn grow_role(t: &Attempt<'_>) -> Tried {
    let path = format!("{RBAC}/namespaces/{}/roles", t.home());
    let modest = json!({
        "metadata": {"name": t.name()},
        "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}],
    });
    t.works(&t.client().post(&path, &modest).await?);
    let patch = json!({"rules": everything()});
    t.change(
        &format!("{path}/{}", t.name()),
        patch,
        Stopper::EscalationCheck,
    )
    .await
}

async fn role_to_escalate(t: &Attempt<'_>) -> Tried {
    let path = format!("{RBAC}/namespaces/{}/roles", t.home());
    for (resources, verbs) in [
        (["users", "groups"], ["impersonate"]),
        (["roles", "rolebindings"], ["escalate"]),
        (["clusterroles", "roles"], ["bind"]),
    ] {
        let rules = json!([{"apiGroups": ["", GROUP], "resources": resources, "verbs": verbs}]);
        t.create(&path, json!({ "rules": rules }), Stopper::EscalationCheck)
            .await?;
    }
    Ok(())
}

async fn bind_elsewhere(t: &Attempt<'_>) -> Tried {
    let path = format!("{RBAC}/namespaces/{}/rolebindings", t.stage.victim.home);
    let binding = binding("ClusterRole", "view", &t.me().user());
    t.create(&path, binding, denied(NotYours)).await
}

async fn bind_in_kube_system(t: &Attempt<'_>) -> Tried {
    let path = format!("{RBAC}/namespaces/kube-system/rolebindings");
    let binding = binding("ClusterRole", "view", &t.me().user());
    t.create(&path, binding, denied(ProtectedWrite)).await
}

async fn bind_in_commons(t: &Attempt<'_>) -> Tried {
    use crate::stopper::silent;
    use seal::access::Silence::NotGranted;
    let path = format!("{RBAC}/namespaces/{COMMONS}/rolebindings");
    let binding = binding("ClusterRole", "admin", &t.me().user());
    let expected = t.by_tier(silent(NotGranted), Stopper::EscalationCheck);
    t.create(&path, binding, expected).await
}

async fn escalate_verbs(t: &Attempt<'_>) -> Tried {
    let reviews = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    for (verb, resource) in [
        ("escalate", "clusterroles"),
        ("bind", "clusterroles"),
        ("escalate", "roles"),
        ("bind", "roles"),
    ] {
        let review = json!({"spec": {"resourceAttributes": {
            "verb": verb, "group": GROUP, "resource": resource, "namespace": t.home(),
        }}});
        let answer = t.client().post(reviews, &review).await?;
        let why = answer.field("/status/reason").as_str().unwrap_or_default();
        if why.contains(RoleEscalation.text()) {
            t.stopped_by(denied(RoleEscalation));
        }
        t.proof(
            answer.field("/status/denied") == &Value::Bool(true),
            format!("`{verb} {resource}` is denied, not merely not granted"),
        );
    }
    Ok(())
}

async fn impersonated(t: &Attempt<'_>, headers: &[(&str, &str)]) -> Tried {
    let mut client = t.client().clone();
    for (name, value) in headers {
        client = client.header(name, value);
    }
    let path = "/api/v1/namespaces/kube-system/secrets";
    let answer = client.get(path).await?;
    t.stopped(&answer, &denied(Impersonation));
    t.treasure_is_safe(&client).await
}

async fn impersonate_masters(t: &Attempt<'_>) -> Tried {
    impersonated(
        t,
        &[
            ("Impersonate-User", "system:admin"),
            ("Impersonate-Group", "system:masters"),
        ],
    )
    .await?;
    // By its own name, only the group is another.
    let user = t.me().user();
    impersonated(
        t,
        &[
            ("Impersonate-User", &user),
            ("Impersonate-Group", "system:masters"),
        ],
    )
    .await
}

async fn impersonate_super(t: &Attempt<'_>) -> Tried {
    let richest = &t.stage.super_;
    let hash = richest.token.credential_hash().to_string();
    impersonated(
        t,
        &[
            ("Impersonate-User", &richest.user()),
            ("Impersonate-Group", "seal:holders"),
            ("Impersonate-Group", "seal:tier:super"),
            ("Impersonate-Extra-k3s-daas.io%2fcredential-hash", &hash),
        ],
    )
    .await
}

async fn impersonate_others(t: &Attempt<'_>) -> Tried {
    for user in [
        "system:serviceaccount:kube-system:the-operator",
        seal::identity::SERVER_USER,
        "system:node:idle-worker",
        "system:kube-controller-manager",
    ] {
        impersonated(t, &[("Impersonate-User", user)]).await?;
    }
    impersonated(t, &[("Impersonate-User", "x"), ("Impersonate-Uid", "0")]).await
}

async fn kubectl_as(t: &Attempt<'_>) -> Tried {
    let words = [
        "get",
        "--raw=/api/v1/namespaces/kube-system/secrets",
        "--as=system:admin",
        "--as-group=system:masters",
    ];
    let reply = crate::client::kubectl(t, &words).await?;
    t.stopped(&reply, &denied(Impersonation));
    t.cannot(t.client(), "", &["impersonate users", "impersonate groups"])
        .await
}

/// What is denied stays denied whatever RBAC says.
async fn bound_by_mistake(t: &Attempt<'_>) -> Tried {
    let guest = t.stage.guest(Tier::Developer).await?;
    let bindings = format!("{RBAC}/clusterrolebindings");
    let mut mistake = binding("ClusterRole", "cluster-admin", &guest.user());
    mistake = crate::attempt::with_name(mistake, &t.name());
    t.works(&t.stage.operator.post(&bindings, &mistake).await?);
    let me = &guest.client;
    for (path, reason) in [
        ("/api/v1/namespaces/kube-system/secrets", ProtectedSecrets),
        ("/api/v1/secrets", ProtectedSecrets),
        ("/apis/helm.cattle.io/v1/helmcharts", AddonGroup),
    ] {
        t.stopped(&me.get(path).await?, &denied(reason));
    }
    let tokens = "/api/v1/namespaces/kube-system/serviceaccounts/the-operator/token";
    let again = crate::attempt::with_name(
        binding("ClusterRole", "cluster-admin", "bob"),
        &format!("{}-2", t.name()),
    );
    let node = json!({"metadata": {"name": t.name()}});
    let pod = json!({"metadata": {"name": t.name()}, "spec": {"containers": []}});
    for (path, body, reason) in [
        (tokens, json!({"spec": {}}), ProtectedToken),
        (bindings.as_str(), again, ClusterRoles),
        ("/api/v1/nodes", node, NodeLifecycle),
        ("/api/v1/namespaces/kube-system/pods", pod, ProtectedWrite),
    ] {
        t.stopped(&me.post(path, &body).await?, &denied(reason));
    }
    let as_masters = me
        .header("Impersonate-User", "x")
        .header("Impersonate-Group", "system:masters");
    t.stopped(
        &as_masters.get("/api/v1/nodes").await?,
        &denied(Impersonation),
    );
    let theirs = format!("/api/v1/namespaces/{}/secrets", t.stage.victim.home);
    t.stopped(&me.get(&theirs).await?, &denied(NotYours));
    t.treasure_is_safe(me).await?;
    t.absent(&format!("{bindings}/{}-2", t.name())).await?;
    let undo = format!("{bindings}/{}", t.name());
    t.works(&t.stage.operator.delete(&undo).await?);
    Ok(())
}
