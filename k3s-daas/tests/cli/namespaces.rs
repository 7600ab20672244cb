//! `namespace`, `doctor` and SIGHUP against everything that `up` starts.
//!
//! The last is ignored, since it needs a control plane: `$K3S_BIN` or `$K3S_DAAS_CONTROL_PLANE`.

use std::io::Read;
use std::process::{Child, Command};

use serde_json::Value;

use crate::doors::free;
use crate::program::{Program, eventually};
use crate::server::{Server, contract_of_nowhere};

const OWNER: &str = "0x0101010101010101010101010101010101010101010101010101010101010101";

#[test]
fn who_names_no_kubeconfig_that_works_is_told_what_to_give() {
    let program = Program::new();
    for arguments in [
        vec!["list"],
        vec!["add", "--owner", OWNER],
        vec!["release", "seal-0101010101010101", "--yes"],
    ] {
        let all = [&["namespace"], &arguments[..], &["--kubeconfig", "none"]].concat();
        let answer = program.run(&all);
        assert_eq!(answer.code, 2, "{}", answer.stderr);
        assert!(
            answer.stderr.contains("next step: give --kubeconfig"),
            "{}",
            answer.stderr
        );
    }
    for arguments in [&["list"][..], &["show", "worker-001"]] {
        let all = [&["node"], arguments, &["--kubeconfig", "none"]].concat();
        let answer = program.run(&all);
        assert_eq!(answer.code, 2, "{}", answer.stderr);
        assert!(
            answer.stderr.contains("next step: give --kubeconfig"),
            "{}",
            answer.stderr
        );
    }
    for owner in ["nobody", "0x12"] {
        let answer = program.run(&["namespace", "add", "--owner", owner]);
        assert_eq!(answer.code, 2);
        let told = "next step: give the whole address";
        assert!(answer.stderr.contains(told), "{}", answer.stderr);
    }
}

/// `up`, killed at the end.
struct Up(Child);

impl Up {
    fn signal(&self, name: &str) {
        let pid = self.0.id().to_string();
        let status = Command::new("kill").args([name, &pid]).status();
        assert!(status.unwrap().success());
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        // In order, so that the control plane ends too; it also ends when its input closes.
        self.signal("-TERM");
        let _ = self.0.wait();
    }
}

/// `node`, before anybody joined.
fn nodes_are_told_of(program: &Program, admin: &str, tenant: &str) {
    let node = |arguments: &[&str], kubeconfig: &str| {
        let access = ["--kubeconfig", kubeconfig, "-o", "json"];
        program.run(&[&["node"], arguments, &access].concat())
    };
    let listed = node(&["list"], admin).ok().json();
    assert_eq!(listed, serde_json::json!([]));
    let unknown = node(&["show", "worker-001"], admin);
    assert_eq!(unknown.code, 1);
    assert!(
        unknown.stderr.contains("next step: `k3s-daas node list`"),
        "{}",
        unknown.stderr
    );
    let refused = node(&["list"], tenant);
    assert_eq!(refused.code, 1);
    assert!(
        refused.stderr.contains("next step: give --kubeconfig"),
        "{}",
        refused.stderr
    );
}

/// Their pods run on machines of the operator's, or nowhere.
fn protected_namespaces_are_bound(admin: &str) {
    let selector = |namespace: &str| {
        let annotation =
            r"jsonpath={.metadata.annotations.scheduler\.alpha\.kubernetes\.io/node-selector}";
        let asked = [
            "--kubeconfig",
            admin,
            "get",
            "namespace",
            namespace,
            "-o",
            annotation,
        ];
        let answer = Command::new("kubectl").args(asked).output().unwrap();
        String::from_utf8(answer.stdout).unwrap()
    };
    let operators = "node-restriction.kubernetes.io/k3s-daas-trust=operator";
    for namespace in ["kube-system", "default", "k3s-daas-system"] {
        eventually("it is bound", || selector(namespace) == operators);
    }
}

/// A second gate before the same API server, which sends its audit events to the first alone.
fn an_untold_gate_is_noticed(admin: &str, upstream: &str) {
    let program = Program::new();
    contract_of_nowhere(&program);
    let (gate, audit) = (free(), free());
    let doors = ["--gate-listen", &gate, "--gate-upstream", upstream];
    let others = ["--elevated-owners", "none", "--audit-listen", &audit];
    let server = Server::start_with(&program, &[&doors[..], &others].concat());
    let metrics = server.up["operations"].as_str().unwrap();
    let access = ["--kubeconfig", admin, "--metrics-listen", metrics];
    let doctor = program.run(&[&["doctor", "-o", "json"], &doors[..], &access].concat());
    let report = doctor.json();
    let check = |name: &str| {
        let mut checks = report["checks"].as_array().unwrap().iter();
        checks.find(|check| check["name"] == name).unwrap()
    };
    assert_eq!(check("gate")["state"], "ok", "{}", check("gate"));
    let events = check("audit events");
    assert_eq!(events["state"], "fail", "{events}");
    let found = events["found"].as_str().unwrap();
    assert!(found.contains("no event ever came"), "{events}");
}

fn state(all: &Value, name: &str) -> Option<String> {
    let found = all.as_array()?.iter().find(|one| one["name"] == name)?;
    Some(found["state"].as_str()?.to_owned())
}

#[test]
#[ignore = "needs a control plane"]
fn an_operator_adds_and_releases_and_a_tenant_lists() {
    let mut program = Program::new();
    for name in ["K3S_BIN", "K3S_DAAS_CONTROL_PLANE"] {
        if let Ok(value) = std::env::var(name) {
            program.env.push((name.to_owned(), value));
        }
    }
    let configure = |text: &str| std::fs::write(program.path("config.yaml"), text).unwrap();
    configure("elevated_owners: any\n");
    let metrics = free();
    let mut command = program.command(&[
        "up",
        "--config",
        "config.yaml",
        "--state-dir",
        "s",
        "--api-port",
        "0",
        "--listen",
        "127.0.0.1:0",
        "--metrics-listen",
        &metrics,
        "--audit-listen",
        "127.0.0.1:0",
        "--admit-listen",
        "127.0.0.1:0",
        "--api-listen",
        "127.0.0.1:0",
        "--devnet-listen",
        "127.0.0.1:0",
        "--faucet-listen",
        "127.0.0.1:0",
        "-o",
        "json",
    ]);
    let log = std::fs::File::create(program.path("log")).unwrap();
    let mut child = command.stderr(log).spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let up = Up(child);
    let (mut text, mut piece) = (Vec::new(), [0; 4096]);
    let summary: Value = loop {
        let read = stdout.read(&mut piece).unwrap();
        let said = std::fs::read_to_string(program.path("log")).unwrap();
        assert!(read > 0, "up ended: {said}");
        text.extend_from_slice(&piece[..read]);
        if let Ok(summary) = serde_json::from_slice(&text) {
            break summary;
        }
    };
    let admin = summary["admin_kubeconfig"].as_str().unwrap();
    let tenants = summary["tenants"].as_array().unwrap();
    let of = |tier: &str| tenants.iter().find(|one| one["tier"] == tier).unwrap();
    let developer = of("developer")["kubeconfig"].as_str().unwrap();
    let home = of("developer")["namespace"].as_str().unwrap();
    let run = |arguments: &[&str], kubeconfig: &str| {
        let access = ["--kubeconfig", kubeconfig, "-o", "json"];
        program.run(&[&["namespace"], arguments, &access].concat())
    };

    // With a tenant's own kubeconfig: its first request makes its namespace.
    eventually("the namespace is there", || {
        state(&run(&["list"], developer).ok().json(), home).as_deref() == Some("active")
    });
    let all = run(&["list"], admin).ok().json();
    let mine = all
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["name"] == home);
    let owner = mine.unwrap()["owner"].as_str().unwrap().to_owned();

    let added = run(&["add", "--owner", &owner, "--suffix", "more"], admin).ok();
    let name = added.json()["name"].as_str().unwrap().to_owned();
    assert_eq!(name, format!("{home}-more"));
    assert_eq!(
        run(&["add", "--owner", &owner, "--suffix", "No"], admin).code,
        2
    );
    let refused = run(&["add", "--owner", &owner, "--suffix", "b"], developer);
    assert_eq!(refused.code, 1);
    let told = &refused.stderr;
    assert!(told.contains("needs the operator's kubeconfig"), "{told}");
    assert!(
        told.contains("(403 Forbidden)") && !told.contains("Status {"),
        "{told}"
    );
    let seen = run(&["list"], developer).ok().json();
    let mut seen = seen.as_array().unwrap().iter();
    let mine = seen.find(|one| one["name"] == home).unwrap();
    assert!(
        mine["pods_hard"].is_string() && mine["pods_used"].is_string(),
        "{mine}"
    );

    assert_eq!(run(&["release", &name, "--yes"], admin).code, 3, "in use");
    assert_eq!(
        run(&["release", &name, "--force"], admin).code,
        2,
        "not confirmed"
    );
    assert_eq!(
        run(&["release", "kube-system", "--yes", "--force"], admin).code,
        1
    );
    assert_eq!(
        state(&run(&["list"], admin).ok().json(), &name).unwrap(),
        "active"
    );
    run(&["release", &name, "--yes", "--force"], admin).ok();
    eventually("it is gone", || {
        state(&run(&["list"], admin).ok().json(), &name).is_none_or(|now| now == "terminating")
    });

    // What the server keeps is there, as the doctor sees it.
    let right = [
        "guards",
        "identity",
        "cluster-wide bindings",
        "SealedNodes",
        "node webhook",
        "reserved names",
        "nodes",
        "trusted_nodes",
        "gate",
        "audit events",
    ];
    // `up` puts K3s at the port after the gate's.
    let gate = summary["server"].as_str().unwrap();
    let gate = gate.strip_prefix("https://").unwrap();
    let (host, port) = gate.rsplit_once(':').unwrap();
    let upstream = format!("{host}:{}", port.parse::<u16>().unwrap() + 1);
    let gate = ["--gate-listen", gate, "--gate-upstream", &upstream];
    let access = ["--kubeconfig", admin, "--metrics-listen", &metrics];
    eventually("the doctor finds everything in its place", || {
        let arguments = ["doctor", "-o", "json"];
        let doctor = program.run(&[&arguments[..], &gate, &access].concat());
        let report = doctor.json();
        let checks = report["checks"].as_array().unwrap();
        let is_ok = |name: &&str| {
            let check = checks.iter().find(|check| check["name"] == **name);
            check.unwrap()["state"] == "ok"
        };
        right.iter().all(is_ok)
    });
    an_untold_gate_is_noticed(admin, &upstream);
    nodes_are_told_of(&program, admin, developer);
    protected_namespaces_are_bound(admin);

    // Without its service account the server's token is refused; it makes itself another.
    let account = [
        "delete",
        "serviceaccount",
        "server",
        "-n",
        "k3s-daas-system",
    ];
    let access = ["--kubeconfig", admin];
    let deleted = Command::new("kubectl").args(access).args(account).output();
    assert!(deleted.unwrap().status.success());
    let account = ["get", "serviceaccount", "server", "-n", "k3s-daas-system"];
    eventually("the server has an account again", || {
        let found = Command::new("kubectl").args(access).args(account).output();
        found.unwrap().status.success()
    });

    // A hangup: who was super is a developer now.
    let above = of("super")["kubeconfig"].as_str().unwrap();
    let may = |kubeconfig: &str| {
        let asked = [
            "--kubeconfig",
            kubeconfig,
            "get",
            "secrets",
            "-n",
            "kube-system",
        ];
        let answer = Command::new("kubectl").args(asked).output().unwrap();
        answer.status.success()
    };
    eventually("super reads everything", || may(above));
    configure("elevated_owners: none\n");
    up.signal("-HUP");
    eventually("nobody is elevated", || !may(above));
}
