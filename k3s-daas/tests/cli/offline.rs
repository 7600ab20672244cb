//! What the program does without a chain.

use std::io::Write;

use k3s_configs::access::CaHash;

use crate::program::{Program, answer, mode};

const TOKEN: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const JOIN: &str = "xh5g4g.98bigncycpcjpj15";
const HASH: &str = "a0059ad2a65d3c11ea4140fee3e7f0edd58653c361217eb3c94116f56c3c242d";

#[test]
fn derives_the_published_vectors_from_standard_input() {
    let vectors = [
        (
            "0000000000000000000000000000000000000000000000000000000000000000",
            "kttzp4.v3u4vjuklklsf889",
            "2745a3451aac76eeb840dabfc0c2f5f945a638039ad995b049b80e5f3abd823e",
        ),
        (TOKEN, JOIN, HASH),
    ];
    let program = Program::new();
    for (token, join, hash) in vectors {
        for args in [&["seal", "derive"][..], &["seal", "derive", "-o", "json"]] {
            for end in ["", "\n", "\r\n"] {
                let derived = program.run_with(args, &format!("{token}{end}")).ok().json();
                let expected =
                    serde_json::json!({"join_credential": join, "credential_hash": hash});
                assert_eq!(derived, expected);
            }
        }
    }
}

#[test]
fn a_malformed_token_is_refused_and_not_repeated() {
    let refused = Program::new().run_with(&["seal", "derive"], &TOKEN.to_uppercase());
    assert_eq!(refused.code, 1);
    assert!(
        !refused.stderr.to_lowercase().contains(&TOKEN[..16]),
        "{}",
        refused.stderr
    );
    assert!(refused.stderr.contains("next step: "), "{}", refused.stderr);
}

#[test]
fn a_flag_beats_a_variable_beats_the_file_and_show_says_so() {
    let mut program = Program::new();
    let file = program.path("config.yaml");
    std::fs::write(
        &file,
        "grace_seconds: 2\ncached_records: 7\nprofile: production\n",
    )
    .unwrap();
    program
        .env
        .push(("K3S_DAAS_CONFIG".into(), file.display().to_string()));
    program
        .env
        .push(("K3S_DAAS_CACHED_RECORDS".into(), "8".into()));
    program
        .env
        .push(("K3S_DAAS_GRACE_SECONDS".into(), "3".into()));
    let shown = program
        .run(&["config", "show", "-o", "json", "--grace-seconds", "4"])
        .ok()
        .json();
    let of = |key: &str| {
        let all = shown.as_array().unwrap();
        let found = all.iter().find(|one| one["key"] == key).unwrap();
        (found["value"].clone(), found["source"].clone())
    };
    assert_eq!(of("grace_seconds"), ("4".into(), "flag".into()));
    assert_eq!(of("cached_records"), ("8".into(), "env".into()));
    assert_eq!(of("profile"), ("production".into(), "file".into()));
    assert_eq!(of("max_staleness_seconds"), ("15".into(), "default".into()));
    assert_eq!(
        of("elevated_owners"),
        (serde_json::Value::Null, "unset".into())
    );
}

#[test]
fn an_unknown_key_ends_every_command_with_code_2() {
    let program = Program::new();
    let file = program.path("config.yaml");
    std::fs::write(&file, "elevated_owner: any\n").unwrap();
    let file = file.to_str().unwrap();
    for args in [
        &["config", "check", "--config", file][..],
        &["seal", "list", "--config", file],
    ] {
        let refused = program.run(args);
        assert_eq!(refused.code, 2);
        assert!(
            refused.stderr.contains("did you mean elevated_owners?"),
            "{}",
            refused.stderr
        );
    }
}

#[test]
fn check_names_every_wrong_key_and_unknown_variable() {
    let mut program = Program::new();
    program
        .env
        .push(("K3S_DAAS_LISTEN".into(), "nowhere".into()));
    program
        .env
        .push(("K3S_DAAS_TENNANCY".into(), "shared".into()));
    let refused = program.run(&["config", "check", "--tenancy", "some", "-o", "json"]);
    assert_eq!(refused.code, 2);
    let problems = refused.json()["problems"].to_string();
    for name in ["listen", "K3S_DAAS_TENNANCY", "tenancy"] {
        assert!(problems.contains(name), "{problems}");
    }
    let together = Program::new().run(&["config", "check", "--listen", "0.0.0.0:1", "-o", "json"]);
    assert_eq!(together.code, 2);
    assert!(
        together.stdout.contains("strangers could ask"),
        "{}",
        together.stdout
    );
    let mut good = Program::new();
    good.env
        .push(("K3S_DAAS_ELEVATED_OWNERS".into(), "any".into()));
    let checked = good.run(&["config", "check", "-o", "yaml"]).ok();
    assert!(checked.stdout.contains("ok: true"), "{}", checked.stdout);
    assert!(
        checked.stdout.contains("owns the cluster"),
        "{}",
        checked.stdout
    );
}

#[test]
fn the_server_does_not_start_before_somebody_chose_who_may_own_the_cluster() {
    let refused = Program::new().run(&["server"]);
    assert_eq!(refused.code, 2);
    for choice in [
        "`any`",
        "`none`",
        "list of owners' addresses",
        "--elevated-owners",
    ] {
        assert!(
            refused.stderr.contains(choice),
            "{choice}: {}",
            refused.stderr
        );
    }
}

#[test]
fn the_server_does_not_listen_for_strangers_without_client_certificates() {
    let program = Program::new();
    let contract = program.path("contract.toml");
    std::fs::write(&contract, contract_of("http://127.0.0.1:1")).unwrap();
    let contract = contract.to_str().unwrap();
    let refused = program.run(&[
        "server",
        "--elevated-owners",
        "none",
        "--listen",
        "0.0.0.0:0",
        "--contract",
        contract,
    ]);
    assert_eq!(refused.code, 2);
    assert!(
        refused.stderr.contains("tls_client_ca"),
        "{}",
        refused.stderr
    );
}

fn contract_of(endpoint: &str) -> String {
    let id = |byte: u8| format!("0x{}", format!("{byte:02x}").repeat(32));
    format!(
        "endpoint = \"{endpoint}\"\nchain_id = \"BC3xSQ5SPrNFFgzWatmABviNR3HGP6eMobc9zgjXNefG\"\n\
         original_package = \"{0}\"\nlatest_package = \"{0}\"\npool = \"{1}\"\n\
         pool_initial_version = 5\nseals_table = \"{2}\"\nnodes_table = \"{3}\"\nowners_table = \"{4}\"\n",
        id(1),
        id(3),
        id(4),
        id(5),
        id(6),
    )
}

#[test]
fn a_chain_that_does_not_answer_is_code_4() {
    let program = Program::new();
    let contract = program.path("contract.toml");
    std::fs::write(&contract, contract_of("http://127.0.0.1:1")).unwrap();
    let contract = contract.to_str().unwrap();
    let refused = program.run(&["seal", "show", "--hash", HASH, "--contract", contract]);
    assert_eq!(refused.code, 4, "{}", refused.stderr);
    assert!(
        refused.stderr.contains("http://127.0.0.1:1"),
        "{}",
        refused.stderr
    );
    assert!(refused.stderr.contains("next step: "), "{}", refused.stderr);
}

#[test]
fn a_missing_contract_file_is_code_2_and_says_which_to_give() {
    let refused = Program::new().run(&["stake", "2"]);
    assert_eq!(refused.code, 2);
    assert!(
        refused.stderr.contains("give --contract"),
        "{}",
        refused.stderr
    );
}

#[test]
fn policy_explain_answers_each_line() {
    let lines = [
        r#"{"resourceAttributes":{"verb":"create","resource":"pods","version":"v1","namespace":"a"}}"#,
        r#"{"resourceAttributes":{"verb":"create","resource":"pods","version":"v1","namespace":"b"}}"#,
        r#"{"resourceAttributes":{"verb":"list","resource":"pods","version":"v1","namespace":"b"}}"#,
        r#"{"resourceAttributes":{"verb":"get","resource":"secrets","version":"v1","namespace":"kube-system","name":"x"}}"#,
        r#"{"nonResourceAttributes":{"verb":"get","path":"/version"}}"#,
    ];
    let answers = |args: &[&str]| {
        let base = [
            "policy",
            "explain",
            "--own-namespace",
            "a",
            "--owned-namespace",
            "b",
        ];
        let answer = Program::new()
            .run_with(&[&base, args].concat(), &lines.join("\n"))
            .ok();
        let decision = |line: &str| {
            let answer: serde_json::Value = serde_json::from_str(line).unwrap();
            assert!(!answer["reason"].as_str().unwrap().is_empty());
            answer["decision"].as_str().unwrap().to_owned()
        };
        answer.stdout.lines().map(decision).collect::<Vec<_>>()
    };
    let developer = answers(&["--tier", "developer"]);
    assert_eq!(developer, ["allow", "deny", "deny", "deny", "allow"]);
    let shared = answers(&["--tier", "developer", "--tenancy", "shared"]);
    assert_eq!(shared, ["allow", "deny", "allow", "deny", "allow"]);
    assert_eq!(answers(&["--tier", "super"]), ["allow"; 5]);
}

#[test]
fn policy_explain_names_the_line_that_is_no_spec() {
    let refused =
        Program::new().run_with(&["policy", "explain", "--tier", "viewer"], "{}\nnot json");
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("line 1"), "{}", refused.stderr);
}

#[test]
fn kubeconfigs_and_join_tokens_are_private_files_of_the_right_form() {
    let program = Program::new();
    let key = rcgen::KeyPair::generate().unwrap();
    let ca = rcgen::CertificateParams::new(Vec::new())
        .unwrap()
        .self_signed(&key)
        .unwrap()
        .pem();
    std::fs::write(program.path("ca.crt"), &ca).unwrap();

    let args = [
        "kubeconfig",
        "--token-file",
        "-",
        "--cluster-ca",
        "ca.crt",
        "--to",
        "out/kubeconfig",
    ];
    program.run_with(&args, TOKEN).ok();
    let written = program.path("out/kubeconfig");
    assert_eq!(mode(&written), 0o600);
    let text = std::fs::read_to_string(&written).unwrap();
    assert!(
        text.contains(&format!("token: {TOKEN}")) || text.contains(&format!("token: '{TOKEN}'"))
    );

    let args = [
        "join-token",
        "--token-file",
        "-",
        "--ca-file",
        "ca.crt",
        "--to",
        "join.token",
    ];
    program.run_with(&args, TOKEN).ok();
    let written = program.path("join.token");
    assert_eq!(mode(&written), 0o600);
    let hash = CaHash::of_bundle(ca.as_bytes(), std::time::SystemTime::now()).unwrap();
    assert_eq!(
        std::fs::read_to_string(&written).unwrap(),
        format!("K10{hash}::{JOIN}\n")
    );

    // From the join credential itself, with a hash that somebody was told.
    let told = "ab".repeat(32);
    let args = ["join-token", "--token-file", "-", "--ca-hash", &told];
    assert_eq!(
        program.run_with(&args, JOIN).ok().stdout,
        format!("K10{told}::{JOIN}\n")
    );
    let refused = program.run_with(&["join-token", "--token-file", "-"], TOKEN);
    assert_eq!(refused.code, 2);
    assert!(
        refused.stderr.contains("trust whoever answers first"),
        "{}",
        refused.stderr
    );
}

#[test]
fn a_token_on_its_way_is_not_in_the_process_list() {
    let program = Program::new();
    let mut child = program
        .command(&["kubeconfig", "--token-file", "-"])
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(TOKEN.as_bytes()).unwrap();
    for file in ["cmdline", "environ"] {
        let seen = std::fs::read(format!("/proc/{}/{file}", child.id())).unwrap();
        assert!(
            !String::from_utf8_lossy(&seen).contains(&TOKEN[..16]),
            "{file}"
        );
    }
    drop(stdin);
    assert!(answer(child).ok().stdout.contains(TOKEN));
}

#[test]
fn kubeconfigs_name_a_server_that_no_node_can_be() {
    let program = Program::new();
    let with = |more: &[&str]| {
        let args = [&["kubeconfig", "--token-file", "-"], more].concat();
        program.run_with(&args, TOKEN).ok().stdout
    };
    let name = "tls-server-name: kubernetes.default.svc";
    assert!(with(&[]).contains(name));
    assert!(with(&["--cluster-url", "https://10.0.0.1:6443"]).contains(name));
    let dns = with(&["--cluster-url", "https://k3s.example.org:6443"]);
    assert!(!dns.contains("tls-server-name"), "{dns}");
    let chosen = with(&["--tls-server-name", "k3s.example.org"]);
    assert!(chosen.contains("tls-server-name: k3s.example.org"));
}

#[test]
fn keys_of_nodes_that_do_not_go_together_are_told() {
    let program = Program::new();
    for (args, said) in [
        (
            &["--api-listen", "0.0.0.0:8443"][..],
            "no certificate to show",
        ),
        (&["--admit-listen", "0.0.0.0:9444"], "strangers could ask"),
        (
            &["--tls-certificate", "a", "--tls-key", "b"],
            "would not believe /admit",
        ),
        (&["--api-certificate", "a"], "go together"),
        (&["--cluster-ranges", ""], "cluster_ranges is empty"),
        (
            &["--trusted-nodes", "a", "--reserved-node-names", "a"],
            "both hold a",
        ),
        (&["--trusted-nodes", "A_b"], "no node's name"),
        (&["--admit-url", "http://a"], "over https alone"),
    ] {
        let args = [&["config", "check", "--elevated-owners", "none"], args].concat();
        let refused = program.run(&args);
        assert_eq!(refused.code, 2, "{args:?}");
        assert!(
            refused.stdout.contains(said),
            "{args:?}: {}",
            refused.stdout
        );
    }
    let args = [
        "config",
        "check",
        "--elevated-owners",
        "none",
        "--api-listen",
        "",
    ];
    program.run(&args).ok();
}

#[test]
fn completions_are_made_for_each_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = Program::new().run(&["completions", shell]).ok().stdout;
        assert!(script.contains("join-token"), "{shell}");
    }
}

#[test]
fn every_command_has_help_and_usage_errors_are_code_2() {
    let program = Program::new();
    for command in ["up", "server", "stake", "seal", "policy explain", "doctor"] {
        let args: Vec<&str> = command.split(' ').chain(["--help"]).collect();
        assert!(
            program.run(&args).ok().stdout.contains("Examples:"),
            "{command}"
        );
    }
    for args in [
        &["stake"][..],
        &["stake", "0.1.2"],
        &["nothing"],
        &["seal", "show"],
    ] {
        assert_eq!(program.run(args).code, 2, "{args:?}");
    }
}

#[test]
fn the_doctor_says_what_to_do_and_fails() {
    let report = Program::new().run(&["doctor", "-o", "json"]);
    assert_eq!(report.code, 1);
    let checks = report.json()["checks"].clone();
    let checks = checks.as_array().unwrap();
    let find = |name: &str| checks.iter().find(|check| check["name"] == name).unwrap();
    assert_eq!(find("configuration")["state"], "ok");
    assert_eq!(find("contract file")["state"], "fail");
    assert_eq!(find("elevated_owners")["state"], "fail");
    for check in checks {
        assert!(
            check["state"] == "ok" || check["to_do"].is_string(),
            "{check}"
        );
    }
}
