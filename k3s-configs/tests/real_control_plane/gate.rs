//! Behind a gate: the control plane listens on loopback alone, and tells an HTTPS listener who has
//! begun what goes on, by the address that the connection came from.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use axum::routing::post;
use axum::{Json, Router};
use k3s_configs::GateMode;
use k3s_configs::launch::Door;
use prometheus_client::registry::Registry;
use serde_json::Value;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpSocket};
use tokio_util::sync::CancellationToken;
use webhook_server::pki::DevPki;
use webhook_server::{Limits, ServerConfig, ServerMetrics, TlsFiles, Transport, serve};

use super::*;

/// Where the gate's one connection comes from.
const SOURCE: Ipv4Addr = Ipv4Addr::new(127, 77, 1, 2);
const SOON: Duration = Duration::from_secs(20);

/// The events that came.
type Events = Arc<Mutex<Vec<Value>>>;

/// Listens for events as the server does: over TLS, with the API server's certificate.
async fn hear(pki: &DevPki, events: Events, shutdown: &CancellationToken) -> SocketAddr {
    let take = async move |Json(list): Json<Value>| {
        assert_eq!(list["kind"], "EventList");
        let items = list["items"].as_array().unwrap().clone();
        events.lock().unwrap().extend(items);
    };
    let config = ServerConfig {
        name: "audit",
        listen: (Ipv4Addr::LOCALHOST, 0).into(),
        transport: Transport::Tls(TlsFiles {
            certificate: pki.server_certificate.clone(),
            key: pki.server_key.clone(),
            client_ca: Some(pki.ca.clone()),
        }),
        limits: Limits::default(),
    };
    let metrics = ServerMetrics::register(&mut Registry::default());
    let router = Router::new().route("/audit", post(take));
    let serving = serve(config, router, &metrics, shutdown.clone()).await;
    serving.unwrap().address
}

/// Passes bytes on from an address that is the connection's own.
async fn relay(door: Door) {
    let listener = TcpListener::bind(door.listen).await.unwrap();
    loop {
        let (mut client, _) = listener.accept().await.unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((SOURCE, 0).into()).unwrap();
        let mut upstream = socket.connect(door.upstream).await.unwrap();
        tokio::spawn(async move { copy_bidirectional(&mut client, &mut upstream).await });
    }
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let poll = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(SOON, poll).await.expect(what);
}

#[tokio::test]
#[ignore = "needs a control plane"]
async fn behind_a_gate_events_name_the_connection_that_a_watch_came_on() {
    let check = async {
        for binary in binaries() {
            behind_a_gate(&binary).await;
        }
    };
    tokio::time::timeout(DEADLINE, check)
        .await
        .expect("in time");
}

async fn behind_a_gate(binary: &Binary) {
    let dir = tempfile::tempdir().unwrap();
    let pki = DevPki::generate(&dir.path().join("pki"), &["127.0.0.1".to_owned()]).unwrap();
    let (events, shutdown) = (Events::default(), CancellationToken::new());
    let audit = hear(&pki, Arc::clone(&events), &shutdown).await;
    let settings = Settings {
        client_certificate: Some(ClientCertificate {
            certificate: pki.client_certificate.clone(),
            key: pki.client_key.clone(),
        }),
        webhook_ca: pki.ca.clone(),
        gate: Some(GateMode {
            audit_url: format!("https://{audit}/audit"),
            ..GateMode::default()
        }),
        ..write_files(dir.path(), Profile::Development)
    };
    write_rendered(&settings);
    let options = StartOptions {
        api_server_args: kube_apiserver_args(&settings).unwrap(),
        k3s_config_drop_in: Some(settings.output_dir.join("config.yaml.d/50-k3s-daas.yaml")),
        behind_gate: true,
        durable: false,
        ..StartOptions::new(dir.path().join("cp"))
    };
    let plane = start(binary, options).await;
    let plane = plane.unwrap_or_else(|error| panic!("{error}"));
    assert_ne!(plane.url, plane.direct_url);
    let [door] = plane.doors[..] else {
        panic!("{:?}", plane.doors)
    };
    assert_eq!(plane.url, format!("https://{}", door.listen));
    let gate = tokio::spawn(relay(door));

    let through = ["--server", plane.url.as_str()];
    let mut plain = plane.kubectl.command(&plane.admin_kubeconfig);
    plain.args(through).args(["get", "secrets"]);
    assert!(plain.status().await.unwrap().success());
    let mut watch = plane.kubectl.command(&plane.admin_kubeconfig);
    watch
        .args(through)
        .args(["get", "configmaps", "--watch"])
        .stdout(Stdio::null())
        .kill_on_drop(true);
    let watch = watch.spawn().unwrap();
    let source = SOURCE.to_string();
    let ours = |event: &Value| {
        let sources = event["sourceIPs"].as_array();
        let last = sources.and_then(|all| all.last());
        last.and_then(Value::as_str) == Some(source.as_str())
    };
    until("the watch is told of", || {
        let events = events.lock().unwrap();
        events.iter().any(|event| {
            ours(event)
                && event["verb"] == "watch"
                && event["objectRef"]["resource"] == "configmaps"
        })
    })
    .await;
    for event in events.lock().unwrap().iter() {
        assert_eq!(event["stage"], "ResponseStarted", "{event}");
        assert_eq!(event["level"], "Metadata", "{event}");
        // Nothing but what goes on: the plain request is not among them.
        assert_eq!(event["verb"], "watch", "{event}");
        if ours(event) {
            assert_eq!(event["user"]["username"], "system:admin");
            let decision = &event["annotations"]["authorization.k8s.io/decision"];
            assert_eq!(*decision, "allow", "{event}");
        }
    }
    drop(watch);
    gate.abort();
    plane.stop().await;
    shutdown.cancel();
}

#[tokio::test]
#[ignore = "needs a control plane"]
async fn a_folder_of_a_run_without_a_gate_goes_on_behind_one_at_the_same_url() {
    let check = async {
        for binary in binaries() {
            let dir = tempfile::tempdir().unwrap();
            let options = |behind_gate| StartOptions {
                behind_gate,
                durable: false,
                ..StartOptions::new(dir.path())
            };
            let plane = start(&binary, options(false)).await.unwrap();
            let url = plane.url.clone();
            plane.stop().await;
            let plane = start(&binary, options(true)).await.unwrap();
            assert_eq!(plane.url, url);
            let _gate: tokio::task::JoinSet<_> = plane.doors.iter().copied().map(relay).collect();
            // Its controllers have found it: they make the account.
            let made = ask(&plane, &["create", "namespace", "later"]).await;
            assert_eq!(made, Answer::Yes);
            let wait = [
                "wait",
                "--for=create",
                "--timeout=60s",
                "serviceaccount/default",
            ];
            let wait = [&wait[..], &["--namespace=later"]].concat();
            assert_eq!(ask(&plane, &wait).await, Answer::Yes);
            plane.stop().await;
        }
    };
    tokio::time::timeout(DEADLINE, check)
        .await
        .expect("in time");
}
