//! The objects that confine a tenant's namespace, against its owner and the tier admin.

use serde_json::{Value, json};

use super::{ADMIN, Tried, WORKERS};
use crate::attempt::{Attempt, with_name};
use crate::stopper::{Stopper, guard};

ways! {
    "deleting the namespace's network policy", WORKERS => delete_policy;
    "opening the namespace's network policy", WORKERS => change_policy;
    "an egress rule to the node and control-plane ranges", WORKERS => egress_addresses;
    "an egress rule to kube-system", WORKERS => egress_namespaces;
    "an egress rule to everywhere, as common charts have it", WORKERS => egress_open;
    "the owner's RoleBinding, changed or deleted", WORKERS => binding;
    "a network policy or RoleBinding under the cluster's names", WORKERS => our_names;
    "one's own quota and limits, as the tier that keeps quotas", ADMIN => own_quota;
    "the quota of another tenant", ADMIN => others_quota;
    "the same by a service account of one's own", WORKERS => by_account;
}

const OURS: &str = "k3s-daas-our-objects";
const EGRESS: &str = "k3s-daas-egress";

fn policies(namespace: &str) -> String {
    format!("/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies")
}

fn bindings(namespace: &str) -> String {
    format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings")
}

fn core(namespace: &str, kind: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/{kind}")
}

fn default_policy(t: &Attempt<'_>) -> String {
    format!("{}/k3s-daas-default", policies(t.home()))
}

fn egress(rule: Value) -> Value {
    json!({"spec": {"podSelector": {}, "policyTypes": ["Egress"], "egress": [rule]}})
}

async fn delete_policy(t: &Attempt<'_>) -> Tried {
    t.remove(&default_policy(t), guard(OURS)).await?;
    let all = policies(t.home());
    t.delete(&all, guard(OURS)).await?;
    t.present(&default_policy(t)).await
}

/// It names addresses, which a tenant's own must not: so two guards refuse it.
async fn change_policy(t: &Attempt<'_>) -> Tried {
    let path = default_policy(t);
    let before = t.stage.operator.get(&path).await?;
    for change in [
        json!({"spec": {"podSelector": {"matchLabels": {"nobody": "at-all"}}}}),
        json!({"metadata": {"labels": null}}),
    ] {
        let answer = t.client().patch(&path, &change).await?;
        t.stopped_by_either(&answer, [guard(OURS), guard(EGRESS)]);
    }
    t.unchanged(&before, &path).await
}

async fn egress_addresses(t: &Attempt<'_>) -> Tried {
    for range in ["0.0.0.0/0", "10.43.0.1/32", "169.254.169.254/32", "::/0"] {
        let rule = egress(json!({"to": [{"ipBlock": {"cidr": range}}]}));
        t.create(&policies(t.home()), rule, guard(EGRESS)).await?;
    }
    // A harmless one, then changed.
    let path = policies(t.home());
    let own = with_name(egress(json!({"to": [{"podSelector": {}}]})), &t.name());
    t.works(&t.client().post(&path, &own).await?);
    let wider = egress(json!({"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}));
    let one = format!("{path}/{}", t.name());
    t.change(&one, wider, guard(EGRESS)).await?;
    t.works(&t.client().delete(&one).await?);
    Ok(())
}

async fn egress_namespaces(t: &Attempt<'_>) -> Tried {
    for selector in [
        json!({}),
        json!({"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}),
        json!({"matchExpressions": [{"key": "x", "operator": "DoesNotExist"}]}),
    ] {
        let rule = egress(json!({"to": [{"namespaceSelector": selector}]}));
        t.create(&policies(t.home()), rule, guard(EGRESS)).await?;
    }
    Ok(())
}

/// Dropped where the API server serves mutating policies, refused where not.
async fn egress_open(t: &Attempt<'_>) -> Tried {
    let path = policies(t.home());
    for rule in [json!({}), json!({"ports": [{"port": 6443}]})] {
        let policy = with_name(egress(rule), &t.name());
        let answer = t.client().post(&path, &policy).await?;
        if !answer.ok() {
            t.stopped(&answer, &guard(EGRESS));
            t.absent(&format!("{path}/{}", t.name())).await?;
            continue;
        }
        t.stopped_by(guard("k3s-daas-open-egress"));
        let one = format!("{path}/{}", t.name());
        let made = t.stage.operator.get(&one).await?;
        let rules = made.field("/spec/egress").as_array().map_or(0, Vec::len);
        t.proof(rules == 0, "the policy has no such rule");
        t.works(&t.client().delete(&one).await?);
    }
    Ok(())
}

async fn binding(t: &Attempt<'_>) -> Tried {
    let one = format!("{}/k3s-daas-owner", bindings(t.home()));
    t.remove(&one, guard(OURS)).await?;
    let patch = json!([{"op": "add", "path": "/subjects/-", "value": {
        "apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "system:authenticated",
    }}]);
    t.change(&one, patch, guard(OURS)).await
}

async fn our_names(t: &Attempt<'_>) -> Tried {
    let name = format!("k3s-daas-{}", t.name());
    let policy = with_name(egress(json!({"to": [{"podSelector": {}}]})), &name);
    t.create(&policies(t.home()), policy, guard(OURS)).await?;
    let marked = json!({
        "metadata": {"labels": {"app.kubernetes.io/managed-by": "k3s-daas"}},
        "spec": {"podSelector": {}, "ingress": [{}]},
    });
    t.create(&policies(t.home()), marked, guard(OURS)).await
}

async fn quotas(t: &Attempt<'_>, namespace: &str) -> Tried {
    for name in ["k3s-daas-quota", "k3s-daas-no-system-pods"] {
        let one = format!("{}/{name}", core(namespace, "resourcequotas"));
        let more = json!({"spec": {"hard": {"pods": "9999"}}});
        t.change(&one, more, guard(OURS)).await?;
        t.remove(&one, guard(OURS)).await?;
    }
    let limits = format!("{}/k3s-daas-defaults", core(namespace, "limitranges"));
    t.change(&limits, json!({"spec": {"limits": []}}), guard(OURS))
        .await?;
    t.remove(&limits, guard(OURS)).await
}

async fn own_quota(t: &Attempt<'_>) -> Tried {
    quotas(t, t.home()).await?;
    // A harmless neighbour: a second quota only takes away.
    let path = core(t.home(), "resourcequotas");
    let less = with_name(json!({"spec": {"hard": {"configmaps": "99"}}}), &t.name());
    t.works(&t.client().post(&path, &less).await?);
    t.works(&t.client().delete(&format!("{path}/{}", t.name())).await?);
    Ok(())
}

async fn others_quota(t: &Attempt<'_>) -> Tried {
    quotas(t, &t.stage.victim.home).await
}

/// RBAC lets it, so here the guards are all that stands.
async fn by_account(t: &Attempt<'_>) -> Tried {
    let account = t.bound_account(t.client(), t.home(), json!({})).await?;
    let policy = default_policy(t);
    t.stopped(&account.delete(&policy).await?, &guard(OURS));
    t.present(&policy).await?;
    let owner = format!("{}/k3s-daas-owner", bindings(t.home()));
    t.stopped(&account.delete(&owner).await?, &guard(OURS));
    t.present(&owner).await?;
    let open = with_name(
        egress(json!({"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]})),
        &t.name(),
    );
    let answer = account.post(&policies(t.home()), &open).await?;
    t.stopped(&answer, &guard(EGRESS));
    // What RBAC does not give it besides.
    let quota = format!("{}/k3s-daas-quota", core(t.home(), "resourcequotas"));
    t.stopped(&account.delete(&quota).await?, &Stopper::Rbac);
    t.present(&quota).await
}
