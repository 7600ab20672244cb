//! What `config render` writes.

use crate::program::{Program, mode};

#[test]
fn rendered_files_are_written_with_their_modes() {
    let program = Program::new();
    let args = [
        "config",
        "render",
        "--to",
        "rendered",
        "--explain",
        "-o",
        "json",
    ];
    let rendered = program.run(&args).ok().json();
    let files = rendered["files"].as_array().unwrap();
    assert!(files.len() >= 5);
    for file in files {
        let path = std::path::Path::new(file["path"].as_str().unwrap()).to_owned();
        let path = program.path(path.to_str().unwrap());
        assert_eq!(
            format!("{:04o}", mode(&path)),
            file["mode"].as_str().unwrap()
        );
    }
    assert!(!rendered["settings"].as_array().unwrap().is_empty());
    assert!(rendered.get("will_not_run").is_none());
    let refused = program.run(&["config", "render", "--listen", "0.0.0.0:9443"]);
    assert_eq!(refused.code, 2);
    assert!(refused.stderr.contains("webhook_url"), "{}", refused.stderr);
}

#[test]
fn behind_the_gate_k3s_is_told_to_listen_on_loopback_and_to_tell_of_streams() {
    let program = Program::new();
    let render = |more: &[&str]| {
        let args = ["config", "render", "--to", "rendered", "-o", "json"];
        program.run(&[&args[..], more].concat())
    };
    render(&[]).ok();
    assert!(!program.path("rendered/k3s-daas/audit-policy.yaml").exists());
    let gate = [
        "--gate-listen",
        "203.0.113.7:6443",
        "--tls-san",
        "api.example.org",
    ];
    let rendered = render(&[&gate[..], &["--explain"]].concat()).ok().json();
    assert!(rendered.get("warnings").is_none_or(|warnings| {
        let mut warnings = warnings.as_array().unwrap().iter();
        warnings.all(|text| !text.as_str().unwrap().contains("advertise-port"))
    }));
    let settings = rendered["settings"].as_array().unwrap();
    for (setting, value) in [
        ("bind-address", "127.0.0.1"),
        ("advertise-address", "203.0.113.7"),
        ("tls-san", "api.example.org"),
        ("kube-apiserver-arg min-request-timeout", "600"),
    ] {
        let told = |one: &serde_json::Value| one["setting"] == setting && one["value"] == value;
        assert!(settings.iter().any(told), "{setting}");
    }
    let events = program.path("rendered/k3s-daas/audit-webhook.kubeconfig");
    assert_eq!(mode(&events), 0o600);
    let events = std::fs::read_to_string(events).unwrap();
    assert!(events.contains("https://127.0.0.1:9445/audit"), "{events}");
    assert!(program.path("rendered/k3s-daas/audit-policy.yaml").exists());

    let other_port = [
        "--gate-listen",
        "203.0.113.7:443",
        "--gate-upstream",
        "127.0.0.1:6443",
    ];
    let warned = render(&other_port).ok().stdout;
    assert!(warned.contains("advertise-port: 443"), "{warned}");
}

#[test]
fn a_gate_that_nobody_could_be_told_of_says_what_is_missing() {
    let program = Program::new();
    let any = ["config", "render", "--gate-listen", "0.0.0.0:6443"];
    let refused = program.run(&any);
    assert_eq!(refused.code, 2);
    assert!(
        refused.stderr.contains("K3s is there"),
        "{}",
        refused.stderr
    );
    let any = [&any[..], &["--gate-upstream", "127.0.0.1:6444"]].concat();
    for (more, missing) in [
        (&[][..], "set advertise_address"),
        (
            &["--advertise-address", "127.0.0.1"],
            "advertise_address is 127.0.0.1",
        ),
        (
            &[
                "--advertise-address",
                "203.0.113.7",
                "--audit-listen",
                "0.0.0.0:9445",
            ],
            "set audit_url",
        ),
    ] {
        let refused = program.run(&[&any[..], more].concat());
        assert_eq!(refused.code, 2);
        assert!(refused.stderr.contains(missing), "{}", refused.stderr);
    }
    let told = [&any[..], &["--advertise-address", "203.0.113.7"]].concat();
    program.run(&told).ok();
}

#[test]
fn what_runs_on_trusted_nodes_alone_is_said_not_to_run_without_one() {
    let program = Program::new();
    let render = |more: &[&str]| {
        let args = ["config", "render", "--to", "rendered", "-o", "json"];
        let kept = ["--packaged-components", "servicelb,coredns"];
        let args = [&args[..], &kept, more].concat();
        program.run(&args).ok().json()["will_not_run"].clone()
    };
    assert_eq!(render(&[]), serde_json::json!(["coredns", "servicelb"]));
    assert!(render(&["--trusted-nodes", "own-1"]).is_null());
    assert!(render(&["--worker-namespaces", "kube-system"]).is_null());
    let args = ["config", "render", "--packaged-components", "coredns"];
    let told = program.run(&args).ok().stdout;
    assert!(told.contains("# will not run: coredns."), "{told}");
}

#[test]
fn a_workers_file_is_rendered_and_nobodys_own_is_overwritten() {
    let program = Program::new();
    let agent = ["config", "render", "--role", "agent", "--to", "worker"];
    let refused = program.run(&agent);
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    let named = [&agent[..], &["--node-id", "worker-001"]].concat();
    let refused = program.run(&named);
    assert_eq!(refused.code, 2);
    assert!(
        refused.stderr.contains("--cluster-url"),
        "{}",
        refused.stderr
    );
    let whole = [&named[..], &["--cluster-url", "https://10.0.0.1:6443"]].concat();
    program.run(&whole).ok();
    let path = program.path("worker/config.yaml");
    let text = std::fs::read_to_string(&path).unwrap();
    for line in [
        "server: \"https://10.0.0.1:6443\"",
        "token-file: \"/etc/rancher/k3s/k3s-daas.token\"",
        "node-name: \"worker-001\"",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}: {text}");
    }
    // Its own file is written again, another's is not.
    program.run(&whole).ok();
    std::fs::write(&path, "node-label: [a=b]\n").unwrap();
    let refused = program.run(&whole);
    assert_eq!(refused.code, 1);
    assert_eq!(
        std::fs::read_to_string(&path).unwrap(),
        "node-label: [a=b]\n"
    );
}
