//! The doors beside the reviews: admission and the REST API, each on a listener of its own.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::program::{Program, eventually};
use crate::server::{Server, contract_of_nowhere};

/// Asks a listener; gives status and body.
fn ask(server: &Server, listener: &str, method: http::Method, path: &str) -> (u16, Value) {
    let address = server.up[listener].as_str().unwrap();
    let request = server
        .client()
        .request(method, format!("https://{address}{path}"));
    server.runtime.block_on(async {
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        (
            status,
            serde_json::from_str(&text).unwrap_or(Value::String(text)),
        )
    })
}

#[test]
fn each_door_has_a_listener_of_its_own_and_answers_nothing_of_the_others() {
    let program = Program::new();
    contract_of_nowhere(&program);
    let server = Server::start_with(&program, &["--elevated-owners", "any"]);
    let doors = ["reviews", "admission", "api", "operations"];
    let addresses: BTreeSet<&str> = doors.map(|door| server.up[door].as_str().unwrap()).into();
    assert_eq!(addresses.len(), doors.len(), "{}", server.up);
    let post = http::Method::POST;
    for (door, path) in [
        ("api", "/authenticate"),
        ("api", "/authorize"),
        ("api", "/admit"),
        ("admission", "/authenticate"),
        ("admission", "/api/v1/nodes"),
        ("reviews", "/admit"),
        ("reviews", "/api/v1/nodes"),
    ] {
        let (status, _) = ask(&server, door, post.clone(), path);
        assert!(status == 404 || status == 503, "{door}{path}: {status}");
    }
}

#[test]
fn the_rest_api_answers_once_the_clusters_ca_is_known() {
    let program = Program::new();
    contract_of_nowhere(&program);
    let server = Server::start_with(
        &program,
        &["--elevated-owners", "any", "--cluster-ca", "ca.crt"],
    );
    let get = http::Method::GET;
    assert_eq!(ask(&server, "api", get.clone(), "/healthz").0, 200);
    let (status, problem) = ask(&server, "api", get.clone(), "/openapi.json");
    assert_eq!((status, &problem["status"]), (503, &json!(503)));
    assert!(
        server.readyz().1.contains("[-]api failed"),
        "{}",
        server.readyz().1
    );

    let key = rcgen::KeyPair::generate().unwrap();
    let ca = rcgen::CertificateParams::new(Vec::new()).unwrap();
    let ca = ca.self_signed(&key).unwrap().pem();
    std::fs::write(program.path("ca.crt"), ca).unwrap();
    eventually("the REST API answers", || {
        ask(&server, "api", get.clone(), "/openapi.json").0 == 200
    });
    eventually("and it says so", || server.readyz().1.contains("[+]api ok"));
    let (status, document) = ask(&server, "api", get.clone(), "/openapi.json");
    assert_eq!(status, 200);
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let (status, _) = ask(&server, "api", get.clone(), "/api/v1/nodes");
    assert_eq!(status, 401);
    let (status, _) = ask(&server, "api", http::Method::POST, "/authenticate");
    assert_eq!(status, 404);
}

#[test]
fn the_rest_api_can_be_off() {
    let program = Program::new();
    contract_of_nowhere(&program);
    let server = Server::start_with(&program, &["--elevated-owners", "any", "--api-listen", ""]);
    assert!(server.up["api"].is_null(), "{}", server.up);
    assert!(!server.readyz().1.contains("]api"));
}

/// The doctor's checks by this name, with the gate at `gate` in front of `upstream`.
fn doctor(program: &Program, gate: &str, upstream: &str, metrics: &str) -> Vec<Value> {
    let report = program.run(&[
        "doctor",
        "-o",
        "json",
        "--elevated-owners",
        "none",
        "--kubeconfig",
        "no-kubeconfig-yet",
        "--metrics-listen",
        metrics,
        "--gate-listen",
        gate,
        "--gate-upstream",
        upstream,
    ]);
    let checks = report.json()["checks"].clone();
    checks.as_array().unwrap().clone()
}

fn check<'a>(checks: &'a [Value], name: &str) -> &'a Value {
    let mut named = checks.iter().filter(|check| check["name"] == name);
    let found = named
        .next()
        .unwrap_or_else(|| panic!("{name}: {checks:#?}"));
    assert!(
        found["state"] == "ok" || found["to_do"].is_string(),
        "{found}"
    );
    found
}

/// Nobody listens there at the moment.
pub(crate) fn free() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

#[test]
fn the_doctor_looks_at_the_gate_and_around_it() {
    // K3s, which listens for everybody.
    let k3s = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let port = k3s.local_addr().unwrap().port();
    let upstream = format!("127.0.0.1:{port}");
    let program = Program::new();
    contract_of_nowhere(&program);
    let arguments = ["--elevated-owners", "any", "--audit-listen", "127.0.0.1:0"];
    let gate = free();
    let doors = ["--gate-listen", &gate, "--gate-upstream", &upstream];
    let server = Server::start_with(&program, &[&arguments[..], &doors].concat());
    let metrics = server.up["operations"].as_str().unwrap().to_owned();
    let metrics = metrics.as_str();

    let checks = doctor(&program, &gate, &upstream, metrics);
    let around = check(&checks, "around the gate");
    assert_eq!(around["state"], "fail", "{around}");
    let open = format!("0.0.0.0:{port}");
    assert!(
        around["found"].as_str().unwrap().contains(&open),
        "{around}"
    );
    let asked = check(&checks, "gate");
    assert_eq!(asked["state"], "warn", "{asked}");
    let events = check(&checks, "audit events");
    assert_eq!(events["state"], "warn", "{events}");

    // On loopback alone nobody comes around it. Others' sockets may be open at K3s's usual port.
    drop(k3s);
    let _k3s = std::net::TcpListener::bind(&upstream).unwrap();
    let checks = doctor(&program, &gate, &upstream, metrics);
    let around = check(&checks, "around the gate");
    assert!(
        !around["found"].as_str().unwrap().contains(&open),
        "{around}"
    );

    drop(server);
    let checks = doctor(&program, &gate, &upstream, metrics);
    let asked = check(&checks, "gate");
    assert_eq!(asked["state"], "fail", "{asked}");
    assert!(asked["to_do"].as_str().unwrap().contains("k3s-daas server"));
}

#[test]
fn the_doctor_says_what_goes_on_without_a_gate_and_sees_a_server_that_has_none() {
    let program = Program::new();
    contract_of_nowhere(&program);
    let k3s = "kube-apiserver-arg:\n- min-request-timeout=120\n";
    std::fs::write(program.path("k3s.yaml"), k3s).unwrap();
    let arguments = ["-o", "json", "--elevated-owners", "none"];
    let of_k3s = ["doctor", "--k3s-config", "k3s.yaml"];
    let report = program.run(&[&of_k3s[..], &arguments].concat()).json();
    let note = check(report["checks"].as_array().unwrap(), "gate").clone();
    assert_eq!(note["state"], "warn", "{note}");
    assert!(
        note["found"].as_str().unwrap().contains("120 to 240 s"),
        "{note}"
    );

    let server = Server::start_with(&program, &["--elevated-owners", "any"]);
    let metrics = server.up["operations"].as_str().unwrap();
    let checks = doctor(&program, "127.0.0.1:1", "127.0.0.1:2", metrics);
    let events = check(&checks, "audit events");
    assert_eq!(events["state"], "fail", "{events}");
    assert!(events["found"].as_str().unwrap().contains("without a gate"));
}
