//! Machines of strangers: whoever has root on one holds its kubelet's certificate, its join
//! credential, and what its pods hold.

use http::Method;
use seal::access::DenyReason::OurObjects;
use seal::identity::{LABEL_TRUST, TRUST_OPERATOR};
use serde_json::{Value, json};

use super::{BELOW_SUPER, MACHINE, SUPER, Tried};
use crate::attempt::{Attempt, with_name};
use crate::client::Client;
use crate::stage::{COMMONS, SOON, TREASURE};
use crate::stopper::{Stopper, denied, guard};

ways! {
    "a machine making Nodes: its own again, another", MACHINE => nodes;
    "a machine marking its own Node: trust, taints, whose it is", MACHINE => marks;
    "a machine closing its Node, or keeping it by a finalizer", MACHINE => selves;
    "a machine steering K3s's controllers by its Node's labels", MACHINE => steering;
    "a machine claiming addresses of others and of the cluster", MACHINE => addresses;
    "a machine writing another's Node, status or lease", MACHINE => others;
    "a machine deleting Nodes, its own too", MACHINE => deletes;
    "a machine writing or reading SealedNodes", MACHINE => sealed_nodes;
    "a machine minting tokens for service accounts of pods elsewhere", MACHINE => tokens;
    "a machine reading Secrets of pods elsewhere, and of the cluster", MACHINE => secrets;
    "a machine deleting or making node passwords", MACHINE => passwords;
    "a machine making pods, with a service account or anywhere", MACHINE => pods;
    "a machine ending pods of others, or speaking for them", MACHINE => foreign_pods;
    "a machine asking for another's certificate", MACHINE => certificates;
    "a machine writing roles, policies and webhooks", MACHINE => cluster_objects;
    "a machine posing as others, or reaching into other machines", MACHINE => poses;
    "the users that all machines share", MACHINE => shared;
    "the certificate of a slashed machine", MACHINE => slashed;
    "a join credential as a token of the API", MACHINE => join_credential;
    "SealedNodes, made, changed and deleted by tenants", BELOW_SUPER => tenants_sealed_nodes;
    "SealedNodes by who may do all else", SUPER => super_sealed_nodes;
    "the webhook that judges Nodes, changed or deleted", BELOW_SUPER => webhook;
}

const SEALED: &str = "/apis/k3s-daas.io/v1/sealednodes";
const RESTRICTION: Stopper = Stopper::Plugin("NodeRestriction");
const MARKS: &str = "k3s-daas-node-marks";
const SELVES: &str = "k3s-daas-node-selves";

fn node(name: &str) -> String {
    format!("/api/v1/nodes/{name}")
}

fn me<'a>(t: &Attempt<'a>) -> (&'a Client, &'static str) {
    (&t.stage.machine.client, t.stage.machine.name)
}

/// A request of the machine's, to be stopped.
async fn ask(
    t: &Attempt<'_>,
    method: Method,
    path: &str,
    body: Value,
    expected: &Stopper,
) -> anyhow::Result<()> {
    let body = Some(body).filter(|body| !body.is_null());
    let answer = me(t).0.send(method, path, body.as_ref()).await?;
    t.stopped(&answer, expected);
    Ok(())
}

/// The same as a change; proof: the operator sees the object as it was.
async fn change(t: &Attempt<'_>, path: &str, body: Value, expected: &Stopper) -> Tried {
    let before = t.stage.operator.get(path).await?;
    ask(t, Method::PATCH, path, body, expected).await?;
    t.unchanged(&before, path).await
}

/// The same as a creation; proof: the operator sees none.
async fn create(t: &Attempt<'_>, collection: &str, object: Value, expected: &Stopper) -> Tried {
    let object = with_name(object, &t.name());
    ask(t, Method::POST, collection, object, expected).await?;
    t.absent(&format!("{collection}/{}", t.name())).await
}

async fn nodes(t: &Attempt<'_>) -> Tried {
    let created = Stopper::Ended("node_created");
    let own = json!({"metadata": {"name": me(t).1}});
    let uid = t.stage.operator.get(&node(me(t).1)).await?;
    ask(t, Method::POST, "/api/v1/nodes", own, &created).await?;
    let same = t.stage.operator.get(&node(me(t).1)).await?;
    t.proof(
        uid.field("/metadata/uid") == same.field("/metadata/uid"),
        "its Node is the one that the server made",
    );
    create(t, "/api/v1/nodes", json!({}), &created).await
}

async fn marks(t: &Attempt<'_>) -> Tried {
    let path = node(me(t).1);
    let label = |key: &str, value: Value| json!({"metadata": {"labels": {key: value}}});
    change(
        t,
        &path,
        label(LABEL_TRUST, json!(TRUST_OPERATOR)),
        &RESTRICTION,
    )
    .await?;
    change(
        t,
        &path,
        label("node-role.kubernetes.io/control-plane", json!("")),
        &RESTRICTION,
    )
    .await?;
    change(
        t,
        &path,
        label("k3s-daas.io/tier", json!("super")),
        &guard(MARKS),
    )
    .await?;
    for annotation in [
        json!({"k3s-daas.io/owner": null}),
        json!({"k3s-daas.io/seal": "0x1"}),
        json!({"k3s-daas.io/expires-at": "1900000000000"}),
    ] {
        let body = json!({"metadata": {"annotations": annotation}});
        change(t, &path, body, &guard(MARKS)).await?;
        // Nor by the status, which updates metadata on the way.
        let status = json!({"metadata": {"annotations": {"k3s-daas.io/seal": "0x1"}}});
        let before = t.stage.operator.get(&path).await?;
        let answer = me(t).0.patch(&format!("{path}/status"), &status).await?;
        t.stopped(&answer, &guard(MARKS));
        t.unchanged(&before, &path).await?;
    }
    let taints = json!({"spec": {"taints": [{"key": "mine", "effect": "NoSchedule"}]}});
    change(t, &path, taints, &RESTRICTION).await
}

async fn selves(t: &Attempt<'_>) -> Tried {
    let path = node(me(t).1);
    let closed = json!({"spec": {"unschedulable": true}});
    change(t, &path, closed, &guard(SELVES)).await?;
    let finalizer = json!({"metadata": {"finalizers": ["way.example.com/stay"]}});
    change(t, &path, finalizer, &guard(SELVES)).await
}

async fn steering(t: &Attempt<'_>) -> Tried {
    let path = node(me(t).1);
    let label = json!({"metadata": {"labels": {"svccontroller.k3s.cattle.io/enablelb": "true"}}});
    change(t, &path, label, &guard(SELVES)).await?;
    let note = json!({"metadata": {"annotations": {"etcd.k3s.cattle.io/remove": "true"}}});
    change(t, &path, note, &guard(SELVES)).await
}

async fn addresses(t: &Attempt<'_>) -> Tried {
    let path = node(me(t).1);
    let status = format!("{path}/status");
    let before = t.stage.operator.get(&path).await?;
    for address in [
        // The neighbour's, a Service's, a pod's, and this machine's own inside.
        "198.18.0.2",
        "10.43.0.1",
        "10.42.0.7",
        "127.0.0.1",
        "169.254.169.254",
    ] {
        let body = json!({"status": {"addresses": [{"type": "InternalIP", "address": address}]}});
        ask(t, Method::PATCH, &status, body, &Stopper::Webhook).await?;
    }
    let body = json!({"status": {"addresses": [
        {"type": "InternalIP", "address": "198.18.0.1"},
        {"type": "ExternalIP", "address": "198.18.0.2"},
    ]}});
    ask(t, Method::PATCH, &status, body, &Stopper::Webhook).await?;
    let after = t.stage.operator.get(&path).await?;
    t.proof(
        before.field("/status/addresses") == after.field("/status/addresses"),
        "the Node's addresses are unchanged",
    );
    Ok(())
}

async fn others(t: &Attempt<'_>) -> Tried {
    let other = t.stage.neighbour.name;
    let label = json!({"metadata": {"labels": {"mine": "now"}}});
    change(t, &node(other), label, &RESTRICTION).await?;
    let ready = json!({"status": {"conditions": [{"type": "Ready", "status": "False"}]}});
    let status = format!("{}/status", node(other));
    ask(t, Method::PATCH, &status, ready, &RESTRICTION).await?;
    let lease = json!({"spec": {"holderIdentity": "me"}});
    let path = format!("/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{other}");
    ask(t, Method::PATCH, &path, lease, &RESTRICTION).await?;
    for namespace in ["kube-system", "k3s-daas-system"] {
        let path = format!("/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases");
        ask(t, Method::GET, &path, Value::Null, &Stopper::Rbac).await?;
    }
    Ok(())
}

async fn deletes(t: &Attempt<'_>) -> Tried {
    for name in [me(t).1, t.stage.neighbour.name] {
        let path = node(name);
        ask(t, Method::DELETE, &path, Value::Null, &Stopper::Rbac).await?;
        t.present(&path).await?;
    }
    Ok(())
}

async fn sealed_nodes(t: &Attempt<'_>) -> Tried {
    let (_, own) = me(t);
    let one = format!("{SEALED}/{own}");
    ask(t, Method::GET, &one, Value::Null, &Stopper::Rbac).await?;
    let active = json!({"status": {"state": "Active"}});
    change(t, &one, active.clone(), &Stopper::Rbac).await?;
    ask(
        t,
        Method::PATCH,
        &format!("{one}/status"),
        active,
        &Stopper::Rbac,
    )
    .await?;
    ask(t, Method::DELETE, &one, Value::Null, &Stopper::Rbac).await?;
    t.present(&one).await
}

async fn tokens(t: &Attempt<'_>) -> Tried {
    let (client, own) = me(t);
    let other = t.stage.neighbour.name;
    let uid = async |pod: &str| -> anyhow::Result<Value> {
        let path = format!("/api/v1/namespaces/{COMMONS}/pods/{pod}");
        Ok(t.stage
            .operator
            .get(&path)
            .await?
            .field("/metadata/uid")
            .clone())
    };
    let request = |pod: &str, uid: &Value| {
        json!({"spec": {"boundObjectRef": {
            "apiVersion": "v1", "kind": "Pod", "name": pod, "uid": uid,
        }}})
    };
    let path = |namespace: &str, account: &str| {
        format!("/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token")
    };
    // What it runs it may be: this is what a stranger's machine is worth.
    let mine = request(own, &uid(own).await?);
    let began = std::time::Instant::now();
    let mut token = client.post(&path(COMMONS, own), &mine).await?;
    while !token.ok() && began.elapsed() < SOON {
        token = client.post(&path(COMMONS, own), &mine).await?;
    }
    t.works(&token);
    let theirs = request(other, &uid(other).await?);
    for (namespace, account, body) in [
        (COMMONS, other, &theirs),
        (COMMONS, other, &mine),
        (COMMONS, "default", &mine),
        ("kube-system", "default", &json!({"spec": {}})),
        ("k3s-daas-system", "server", &json!({"spec": {}})),
    ] {
        let answer = client.post(&path(namespace, account), body).await?;
        let stopper = Stopper::of(&answer);
        let expected = match stopper {
            Stopper::Rbac => Stopper::Rbac,
            // The pod does not use that account.
            _ => RESTRICTION,
        };
        t.stopped(&answer, &expected);
        t.proof(
            answer.field("/status/token").is_null(),
            "no token was given out",
        );
    }
    Ok(())
}

async fn secrets(t: &Attempt<'_>) -> Tried {
    let (client, own) = me(t);
    let path =
        |namespace: &str, name: &str| format!("/api/v1/namespaces/{namespace}/secrets/{name}");
    let began = std::time::Instant::now();
    let mut mine = client.get(&path(COMMONS, own)).await?;
    while !mine.ok() && began.elapsed() < SOON {
        mine = client.get(&path(COMMONS, own)).await?;
    }
    t.works(&mine);
    for (namespace, name) in [
        (COMMONS, t.stage.neighbour.name),
        ("kube-system", TREASURE),
        (t.stage.victim.home.as_str(), TREASURE),
    ] {
        let one = path(namespace, name);
        ask(t, Method::GET, &one, Value::Null, &Stopper::Rbac).await?;
        t.refused(client, &one).await?;
    }
    for path in [
        "/api/v1/secrets".to_owned(),
        format!("/api/v1/namespaces/{COMMONS}/secrets"),
    ] {
        ask(t, Method::GET, &path, Value::Null, &Stopper::Rbac).await?;
    }
    t.treasure_is_safe(client).await
}

async fn passwords(t: &Attempt<'_>) -> Tried {
    let path = "/api/v1/namespaces/kube-system/secrets";
    let name = format!("{}.node-password.k3s", t.name());
    let secret = json!({"metadata": {"name": name}, "stringData": {"hash": "$1:x:15:8:1:x"}});
    // As K3s makes it.
    let masters = k3s_daas_tests::e2e::Caller::Operator;
    t.stage.cluster.create(&masters, path, &secret).await?;
    let one = format!("{path}/{name}");
    ask(t, Method::DELETE, &one, Value::Null, &Stopper::Rbac).await?;
    change(t, &one, json!({"data": {"hash": "eA=="}}), &Stopper::Rbac).await?;
    t.present(&one).await?;
    create(t, path, json!({}), &Stopper::Rbac).await?;
    // Nor does the strongest tenant, nor a tool of the operator's.
    let answer = t.stage.super_.client.delete(&one).await?;
    t.stopped(&answer, &guard("k3s-daas-node-passwords"));
    t.present(&one).await
}

async fn pods(t: &Attempt<'_>) -> Tried {
    let (client, own) = me(t);
    let pod = |spec: Value, annotations: Value| json!({"metadata": {"annotations": annotations}, "spec": spec});
    let spec = json!({
        "nodeName": own,
        "containers": [{"name": "main", "image": "registry.k8s.io/pause:3.10"}],
    });
    let path = |namespace: &str| format!("/api/v1/namespaces/{namespace}/pods");
    for namespace in [COMMONS, "kube-system", t.stage.victim.home.as_str()] {
        create(
            t,
            &path(namespace),
            pod(spec.clone(), json!({})),
            &RESTRICTION,
        )
        .await?;
    }
    let mut with_account = spec.clone();
    with_account["serviceAccountName"] = json!(t.stage.neighbour.name);
    let mirror = json!({"kubernetes.io/config.mirror": "x"});
    let answer = client
        .post(
            &path(COMMONS),
            &with_name(pod(with_account, mirror), &t.name()),
        )
        .await?;
    t.stopped(&answer, &RESTRICTION);
    t.absent(&format!("{}/{}", path(COMMONS), t.name())).await
}

async fn foreign_pods(t: &Attempt<'_>) -> Tried {
    let other = format!(
        "/api/v1/namespaces/{COMMONS}/pods/{}",
        t.stage.neighbour.name
    );
    ask(t, Method::DELETE, &other, Value::Null, &RESTRICTION).await?;
    t.present(&other).await?;
    let ip = json!({"status": {"podIP": "10.43.0.1"}});
    ask(
        t,
        Method::PATCH,
        &format!("{other}/status"),
        ip,
        &RESTRICTION,
    )
    .await?;
    let eviction = json!({
        "apiVersion": "policy/v1", "kind": "Eviction",
        "metadata": {"name": t.stage.neighbour.name, "namespace": COMMONS},
    });
    ask(
        t,
        Method::POST,
        &format!("{other}/eviction"),
        eviction,
        &RESTRICTION,
    )
    .await?;
    t.present(&other).await?;
    // It sees its own pods, and no more of them than those.
    ask(t, Method::GET, "/api/v1/pods", Value::Null, &Stopper::Rbac).await
}

async fn certificates(t: &Attempt<'_>) -> Tried {
    let path = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
    for (user, group, signer, expected) in [
        (
            "system:node:neighbour",
            "system:nodes",
            "kubernetes.io/kube-apiserver-client-kubelet",
            RESTRICTION,
        ),
        (
            "system:node:neighbour",
            "system:nodes",
            "kubernetes.io/kubelet-serving",
            RESTRICTION,
        ),
        (
            "root",
            "system:masters",
            "kubernetes.io/kube-apiserver-client",
            Stopper::Plugin("CertificateSubjectRestriction"),
        ),
    ] {
        let request = signing_request(user, group)?;
        let body = json!({"spec": {
            "request": request, "signerName": signer,
            "usages": ["digital signature", "client auth"],
        }});
        create(t, path, body, &expected).await?;
    }
    let approve = format!("{path}/{}/approval", t.name());
    ask(
        t,
        Method::PATCH,
        &approve,
        json!({"status": {}}),
        &Stopper::Rbac,
    )
    .await
}

/// A PKCS #10 request, as the API takes it.
fn signing_request(user: &str, group: &str) -> anyhow::Result<String> {
    use base64::Engine as _;
    let key = rcgen::KeyPair::generate()?;
    let mut params = rcgen::CertificateParams::default();
    let names = &mut params.distinguished_name;
    names.push(rcgen::DnType::CommonName, user);
    names.push(rcgen::DnType::OrganizationName, group);
    let pem = params.serialize_request(&key)?.pem()?;
    Ok(base64::engine::general_purpose::STANDARD.encode(pem))
}

async fn cluster_objects(t: &Attempt<'_>) -> Tried {
    for collection in [
        "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
        "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies",
        "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations",
        "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations",
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
        "/api/v1/namespaces",
        "/apis/apps/v1/namespaces/commons/deployments",
    ] {
        create(t, collection, json!({}), &Stopper::Rbac).await?;
    }
    Ok(())
}

async fn poses(t: &Attempt<'_>) -> Tried {
    let (client, _) = me(t);
    for user in ["system:admin", "system:node:neighbour"] {
        let posing = client.header("Impersonate-User", user);
        let answer = posing.get("/api/v1/nodes").await?;
        t.stopped(&answer, &Stopper::Rbac);
        t.proof(!answer.ok(), "it stays itself");
    }
    let masters = client
        .header("Impersonate-User", me(t).1)
        .header("Impersonate-Group", "system:masters");
    t.stopped(&masters.get("/api/v1/secrets").await?, &Stopper::Rbac);
    for machine in [t.stage.neighbour.name, me(t).1] {
        for what in ["proxy/pods", "proxy/run/a/b/c"] {
            let path = format!("{}/{what}", node(machine));
            ask(t, Method::GET, &path, Value::Null, &Stopper::Rbac).await?;
        }
    }
    Ok(())
}

async fn shared(t: &Attempt<'_>) -> Tried {
    let cluster = &t.stage.cluster;
    let ca = k3s_daas_tests::worker::ClientCa::of(&cluster.control_plane_folder())?;
    for user in ["system:kube-proxy", "system:k3s-controller"] {
        let certificate = ca.sign(user, "")?;
        let client = t
            .stage
            .anonymous
            .certified(&cluster.control_plane.ca_pem, &certificate)?;
        for path in [
            "/api/v1/nodes",
            "/api/v1/pods",
            "/api/v1/services",
            "/api/v1/secrets",
            SEALED,
        ] {
            let answer = client.get(path).await?;
            t.stopped(&answer, &Stopper::Ended("shared_identity"));
            t.proof(!answer.ok(), "it reads nothing of others");
        }
        let own = json!({"metadata": {"name": t.name()}});
        let answer = client.post("/api/v1/nodes", &own).await?;
        t.stopped(&answer, &Stopper::Ended("shared_identity"));
    }
    t.absent(&node(&t.name())).await
}

async fn slashed(t: &Attempt<'_>) -> Tried {
    let stage = t.stage;
    let cluster = &stage.cluster;
    let ca = k3s_daas_tests::worker::ClientCa::of(&cluster.control_plane_folder())?;
    let name = t.name();
    let worker = cluster.worker(&name).await?;
    let address = std::net::Ipv4Addr::new(198, 18, 1, 1);
    let kubelet = worker.join(cluster, &ca, address, "slashed").await?;
    let certificate = ca.sign(&kubelet.user, seal::identity::GROUP_NODES)?;
    let client = stage
        .anonymous
        .certified(&cluster.control_plane.ca_pem, &certificate)?;
    t.works(&client.get(&node(&name)).await?);
    stage.slash_seal(&worker.token).await?;
    cluster.state_is(&name, "Cut").await?;
    cluster.node_gone(&name).await?;
    let ended = Stopper::Ended("node_slashed");
    let again = json!({"metadata": {"name": name}});
    t.stopped(&client.post("/api/v1/nodes", &again).await?, &ended);
    t.absent(&node(&name)).await?;
    for path in [
        node(&name),
        "/api/v1/services".to_owned(),
        format!("/api/v1/pods?fieldSelector=spec.nodeName%3D{name}"),
        "/version".to_owned(),
    ] {
        t.stopped(&client.get(&path).await?, &ended);
    }
    let token = json!({"spec": {}});
    let path = format!("/api/v1/namespaces/{COMMONS}/serviceaccounts/default/token");
    t.stopped(&client.post(&path, &token).await?, &ended);
    let review = k3s_daas_tests::worker::Supervisor::of(cluster)?
        .review(&worker.credential())
        .await?;
    t.proof(!review.is_yes(), "its credential joins nothing any more");
    Ok(())
}

async fn join_credential(t: &Attempt<'_>) -> Tried {
    let worker = &t.stage.machine.worker;
    let client = t.stage.anonymous.bearer(&worker.credential());
    for path in ["/api/v1/nodes", "/version", "/api"] {
        t.stopped(&client.get(path).await?, &Stopper::Authentication);
    }
    t.treasure_is_safe(&client).await?;
    // It is nobody else's node either.
    let supervisor = k3s_daas_tests::worker::Supervisor::of(&t.stage.cluster)?;
    let review = supervisor.review(&worker.credential()).await?;
    let own = k3s_daas_tests::worker::Review::node(t.stage.machine.name);
    t.proof(
        review == own,
        "the supervisor knows it as its own node alone",
    );
    Ok(())
}

fn a_sealed_node() -> Value {
    let hash = "0".repeat(64);
    json!({
        "apiVersion": "k3s-daas.io/v1", "kind": "SealedNode",
        "spec": {
            "owner": format!("0x{hash}"), "sealId": format!("0x{hash}"), "credentialHash": hash,
        },
    })
}

async fn tenants_sealed_nodes(t: &Attempt<'_>) -> Tried {
    let expected = denied(OurObjects);
    sealed_nodes_by(t, &expected).await
}

async fn super_sealed_nodes(t: &Attempt<'_>) -> Tried {
    sealed_nodes_by(t, &guard("k3s-daas-sealed-nodes")).await
}

async fn sealed_nodes_by(t: &Attempt<'_>, expected: &Stopper) -> Tried {
    t.create(SEALED, a_sealed_node(), expected.clone()).await?;
    let one = format!("{SEALED}/{}", t.stage.machine.name);
    let state = json!({"status": {"state": "Cut"}});
    t.change(
        &one,
        json!({"spec": {"owner": format!("0x{}", "1".repeat(64))}}),
        expected.clone(),
    )
    .await?;
    t.patch(&format!("{one}/status"), state, expected.clone())
        .await?;
    t.remove(&one, expected.clone()).await
}

async fn webhook(t: &Attempt<'_>) -> Tried {
    let path =
        "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/k3s-daas-nodes";
    let there = t.stage.operator.get(path).await?;
    t.proof(there.ok(), "the webhook is there");
    let body = json!({"webhooks": []});
    let answer = t.client().patch(path, &body).await?;
    t.proof(!answer.ok(), "it can't be changed");
    t.stopped_by(Stopper::of(&answer));
    t.unchanged(&there, path).await?;
    let answer = t.client().delete(path).await?;
    t.proof(!answer.ok(), "it can't be deleted");
    t.stopped_by(Stopper::of(&answer));
    t.present(path).await
}
