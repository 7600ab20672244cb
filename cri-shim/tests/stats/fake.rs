//! A runtime's socket that answers CRI and containerd's own API from a list of pods.

use std::collections::HashMap;
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use bytes::{BufMut as _, Bytes, BytesMut};
use containerd_client::services::v1 as containerd;
use containerd_client::types;
use futures::StreamExt as _;
use http::HeaderMap;
use http_body::Frame;
use http_body_util::StreamBody;
use k8s_cri::v1;
use prost::Message;
use tempfile::TempDir;
use tokio::sync::broadcast;
use tokio::task::JoinHandle;

/// A pod with one container, `app`.
#[derive(Debug, Clone)]
pub(crate) struct Pod {
    name: String,
    pid: u32,
    app_pid: u32,
    host_network: bool,
}

impl Pod {
    pub(crate) fn new(name: &str, pid: u32, app_pid: u32) -> Self {
        Self {
            name: name.into(),
            pid,
            app_pid,
            host_network: false,
        }
    }

    pub(crate) fn host_network(mut self) -> Self {
        self.host_network = true;
        self
    }

    fn sandbox_id(&self) -> String {
        format!("{}-sandbox", self.name)
    }

    fn app_id(&self) -> String {
        format!("{}-app", self.name)
    }
}

#[derive(Debug)]
struct Told {
    pods: Mutex<Vec<Pod>>,
    refused: Mutex<HashMap<String, u32>>,
    asked: Mutex<HashMap<String, usize>>,
    events: broadcast::Sender<String>,
}

#[derive(Debug)]
pub(crate) struct Fake {
    folder: TempDir,
    socket: PathBuf,
    told: Arc<Told>,
    serving: Mutex<Option<(JoinHandle<()>, broadcast::Sender<()>)>>,
}

impl Fake {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let told = Told {
            pods: Mutex::default(),
            refused: Mutex::default(),
            asked: Mutex::default(),
            events: broadcast::channel(4096).0,
        };
        let socket = folder.path().join("containerd.sock");
        let fake = Self {
            folder,
            socket,
            told: Arc::new(told),
            serving: Mutex::new(None),
        };
        fake.again();
        fake
    }

    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn set(&self, pods: Vec<Pod>) {
        *self.told.pods.lock().unwrap() = pods;
    }

    pub(crate) fn refuse(&self, method: &str, code: u32) {
        self.told
            .refused
            .lock()
            .unwrap()
            .insert(method.into(), code);
    }

    pub(crate) fn asked(&self, method: &str) -> usize {
        self.told
            .asked
            .lock()
            .unwrap()
            .get(method)
            .copied()
            .unwrap_or(0)
    }

    pub(crate) fn event(&self, topic: &str) {
        let _ = self.told.events.send(topic.into());
    }

    /// Ends the listener and every connection.
    pub(crate) async fn stop(&self) {
        let (serving, closing) = self.serving.lock().unwrap().take().unwrap();
        drop(closing);
        let _ = serving.await;
        std::fs::remove_file(&self.socket).unwrap();
    }

    pub(crate) fn again(&self) {
        let listener = tokio::net::UnixListener::bind(&self.socket).unwrap();
        let router = axum::Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&self.told));
        let (closing, _) = broadcast::channel::<()>(1);
        let mut closed = closing.subscribe();
        let serving = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                tokio::select! {
                    _ = closed.recv() => return,
                    accepted = listener.accept() => {
                        let stream = hyper_util::rt::TokioIo::new(accepted.unwrap().0);
                        let service = hyper_util::service::TowerToHyperService::new(router.clone());
                        connections.spawn(async move {
                            let _ = hyper::server::conn::http2::Builder::new(
                                hyper_util::rt::TokioExecutor::new(),
                            )
                            .serve_connection(stream, service)
                            .await;
                        });
                    }
                }
            }
        });
        *self.serving.lock().unwrap() = Some((serving, closing));
    }
}

async fn answer(State(told): State<Arc<Told>>, request: Request) -> Response {
    let method = request.uri().path().rsplit('/').next().unwrap().to_owned();
    let body = axum::body::to_bytes(request.into_body(), 1 << 20)
        .await
        .unwrap();
    let body = body.get(5..).unwrap_or_default();
    *told
        .asked
        .lock()
        .unwrap()
        .entry(method.clone())
        .or_default() += 1;
    if let Some(code) = told.refused.lock().unwrap().get(&method) {
        return refusal(*code);
    }
    let pods = told.pods.lock().unwrap().clone();
    match method.as_str() {
        "ListPodSandbox" => one(&v1::ListPodSandboxResponse {
            items: pods
                .iter()
                .zip(1..)
                .map(|(pod, at)| sandbox(pod, at))
                .collect(),
        }),
        "ListContainers" => one(&v1::ListContainersResponse {
            containers: pods.iter().map(container).collect(),
        }),
        "ListPodSandboxStats" => one(&v1::ListPodSandboxStatsResponse {
            stats: pods.iter().map(pod_stats).collect(),
        }),
        "ListContainerStats" => one(&v1::ListContainerStatsResponse {
            stats: pods.iter().map(container_stats).collect(),
        }),
        "PodSandboxStatus" => {
            let id = v1::PodSandboxStatusRequest::decode(body)
                .unwrap()
                .pod_sandbox_id;
            one(&sandbox_status(
                pods.iter().find(|pod| pod.sandbox_id() == id).unwrap(),
            ))
        }
        "ContainerStatus" => {
            let id = v1::ContainerStatusRequest::decode(body)
                .unwrap()
                .container_id;
            let pod = pods.iter().find(|pod| pod.app_id() == id).unwrap();
            let info = format!(r#"{{"sandboxID":"x","pid":{}}}"#, pod.app_pid);
            one(&v1::ContainerStatusResponse {
                status: None,
                info: [("info".to_owned(), info)].into(),
            })
        }
        "ImageFsInfo" => one(&v1::ImageFsInfoResponse {
            image_filesystems: vec![used(77)],
            container_filesystems: Vec::new(),
        }),
        "List" => one(&containerd::ListTasksResponse {
            tasks: pods
                .iter()
                .map(|pod| types::v1::Process {
                    id: pod.app_id(),
                    pid: pod.app_pid,
                    ..Default::default()
                })
                .collect(),
        }),
        "Metrics" => one(&containerd::MetricsResponse {
            metrics: pods.iter().map(task_metrics).collect(),
        }),
        "Subscribe" => subscription(&told),
        _ => refusal(12),
    }
}

fn frame(message: &impl Message) -> Bytes {
    let bytes = message.encode_to_vec();
    let mut frame = BytesMut::with_capacity(bytes.len() + 5);
    frame.put_u8(0);
    frame.put_u32(u32::try_from(bytes.len()).unwrap());
    frame.put_slice(&bytes);
    frame.freeze()
}

fn response(body: Body) -> Response {
    Response::builder()
        .header("content-type", "application/grpc")
        .body(body)
        .unwrap()
}

fn one(message: &impl Message) -> Response {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", 0.into());
    let frames = [Frame::data(frame(message)), Frame::trailers(trailers)].map(Ok::<_, Infallible>);
    response(Body::new(StreamBody::new(futures::stream::iter(frames))))
}

fn refusal(code: u32) -> Response {
    let mut response = response(Body::empty());
    response.headers_mut().insert("grpc-status", code.into());
    response
}

fn subscription(told: &Told) -> Response {
    let events = tokio_stream::wrappers::BroadcastStream::new(told.events.subscribe());
    let frames = events.map(|topic| {
        let envelope = types::Envelope {
            namespace: "k8s.io".into(),
            topic: topic.unwrap(),
            ..Default::default()
        };
        Ok::<_, Infallible>(Frame::data(frame(&envelope)))
    });
    response(Body::new(StreamBody::new(frames)))
}

#[allow(clippy::unnecessary_wraps, reason = "every figure of CRI is optional")]
fn value(value: u64) -> Option<v1::UInt64Value> {
    Some(v1::UInt64Value { value })
}

fn sandbox(pod: &Pod, created_at: i64) -> v1::PodSandbox {
    v1::PodSandbox {
        id: pod.sandbox_id(),
        metadata: Some(v1::PodSandboxMetadata {
            name: pod.name.clone(),
            namespace: "default".into(),
            ..Default::default()
        }),
        created_at,
        ..Default::default()
    }
}

fn container(pod: &Pod) -> v1::Container {
    v1::Container {
        id: pod.app_id(),
        pod_sandbox_id: pod.sandbox_id(),
        metadata: Some(v1::ContainerMetadata {
            name: "app".into(),
            attempt: 0,
        }),
        state: v1::ContainerState::ContainerRunning as i32,
        ..Default::default()
    }
}

fn used(bytes: u64) -> v1::FilesystemUsage {
    v1::FilesystemUsage {
        timestamp: 1,
        used_bytes: value(bytes),
        ..Default::default()
    }
}

fn container_stats(pod: &Pod) -> v1::ContainerStats {
    v1::ContainerStats {
        attributes: Some(v1::ContainerAttributes {
            id: pod.app_id(),
            ..Default::default()
        }),
        cpu: Some(v1::CpuUsage {
            usage_core_nano_seconds: value(1_000_000_000),
            ..Default::default()
        }),
        memory: Some(v1::MemoryUsage {
            working_set_bytes: value(1024),
            ..Default::default()
        }),
        writable_layer: Some(used(4096)),
        ..Default::default()
    }
}

fn pod_stats(pod: &Pod) -> v1::PodSandboxStats {
    let eth0 = v1::NetworkInterfaceUsage {
        name: "eth0".into(),
        rx_bytes: value(11),
        tx_bytes: value(22),
        ..Default::default()
    };
    v1::PodSandboxStats {
        attributes: Some(v1::PodSandboxAttributes {
            id: pod.sandbox_id(),
            ..Default::default()
        }),
        linux: Some(v1::LinuxPodSandboxStats {
            cpu: Some(v1::CpuUsage {
                usage_core_nano_seconds: value(2_000_000_000),
                ..Default::default()
            }),
            memory: Some(v1::MemoryUsage {
                working_set_bytes: value(2048),
                ..Default::default()
            }),
            network: (!pod.host_network).then(|| v1::NetworkUsage {
                default_interface: Some(eth0.clone()),
                interfaces: vec![eth0],
                ..Default::default()
            }),
            containers: vec![container_stats(pod)],
            ..Default::default()
        }),
        windows: None,
    }
}

fn sandbox_status(pod: &Pod) -> v1::PodSandboxStatusResponse {
    let network = if pod.host_network {
        v1::NamespaceMode::Node
    } else {
        v1::NamespaceMode::Pod
    };
    let info = format!(
        r#"{{"pid":{},"config":{{"linux":{{"cgroup_parent":"/pods/{}"}}}}}}"#,
        pod.pid, pod.name
    );
    v1::PodSandboxStatusResponse {
        status: Some(v1::PodSandboxStatus {
            linux: Some(v1::LinuxPodSandboxStatus {
                namespaces: Some(v1::Namespace {
                    options: Some(v1::NamespaceOption {
                        network: network as i32,
                        ..Default::default()
                    }),
                }),
            }),
            ..Default::default()
        }),
        info: [("info".to_owned(), info)].into(),
        ..Default::default()
    }
}

/// containerd's own message of control group v2: disk 8:0, 5 bytes read and 6 written.
fn task_metrics(pod: &Pod) -> types::Metric {
    #[derive(Clone, PartialEq, Message)]
    struct Metrics {
        #[prost(message, optional, tag = "6")]
        io: Option<Disks>,
    }
    #[derive(Clone, PartialEq, Message)]
    struct Disks {
        #[prost(message, repeated, tag = "1")]
        usage: Vec<Disk>,
    }
    #[derive(Clone, PartialEq, Message)]
    struct Disk {
        #[prost(uint64, tag = "1")]
        major: u64,
        #[prost(uint64, tag = "3")]
        rbytes: u64,
        #[prost(uint64, tag = "4")]
        wbytes: u64,
    }
    let disk = Disk {
        major: 8,
        rbytes: 5,
        wbytes: 6,
    };
    let metrics = Metrics {
        io: Some(Disks { usage: vec![disk] }),
    };
    types::Metric {
        id: pod.app_id(),
        data: Some(prost_types::Any {
            type_url: "io.containerd.cgroups.v2.Metrics".into(),
            value: metrics.encode_to_vec(),
        }),
        ..Default::default()
    }
}
