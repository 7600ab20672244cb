//! The folder of a worker, as it is found at [`INSIDE`] in its machine.

use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use zeroize::Zeroizing;

use super::super::find::on_path;
use super::{AgentError, AgentOptions};

/// Where the machine sees its folder.
pub(super) const INSIDE: &str = "/run/machine";
/// The agent's token.
pub(super) const TOKEN: &str = "join-token";
/// The agent's log.
pub(super) const LOG: &str = "agent.log";
/// What holds a pod's namespaces: `tests/tools/images.sh` makes it, so that no registry is needed.
pub(super) const PAUSE_IMAGE: &str = "docker.io/k3s-daas/pause:1";

/// The bit of `CAP_SYS_RESOURCE`.
const SYS_RESOURCE: u32 = 24;
/// More is no token.
const LONGEST_TOKEN: u64 = 4096;

/// Makes the folder and what the agent finds in it.
pub(super) fn prepare(dir: &Path, options: &AgentOptions) -> Result<(), AgentError> {
    let name = &options.name;
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    if name.is_empty() || name.len() > 63 || !name.chars().all(fits) {
        return Err(AgentError::Name { name: name.clone() });
    }
    super::super::make_private_dir(dir).map_err(|error| AgentError::Machine {
        what: "its folder",
        tail: error.to_string(),
    })?;
    for folder in [
        "home",
        "rancher",
        "kubelet",
        "cni",
        "cni-conf",
        "pods",
        "k3s/agent/images",
        "k3s/agent/etc/containerd/config-v3.toml.d",
    ] {
        let path = dir.join(folder);
        std::fs::create_dir_all(&path).map_err(AgentError::file(&path))?;
    }
    write(&dir.join("config.yaml"), b"")?;
    point_kubelet(dir, options.cri_socket.as_deref())?;
    write(
        &dir.join("resolv.conf"),
        b"# No names are resolved on a test worker.\nnameserver 192.0.2.1\n",
    )?;
    write(
        &dir.join("cni-conf/10-pods.conflist"),
        pod_network(options.index).as_bytes(),
    )?;
    let drop_in = dir.join("k3s/agent/etc/containerd/config-v3.toml.d/k3s-daas.toml");
    write(&drop_in, containerd_drop_in().as_bytes())?;
    for image in &options.images {
        let Some(name) = image.file_name() else {
            continue;
        };
        std::fs::copy(image, dir.join("k3s/agent/images").join(name))
            .map_err(AgentError::file(image))?;
    }
    Ok(())
}

/// Writes the drop-in that points kubelet at this socket, or removes it.
pub(super) fn point_kubelet(dir: &Path, socket: Option<&Path>) -> Result<(), AgentError> {
    let folder = dir.join("config.yaml.d");
    let path = folder.join(crate::worker::DROP_IN);
    let Some(socket) = socket else {
        return match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(AgentError::file(&path)(error))
            }
            _ => Ok(()),
        };
    };
    std::fs::create_dir_all(&folder).map_err(AgentError::file(&folder))?;
    write(&path, crate::worker::drop_in(socket).as_bytes())
}

/// Pods get addresses of a range that no Node is given by the controllers, which begin below. They
/// reach other networks where the machine can translate addresses.
fn pod_network(index: u8) -> String {
    let third = 200_u8.saturating_add(index % 50);
    let translate = on_path(std::env::var_os("PATH").as_ref(), "iptables").is_some();
    serde_json::json!({
        "cniVersion": "1.0.0",
        "name": "pods",
        "plugins": [{
            "type": "bridge",
            "bridge": "cni0",
            "isGateway": true,
            "ipMasq": translate,
            "hairpinMode": true,
            "ipam": {
                "type": "host-local",
                "subnet": format!("10.42.{third}.0/24"),
                "routes": [{ "dst": "0.0.0.0/0" }],
            },
        }],
    })
    .to_string()
}

/// Root in a container may lack what lowers a process's chance to be killed for its memory; runc
/// ends without a word then.
fn containerd_drop_in() -> String {
    let restrict = !has_capability(SYS_RESOURCE);
    format!("[plugins.'io.containerd.cri.v1.runtime']\n  restrict_oom_score_adj = {restrict}\n")
}

fn has_capability(bit: u32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    effective
        .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
        .is_some_and(|set| set >> bit & 1 == 1)
}

/// Copies the token to where the agent finds it: its file may be anywhere, also where the machine
/// sees nothing.
pub(super) fn copy_token(from: &Path, dir: &Path) -> Result<(), AgentError> {
    use std::io::{Read, Write};
    let mut text = Zeroizing::new(Vec::new());
    let file = std::fs::File::open(from).map_err(AgentError::file(from))?;
    file.take(LONGEST_TOKEN)
        .read_to_end(&mut text)
        .map_err(AgentError::file(from))?;
    let to = dir.join(TOKEN);
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&to)
        .map_err(AgentError::file(&to))?;
    file.set_permissions(std::fs::Permissions::from_mode(0o600))
        .and_then(|()| file.write_all(&text))
        .map_err(AgentError::file(&to))
}

fn write(path: &Path, contents: &[u8]) -> Result<(), AgentError> {
    std::fs::write(path, contents).map_err(AgentError::file(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(name: &str) -> AgentOptions {
        AgentOptions::new("/nowhere", name, 3, "https://x", "/nowhere/t", "/nowhere")
    }

    #[test]
    fn a_token_is_copied_for_its_owner_alone_and_anew_each_time() {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("token");
        for text in ["the first and longer one", "second"] {
            std::fs::write(&source, text).unwrap();
            copy_token(&source, folder.path()).unwrap();
            let copy = folder.path().join(TOKEN);
            assert_eq!(std::fs::read_to_string(&copy).unwrap(), text);
            let mode = std::fs::metadata(&copy).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn a_name_that_is_no_nodes_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["", "A", "a/b", "a b"] {
            assert!(matches!(
                prepare(folder.path(), &options(name)),
                Err(AgentError::Name { .. })
            ));
        }
        prepare(folder.path(), &options("worker-001")).unwrap();
    }

    #[test]
    fn kubelet_is_pointed_at_a_socket_and_back() {
        let folder = tempfile::tempdir().unwrap();
        let shim = AgentOptions {
            cri_socket: Some("/run/k3s-daas/cri.sock".into()),
            ..options("worker-001")
        };
        prepare(folder.path(), &shim).unwrap();
        let path = folder.path().join("config.yaml.d/50-k3s-daas-cri.yaml");
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(
            text.contains("endpoint=unix:///run/k3s-daas/cri.sock"),
            "{text}"
        );
        for _ in 0..2 {
            point_kubelet(folder.path(), None).unwrap();
            assert!(!path.exists());
        }
    }

    #[test]
    fn workers_of_one_network_have_pod_ranges_of_their_own() {
        assert!(pod_network(0).contains("10.42.200.0/24"));
        assert!(pod_network(7).contains("10.42.207.0/24"));
    }
}
