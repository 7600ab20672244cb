//! Pods whose container runs a script with this machine's own programs.

use std::path::Path;

use anyhow::Context as _;
use k3s_daas_tests::cri::{BUSY, Containerd, client};
use k8s_cri::v1;

/// A running pod of one container.
#[derive(Debug)]
pub struct Pod {
    pub sandbox: String,
    /// The container's control group.
    pub group: String,
}

/// Runs a script of bash as root, with a folder of this machine's disk at `/data`.
pub async fn run(
    machine: &Containerd,
    config: v1::PodSandboxConfig,
    script: &str,
) -> anyhow::Result<Pod> {
    let mut runtime = client::runtime(&machine.socket());
    let request = v1::RunPodSandboxRequest {
        config: Some(config.clone()),
        ..v1::RunPodSandboxRequest::default()
    };
    let sandbox = runtime.run_pod_sandbox(request).await?.into_inner();
    let sandbox = sandbox.pod_sandbox_id;
    let parent = config.linux.as_ref().context("no group")?;
    let parent = parent.cgroup_parent.clone();
    let request = v1::CreateContainerRequest {
        pod_sandbox_id: sandbox.clone(),
        config: Some(container(&machine.path("data"), script)),
        sandbox_config: Some(config),
    };
    let created = runtime.create_container(request).await?.into_inner();
    let container_id = created.container_id;
    let group = format!("{parent}/{container_id}");
    let request = v1::StartContainerRequest { container_id };
    runtime.start_container(request).await?;
    Ok(Pod { sandbox, group })
}

fn container(data: &Path, script: &str) -> v1::ContainerConfig {
    let mounted = |host: &Path, inside: &str, readonly| v1::Mount {
        host_path: host.display().to_string(),
        container_path: inside.to_owned(),
        readonly,
        ..v1::Mount::default()
    };
    v1::ContainerConfig {
        metadata: Some(v1::ContainerMetadata {
            name: "app".to_owned(),
            attempt: 0,
        }),
        image: Some(v1::ImageSpec {
            image: BUSY.to_owned(),
            ..v1::ImageSpec::default()
        }),
        command: ["/usr/bin/bash", "-c", script].map(str::to_owned).into(),
        envs: vec![v1::KeyValue {
            key: "PATH".to_owned(),
            value: "/usr/bin".to_owned(),
        }],
        mounts: vec![
            mounted(Path::new("/usr"), "/usr", true),
            mounted(Path::new("/usr/lib"), "/lib", true),
            mounted(Path::new("/usr/lib64"), "/lib64", true),
            mounted(data, "/data", false),
        ],
        log_path: "app.log".to_owned(),
        linux: Some(v1::LinuxContainerConfig {
            security_context: Some(v1::LinuxContainerSecurityContext {
                run_as_user: Some(v1::Int64Value { value: 0 }),
                ..v1::LinuxContainerSecurityContext::default()
            }),
            ..v1::LinuxContainerConfig::default()
        }),
        ..v1::ContainerConfig::default()
    }
}
