//! Worker machines: a stock K3s agent joins with K3s's own token, restarts, and leaves nothing; the
//! doubles of K3s's supervisor and agent make a node of the modules' kubelet that runs pods. Both with
//! the control plane at the workers' address, and with a relay there and it on loopback.
//! Needs root, a control plane, and what `tests/tools/containerd.sh` and `images.sh` install.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "helpers of tests")]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use k3s_configs::access::CaHash;
use k3s_configs::launch::agent::{self, AgentNetwork, AgentOptions};
use k3s_configs::launch::{
    self, ControlPlane, ControlPlaneKind, Door, Search, StartOptions, find_control_plane,
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

/// Passes bytes on, as a gate does.
async fn relay(door: Door) {
    use tokio::net::{TcpListener, TcpStream};
    let listener = TcpListener::bind(door.listen).await.unwrap();
    while let Ok((mut client, _)) = listener.accept().await {
        tokio::spawn(async move {
            let mut upstream = TcpStream::connect(door.upstream).await?;
            tokio::io::copy_bidirectional(&mut client, &mut upstream).await
        });
    }
}

/// Opens what stands in for the gate; its end closes it.
fn open_doors(control_plane: &ControlPlane) -> tokio::task::JoinSet<()> {
    control_plane.doors.iter().copied().map(relay).collect()
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
    stock_agent(false).await;
}

#[tokio::test]
#[ignore = "needs root, K3s and tests/tools/containerd.sh"]
async fn a_stock_agent_joins_through_a_gate() {
    stock_agent(true).await;
}

async fn stock_agent(behind_gate: bool) {
    let tools = folder("containerd.sh");
    let missing = agent::missing(&tools);
    assert!(missing.is_empty(), "{missing:?}");
    let binary = find_control_plane(&Search::from_environment()).unwrap();
    if binary.kind != ControlPlaneKind::K3s {
        eprintln!("SKIPPED: there is no K3s; set K3S_BIN");
        return;
    }

    let dir = tempfile::tempdir().unwrap();
    let network = AgentNetwork::create().unwrap();
    let control_plane = launch::start(
        &binary,
        StartOptions {
            reachable_at: Some(network.server_address()),
            behind_gate,
            ..StartOptions::new(dir.path().join("server"))
        },
    )
    .await
    .unwrap();
    let _gate = open_doors(&control_plane);
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
    let veth = format!("k3sd{}-0", network.server_address().octets()[2]);
    drop(network);
    let links = std::process::Command::new("ip")
        .args(["-4", "address"])
        .output()
        .unwrap();
    assert!(!String::from_utf8_lossy(&links.stdout).contains(&address));
    let interfaces = std::fs::read_dir("/sys/class/net").unwrap();
    let left = interfaces.filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_string_lossy() == veth
    });
    assert_eq!(left.count(), 0);
}

/// A token webhook that takes every token for worker-001's, over plain HTTP as only loopback may.
async fn token_webhook() -> u16 {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = vec![0; 16 * 1024];
            let _read = stream.read(&mut request).await;
            let body = r#"{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","status":{"authenticated":true,"user":{"username":"system:node:worker-001","groups":["system:nodes"]}}}"#;
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            let _written = stream.write_all(answer.as_bytes()).await;
        }
    });
    port
}

async fn apply(control_plane: &ControlPlane, dir: &Path, object: &str) {
    let file = dir.join("object.yaml");
    std::fs::write(&file, object).unwrap();
    let mut command = control_plane
        .kubectl
        .command(&control_plane.admin_kubeconfig);
    let output = command
        .args(["apply", "-f"])
        .arg(&file)
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}

const NODE: &str = "
apiVersion: v1
kind: Node
metadata: {name: worker-001}
spec:
  taints: [{key: node.cloudprovider.kubernetes.io/uninitialized, value: 'true', effect: NoSchedule}]
";

const POD: &str = "
apiVersion: v1
kind: Pod
metadata: {name: busy, namespace: default}
spec:
  containers: [{name: busy, image: 'docker.io/k3s-daas/busy:1', imagePullPolicy: Never}]
";

#[tokio::test]
#[ignore = "needs root, the modules' control plane, tests/tools/containerd.sh and images.sh"]
async fn the_modules_kubelet_joins_through_the_double_and_runs_a_pod() {
    modules_kubelet(false).await;
}

#[tokio::test]
#[ignore = "needs root, the modules' control plane, tests/tools/containerd.sh and images.sh"]
async fn the_modules_kubelet_joins_through_a_gate() {
    modules_kubelet(true).await;
}

async fn modules_kubelet(behind_gate: bool) {
    let tools = folder("containerd.sh");
    let missing = agent::missing(&tools);
    assert!(missing.is_empty(), "{missing:?}");
    let search = Search {
        built: Search::from_environment().built,
        ..Search::default()
    };
    let Ok(binary) = find_control_plane(&search) else {
        eprintln!("SKIPPED: there is no control plane of the modules; set K3S_DAAS_CONTROL_PLANE");
        return;
    };

    let dir = tempfile::tempdir().unwrap();
    let webhook = dir.path().join("webhook.kubeconfig");
    let port = token_webhook().await;
    let text = format!(
        r#"{{"apiVersion":"v1","kind":"Config","clusters":[{{"name":"w","cluster":{{"server":"http://127.0.0.1:{port}"}}}}],
        "contexts":[{{"name":"w","context":{{"cluster":"w"}}}}],"current-context":"w"}}"#
    );
    std::fs::write(&webhook, text).unwrap();

    let network = AgentNetwork::create().unwrap();
    let control_plane = launch::start(
        &binary,
        StartOptions {
            reachable_at: Some(network.server_address()),
            behind_gate,
            durable: false,
            api_server_args: vec![
                format!(
                    "authentication-token-webhook-config-file={}",
                    webhook.display()
                ),
                "authentication-token-webhook-version=v1".to_owned(),
            ],
            ..StartOptions::new(dir.path().join("s"))
        },
    )
    .await
    .unwrap();
    let _gate = open_doors(&control_plane);
    apply(&control_plane, dir.path(), NODE).await;
    let hash = CaHash::of_bundle(control_plane.ca_pem.as_bytes(), SystemTime::now()).unwrap();
    let token_file = dir.path().join("token");
    std::fs::write(&token_file, format!("K10{hash}::abcdef.0123456789abcdef\n")).unwrap();
    let images = folder("images.sh");
    let options = AgentOptions {
        images: vec![images.join("pause.tar"), images.join("busy.tar")],
        ..AgentOptions::new(
            dir.path().join("worker"),
            "worker-001",
            0,
            control_plane.join_url.clone().unwrap(),
            token_file,
            tools,
        )
    };
    let begun = Instant::now();
    let mut worker = agent::start(&binary, &network, &options).await.unwrap();
    let nodes = ["get", "nodes", "-o", READY];
    until(&control_plane, &nodes, "True").await;
    eprintln!("Ready after {:?}", begun.elapsed());
    worker.check().unwrap();
    let taints = [
        "get",
        "nodes",
        "-o",
        "jsonpath=[{.items[*].spec.taints}{.items[*].spec.providerID}]",
    ];
    until(&control_plane, &taints, "[k3s://worker-001]").await;
    apply(&control_plane, dir.path(), POD).await;
    let pods = ["get", "pods", "-o", "jsonpath={.items[*].status.phase}"];
    until(&control_plane, &pods, "Running").await;
    eprintln!("a pod after {:?}", begun.elapsed());
    let logs = ["logs", "busy", "--tail=1"];
    until(&control_plane, &logs, "T").await;
    worker.stop().await;
    assert_eq!(left_behind(dir.path()), Vec::<String>::new());
    control_plane.stop().await;
}
