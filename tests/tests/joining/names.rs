//! Who joins, and as what.

use anyhow::{Context as _, ensure};
use http::Method;
use k3s_daas_tests::e2e::{Caller, Cluster, NODES, new_token};
use k3s_daas_tests::rig::stake;
use k3s_daas_tests::worker::{
    ClientCa, LEAST, Review, Seen, Supervisor, Watched, is_ready, node_path, taints, text,
};
use seal::identity::{ANNOTATION_OWNER, ANNOTATION_SEAL, SERVER_USER};
use serde_json::{Value, json};

use crate::{address, cluster, passes};

const SETTINGS: [(&str, &str); 2] = [
    ("reserved_node_names", "api-1"),
    ("control_plane_nodes", "master-1"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_seal_joins_as_its_own_node_and_as_no_other() {
    passes(async {
        let Some(cluster) = cluster("joining: names", &SETTINGS).await? else {
            return Ok(());
        };
        let ca = ClientCa::of(&cluster.control_plane_folder())?;
        let watched = Watched::start(&cluster);
        tokio::try_join!(
            a_join_makes_the_node(&cluster, &ca, &watched),
            a_name_is_taken_neither_before_nor_after(&cluster, &ca),
            nothing_else_is_let_in(&cluster),
        )?;
        cluster.stop().await;
        Ok(())
    })
    .await;
}

/// The first review makes it, however many arrive at once, and the kubelet adopts it.
async fn a_join_makes_the_node(
    cluster: &Cluster,
    ca: &ClientCa,
    watched: &Watched,
) -> anyhow::Result<()> {
    let name = "first";
    let worker = cluster.worker(name).await?;
    ensure!(
        cluster.node(name).await?.status == 404,
        "a stake makes no Node"
    );
    let supervisor = Supervisor::of(cluster)?;
    let credential = worker.credential();
    let reviews = (0..32).map(|_| supervisor.review(&credential));
    let reviews = futures::future::try_join_all(reviews).await?;
    for review in reviews.iter().filter(|review| review.is_yes()) {
        ensure!(*review == Review::node(name), "{review:?}");
    }
    // A busy API server may take longer than a review: the agent asks again.
    worker.let_in(&supervisor).await?;
    let node = cluster.node(name).await?.done()?;
    ensure!(
        taints(&node).contains(&"node.cloudprovider.kubernetes.io/uninitialized"),
        "K3s's cloud controller would not complete it: {node}"
    );
    let owner = worker.wallet.address().to_string();
    ensure!(annotation_of(&node, ANNOTATION_OWNER) == owner, "{node}");
    ensure!(
        annotation_of(&node, ANNOTATION_SEAL).starts_with("0x"),
        "{node}"
    );
    let sealed = cluster.state_is(name, "Active").await?;
    ensure!(
        text(&sealed, "/spec/credentialHash") == worker.token.credential_hash().to_string(),
        "{sealed}"
    );

    let kubelet = worker.join(cluster, ca, address(), "names").await?;
    let ready = cluster.node_until(name, |said| is_ready(&said.body));
    ready.await.context("its Node should be Ready")?;
    kubelet.sync_pods().await?;
    let made = watched.of(name);
    let nodes = made.iter().filter(|seen| matches!(seen, Seen::Node { .. }));
    ensure!(nodes.count() == 1, "made more than once: {made:?}");
    Ok(())
}

async fn a_name_is_taken_neither_before_nor_after(
    cluster: &Cluster,
    ca: &ClientCa,
) -> anyhow::Result<()> {
    let victim = cluster.worker("victim").await?;
    let thief = cluster.worker("thief").await?;
    let supervisor = Supervisor::of(cluster)?;
    for joined in [false, true] {
        if joined {
            victim.join(cluster, ca, address(), "names").await?;
        }
        // Not on the chain: the name is the victim's.
        let taken = cluster.worker_of(&thief.wallet, "victim", 0).await;
        ensure!(taken.is_err(), "the chain gave the name away");
        // Not at the supervisor: K3s refuses a certificate for another name than this.
        thief.let_in(&supervisor).await?;
    }
    // Nor at the API, by its own certificate.
    let kubelet = thief.join(cluster, ca, address(), "names").await?;
    let before = cluster.node("victim").await?.done()?;
    let path = node_path("victim");
    let status = json!({"status": {"addresses": [
        {"type": "InternalIP", "address": "198.19.0.1"},
    ]}});
    let label = json!({"metadata": {"labels": {"mine": "now"}}});
    for (what, said) in [
        (
            "status",
            kubelet
                .ask(Method::PATCH, &format!("{path}/status"), Some(&status))
                .await?,
        ),
        (
            "label",
            kubelet.ask(Method::PATCH, &path, Some(&label)).await?,
        ),
        ("delete", kubelet.ask(Method::DELETE, &path, None).await?),
    ] {
        ensure!(said.status == 403, "{what}: {} {}", said.status, said.body);
    }
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "victim"},
    });
    let leases = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";
    let said = kubelet.ask(Method::POST, leases, Some(&lease)).await?;
    ensure!(said.status == 403, "lease: {} {}", said.status, said.body);
    let after = cluster.node("victim").await?.done()?;
    ensure!(
        before.pointer("/status/addresses") == after.pointer("/status/addresses"),
        "its addresses changed"
    );
    Ok(())
}

async fn nothing_else_is_let_in(cluster: &Cluster) -> anyhow::Result<()> {
    let supervisor = Supervisor::of(cluster)?;
    let refused = async |what: &str, credential: &str| -> anyhow::Result<()> {
        let review = supervisor.review(credential).await?;
        ensure!(matches!(review, Review::Refused(_)), "{what}: {review:?}");
        Ok(())
    };
    refused("an unknown credential", "cccccc.dddddddddddddddd").await?;

    // A seal that names no node.
    let (wallet, token) = (cluster.wallet().await?, new_token()?);
    stake(&wallet, &cluster.devnet.ids, &token, LEAST).await?;
    let joins = token.join_credential();
    refused("a seal without a node", joins.reveal().as_str()).await?;

    // The seal's token is no join credential, nor the other way round.
    let worker = cluster.worker("plain").await?;
    refused("a seal token", worker.token.reveal().as_str()).await?;
    let at_api = cluster
        .read(&Caller::Token(worker.credential()), NODES)
        .await?;
    ensure!(at_api.status == 401, "a join credential at the API");

    // Names of others.
    for name in ["api-1", "master-1"] {
        let Ok(worker) = cluster.worker(name).await else {
            continue;
        };
        refused(name, &worker.credential()).await?;
        ensure!(cluster.node(name).await?.status == 404, "{name} was made");
    }
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "foreign"}});
    let by_server = Caller::As(SERVER_USER.to_owned(), &["system:authenticated"]);
    cluster.create(&by_server, NODES, &node).await?;
    let worker = cluster.worker("foreign").await?;
    refused("a Node that is not ours", &worker.credential()).await?;
    let foreign = cluster.node("foreign").await?.done()?;
    ensure!(
        annotation_of(&foreign, ANNOTATION_SEAL).is_empty(),
        "it was taken: {foreign}"
    );

    // Nobody but the server makes Nodes.
    let by_hand = cluster
        .ask(
            &Caller::Operator,
            Method::POST,
            NODES,
            Some(&node_of("by-hand")),
        )
        .await?;
    ensure!(by_hand.status == 403, "{by_hand:?}");
    // But the control plane's own nodes do.
    let master = Caller::As("system:node:master-1".to_owned(), &["system:nodes"]);
    let own = cluster
        .ask(&master, Method::POST, NODES, Some(&node_of("master-1")))
        .await?;
    ensure!(own.ok(), "a control-plane node makes its own: {own:?}");
    Ok(())
}

fn node_of(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}})
}

fn annotation_of<'a>(node: &'a Value, key: &str) -> &'a str {
    text(
        node,
        &format!("/metadata/annotations/{}", key.replace('/', "~1")),
    )
}
