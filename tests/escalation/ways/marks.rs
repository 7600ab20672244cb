//! What marks and confines a namespace, against those who may keep namespaces.

use serde_json::{Value, json};

use super::{ADMIN, SUPER, Tried};
use crate::attempt::Attempt;
use crate::stopper::guard;

ways! {
    "Pod Security off in one's own namespace", ADMIN => own_security;
    "a namespace without Pod Security from the start", ADMIN => made_open;
    "making somebody else's namespace one's own", ADMIN => steal;
    "a namespace that says that it is one's own", ADMIN => made_own;
    "the name that a tenant's namespace will have", ADMIN => squat;
    "a namespace by a protected name", ADMIN => protected_name;
    "marks and states of a namespace, changed or removed", ADMIN => marks;
    "the nodes on which a namespace's pods run", ADMIN => node_selector;
    "a namespace that never goes, or goes by itself", ADMIN => finalizers;
    "devices that others hold, for a namespace", ADMIN => device_admin;
    "a node's password, as the highest tier", SUPER => node_password;
}

const GUARD: &str = "k3s-daas-namespaces";
const NAMESPACES: &str = "/api/v1/namespaces";
const ENFORCE: &str = "pod-security.kubernetes.io/enforce";

fn path(name: &str) -> String {
    format!("{NAMESPACES}/{name}")
}

/// A namespace of the tenant's that it may do with as it likes, but for its marks.
async fn with_own(t: &Attempt<'_>) -> anyhow::Result<String> {
    let body = json!({"metadata": {"name": t.name(), "labels": {"team": "a"}}});
    t.works(&t.client().post(NAMESPACES, &body).await?);
    let one = path(&t.name());
    let harmless = json!({"metadata": {"labels": {"team": "b"}}});
    t.works(&t.client().patch(&one, &harmless).await?);
    Ok(one)
}

async fn done_with(t: &Attempt<'_>, one: &str) -> Tried {
    t.works(&t.client().delete(one).await?);
    Ok(())
}

fn labels(labels: Value) -> Value {
    json!({"metadata": {"labels": labels}})
}

fn annotations(annotations: Value) -> Value {
    json!({"metadata": {"annotations": annotations}})
}

async fn own_security(t: &Attempt<'_>) -> Tried {
    let home = path(t.home());
    for value in [json!("privileged"), json!("baseline"), Value::Null] {
        t.change(&home, labels(json!({ENFORCE: value})), guard(GUARD))
            .await?;
    }
    let whole = json!([{"op": "remove", "path": "/metadata/labels"}]);
    t.change(&home, whole, guard(GUARD)).await?;
    // Nor by the namespace's status, which updates its metadata on the way.
    let status = format!("{home}/status");
    let before = t.stage.operator.get(&home).await?;
    let answer = t
        .client()
        .patch(&status, &labels(json!({ENFORCE: "privileged"})))
        .await?;
    t.proof(!answer.ok(), "its status is no way around");
    t.unchanged(&before, &home).await?;
    let one = with_own(t).await?;
    t.change(&one, labels(json!({ENFORCE: "privileged"})), guard(GUARD))
        .await?;
    done_with(t, &one).await
}

async fn made_open(t: &Attempt<'_>) -> Tried {
    for value in ["privileged", "baseline", "restricted"] {
        t.create(NAMESPACES, labels(json!({ENFORCE: value})), guard(GUARD))
            .await?;
    }
    Ok(())
}

async fn steal(t: &Attempt<'_>) -> Tried {
    let mine = t.me().wallet.address().to_string();
    let owner = annotations(json!({"k3s-daas.io/owner": mine}));
    let victim = path(&t.stage.victim.home);
    t.change(&victim, owner.clone(), guard(GUARD)).await?;
    t.change(&path(crate::stage::COMMONS), owner, guard(GUARD))
        .await
}

async fn made_own(t: &Attempt<'_>) -> Tried {
    let mine = t.me().wallet.address().to_string();
    let owner = annotations(json!({"k3s-daas.io/owner": mine}));
    t.create(NAMESPACES, owner, guard(GUARD)).await?;
    let active = labels(json!({"k3s-daas.io/state": "active"}));
    t.create(NAMESPACES, active, guard(GUARD)).await
}

async fn squat(t: &Attempt<'_>) -> Tried {
    for name in ["seal-0123456789abcdef", "seal-0123456789abcdef-team"] {
        let namespace = json!({"metadata": {"name": name}});
        t.create(NAMESPACES, namespace, guard(GUARD)).await?;
    }
    // The server chooses the rest of the name before policies are asked.
    let generated = json!({"metadata": {"generateName": "seal-"}});
    t.post(NAMESPACES, generated, guard(GUARD)).await?;
    Ok(())
}

async fn protected_name(t: &Attempt<'_>) -> Tried {
    for name in ["kube-way", "k3s-daas-way"] {
        t.create(
            NAMESPACES,
            json!({"metadata": {"name": name}}),
            guard(GUARD),
        )
        .await?;
    }
    Ok(())
}

async fn marks(t: &Attempt<'_>) -> Tried {
    let home = path(&t.stage.victim.home);
    for body in [
        labels(json!({"k3s-daas.io/state": "ended"})),
        labels(json!({"k3s-daas.io/state": null})),
        labels(json!({"k3s-daas.io/tier": "super"})),
        annotations(json!({"k3s-daas.io/ended-at": "1"})),
        annotations(json!({"k3s-daas.io/owner": null})),
    ] {
        t.change(&home, body, guard(GUARD)).await?;
    }
    Ok(())
}

async fn node_selector(t: &Attempt<'_>) -> Tried {
    let key = "scheduler.alpha.kubernetes.io/node-selector";
    let selector = json!({key: "node-restriction.kubernetes.io/k3s-daas-trust=operator"});
    t.change(&path(t.home()), annotations(selector.clone()), guard(GUARD))
        .await?;
    t.create(NAMESPACES, annotations(selector), guard(GUARD))
        .await
}

/// What holds a namespace back outlives its owner's seal.
async fn finalizers(t: &Attempt<'_>) -> Tried {
    // Somebody's whom it harms nobody to lose.
    let guest = t.stage.guest(seal::Tier::Developer).await?;
    let home = path(&guest.home);
    let stay = json!({"metadata": {"finalizers": ["way.example.com/stay"]}});
    t.change(&home, stay, guard(GUARD)).await?;
    let orphan = json!({"metadata": {"ownerReferences": [{
        "apiVersion": "v1", "kind": "Namespace", "name": "gone",
        "uid": "00000000-0000-0000-0000-000000000000",
    }]}});
    t.change(&home, orphan, guard(GUARD)).await
}

async fn device_admin(t: &Attempt<'_>) -> Tried {
    let label = labels(json!({"resource.kubernetes.io/admin-access": "true"}));
    t.change(&path(t.home()), label.clone(), guard(GUARD))
        .await?;
    t.create(NAMESPACES, label, guard(GUARD)).await
}

/// Not even the operator's own tools write it: K3s does.
async fn node_password(t: &Attempt<'_>) -> Tried {
    let path = "/api/v1/namespaces/kube-system/secrets";
    let password = json!({
        "metadata": {"name": format!("{}.node-password.k3s", t.name())},
        "stringData": {"hash": "$1:x:15:8:1:x"},
    });
    t.create(path, password, guard("k3s-daas-node-passwords"))
        .await?;
    let harmless = crate::attempt::with_name(json!({}), &t.name());
    t.works(&t.client().post(path, &harmless).await?);
    t.works(&t.client().delete(&format!("{path}/{}", t.name())).await?);
    Ok(())
}
