use std::os::unix::fs::MetadataExt;

use cri_shim::heartbeat::ClusterTrust;
use webhook_server::pki::DevPki;
use zeroize::Zeroizing;

use super::*;

fn settings(folder: &Path) -> RegisterSettings {
    RegisterSettings {
        node: "worker-001".parse().unwrap(),
        token_file: folder.join("seal.token"),
        master: None,
        config_dir: folder.join("k3s"),
        data_dir: folder.to_owned(),
        ip_address: None,
    }
}

fn ca() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let pki = DevPki::generate(folder.path(), &["localhost".to_owned()]).unwrap();
    std::fs::read(pki.ca).unwrap()
}

fn answered(ca: &[u8], token: &SealToken) -> Answered {
    let hash = CaHash::of_bundle(ca, SystemTime::now()).unwrap();
    Answered {
        ca_cert: STANDARD.encode(ca),
        api_server: "https://k3s.example.org:6443".to_owned(),
        join_token: join_token(&hash, &token.join_credential()).into(),
    }
}

#[test]
fn a_token_that_is_not_this_seals_with_that_ca_is_not_taken() {
    let (token, other) = ([7; 32], [8; 32]);
    let (token, other) = (SealToken::from_bytes(token), SealToken::from_bytes(other));
    let bundle = ca();
    let good = answered(&bundle, &token);
    assert!(checked(&good, &token).unwrap().starts_with("K10"));
    assert!(checked(&good, &other).is_err());
    let mut another_ca = answered(&bundle, &token);
    another_ca.ca_cert = STANDARD.encode(ca());
    assert!(checked(&another_ca, &token).is_err());
    for text in ["", "!", "bm8gQ0E="] {
        let mut bad = answered(&bundle, &token);
        bad.ca_cert = text.to_owned();
        let error = checked(&bad, &token).unwrap_err();
        assert!(matches!(error, WorkError::ClusterUntrusted(_)), "{error}");
        assert!(!error.to_string().contains(token.reveal().as_str()));
    }
}

#[test]
fn the_agents_files_are_roots_alone_and_the_configuration_holds_no_token() {
    let folder = tempfile::tempdir().unwrap();
    let registrar = Registrar::new(settings(folder.path()), None);
    for _ in 0..2 {
        registrar.in_the_way().unwrap();
        let joined = registrar
            .write("https://k3s.example.org:6443", "K10x::secret")
            .unwrap();
        let config = std::fs::read_to_string(&joined.config_file).unwrap();
        assert!(
            config.contains("server: \"https://k3s.example.org:6443\""),
            "{config}"
        );
        assert!(config.contains("node-name: \"worker-001\"") && !config.contains("secret"));
        assert_eq!(std::fs::read(&joined.token_file).unwrap(), b"K10x::secret");
        for path in [&joined.config_file, &joined.token_file] {
            assert_eq!(std::fs::metadata(path).unwrap().mode() & 0o777, 0o600);
        }
    }
    // The operator's own file stays.
    std::fs::write(registrar.config_file(), "server: https://other\n").unwrap();
    let error = registrar.in_the_way().unwrap_err();
    assert!(matches!(error, WorkError::FileInTheWay(_)), "{error}");
}

#[test]
fn what_the_cluster_refuses_is_named_without_its_text() {
    let answer = |status: u16, body: &str| Answer {
        status: http::StatusCode::from_u16(status).unwrap(),
        retry_after: None,
        body: Zeroizing::new(body.as_bytes().to_vec()),
    };
    let body = r#"{"type":"urn:k3s-daas:problem:name-not-held","detail":"secret"}"#;
    let refused = read(&answer(403, body)).err().unwrap();
    let expected = "the cluster answers 403 (name-not-held)".to_owned();
    assert_eq!(refused, WorkError::ClusterRefused(expected));
    for (status, body) in [(503, body), (429, ""), (500, "x")] {
        let error = read(&answer(status, body)).err().unwrap();
        assert!(matches!(error, WorkError::ClusterUnavailable(_)), "{error}");
    }
    for (status, body) in [(200, "secret"), (200, "{}"), (302, "")] {
        let error = read(&answer(status, body)).err().unwrap();
        assert!(matches!(error, WorkError::ClusterUntrusted(_)), "{error}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}

#[tokio::test]
async fn what_is_missing_is_said_in_the_order_of_the_steps() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let order = || MachineOrder {
        ip_address: Some("10.0.1.5".parse().unwrap()),
        ..MachineOrder::default()
    };
    let alone = Registrar::new(settings(folder.path()), None);
    let error = alone.register(order()).await.unwrap_err();
    assert!(matches!(error, WorkError::NotSetUp(_)), "{error}");

    let endpoint = "https://127.0.0.1:1";
    let client = ClusterClient::new(endpoint, &ClusterTrust::Bundle(ca())).unwrap();
    let cluster = Some((client, endpoint.to_owned()));
    let registrar = Registrar::new(settings(folder.path()), cluster.clone());
    let error = registrar.register(order()).await.unwrap_err();
    assert_eq!(error, WorkError::NotStaked);

    let token = SealToken::from_bytes([7; 32]);
    write_private(&folder.path().join("seal.token"), token.reveal().as_bytes()).unwrap();
    let error = registrar.register(order()).await.unwrap_err();
    assert!(matches!(error, WorkError::ClusterUnavailable(_)), "{error}");
    assert!(!registrar.config_file().exists());

    // Before the cluster is told of a machine whose agent could not start: nobody answers here.
    let itself = RegisterSettings {
        master: Some("https://127.0.0.1:6443".to_owned()),
        ..settings(folder.path())
    };
    let error = Registrar::new(itself, cluster).register(order()).await;
    let error = error.unwrap_err();
    assert!(matches!(error, WorkError::NotSetUp(_)), "{error}");
}
