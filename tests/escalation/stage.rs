//! Who and what all ways meet: a cluster, tenants of each tier, and the operator.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use http::Method;
use k3s_daas_tests::e2e::{Caller, Cluster, NODES, home, new_token};
use k3s_daas_tests::rig;
use k3s_daas_tests::worker::{ClientCa, Worker, node_path};
use seal::{Mist, SealToken, Tier};
use serde_json::{Value, json};
use sui_ledger::tx::{Call, Wallet};

use crate::client::Client;

/// A namespace that nobody owns and nothing protects.
pub const COMMONS: &str = "commons";
/// A Node that nobody runs.
pub const NODE: &str = "idle-worker";
/// The Secret in `kube-system` that nobody below super may learn.
pub const TREASURE: &str = "treasure";

/// How long what was asked for may take to come.
pub const SOON: Duration = Duration::from_secs(20);
/// Between two questions; also between two checkpoints.
pub const POLL: Duration = Duration::from_millis(20);

/// A tenant.
pub struct Tenant {
    pub wallet: Wallet,
    pub token: SealToken,
    pub client: Client,
    /// The namespace that is its own, or would be.
    pub home: String,
}

impl Tenant {
    /// The name by which Kubernetes knows it.
    pub fn user(&self) -> String {
        seal::identity::user_name(&self.wallet.address())
    }
}

/// A machine that joined by stake.
pub struct Machine {
    pub name: &'static str,
    pub worker: Worker,
    /// With the certificate that K3s signed for it.
    pub client: Client,
}

/// Everything.
pub struct Stage {
    pub cluster: Cluster,
    /// Nobody.
    pub anonymous: Client,
    /// Who may do everything, without a seal.
    pub operator: Client,
    pub viewer: Tenant,
    pub developer: Tenant,
    pub admin: Tenant,
    pub super_: Tenant,
    /// Another developer, whom nobody may harm.
    pub victim: Tenant,
    /// A stranger's machine: what its kubelet may do, whoever has root there may do.
    pub machine: Machine,
    /// Another machine, with pods that are none of the stranger's.
    pub neighbour: Machine,
    /// For kubeconfigs.
    pub folder: tempfile::TempDir,
}

/// The least stake of a tier.
pub const fn stake_of(tier: Tier) -> Mist {
    match tier {
        Tier::Viewer => Mist(500_000_000),
        Tier::Developer => Mist(2_000_000_000),
        Tier::Admin => Mist(5_000_000_000),
        Tier::Super => Mist(10_000_000_000),
    }
}

impl Stage {
    /// Sets it up; nothing where there is no control plane.
    pub async fn set() -> anyhow::Result<Option<Self>> {
        let Some(cluster) = Cluster::start(POLL, &[]).await? else {
            return Ok(None);
        };
        let anonymous =
            Client::anonymous(&cluster.control_plane.url, &cluster.control_plane.ca_pem)?;
        let operator = operator(&cluster, &anonymous).await?;
        let folder = tempfile::tempdir()?;
        let tenant = |tier| tenant(&cluster, &anonymous, tier);
        let (viewer, developer, admin, super_, victim) = tokio::try_join!(
            tenant(Tier::Viewer),
            tenant(Tier::Developer),
            tenant(Tier::Admin),
            tenant(Tier::Super),
            tenant(Tier::Developer),
        )?;
        let ca = ClientCa::of(&cluster.control_plane_folder())?;
        let machine = |name, last| machine(&cluster, &anonymous, &ca, name, last);
        let (machine, neighbour) =
            tokio::try_join!(machine("stranger", 1), machine("neighbour", 2))?;
        let stage = Self {
            machine,
            neighbour,
            cluster,
            anonymous,
            operator,
            viewer,
            developer,
            admin,
            super_,
            victim,
            folder,
        };
        for tenant in [&stage.developer, &stage.admin, &stage.super_, &stage.victim] {
            stage.settled(&tenant.home).await?;
        }
        stage.furnish().await?;
        Ok(Some(stage))
    }

    /// The tenant of a tier.
    pub fn tenant(&self, tier: Tier) -> &Tenant {
        match tier {
            Tier::Viewer => &self.viewer,
            Tier::Developer => &self.developer,
            Tier::Admin => &self.admin,
            Tier::Super => &self.super_,
        }
    }

    /// One more tenant, whose end harms no other way.
    pub async fn guest(&self, tier: Tier) -> anyhow::Result<Tenant> {
        let guest = tenant(&self.cluster, &self.anonymous, tier).await?;
        if tier >= Tier::Developer {
            self.settled(&guest.home).await?;
        }
        Ok(guest)
    }

    /// One more seal of the same owner.
    pub async fn second_seal(&self, tenant: &Tenant, tier: Tier) -> anyhow::Result<Client> {
        let token = new_token()?;
        rig::stake(
            &tenant.wallet,
            &self.cluster.devnet.ids,
            &token,
            stake_of(tier),
        )
        .await?;
        self.cluster
            .until(&token, NODES, SOON, |status| status == 200)
            .await?;
        Ok(self.anonymous.bearer(token.reveal().as_str()))
    }

    /// Slashes a seal.
    pub async fn slash_seal(&self, token: &SealToken) -> anyhow::Result<()> {
        let call = rig::slash(&self.cluster.devnet.ids, token)?;
        self.operate(&call).await
    }

    /// Slashes a tenant's seal and waits until it is refused.
    pub async fn slash(&self, tenant: &Tenant) -> anyhow::Result<()> {
        self.slash_seal(&tenant.token).await?;
        self.cluster
            .until(&tenant.token, NODES, SOON, |status| status != 200)
            .await?;
        Ok(())
    }

    /// One call of the operator's at a time: its coins are not for two transactions at once.
    async fn operate(&self, call: &Call) -> anyhow::Result<()> {
        static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
        let _turn = TURN.lock().await;
        self.cluster
            .operator
            .call(&self.cluster.devnet.ids, call)
            .await?;
        Ok(())
    }

    /// Waits until a namespace is usable: Kubernetes' controllers have done their part.
    async fn settled(&self, namespace: &str) -> anyhow::Result<()> {
        let account = format!("/api/v1/namespaces/{namespace}/serviceaccounts/default");
        self.until(&account, |found| found.is_object()).await?;
        let quotas = format!("/api/v1/namespaces/{namespace}/resourcequotas");
        self.until(&quotas, |found| {
            let items = found.pointer("/items").and_then(Value::as_array);
            items.is_some_and(|items| {
                !items.is_empty()
                    && items
                        .iter()
                        .all(|quota| quota.pointer("/status/hard").is_some())
            })
        })
        .await?;
        // Last comes the label of its state: until then the namespace is nobody's.
        let path = format!("/api/v1/namespaces/{namespace}");
        let state = format!(
            "/metadata/labels/{}",
            seal::identity::LABEL_STATE.replace('/', "~1")
        );
        self.until(&path, |found| found.pointer(&state).is_some())
            .await
    }

    /// Asks as the operator until the object is as wanted.
    pub async fn until(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> anyhow::Result<()> {
        let started = Instant::now();
        loop {
            let answer = self.operator.get(path).await?;
            if answer.ok() && wanted(&answer.body) {
                return Ok(());
            }
            if started.elapsed() > SOON {
                bail!("{path} is still {} {}", answer.status, answer.text);
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// What the operator has that others want.
    async fn furnish(&self) -> anyhow::Result<()> {
        let objects = [
            (
                "/api/v1/namespaces".to_owned(),
                json!({"metadata": {"name": COMMONS}}),
            ),
            (
                "/api/v1/namespaces/kube-system/secrets".to_owned(),
                json!({"metadata": {"name": TREASURE}, "stringData": {"gold": "much"}}),
            ),
            (
                format!("/api/v1/namespaces/{}/secrets", self.victim.home),
                json!({"metadata": {"name": TREASURE}, "stringData": {"gold": "some"}}),
            ),
            (
                "/api/v1/namespaces/kube-system/configmaps".to_owned(),
                json!({"metadata": {"name": TREASURE}, "data": {"gold": "little"}}),
            ),
        ];
        for (path, object) in objects {
            let answer = self.operator.post(&path, &object).await?;
            anyhow::ensure!(answer.ok(), "{answer:?}");
        }
        self.node().await?;
        self.pods().await?;
        self.chart_definition().await?;
        let account = format!("/api/v1/namespaces/{COMMONS}/serviceaccounts/default");
        self.until(&account, |found| found.is_object()).await
    }

    /// A pod on each machine, with a service account of its own, and a Secret that the pod uses.
    async fn pods(&self) -> anyhow::Result<()> {
        for machine in [&self.machine, &self.neighbour] {
            let name = machine.name;
            let base = format!("/api/v1/namespaces/{COMMONS}");
            let pod = json!({
                "metadata": {"name": name},
                "spec": {
                    "nodeName": name, "serviceAccountName": name,
                    "containers": [{
                        "name": "main", "image": "registry.k8s.io/pause:3.10",
                        "envFrom": [{"secretRef": {"name": name}}],
                    }],
                },
            });
            for (kind, object) in [
                ("serviceaccounts", json!({"metadata": {"name": name}})),
                (
                    "secrets",
                    json!({"metadata": {"name": name}, "stringData": {"gold": "a bit"}}),
                ),
                ("pods", pod),
            ] {
                let answer = self
                    .operator
                    .post(&format!("{base}/{kind}"), &object)
                    .await?;
                anyhow::ensure!(answer.ok(), "{answer:?}");
            }
        }
        Ok(())
    }

    /// Where no K3s has made it, so that it is not merely missing.
    async fn chart_definition(&self) -> anyhow::Result<()> {
        let definition = json!({
            "metadata": {"name": "helmcharts.helm.cattle.io"},
            "spec": {
                "group": "helm.cattle.io",
                "scope": "Namespaced",
                "names": {"plural": "helmcharts", "kind": "HelmChart"},
                "versions": [{
                    "name": "v1", "served": true, "storage": true,
                    "schema": {"openAPIV3Schema": {
                        "type": "object", "x-kubernetes-preserve-unknown-fields": true,
                    }},
                }],
            },
        });
        let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
        let answer = self.operator.post(path, &definition).await?;
        anyhow::ensure!(answer.ok() || answer.status == 409, "{answer:?}");
        self.until("/apis/helm.cattle.io/v1/helmcharts", Value::is_object)
            .await
    }

    /// Nodes may be the server's alone to make.
    async fn node(&self) -> anyhow::Result<()> {
        let node = json!({"metadata": {"name": NODE, "labels": {"tier": "none"}}});
        let by_operator = self.operator.post("/api/v1/nodes", &node).await?;
        if by_operator.ok() {
            return Ok(());
        }
        let path = format!(
            "/api/v1/namespaces/{}/serviceaccounts/{}/token",
            seal::access::EXTENSION_NAMESPACE,
            seal::identity::SERVER_ACCOUNT
        );
        let token = self.operator.post(&path, &json!({"spec": {}})).await?;
        let server = self.anonymous.bearer(&token.text_at("/status/token")?);
        let by_server = server.post("/api/v1/nodes", &node).await?;
        anyhow::ensure!(by_server.ok(), "{by_operator:?} {by_server:?}");
        Ok(())
    }
}

async fn tenant(cluster: &Cluster, anonymous: &Client, tier: Tier) -> anyhow::Result<Tenant> {
    let (wallet, token) = cluster.tenant(stake_of(tier)).await?;
    let home = home(&wallet.address());
    cluster
        .until(&token, NODES, SOON, |status| status == 200)
        .await
        .with_context(|| format!("a tenant of tier {tier}"))?;
    Ok(Tenant {
        client: anonymous.bearer(token.reveal().as_str()),
        wallet,
        token,
        home,
    })
}

async fn machine(
    cluster: &Cluster,
    anonymous: &Client,
    ca: &ClientCa,
    name: &'static str,
    last: u8,
) -> anyhow::Result<Machine> {
    let worker = cluster.worker(name).await?;
    let address = Ipv4Addr::new(198, 18, 0, last);
    let kubelet = worker.join(cluster, ca, address, name).await?;
    // Pods of other ways are to find no place, as on a cluster without machines.
    let quiet = json!({"spec": {"taints": [{"key": "example.com/quiet", "effect": "NoSchedule"}]}});
    let path = node_path(name);
    let operator = Caller::Operator;
    let said = cluster
        .ask(&operator, Method::PATCH, &path, Some(&quiet))
        .await?;
    said.done()?;
    let certificate = ca.sign(&kubelet.user, seal::identity::GROUP_NODES)?;
    let client = anonymous.certified(&cluster.control_plane.ca_pem, &certificate)?;
    Ok(Machine {
        name,
        worker,
        client,
    })
}

/// A service account that may do everything: its token works with every client.
async fn operator(cluster: &Cluster, anonymous: &Client) -> anyhow::Result<Client> {
    let kubectl = async |words: &str| -> anyhow::Result<String> {
        let control_plane = &cluster.control_plane;
        let mut command = control_plane
            .kubectl
            .command(&control_plane.admin_kubeconfig);
        command.args(words.split(' '));
        let output = tokio::time::timeout(SOON, command.output()).await??;
        let error = String::from_utf8_lossy(&output.stderr);
        anyhow::ensure!(output.status.success(), "kubectl {words}: {error}");
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    };
    kubectl("create serviceaccount the-operator -n kube-system").await?;
    kubectl(
        "create clusterrolebinding the-operator --clusterrole=cluster-admin \
         --serviceaccount=kube-system:the-operator"
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
            .as_str(),
    )
    .await?;
    let token = kubectl("create token the-operator -n kube-system").await?;
    Ok(anonymous.bearer(&token))
}
