//! The webhooks' process as the built program runs it: without a chain, without an API server,
//! and with a ledger.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::Duration;

use crate::program::{Program, eventually};
use sui_devnet::{Devnet, DevnetConfig};

const TOKEN: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

/// A running server. Killed at the end, if it did not end by itself.
pub(crate) struct Server {
    child: Child,
    reviews: String,
    operations: String,
    /// Where each listener is, as it says itself.
    pub(crate) up: serde_json::Value,
    ca: PathBuf,
    pub(crate) runtime: tokio::runtime::Runtime,
    log: std::sync::mpsc::Receiver<String>,
}

impl Server {
    fn start(program: &Program) -> Self {
        Self::start_with(program, &["--elevated-owners", "any"])
    }

    pub(crate) fn start_with(program: &Program, arguments: &[&str]) -> Self {
        let mut command = program.command(&[
            "server",
            "--contract",
            "contract.toml",
            "--state-dir",
            "state",
            "--kubeconfig",
            "no-kubeconfig-yet",
            "--listen",
            "127.0.0.1:0",
            "--metrics-listen",
            "127.0.0.1:0",
            "--admit-listen",
            "127.0.0.1:0",
            "--log-format",
            "json",
        ]);
        if !arguments.contains(&"--api-listen") {
            command.args(["--api-listen", "127.0.0.1:0"]);
        }
        command.args(arguments);
        let mut child = command.spawn().unwrap();
        let (send, lines) = std::sync::mpsc::channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let _ = send.send(line);
            }
        });
        let mut seen = Vec::new();
        let addresses = loop {
            let Ok(line) = lines.recv_timeout(Duration::from_secs(30)) else {
                child.kill().unwrap();
                panic!("the server did not come up: {seen:#?}");
            };
            let event: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
            if let (Some(reviews), Some(operations)) =
                (event["reviews"].as_str(), event["operations"].as_str())
            {
                break (reviews.to_owned(), operations.to_owned(), event.clone());
            }
            seen.push(line);
        };
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self {
            child,
            reviews: addresses.0,
            operations: addresses.1,
            up: addresses.2,
            ca: program.path("state/pki/ca.crt"),
            runtime: tokio::runtime::Runtime::new().unwrap(),
            log: lines,
        }
    }

    /// Waits for a line of the log whose fields say this.
    fn logged(&self, says: impl Fn(&serde_json::Value) -> bool) -> serde_json::Value {
        let mut seen = Vec::new();
        loop {
            let Ok(line) = self.log.recv_timeout(Duration::from_secs(30)) else {
                panic!("the log does not say it: {seen:#?}");
            };
            let event: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
            if says(&event) {
                return event;
            }
            seen.push(line);
        }
    }

    fn metric(&self, line: &str) -> bool {
        let url = format!("http://{}/metrics", self.operations);
        let text = self.runtime.block_on(async {
            let answer = reqwest::get(url).await.unwrap();
            answer.text().await.unwrap()
        });
        text.lines().any(|one| one == line)
    }

    pub(crate) fn readyz(&self) -> (u16, String) {
        let url = format!("http://{}/readyz", self.operations);
        self.runtime.block_on(async {
            let answer = reqwest::get(url).await.unwrap();
            (answer.status().as_u16(), answer.text().await.unwrap())
        })
    }

    /// A client that believes the certificate which was made.
    pub(crate) fn client(&self) -> reqwest::Client {
        let ca = std::fs::read(&self.ca).unwrap();
        let roots = reqwest::Certificate::from_pem_bundle(&ca).unwrap();
        let client = reqwest::Client::builder().tls_certs_only(roots);
        client.build().unwrap()
    }

    fn review(&self, path: &str, review: &serde_json::Value) -> serde_json::Value {
        let sent = self
            .client()
            .post(format!("https://{}{path}", self.reviews))
            .json(review);
        self.runtime.block_on(async {
            let answer = sent.send().await.unwrap();
            assert_eq!(answer.status().as_u16(), 200);
            answer.json().await.unwrap()
        })
    }

    fn authenticate(&self, token: &str) -> serde_json::Value {
        let review = serde_json::json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": { "token": token, "audiences": ["k3s"] },
        });
        self.review("/authenticate", &review)["status"].clone()
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args([name, &pid])
                .status()
                .unwrap()
                .success()
        );
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A contract on a chain that is not there.
pub(crate) fn contract_of_nowhere(program: &Program) {
    let id = |byte: u8| format!("0x{}", format!("{byte:02x}").repeat(32));
    let contract = format!(
        "endpoint = \"http://127.0.0.1:1\"\nchain_id = \"BC3xSQ5SPrNFFgzWatmABviNR3HGP6eMobc9zgjXNefG\"\n\
         original_package = \"{0}\"\nlatest_package = \"{0}\"\npool = \"{1}\"\n\
         pool_initial_version = 5\nseals_table = \"{2}\"\nnodes_table = \"{3}\"\nowners_table = \"{4}\"\n",
        id(1),
        id(3),
        id(4),
        id(5),
        id(6),
    );
    std::fs::write(program.path("contract.toml"), contract).unwrap();
}

#[test]
fn starts_without_a_chain_says_so_and_ends_in_order() {
    let program = Program::new();
    contract_of_nowhere(&program);
    let mut server = Server::start(&program);
    let (status, text) = server.readyz();
    assert_eq!(status, 503);
    assert!(
        text.contains("[-]directory failed")
            && text.contains("[-]namespaces failed")
            && text.contains("[-]identity failed: the kubeconfig")
            && text.contains("[-]guards failed"),
        "{text}"
    );
    assert!(server.metric("k3s_daas_build_info{version=\"0.1.0\",revision=\"unknown\"} 1"));

    let refused = server.authenticate(TOKEN);
    assert_ne!(refused["authenticated"], true);
    assert!(!refused["error"].as_str().unwrap().is_empty());
    assert!(!refused.to_string().contains(TOKEN));

    server.signal("-HUP");
    assert_eq!(server.readyz().0, 503, "a hangup does not end it");
    server.signal("-TERM");
    let mut status = None;
    eventually("the server ends", || {
        status = server.child.try_wait().unwrap();
        status.is_some()
    });
    assert_eq!(status.unwrap().code(), Some(0));
}

#[test]
fn a_hangup_changes_what_can_change_and_a_wrong_file_changes_nothing() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let devnet = runtime
        .block_on(Devnet::start(DevnetConfig::for_tests()))
        .unwrap();
    let program = Program::new();
    devnet.ids.save(&program.path("contract.toml")).unwrap();
    let configure = |text: &str| std::fs::write(program.path("config.yaml"), text).unwrap();
    configure("elevated_owners: none\naudiences: [k3s, other]\n");
    let server = Server::start_with(&program, &["--config", "config.yaml"]);
    eventually("the directory is live", || {
        server.readyz().1.contains("[+]directory ok")
    });
    let faucet = &devnet.faucet_url;
    let contract = ["--contract", "contract.toml"];
    program.run(&["wallet", "new"]).ok();
    let fund = ["wallet", "faucet", "20", "--faucet", faucet];
    program.run(&[&fund[..], &contract].concat()).ok();
    let stake = ["stake", "0.5", "--token-file", "t"];
    program.run(&[&stake[..], &contract].concat()).ok();
    let token = std::fs::read_to_string(program.path("t")).unwrap();
    let accepted = || server.authenticate(token.trim())["authenticated"] == true;
    eventually("the token works", accepted);

    // Wrong as a whole, with a right part: none of it counts.
    configure("elevated_owners: none\naudiences: [other]\nquota_developer: pods=many\n");
    server.signal("-HUP");
    let said = server.logged(|event| event["level"] == "ERROR");
    let fields = &said;
    assert!(
        fields["error"].as_str().unwrap().contains("pods") && fields["next_step"].is_string(),
        "{said}"
    );
    assert!(server.metric("k3s_daas_config_reloads_total{outcome=\"rejected\"} 1"));
    assert!(accepted(), "what counted before still counts");

    configure("elevated_owners: none\naudiences: [other]\nreviews_in_flight: 7\n");
    server.signal("-HUP");
    let said = server.logged(|event| event["key"] == "audiences");
    assert_eq!(said["from"], "k3s,other");
    assert_eq!(said["to"], "other");
    let said = server.logged(|event| event["key"] == "reviews_in_flight");
    assert_eq!(said["level"], "WARN", "{said}");
    eventually("the audiences count", || !accepted());
    assert!(server.metric("k3s_daas_config_reloads_total{outcome=\"applied\"} 1"));
    assert!(server.metric("k3s_daas_config_keys_waiting 1"));

    configure("audiences: [k3s]\n");
    server.signal("-HUP");
    let said = server.logged(|event| event["level"] == "ERROR");
    assert!(said.to_string().contains("elevated_owners"), "{said}");
    configure("elevated_owners: any\naudiences: [k3s]\n");
    server.signal("-HUP");
    eventually("the audiences count again", accepted);
    runtime.block_on(devnet.shutdown());
}

#[test]
fn knows_a_seal_as_soon_as_it_is_staked_and_no_more_once_it_is_slashed() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let devnet = runtime
        .block_on(Devnet::start(DevnetConfig::for_tests()))
        .unwrap();
    let program = Program::new();
    devnet.ids.save(&program.path("contract.toml")).unwrap();
    let server = Server::start(&program);
    eventually("the directory is live", || {
        server.readyz().1.contains("[+]directory ok")
    });
    assert_ne!(server.authenticate(TOKEN)["authenticated"], true);

    let faucet = &devnet.faucet_url;
    program.run(&["wallet", "new"]).ok();
    program
        .run(&[
            "wallet",
            "faucet",
            "20",
            "--contract",
            "contract.toml",
            "--faucet",
            faucet,
        ])
        .ok();
    let stake = [
        "stake",
        "0.5",
        "--contract",
        "contract.toml",
        "--token-file",
        "t",
        "-o",
        "json",
    ];
    let staked = program.run(&stake).ok().json();
    let token = std::fs::read_to_string(program.path("t")).unwrap();
    let mut status = serde_json::Value::Null;
    eventually("the token works", || {
        status = server.authenticate(token.trim());
        status["authenticated"] == true
    });
    let user = format!("seal:{}", staked["owner"].as_str().unwrap());
    assert_eq!(status["user"]["username"], user);

    let review = serde_json::json!({
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": user,
            "groups": status["user"]["groups"],
            "extra": status["user"]["extra"],
            "uid": status["user"]["uid"],
            "resourceAttributes": { "verb": "list", "version": "v1", "resource": "nodes" },
        },
    });
    assert_eq!(
        server.review("/authorize", &review)["status"]["allowed"],
        true
    );

    let keystore = program.path("operator.keystore");
    sui_ledger::keystore::create(&keystore, &devnet.operator).unwrap();
    let keystore = keystore.to_str().unwrap();
    let operator = ["--contract", "contract.toml", "--keystore", keystore];
    program
        .run(
            &[
                &["wallet", "faucet", "20", "--faucet", faucet],
                &operator[..],
            ]
            .concat(),
        )
        .ok();
    let hash = staked["credential_hash"].as_str().unwrap();
    program
        .run(&[&["slash", hash, "--reason", "test"], &operator[..]].concat())
        .ok();
    eventually("the seal is refused", || {
        server.review("/authorize", &review)["status"]["denied"] == true
    });
    assert_ne!(server.authenticate(token.trim())["authenticated"], true);
    runtime.block_on(devnet.shutdown());
}
