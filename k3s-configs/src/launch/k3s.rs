//! A K3s server without an agent: how it is called.

use std::path::Path;

use tokio::process::Command;

use super::Arguments;
use super::error::LaunchError;
use super::find::Binary;
use super::modules::flag;
use super::place::Place;
use super::running::Plan;

/// K3s does not end with its parent, so a shell in between watches our pipe: when it closes, K3s
/// gets SIGTERM, and SIGKILL ten seconds later. The watcher is a process of its own, so that it
/// does its work even when the shell is killed.
const GUARD: &str = r#"
exec 3<&0
"$@" 3<&- </dev/null &
child=$!
{
  cat <&3 >/dev/null
  kill -TERM "$child"
  for _ in 1 2 3 4 5 6 7 8 9 10; do
    sleep 1
    kill -0 "$child" || exit 0
  done
  kill -KILL "$child"
} 2>/dev/null &
watcher=$!
exec 3<&-
trap 'kill -TERM "$child"' TERM INT HUP
wait "$child"
code=$?
# A signal to us ends the wait early.
while kill -0 "$child" 2>/dev/null; do
  wait "$child"
  code=$?
done
kill "$watcher" 2>/dev/null
exit "$code"
"#;

/// The components that K3s deploys as pods. There is no node to run them.
const PACKAGED: [&str; 5] = [
    "coredns",
    "local-storage",
    "metrics-server",
    "servicelb",
    "traefik",
];

pub(super) fn plan(
    binary: &Binary,
    dir: &Path,
    place: Place,
    arguments: &Arguments,
    drop_in: Option<&Path>,
) -> Result<Plan, LaunchError> {
    // A configuration of its own: never the machine's /etc/rancher/k3s/config.yaml.
    let config = dir.join("config.yaml");
    let config_d = dir.join("config.yaml.d");
    write(&config, b"")?;
    clear(&config_d)?;
    if let Some(drop_in) = drop_in {
        let text = std::fs::read(drop_in).map_err(|source| LaunchError::file(drop_in, source))?;
        write(&config_d.join("50-k3s-daas.yaml"), &text)?;
    }

    let admin_kubeconfig = dir.join("admin.kubeconfig");
    let data_dir = dir.join("k3s");
    let mut command = Command::new("/bin/sh");
    for (name, _) in std::env::vars_os() {
        // K3S_TOKEN, K3S_URL and the like would make it another server.
        if name.to_string_lossy().starts_with("K3S_") {
            command.env_remove(name);
        }
    }
    let home = dir.join("home");
    super::make_private_dir(&home)?;
    command
        .env("HOME", &home)
        .args(["-c", GUARD, "k3s-guard"])
        .arg(&binary.path)
        .arg("server")
        .arg(flag("--config", &config))
        .arg(flag("--data-dir", &data_dir))
        .arg(flag("--write-kubeconfig", &admin_kubeconfig))
        .args([
            "--write-kubeconfig-mode=0600",
            "--disable-agent",
            // With no agent this makes no namespaces; it keeps the node password and the link to
            // the kubeconfig out of /etc/rancher, where they may be another server's, and so no
            // root is needed.
            "--rootless",
            "--flannel-backend=none",
            "--disable-network-policy",
            "--disable-kube-proxy",
            "--disable-helm-controller",
            // Fixed ports, of which two servers on one machine would both want the same.
            "--kube-controller-manager-arg=secure-port=0",
            "--kube-scheduler-arg=secure-port=0",
            "--kube-cloud-controller-manager-arg=secure-port=0",
        ])
        .arg(format!("--https-listen-port={}", place.port))
        .arg(format!("--lb-server-port={}", place.port.saturating_add(2)))
        .arg(format!("--bind-address={}", place.bind));
    if let Some(address) = place.advertise {
        command
            .arg(format!("--advertise-address={address}"))
            .arg(format!("--node-ip={address}"))
            .arg(format!("--tls-san={address}"))
            // Logs and exec go over the tunnel that agents open.
            .arg("--egress-selector-mode=agent");
    } else {
        command.args([
            // K3s publishes no loopback address for the service `kubernetes`, and looks for
            // another on the interfaces, of which a machine without network has none.
            "--advertise-address=203.0.113.1",
            "--node-ip=203.0.113.1",
            "--egress-selector-mode=disabled",
            // It completes Nodes, of which there are none.
            "--disable-cloud-controller",
        ]);
    }
    command.args(PACKAGED.map(|component| format!("--disable={component}")));
    if drop_in.is_none() {
        command.args(&arguments.0);
    }
    Ok(Plan {
        command,
        program: binary.path.clone(),
        join_url: place.advertise.map(|_| place.url()),
        url: place.url(),
        direct_url: place.direct_url(),
        doors: place.doors(1),
        admin_kubeconfig,
        ca: data_dir.join("server/tls/server-ca.crt"),
        log: dir.join("control-plane.log"),
    })
}

/// What an earlier run configured is gone: the caller says what counts now.
fn clear(dir: &Path) -> Result<(), LaunchError> {
    match std::fs::remove_dir_all(dir) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            return Err(LaunchError::file(dir, source));
        }
        _ => {}
    }
    std::fs::create_dir_all(dir).map_err(|source| LaunchError::file(dir, source))
}

fn write(path: &Path, contents: &[u8]) -> Result<(), LaunchError> {
    std::fs::write(path, contents).map_err(|source| LaunchError::file(path, source))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::process::Stdio;
    use std::time::Duration;

    use tokio::process::Child;

    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    /// A guard whose child writes its id to the file and then waits.
    async fn guarded(pid_file: &Path) -> (Child, PathBuf) {
        let script = format!(
            "echo $$ > {0}.part; mv {0}.part {0}; exec sleep 300",
            pid_file.display()
        );
        let guard = Command::new("/bin/sh")
            .args(["-c", GUARD, "guard", "/bin/sh", "-c", &script])
            .stdin(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        until(|| pid_file.exists()).await;
        let pid = std::fs::read_to_string(pid_file).unwrap();
        (guard, Path::new("/proc").join(pid.trim()))
    }

    async fn until(condition: impl Fn() -> bool) {
        let poll = async {
            while !condition() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(SOON, poll).await.unwrap();
    }

    #[tokio::test]
    async fn the_guard_ends_k3s_and_itself_when_our_end_of_the_pipe_closes() {
        let dir = tempfile::tempdir().unwrap();
        let (mut guard, child) = guarded(&dir.path().join("pid")).await;
        assert!(child.exists());
        drop(guard.stdin.take());
        let status = tokio::time::timeout(SOON, guard.wait())
            .await
            .unwrap()
            .unwrap();
        assert!(!status.success());
        assert!(!child.exists());
    }

    #[tokio::test]
    async fn the_guard_ends_k3s_even_when_its_shell_was_killed() {
        let dir = tempfile::tempdir().unwrap();
        let (mut guard, child) = guarded(&dir.path().join("pid")).await;
        let pipe = guard.stdin.take();
        guard.kill().await.unwrap();
        assert!(child.exists());
        drop(pipe);
        until(|| !child.exists()).await;
    }

    #[tokio::test]
    async fn the_guard_passes_the_exit_code_on() {
        let mut guard = Command::new("/bin/sh")
            .args(["-c", GUARD, "guard", "/bin/sh", "-c", "exit 7"])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        // `wait` would close it, and a closed pipe ends the child.
        let _pipe = guard.stdin.take();
        let status = tokio::time::timeout(SOON, guard.wait())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(status.code(), Some(7));
    }
}
