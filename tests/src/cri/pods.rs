//! Pods as kubelet asks for them.

use std::path::Path;

use anyhow::Context as _;
use k8s_cri::v1;

use super::{BUSY, Containerd, client};

impl Containerd {
    /// What kubelet would ask for a pod of this name.
    pub fn pod(&self, namespace: &str, name: &str) -> v1::PodSandboxConfig {
        let labels = [
            ("io.kubernetes.pod.name", name),
            ("io.kubernetes.pod.namespace", namespace),
            ("io.kubernetes.pod.uid", name),
        ];
        v1::PodSandboxConfig {
            metadata: Some(v1::PodSandboxMetadata {
                name: name.to_owned(),
                uid: name.to_owned(),
                namespace: namespace.to_owned(),
                attempt: 0,
            }),
            log_directory: self.path("logs").join(name).display().to_string(),
            labels: labels
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
            linux: Some(v1::LinuxPodSandboxConfig {
                cgroup_parent: format!("{}/pod-{name}", self.group),
                ..v1::LinuxPodSandboxConfig::default()
            }),
            ..v1::PodSandboxConfig::default()
        }
    }

    /// The same on the machine's own network, which is quicker.
    pub fn host_pod(&self, namespace: &str, name: &str) -> v1::PodSandboxConfig {
        let mut pod = self.pod(namespace, name);
        let linux = pod.linux.get_or_insert_default();
        linux.security_context = Some(v1::LinuxSandboxSecurityContext {
            namespace_options: Some(v1::NamespaceOption {
                network: v1::NamespaceMode::Node.into(),
                ..v1::NamespaceOption::default()
            }),
            ..v1::LinuxSandboxSecurityContext::default()
        });
        pod
    }
}

/// Runs a pod with one container of the busy image through a socket; gives their ids.
pub async fn run_pod(
    socket: &Path,
    pod: &v1::PodSandboxConfig,
    arguments: &[&str],
) -> anyhow::Result<(String, String)> {
    run_pod_of(socket, pod, BUSY, arguments).await
}

/// The same of an image that has the busy program.
pub async fn run_pod_of(
    socket: &Path,
    pod: &v1::PodSandboxConfig,
    image: &str,
    arguments: &[&str],
) -> anyhow::Result<(String, String)> {
    let mut runtime = client::runtime(socket);
    let request = v1::RunPodSandboxRequest {
        config: Some(pod.clone()),
        ..v1::RunPodSandboxRequest::default()
    };
    let sandbox = runtime
        .run_pod_sandbox(request)
        .await
        .context("RunPodSandbox")?;
    let sandbox = sandbox.into_inner().pod_sandbox_id;
    let container = v1::ContainerConfig {
        metadata: Some(v1::ContainerMetadata {
            name: "app".to_owned(),
            attempt: 0,
        }),
        image: Some(v1::ImageSpec {
            image: image.to_owned(),
            ..v1::ImageSpec::default()
        }),
        command: [&["/bin/busy"], arguments]
            .concat()
            .into_iter()
            .map(str::to_owned)
            .collect(),
        log_path: "app.log".to_owned(),
        linux: Some(v1::LinuxContainerConfig::default()),
        ..v1::ContainerConfig::default()
    };
    let request = v1::CreateContainerRequest {
        pod_sandbox_id: sandbox.clone(),
        config: Some(container),
        sandbox_config: Some(pod.clone()),
    };
    let container = runtime
        .create_container(request)
        .await
        .context("CreateContainer")?;
    let container = container.into_inner().container_id;
    let request = v1::StartContainerRequest {
        container_id: container.clone(),
    };
    runtime
        .start_container(request)
        .await
        .context("StartContainer")?;
    Ok((sandbox, container))
}

/// Stops and removes a pod.
pub async fn remove_pod(socket: &Path, sandbox: &str) -> anyhow::Result<()> {
    let mut runtime = client::runtime(socket);
    let id = || sandbox.to_owned();
    let stop = v1::StopPodSandboxRequest {
        pod_sandbox_id: id(),
    };
    runtime
        .stop_pod_sandbox(stop)
        .await
        .context("StopPodSandbox")?;
    let remove = v1::RemovePodSandboxRequest {
        pod_sandbox_id: id(),
    };
    runtime
        .remove_pod_sandbox(remove)
        .await
        .context("RemovePodSandbox")?;
    Ok(())
}
