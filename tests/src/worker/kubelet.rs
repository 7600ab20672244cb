//! Kubelets that run nothing: what one says of its Node, its lease and its pods.
//!
//! Source: kubelet 1.36: it creates its Node first and adopts the one that is there only after 403
//!         or 409; a lease every 10 s of 40 s; pods by a field selector, which the Node authorizer
//!         asks for.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use http::Method;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use seal::identity::{GROUP_NODES, NODE_USER_PREFIX};
use serde_json::{Value, json};
use tokio_util::task::AbortOnDropHandle;

use super::{ClientCa, node_path, text};
use crate::e2e::{Cluster, Said};

const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";
/// How long a lease counts, seconds.
const LEASE: u32 = 40;
/// Between two looks at its pods.
const SYNC: Duration = Duration::from_millis(250);
/// Leases are renewed each so many looks.
const RENEW_EACH: u32 = 20;
/// What an answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// Somebody with a certificate.
pub struct Kubelet {
    /// The user of the certificate.
    pub user: String,
    name: String,
    http: reqwest::Client,
    url: String,
}

/// How a kubelet came to its Node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Adopted {
    /// Its own creation was refused (403).
    Refused,
    /// There was one (409).
    AlreadyExists,
}

impl Kubelet {
    /// The kubelet of a node.
    pub fn of(cluster: &Cluster, ca: &ClientCa, name: &str) -> anyhow::Result<Self> {
        let user = format!("{NODE_USER_PREFIX}{name}");
        let http = cluster.http_of(&ca.sign(&user, GROUP_NODES)?)?;
        Ok(Self {
            user,
            name: name.to_owned(),
            http,
            url: cluster.control_plane.url.clone(),
        })
    }

    /// One of the users that all agents share; `name` is the node whose agent it is.
    pub fn shared(
        cluster: &Cluster,
        ca: &ClientCa,
        user: &str,
        name: &str,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            user: user.to_owned(),
            name: name.to_owned(),
            http: cluster.http_of(&ca.sign(user, "")?)?,
            url: cluster.control_plane.url.clone(),
        })
    }

    /// The node.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Asks with this method; a body goes as JSON, or as a merge patch.
    pub async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Said> {
        let kind = match method {
            Method::PATCH => "application/merge-patch+json",
            _ => "application/json",
        };
        let request = self
            .http
            .request(method, format!("{}{path}", self.url))
            .timeout(ANSWER_WITHIN)
            .header("content-type", kind)
            .body(body.map(ToString::to_string).unwrap_or_default());
        let answer = request.send().await?;
        let status = answer.status().as_u16();
        let body = answer.bytes().await?;
        let body = serde_json::from_slice(&body).unwrap_or_default();
        Ok(Said { status, body })
    }

    /// A GET.
    pub async fn get(&self, path: &str) -> anyhow::Result<Said> {
        self.ask(Method::GET, path, None).await
    }

    /// Tries to create its Node, as every kubelet does first.
    pub async fn create_node(&self) -> anyhow::Result<Said> {
        let node = json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": self.name, "labels": {
                "kubernetes.io/hostname": self.name, "kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
            }},
        });
        self.ask(Method::POST, "/api/v1/nodes", Some(&node)).await
    }

    /// Adopts the Node that is there.
    pub async fn adopt(&self) -> anyhow::Result<Adopted> {
        let created = self.create_node().await?;
        let adopted = match created.status {
            403 => Adopted::Refused,
            409 => Adopted::AlreadyExists,
            status => anyhow::bail!("{} created its Node: {status} {}", self.name, created.body),
        };
        self.get(&node_path(&self.name))
            .await?
            .done()
            .context("the Node that it should adopt")?;
        Ok(adopted)
    }

    /// Says of its Node that it is Ready, at this address, with a label of its own.
    pub async fn ready(&self, address: Ipv4Addr, pool: &str) -> anyhow::Result<()> {
        let labels = json!({"metadata": {"labels": {
            "kubernetes.io/hostname": self.name, "kubernetes.io/os": "linux",
            "kubernetes.io/arch": "amd64", "pool": pool,
        }}});
        let path = node_path(&self.name);
        self.ask(Method::PATCH, &path, Some(&labels))
            .await?
            .done()
            .context("its labels")?;
        let said = self.status(&status(&self.name, address)).await?;
        said.done().map(drop).context("its status")
    }

    /// Changes its Node's status.
    pub async fn status(&self, status: &Value) -> anyhow::Result<Said> {
        let path = format!("{}/status", node_path(&self.name));
        self.ask(Method::PATCH, &path, Some(status)).await
    }

    /// Renews its lease, or makes it; gives the last answer.
    pub async fn renew(&self) -> anyhow::Result<Said> {
        let now = serde_json::to_value(MicroTime(Timestamp::now()))?;
        let spec = json!({
            "holderIdentity": self.name, "leaseDurationSeconds": LEASE, "renewTime": now,
        });
        let path = format!("{LEASES}/{}", self.name);
        let patch = json!({"spec": spec});
        let said = self.ask(Method::PATCH, &path, Some(&patch)).await?;
        if said.status != 404 {
            return Ok(said);
        }
        let lease = json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"name": self.name, "namespace": "kube-node-lease"}, "spec": spec,
        });
        self.ask(Method::POST, LEASES, Some(&lease)).await
    }

    /// Lets its pods run, and those end that are to: once.
    pub async fn sync_pods(&self) -> anyhow::Result<()> {
        let mine = format!("/api/v1/pods?fieldSelector=spec.nodeName%3D{}", self.name);
        let pods = self.get(&mine).await?.done()?;
        let items = pods.get("items").and_then(Value::as_array);
        for pod in items.into_iter().flatten() {
            let (namespace, name) = (
                text(pod, "/metadata/namespace"),
                text(pod, "/metadata/name"),
            );
            let path = format!("/api/v1/namespaces/{namespace}/pods/{name}");
            if pod.pointer("/metadata/deletionTimestamp").is_some() {
                let now = json!({
                    "kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0,
                    "preconditions": {"uid": text(pod, "/metadata/uid")},
                });
                self.ask(Method::DELETE, &path, Some(&now)).await?;
            } else if text(pod, "/status/phase") == "Pending" {
                let running = json!({"status": {"phase": "Running", "conditions": [
                    condition("PodScheduled"), condition("Initialized"),
                    condition("ContainersReady"), condition("Ready"),
                ]}});
                let status = format!("{path}/status");
                self.ask(Method::PATCH, &status, Some(&running)).await?;
            }
        }
        Ok(())
    }

    /// Goes on in the background until the handle is dropped. What is refused is tried again, as a
    /// kubelet does.
    pub fn keep(self: &Arc<Self>) -> AbortOnDropHandle<()> {
        let kubelet = Arc::clone(self);
        AbortOnDropHandle::new(tokio::spawn(async move {
            let mut turn = 0;
            loop {
                if turn % RENEW_EACH == 0 {
                    let _ = kubelet.renew().await;
                }
                let _ = kubelet.sync_pods().await;
                turn += 1;
                tokio::time::sleep(SYNC).await;
            }
        }))
    }

    /// Whether it may do nothing any more: its lease, its Node, and making that again.
    pub async fn is_cut_off(&self) -> anyhow::Result<()> {
        let node = node_path(&self.name);
        for (what, said) in [
            ("reading its Node", self.get(&node).await?),
            ("creating its Node", self.create_node().await?),
            ("its lease", self.renew().await?),
            ("reading pods", self.get("/api/v1/pods").await?),
            ("reading Services", self.get("/api/v1/services").await?),
        ] {
            ensure!(
                said.status == 403,
                "{}: {what}: {} {}",
                self.user,
                said.status,
                said.body
            );
        }
        Ok(())
    }
}

fn condition(of: &str) -> Value {
    let now = serde_json::to_value(Timestamp::now()).unwrap_or_default();
    json!({"type": of, "status": "True", "lastTransitionTime": now})
}

fn status(name: &str, address: Ipv4Addr) -> Value {
    let now = serde_json::to_value(Timestamp::now()).unwrap_or_default();
    let condition = |of: &str, status: &str| {
        json!({
            "type": of, "status": status, "reason": "Simulated", "message": "no machine",
            "lastHeartbeatTime": now, "lastTransitionTime": now,
        })
    };
    let room = json!({
        "cpu": "4", "memory": "8Gi", "pods": "110", "ephemeral-storage": "50Gi",
    });
    json!({"status": {
        "addresses": [
            {"type": "InternalIP", "address": address.to_string()},
            {"type": "Hostname", "address": name},
        ],
        "capacity": room, "allocatable": room,
        "conditions": [
            condition("Ready", "True"), condition("MemoryPressure", "False"),
            condition("DiskPressure", "False"), condition("PIDPressure", "False"),
        ],
        "nodeInfo": {
            "machineID": name, "systemUUID": name, "bootID": name, "kernelVersion": "0",
            "osImage": "none", "containerRuntimeVersion": "none://0",
            "kubeletVersion": "v1.36.3+k3s1", "kubeProxyVersion": "", "operatingSystem": "linux",
            "architecture": "amd64",
        },
    }})
}
