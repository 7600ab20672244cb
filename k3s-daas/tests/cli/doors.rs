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
