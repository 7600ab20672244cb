//! Worker machines: a stock K3s agent joins with K3s's own token, restarts, and leaves nothing.
//! Needs root, K3s, and what `tests/tools/containerd.sh` installs.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use k3s_configs::launch::agent::{self, AgentNetwork, AgentOptions};
use k3s_configs::launch::{
    self, ControlPlane, ControlPlaneKind, Search, StartOptions, find_control_plane,
};

const SOON: Duration = Duration::from_secs(90);

/// What a script of `tests/tools` says its folder is.
fn folder(script: &str) -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/tools")
        .join(script);
    let output = std::process::Command::new("bash")
        .arg(script)
        .arg("--path")
        .output()
        .unwrap();
    PathBuf::from(String::from_utf8(output.stdout).unwrap().trim_end())
}

/// Asks until kubectl's answer is as wanted.
async fn until(control_plane: &ControlPlane, arguments: &[&str], wanted: &str) {
    let begun = Instant::now();
    loop {
        let mut command = control_plane
            .kubectl
            .command(&control_plane.admin_kubeconfig);
        let output = command.args(arguments).output().await.unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if text.contains(wanted) {
            return;
        }
        assert!(
            begun.elapsed() < SOON,
            "{arguments:?}: {text}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

const READY: &str = r#"jsonpath={.items[*].status.conditions[?(@.type=="Ready")].status}"#;

fn left_behind(dir: &Path) -> Vec<String> {
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap();
    let of_ours = mounts
        .lines()
        .filter(|line| line.contains(&*dir.to_string_lossy()));
    of_ours.map(str::to_owned).collect()
}

#[tokio::test]
#[ignore = "needs root, K3s and tests/tools/containerd.sh"]
async fn a_stock_agent_joins_restarts_and_leaves_nothing() {
    let tools = folder("containerd.sh");
    let missing = agent::missing(&tools);
    assert!(missing.is_empty(), "{missing:?}");
    let binary = find_control_plane(&Search::from_environment()).unwrap();
    assert_eq!(binary.kind, ControlPlaneKind::K3s, "set K3S_BIN");

    let dir = tempfile::tempdir().unwrap();
    let network = AgentNetwork::create().unwrap();
    let control_plane = launch::start(
        &binary,
        StartOptions {
            reachable_at: Some(network.server_address()),
            ..StartOptions::new(dir.path().join("server"))
        },
    )
    .await
    .unwrap();
    eprintln!("K3s after {:?}", control_plane.ready_after);
    let options = AgentOptions {
        images: vec![folder("images.sh").join("pause.tar")],
        ..AgentOptions::new(
            dir.path().join("worker"),
            "worker-001",
            0,
            control_plane.join_url.clone().unwrap(),
            dir.path().join("server/k3s/server/node-token"),
            tools,
        )
    };
    let begun = Instant::now();
    let mut worker = agent::start(&binary, &network, &options).await.unwrap();
    let nodes = ["get", "nodes", "-o", READY];
    until(&control_plane, &nodes, "True").await;
    eprintln!("Ready after {:?}", begun.elapsed());
    worker.check().unwrap();

    // An end of the agent is seen, and the same machine takes it up again.
    worker.kill_agent().await.unwrap();
    assert!(worker.check().is_err());
    worker.start_agent().await.unwrap();
    worker.check().unwrap();
    worker.stop_agent().await.unwrap();
    worker.start_agent().await.unwrap();

    let pid = worker.namespace_pid().unwrap();
    worker.stop().await;
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
    assert_eq!(left_behind(dir.path()), Vec::<String>::new());
    control_plane.stop().await;
    let address = network.server_address().to_string();
    drop(network);
    let links = std::process::Command::new("ip")
        .args(["-4", "address"])
        .output()
        .unwrap();
    assert!(!String::from_utf8_lossy(&links.stdout).contains(&address));
}
