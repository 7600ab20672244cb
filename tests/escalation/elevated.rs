//! Where the operator elevates nobody, ten SUI buy what two do.

use anyhow::ensure;
use k3s_daas_tests::e2e::{Cluster, NODES, home, skipped};
use seal::Tier;

use crate::client::Client;
use crate::stage::{POLL, SOON, stake_of};

/// On a cluster of its own: the choice is the cluster's.
pub async fn nobody_is() -> anyhow::Result<()> {
    let Some(cluster) = Cluster::start(POLL, &[("elevated_owners", "none")]).await? else {
        skipped("escalation", "no control plane");
        return Ok(());
    };
    for tier in [Tier::Admin, Tier::Super] {
        let (wallet, token) = cluster.tenant(stake_of(tier)).await?;
        cluster
            .until(&token, NODES, SOON, |status| status == 200)
            .await?;
        let url = &cluster.control_plane.url;
        let anonymous = Client::anonymous(url, &cluster.control_plane.ca_pem)?;
        let client = anonymous.bearer(token.reveal().as_str());
        let own = format!("/api/v1/namespaces/{}/secrets", home(&wallet.address()));
        cluster
            .until(&token, &own, SOON, |status| status == 200)
            .await?;
        for path in [
            "/api/v1/namespaces/kube-system/secrets",
            "/api/v1/secrets",
            "/apis/helm.cattle.io/v1/helmcharts",
            "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
            "/api/v1/nodes/any/proxy/",
        ] {
            let answer = client.get(path).await?;
            ensure!(
                answer.status == 403 && answer.text.contains("tier developer"),
                "a stake for {tier}: {answer:?}"
            );
        }
        let namespace = serde_json::json!({"metadata": {"name": "for-ten"}});
        let made = client.post("/api/v1/namespaces", &namespace).await?;
        ensure!(made.status == 403, "a stake for {tier}: {made:?}");
    }
    cluster.stop().await;
    Ok(())
}
