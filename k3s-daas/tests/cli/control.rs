//! `connections` and `disconnect` against a gate that relays.

use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use api_gate::{Door, Gate, GateMetrics, GateSettings, Nobody, Relaying};
use axum::body::Body;
use k3s_daas::server::control;
use prometheus_client::registry::Registry;
use seal::SealToken;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use webhook_server::{ServerMetrics, UnixServing};

use crate::program::{Answer, Program};

mod failing;

const TOKEN: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
/// A whole TLS record.
const HELLO: [u8; 9] = [22, 3, 1, 0, 4, 1, 0, 0, 0];
const STATE: [&str; 2] = ["--state-dir", "state"];
/// A reset takes no time; a busy machine does.
const SOON: Duration = Duration::from_secs(30);

/// A gate before a server that answers with what it is told, and its socket for operators.
struct Stage {
    program: Program,
    runtime: Runtime,
    gate: Gate,
    relaying: Relaying,
    k3s: TcpListener,
    shutdown: CancellationToken,
    serving: UnixServing,
}

/// A client of the gate.
struct Client {
    stream: TcpStream,
    k3s: TcpStream,
    /// As the API server knows it.
    source: IpAddr,
}

impl Stage {
    fn new() -> Self {
        let program = Program::new();
        let state = program.path("state");
        std::fs::create_dir(&state).unwrap();
        chmod(&state, 0o700);
        let runtime = Runtime::new().unwrap();
        let mut registry = Registry::default();
        let metrics = GateMetrics::register(&mut registry);
        let gate = Gate::new(
            Arc::new(Nobody::default()),
            GateSettings::default(),
            metrics,
        );
        let k3s = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let door = Door {
            listen: "127.0.0.1:0".parse().unwrap(),
            upstream: k3s.local_addr().unwrap(),
        };
        let relaying = gate.open(&[door]).unwrap();
        let shutdown = CancellationToken::new();
        let metrics = ServerMetrics::register(&mut registry);
        let serving = control::serve(Some(gate.clone()), &state, &metrics, shutdown.clone());
        let serving = runtime.block_on(serving).unwrap();
        Self {
            program,
            runtime,
            gate,
            relaying,
            k3s,
            shutdown,
            serving,
        }
    }

    /// A client from this address.
    fn client(&self, address: &str) -> Client {
        let from = SocketAddr::new(address.parse().unwrap(), 0);
        self.runtime.block_on(async {
            let socket = TcpSocket::new_v4().unwrap();
            socket.bind(from).unwrap();
            let mut stream = socket.connect(self.relaying.addresses[0]).await.unwrap();
            stream.write_all(&HELLO).await.unwrap();
            let comer = tokio::time::timeout(SOON, self.k3s.accept()).await;
            let (mut k3s, as_whom) = comer.unwrap().unwrap();
            let mut hello = HELLO.map(|_| 0);
            k3s.read_exact(&mut hello).await.unwrap();
            assert_eq!(hello, HELLO);
            Client {
                stream,
                k3s,
                source: as_whom.ip(),
            }
        })
    }

    /// The API server tells that this user watches something on this connection.
    fn told(&self, client: &Client, user: &Value) {
        let list = json!({
            "kind": "EventList",
            "apiVersion": "audit.k8s.io/v1",
            "items": [{
                "stage": "ResponseStarted",
                "verb": "watch",
                "user": user,
                "sourceIPs": ["203.0.113.77", client.source],
                "annotations": { "authorization.k8s.io/decision": "allow" },
            }],
        });
        let request = http::Request::post("/audit").body(Body::from(list.to_string()));
        let answered = self.gate.router().oneshot(request.unwrap());
        let answered = self.runtime.block_on(answered).unwrap();
        assert_eq!(answered.status(), http::StatusCode::OK);
    }

    /// A client on whose connection a seal was seen.
    fn holder(&self, address: &str, owner: &str, hash: &str) -> Client {
        let client = self.client(address);
        let extra = json!({ "k3s-daas.io/credential-hash": [hash] });
        let user = json!({ "username": format!("seal:{owner}"), "extra": extra });
        self.told(&client, &user);
        client
    }

    fn run(&self, args: &[&str]) -> Answer {
        self.program.run(&[args, &STATE].concat())
    }

    fn listed(&self, more: &[&str]) -> Vec<Value> {
        let args = [&["connections", "-o", "json"], more].concat();
        let listed = self.run(&args).ok().json()["connections"].clone();
        listed.as_array().unwrap().clone()
    }

    /// Whether a byte gets there and back.
    fn relays(&self, client: &mut Client) -> bool {
        let round = async {
            let mut byte = [0];
            client.stream.write_all(b"?").await?;
            client.k3s.read_exact(&mut byte).await?;
            client.k3s.write_all(b"!").await?;
            client.stream.read_exact(&mut byte).await?;
            std::io::Result::Ok(byte == *b"!")
        };
        let round = async { tokio::time::timeout(SOON, round).await };
        self.runtime.block_on(round).unwrap().unwrap_or(false)
    }

    /// Whether both sides of it are reset, without another byte.
    fn is_reset(&self, client: &mut Client) -> bool {
        let mut byte = [0];
        let ends = async {
            let seen = client.stream.read(&mut byte).await;
            let behind = client.k3s.read(&mut byte).await;
            [seen, behind].map(|end| end.map_err(|error| error.kind()))
        };
        let ends = async { tokio::time::timeout(SOON, ends).await };
        let ends = self.runtime.block_on(ends).unwrap();
        ends == [Err(std::io::ErrorKind::ConnectionReset); 2]
    }
}

fn chmod(path: &Path, mode: u32) {
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

fn owner(byte: &str) -> String {
    format!("0x{}", byte.repeat(32))
}

fn hash(byte: &str) -> String {
    byte.repeat(32)
}

#[test]
fn tells_who_is_connected_and_ends_one_seal_with_what_came_from_its_address() {
    let stage = Stage::new();
    let mut alice = stage.holder("127.0.0.11", &owner("a1"), &hash("a2"));
    let mut short = stage.client("127.0.0.11");
    let mut bob = stage.holder("127.0.0.12", &owner("b1"), &hash("b2"));
    let mut silent = stage.client("127.0.0.13");

    let all = stage.listed(&[]);
    assert_eq!(all.len(), 4, "{all:?}");
    let hers = stage.listed(&["--of", &hash("a2")]);
    assert_eq!(hers.len(), 1, "{hers:?}");
    assert_eq!(hers[0]["source"], alice.source.to_string());
    let peer = alice.stream.local_addr().unwrap().to_string();
    assert_eq!(hers[0]["peer"], peer);
    assert_eq!(hers[0]["users"][0]["kind"], "seal");
    assert_eq!(hers[0]["users"][0]["hash"], hash("a2"));
    assert_eq!(stage.listed(&["--of", &owner("b1")]).len(), 1);
    assert!(stage.listed(&["--of", "worker-001"]).is_empty());
    let text = stage.run(&["connections"]).ok().stdout;
    let row = |peer: &str| text.lines().find(|line| line.contains(peer)).unwrap();
    assert!(
        row(&peer).contains(&format!("seal:{}", owner("a1"))),
        "{text}"
    );
    let nobody = silent.stream.local_addr().unwrap().to_string();
    assert!(row(&nobody).contains("| -    | - "), "{text}");

    let done = stage.run(&["disconnect", &hash("a2"), "-o", "json"]).ok();
    let wanted = json!({ "target": hash("a2"), "closed": 2, "peers": 1 });
    assert_eq!(done.json(), wanted);
    assert!(stage.is_reset(&mut alice) && stage.is_reset(&mut short));
    assert!(stage.relays(&mut bob) && stage.relays(&mut silent));
    assert_eq!(stage.listed(&[]).len(), 2);

    let again = stage.run(&["disconnect", &hash("a2")]).ok();
    let none = format!("{} was on no open connection", hash("a2"));
    assert_eq!(again.stdout.trim(), none);
}

#[test]
fn ends_all_seals_of_an_owner_and_a_machine_with_its_pods() {
    let stage = Stage::new();
    let mut one = stage.holder("127.0.0.11", &owner("a1"), &hash("a2"));
    let mut other = stage.holder("127.0.0.12", &owner("a1"), &hash("a3"));
    let mut kubelet = stage.client("127.0.0.13");
    stage.told(&kubelet, &json!({ "username": "system:node:worker-001" }));
    let mut pod = stage.client("127.0.0.13");
    let extra = json!({ "authentication.kubernetes.io/node-name": ["worker-001"] });
    let user = json!({ "username": "system:serviceaccount:ns:default", "extra": extra });
    stage.told(&pod, &user);
    let mut elsewhere = stage.client("127.0.0.14");
    stage.told(&elsewhere, &json!({ "username": "system:node:worker-002" }));
    assert_eq!(stage.listed(&["--of", "worker-001"]).len(), 2);

    let text = stage.run(&["disconnect", &owner("a1")]).ok().stdout;
    assert!(text.starts_with("2 connections of 0xa1"), "{text}");
    assert!(stage.is_reset(&mut one) && stage.is_reset(&mut other));
    assert!(stage.relays(&mut kubelet) && stage.relays(&mut pod));

    let text = stage.run(&["disconnect", "worker-001"]).ok().stdout;
    assert!(text.starts_with("2 connections of worker-001"), "{text}");
    assert!(stage.is_reset(&mut kubelet) && stage.is_reset(&mut pod));
    assert!(stage.relays(&mut elsewhere));
}

#[test]
fn a_token_is_read_from_a_file_or_a_pipe_and_never_shown() {
    let stage = Stage::new();
    let its = SealToken::parse(TOKEN).unwrap().credential_hash();
    let its = its.to_string();
    let path = stage.program.path("mine.token");
    std::fs::write(&path, format!("{TOKEN}\n")).unwrap();
    chmod(&path, 0o600);
    for (file, stdin) in [("mine.token", ""), ("-", TOKEN)] {
        let mut holder = stage.holder("127.0.0.11", &owner("a1"), &its);
        let args = ["disconnect", "--token-file", file, STATE[0], STATE[1]];
        let done = stage.program.run_with(&args, stdin).ok();
        assert!(done.stdout.starts_with("1 connection of"), "{done:?}");
        assert!(done.stdout.contains(&its), "{done:?}");
        assert!(!format!("{done:?}").contains(TOKEN), "{done:?}");
        assert!(stage.is_reset(&mut holder));
    }
    let wrong = ["disconnect", "--token-file", "-", STATE[0], STATE[1]];
    let refused = stage.program.run_with(&wrong, "not a token");
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(
        !format!("{refused:?}").contains("not a token"),
        "{refused:?}"
    );
}

#[test]
fn whom_is_one_of_three_and_said_once() {
    let program = Program::new();
    let both = ["disconnect", "worker-001", "--token-file", "-"];
    for args in [&["disconnect"][..], &["disconnect", "No Name"], &both] {
        let refused = program.run(&[args, &STATE].concat());
        assert_eq!(refused.code, 2, "{args:?}: {refused:?}");
    }
    let refused = program.run(&["connections", "--of", "a.b"]);
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(refused.stderr.contains("64 hex digits"), "{refused:?}");
}
