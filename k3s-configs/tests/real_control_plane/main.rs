//! Real API servers take the rendered files and act by them, with no webhook there to be asked:
//! who is refused with an error was to be asked about, who gets a plain answer was not.
//!
//! Ignored, since they need a control plane: `$K3S_BIN` or `$K3S_DAAS_CONTROL_PLANE` (what
//! `tests/control-plane/build.sh` prints), and run with `--include-ignored`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "helpers of tests"
)]

mod gate;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use k3s_configs::launch::{
    Binary, ControlPlane, ControlPlaneKind, LaunchError, Search, StartOptions, find_control_plane,
    start,
};
use k3s_configs::{ClientCertificate, Profile, Settings, kube_apiserver_args, render};

const DEADLINE: Duration = Duration::from_mins(4);

/// The control planes that this machine has.
fn binaries() -> Vec<Binary> {
    let search = Search::from_environment();
    let only = |search: Search| find_control_plane(&search).ok();
    let found: Vec<_> = [
        only(Search {
            built: None,
            ..search.clone()
        }),
        only(Search {
            built: search.built,
            ..Search::default()
        }),
    ]
    .into_iter()
    .flatten()
    .collect();
    assert!(!found.is_empty(), "set K3S_BIN or K3S_DAAS_CONTROL_PLANE");
    found
}

/// Writes the files as `config render` does, and a CA for the webhooks that aren't there.
fn write_files(dir: &Path, profile: Profile) -> Settings {
    let rendered = dir.join("rendered");
    fs::create_dir_all(&rendered).unwrap();
    let ca = rendered.join("webhook-ca.crt");
    let issued = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    fs::write(&ca, issued.cert.pem()).unwrap();
    let key = rendered.join("kube-apiserver.key");
    fs::write(&key, issued.signing_key.serialize_pem()).unwrap();
    let settings = Settings {
        output_dir: rendered.clone(),
        profile,
        // Port 1: nobody listens.
        authenticate_url: "https://127.0.0.1:1/authenticate".to_owned(),
        authorize_url: "https://127.0.0.1:1/authorize".to_owned(),
        // In production the API server says who it is, to admission webhooks too.
        client_certificate: (profile == Profile::Production).then(|| ClientCertificate {
            certificate: ca.clone(),
            key,
        }),
        webhook_ca: ca,
        control_plane_nodes: vec!["server-1".to_owned()],
        ..Settings::default()
    };
    write_rendered(&settings);
    settings
}

fn write_rendered(settings: &Settings) {
    for file in render(settings).unwrap() {
        let path = settings.output_dir.join(&file.path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &file.contents).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(file.mode)).unwrap();
    }
}

async fn start_with_files(binary: &Binary, dir: &Path, profile: Profile) -> ControlPlane {
    let settings = write_files(dir, profile);
    let drop_in = settings.output_dir.join("config.yaml.d/50-k3s-daas.yaml");
    let options = StartOptions {
        api_server_args: kube_apiserver_args(&settings).unwrap(),
        k3s_config_drop_in: Some(drop_in),
        durable: false,
        ..StartOptions::new(dir.join("cp"))
    };
    start(binary, options)
        .await
        .unwrap_or_else(|error| panic!("{error}"))
}

#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Yes,
    Forbidden,
    /// The webhook was to be asked, and its absence is a refusal.
    Outage,
    Unauthorized,
    Other(String),
}

async fn ask(plane: &ControlPlane, arguments: &[&str]) -> Answer {
    let output = plane
        .kubectl
        .command(&plane.admin_kubeconfig)
        .args(arguments)
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    match () {
        () if output.status.success() => Answer::Yes,
        () if said.contains("(Forbidden)") => Answer::Forbidden,
        () if said.contains("/authorize?timeout=3s") => Answer::Outage,
        () if said.contains("Unauthorized") || said.contains("must be logged in") => {
            Answer::Unauthorized
        }
        () => Answer::Other(said),
    }
}

#[tokio::test]
#[ignore = "needs a control plane"]
async fn an_api_server_takes_the_files_and_asks_about_whom_it_should() {
    let check = async {
        for binary in binaries() {
            let dir = tempfile::tempdir().unwrap();
            let plane = start_with_files(&binary, dir.path(), Profile::Development).await;
            eprintln!(
                "{} was ready after {:?}",
                plane.kind.label(),
                plane.ready_after
            );
            asks_about_seals_and_nodes(&plane, dir.path()).await;
            admits_what_it_should(&plane, dir.path()).await;
            plane.stop().await;
        }
    };
    tokio::time::timeout(DEADLINE, check)
        .await
        .expect("in time");
}

async fn asks_about_seals_and_nodes(plane: &ControlPlane, dir: &Path) {
    let node_object = |name: &str| {
        let file = dir.join(format!("node-{name}.json"));
        let object =
            serde_json::json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}});
        fs::write(&file, object.to_string()).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let (stranger, ours) = (node_object("n1"), node_object("server-1"));
    let node = ["--as=system:node:n1", "--as-group=system:nodes"];
    let own = ["--as=system:node:server-1", "--as-group=system:nodes"];
    let seal_account = "--as-group=system:serviceaccounts:seal-0123456789abcdef";
    let table: [(&str, Vec<&str>, Answer); 16] = [
        (
            "seals: by name",
            vec!["get", "pods", "--as=seal:0x1"],
            Answer::Outage,
        ),
        (
            "seals: by group",
            vec!["get", "pods", "--as=x", "--as-group=seal:holders"],
            Answer::Outage,
        ),
        (
            "seals: by a service account of a tenant",
            vec!["get", "pods", "--as=x", seal_account],
            Answer::Outage,
        ),
        (
            "seals: paths too",
            vec!["get", "--raw=/version", "--as=seal:0x1"],
            Answer::Outage,
        ),
        (
            "nobody else: another user",
            vec!["get", "pods", "--as=x"],
            Answer::Forbidden,
        ),
        (
            "nobody else: a name that only contains it",
            vec!["get", "pods", "--as=my-seal:0x1"],
            Answer::Forbidden,
        ),
        (
            "nobody else: another service account",
            vec![
                "get",
                "pods",
                "--as=system:serviceaccount:default:default",
                "--as-group=system:serviceaccounts:default",
            ],
            Answer::Forbidden,
        ),
        (
            "nobody else: a path of another user",
            vec![
                "get",
                "--raw=/version",
                "--as=x",
                "--as-group=system:authenticated",
            ],
            Answer::Yes,
        ),
        (
            "grants: secrets",
            [&["get", "secret", "s"][..], &node].concat(),
            Answer::Outage,
        ),
        (
            "grants: tokens",
            [&["create", "token", "default"][..], &node].concat(),
            Answer::Outage,
        ),
        (
            "grants: a node's creation",
            [&["create", "--dry-run=server", "-f", &stranger][..], &node].concat(),
            Answer::Outage,
        ),
        (
            "grants: not to the control plane's own nodes",
            [&["create", "--dry-run=server", "-f", &ours][..], &own].concat(),
            Answer::Yes,
        ),
        (
            "nodes: running ones go on",
            [&["get", "services", "-A"][..], &node].concat(),
            Answer::Yes,
        ),
        (
            "nodes: by group alone",
            vec!["get", "services", "-A", "--as=x", "--as-group=system:nodes"],
            Answer::Outage,
        ),
        (
            "nodes: kube-proxy goes on",
            vec!["get", "services", "-A", "--as=system:kube-proxy"],
            Answer::Yes,
        ),
        (
            "an unknown token, its webhook down",
            vec!["get", "pods", "--token=abc"],
            Answer::Unauthorized,
        ),
    ];
    for (name, arguments, expected) in table {
        // A certificate would win over the token.
        let answer = if arguments.contains(&"--token=abc") {
            ask_with_token(plane).await
        } else {
            ask(plane, &arguments).await
        };
        assert_eq!(answer, expected, "{}: {name}", plane.kind.label());
    }
}

async fn ask_with_token(plane: &ControlPlane) -> Answer {
    let kubeconfig = plane.admin_kubeconfig.with_file_name("token.kubeconfig");
    let ca = plane.admin_kubeconfig.with_file_name("ca.crt");
    fs::write(&ca, &plane.ca_pem).unwrap();
    // JSON is YAML too.
    let text = serde_json::json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "a",
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
        "clusters": [{"name": "a", "cluster": {"server": plane.url, "certificate-authority": ca}}],
        "users": [{"name": "a", "user": {"token": "abc"}}],
    });
    fs::write(&kubeconfig, text.to_string()).unwrap();
    let output = plane
        .kubectl
        .command(&kubeconfig)
        .args(["get", "pods"])
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if said.contains("Unauthorized") || said.contains("must be logged in") {
        Answer::Unauthorized
    } else {
        Answer::Other(said)
    }
}

/// The admission plugins: ours are on, and K3s's own still is.
async fn admits_what_it_should(plane: &ControlPlane, dir: &Path) {
    let pod = |privileged: bool| {
        serde_json::json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
            "spec": {"containers": [{
                "name": "c", "image": "none.invalid/none",
                "securityContext": {"privileged": privileged},
            }]},
        })
    };
    let service = |external: bool| {
        let ips = if external {
            vec!["198.51.100.7"]
        } else {
            vec![]
        };
        serde_json::json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"},
            "spec": {"ports": [{"port": 80}], "externalIPs": ips},
        })
    };
    let table = [
        ("an ordinary pod", pod(false), Answer::Yes),
        ("a privileged pod", pod(true), Answer::Forbidden),
        ("an ordinary service", service(false), Answer::Yes),
        (
            "a service with an external address",
            service(true),
            Answer::Forbidden,
        ),
    ];
    let file = dir.join("object.json");
    for (name, object, expected) in table {
        fs::write(&file, object.to_string()).unwrap();
        let arguments = ["create", "--dry-run=server", "-f", file.to_str().unwrap()];
        let answer = ask(plane, &arguments).await;
        assert_eq!(answer, expected, "{}: {name}", plane.kind.label());
    }
    // NodeRestriction: a node writes no other node's objects. RBAC and Node alone would say yes
    // to a lease of any name.
    let lease = serde_json::json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": "another", "namespace": "kube-node-lease"},
    });
    fs::write(&file, lease.to_string()).unwrap();
    let arguments = [
        "create",
        "--dry-run=server",
        "--as=system:node:n1",
        "--as-group=system:nodes",
        "-f",
        file.to_str().unwrap(),
    ];
    assert_eq!(
        ask(plane, &arguments).await,
        Answer::Forbidden,
        "{}",
        plane.kind.label()
    );
}

#[tokio::test]
#[ignore = "needs a control plane"]
async fn a_control_plane_keeps_its_state_and_port_over_a_restart_and_ends_when_dropped() {
    let check = async {
        for binary in binaries() {
            let dir = tempfile::tempdir().unwrap();
            let options = || StartOptions {
                durable: false,
                ..StartOptions::new(dir.path())
            };
            let plane = start(&binary, options()).await.unwrap();
            let url = plane.url.clone();
            assert!(plane.ca_pem.contains("BEGIN CERTIFICATE"));
            assert!(plane.version.starts_with("v1."), "{}", plane.version);
            assert_eq!(
                ask(&plane, &["create", "namespace", "kept"]).await,
                Answer::Yes
            );
            drop(plane);
            let port: u16 = url.rsplit(':').next().unwrap().parse().unwrap();
            let bound = std::net::TcpListener::bind(("127.0.0.1", port));
            assert!(
                bound.is_ok(),
                "{}: nothing listens after the drop",
                binary.kind.label()
            );
            drop(bound);

            let mut plane = start(&binary, options()).await.unwrap();
            assert_eq!(plane.url, url);
            assert_eq!(
                ask(&plane, &["get", "namespace", "kept"]).await,
                Answer::Yes
            );
            assert!(plane.check().is_ok());
            plane.stop().await;
        }
    };
    tokio::time::timeout(DEADLINE, check)
        .await
        .expect("in time");
}

#[tokio::test]
#[ignore = "needs a control plane"]
async fn k3s_takes_the_production_profile_too() {
    let check = async {
        // The modules know nothing of K3s's own flags.
        for binary in binaries()
            .into_iter()
            .filter(|binary| binary.kind == ControlPlaneKind::K3s)
        {
            let dir = tempfile::tempdir().unwrap();
            let plane = start_with_files(&binary, dir.path(), Profile::Production).await;
            let encrypted = dir.path().join("cp/k3s/server/cred/encryption-config.json");
            assert!(encrypted.exists(), "Secrets are encrypted");
            plane.stop().await;
        }
    };
    tokio::time::timeout(DEADLINE, check)
        .await
        .expect("in time");
}

#[tokio::test]
#[ignore = "needs a control plane"]
async fn a_start_that_fails_says_why() {
    let check = async {
        for binary in binaries() {
            let dir = tempfile::tempdir().unwrap();
            let options = StartOptions {
                api_server_args: vec!["authorization-config=/no/such/file".to_owned()],
                ..StartOptions::new(dir.path())
            };
            let error = start(&binary, options).await.unwrap_err();
            let LaunchError::Ended { tail, .. } = error else {
                panic!("{error:?}")
            };
            assert!(
                tail.contains("/no/such/file"),
                "{}: {tail}",
                binary.kind.label()
            );
        }
    };
    tokio::time::timeout(DEADLINE, check)
        .await
        .expect("in time");
}
