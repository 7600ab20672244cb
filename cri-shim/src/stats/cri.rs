//! What is asked of the runtime at each poll.
//!
//! Errors: a list that fails fails the poll's pods; figures that fail are absent.
//! Limits: each call [`DEADLINE`], each answer [`MOST_ANSWER`], what containerd itself sends at most.

use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use k8s_cri::v1;
use k8s_cri::v1::image_service_client::ImageServiceClient;
use k8s_cri::v1::runtime_service_client::RuntimeServiceClient;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Code, Status};

use super::Source;
use super::facts::{self, Facts};

/// How long one call may take.
const DEADLINE: Duration = Duration::from_secs(5);

/// The largest answer that is read.
pub(crate) const MOST_ANSWER: usize = 16 * 1024 * 1024;

/// A connection that is made when it is needed, and made again when it broke.
pub(crate) fn dial(socket: &Path) -> Channel {
    endpoint()
        .timeout(DEADLINE)
        .connect_with_connector_lazy(connector(socket.to_owned()))
}

/// Where the name of a host would be.
pub(crate) fn endpoint() -> Endpoint {
    Endpoint::from(Uri::from_static("http://localhost")).connect_timeout(DEADLINE)
}

pub(crate) fn connector(
    socket: PathBuf,
) -> impl tower::Service<
    Uri,
    Response = TokioIo<tokio::net::UnixStream>,
    Error = std::io::Error,
    Future: Send,
> + Send
+ 'static {
    tower::service_fn(move |_: Uri| {
        let socket = socket.clone();
        async move {
            tokio::net::UnixStream::connect(socket)
                .await
                .map(TokioIo::new)
        }
    })
}

/// The runtime's two services.
#[derive(Debug, Clone)]
pub(crate) struct Cri {
    runtime: RuntimeServiceClient<Channel>,
    images: ImageServiceClient<Channel>,
}

impl Cri {
    pub(crate) fn new(channel: Channel) -> Self {
        Self {
            runtime: RuntimeServiceClient::new(channel.clone())
                .max_decoding_message_size(MOST_ANSWER),
            images: ImageServiceClient::new(channel).max_decoding_message_size(MOST_ANSWER),
        }
    }

    /// All but what is asked once for each container. `failed` is told of each source that did not
    /// answer.
    pub(crate) async fn facts(
        &mut self,
        failed: &mut impl FnMut(Source, &Status),
    ) -> Result<Facts, Status> {
        let listed = self
            .runtime
            .list_pod_sandbox(v1::ListPodSandboxRequest::default())
            .await?;
        let sandboxes = facts::sandboxes(listed.into_inner().items);
        let listed = self
            .runtime
            .list_containers(v1::ListContainersRequest::default())
            .await?;
        let containers = facts::containers(listed.into_inner().containers);
        let asked = self
            .runtime
            .list_pod_sandbox_stats(v1::ListPodSandboxStatsRequest {
                // With a filter containerd leaves out what is not ready, with no look at it.
                filter: Some(v1::PodSandboxStatsFilter::default()),
            })
            .await;
        let (pods, mut figures) = match asked {
            Ok(told) => facts::pod_stats(told.into_inner().stats),
            Err(status) => {
                // containerd fails the whole list for one sandbox that has no group of its own.
                if status.code() != Code::Unimplemented {
                    failed(Source::PodStats, &status);
                }
                Default::default()
            }
        };
        if sandboxes
            .iter()
            .any(|sandbox| !pods.contains_key(&sandbox.id))
        {
            let request = v1::ListContainerStatsRequest::default();
            match self.runtime.list_container_stats(request).await {
                Ok(told) => figures.extend(facts::container_stats(told.into_inner().stats)),
                Err(status) => failed(Source::ContainerStats, &status),
            }
        }
        Ok(Facts {
            sandboxes,
            containers,
            pods,
            figures,
        })
    }

    /// What images and layers take.
    pub(crate) async fn images(&mut self) -> Result<Option<u64>, Status> {
        let answer = self.images.image_fs_info(v1::ImageFsInfoRequest {}).await?;
        Ok(facts::images(answer.into_inner()))
    }

    /// Where a sandbox is: its process, its network and the group that kubelet named.
    pub(crate) async fn sandbox(&mut self, id: &str) -> Result<SandboxPlace, Status> {
        let request = v1::PodSandboxStatusRequest {
            pod_sandbox_id: id.to_owned(),
            verbose: true,
        };
        let answer = self.runtime.pod_sandbox_status(request).await?.into_inner();
        let network = answer
            .status
            .and_then(|status| status.linux?.namespaces?.options)
            .map_or(0, |options| options.network);
        let info: Info = answer
            .info
            .get("info")
            .map(|text| Info::parse(text))
            .unwrap_or_default();
        Ok(SandboxPlace {
            pid: info.pid,
            host_network: network == v1::NamespaceMode::Node as i32,
            group: info.config.linux.cgroup_parent,
        })
    }

    /// A container's process; 0 where there is none.
    pub(crate) async fn container(&mut self, id: &str) -> Result<u32, Status> {
        let request = v1::ContainerStatusRequest {
            container_id: id.to_owned(),
            verbose: true,
        };
        let answer = self.runtime.container_status(request).await?.into_inner();
        Ok(answer
            .info
            .get("info")
            .map_or(0, |text| Info::parse(text).pid))
    }
}

/// Where a sandbox is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SandboxPlace {
    pub(crate) pid: u32,
    pub(crate) host_network: bool,
    pub(crate) group: String,
}

/// The runtime's own words about a sandbox or container, of which three are read.
#[derive(Debug, Default, serde::Deserialize)]
struct Info {
    #[serde(default)]
    pid: u32,
    #[serde(default)]
    config: InfoConfig,
}

#[derive(Debug, Default, serde::Deserialize)]
struct InfoConfig {
    #[serde(default)]
    linux: InfoLinux,
}

#[derive(Debug, Default, serde::Deserialize)]
struct InfoLinux {
    #[serde(default)]
    cgroup_parent: String,
}

impl Info {
    /// Text of another shape tells nothing.
    fn parse(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_containerd_says_of_a_sandbox() {
        let text = r#"{"pid":4711,"processStatus":"running","config":{"metadata":{"name":"a"},
            "linux":{"cgroup_parent":"/kubepods/pod8a5c","security_context":{}}}}"#;
        let info = Info::parse(text);
        assert_eq!(info.pid, 4711);
        assert_eq!(info.config.linux.cgroup_parent, "/kubepods/pod8a5c");
        for other in [
            "",
            "[]",
            "{}",
            r#"{"pid":-1}"#,
            r#"{"pid":"1"}"#,
            r#"{"config":null}"#,
        ] {
            assert_eq!(Info::parse(other).pid, 0, "{other}");
        }
    }
}
