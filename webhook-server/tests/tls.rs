//! Who gets through the handshake, and reloading.
// A test's future is polled where it stands, whatever its size.
#![allow(clippy::large_futures, clippy::unwrap_used)]

mod common;

use std::fs;
use std::time::Duration;

use axum::Router;
use axum::routing::get as get_route;
use common::{Client, bounded, connect, get, read_all, read_one, short_limits, start, until};
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, KeyPair, date_time_ymd};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use webhook_server::Limits;
use webhook_server::pki::DevPki;

fn hello() -> Router {
    Router::new().route("/", get_route(|| async { "hello" }))
}

/// A TLS 1.2 ClientHello without the extension `supported_versions`.
///
/// Source: RFC 5246, 7.4.1.2; the suites are ECDHE with AES-128-GCM.
fn client_hello_1_2() -> Vec<u8> {
    let extensions: &[u8] = &[
        0x00, 0x0a, 0x00, 0x04, 0x00, 0x02, 0x00, 0x17, // groups: P-256
        0x00, 0x0d, 0x00, 0x06, 0x00, 0x04, 0x04, 0x03, 0x04, 0x01, // signatures
        0x00, 0x0b, 0x00, 0x02, 0x01, 0x00, // point formats
    ];
    let mut body = vec![0x03, 0x03];
    body.extend_from_slice(&[7; 32]);
    body.extend_from_slice(&[0, 0, 4, 0xc0, 0x2b, 0xc0, 0x2f, 1, 0]);
    body.extend_from_slice(&u16::try_from(extensions.len()).unwrap().to_be_bytes());
    body.extend_from_slice(extensions);
    let mut handshake = vec![1, 0];
    handshake.extend_from_slice(&u16::try_from(body.len()).unwrap().to_be_bytes());
    handshake.extend_from_slice(&body);
    let mut record = vec![22, 3, 1];
    record.extend_from_slice(&u16::try_from(handshake.len()).unwrap().to_be_bytes());
    record.extend_from_slice(&handshake);
    record
}

#[tokio::test]
async fn refuses_tls_1_2() {
    bounded(async {
        let server = start(false, short_limits(), |_| hello()).await;
        let mut stream = TcpStream::connect(server.serving.address).await.unwrap();
        stream.write_all(&client_hello_1_2()).await.unwrap();
        let mut alert = [0; 7];
        stream.read_exact(&mut alert).await.unwrap();
        // A fatal alert, protocol_version.
        assert_eq!((alert[0], alert[5], alert[6]), (21, 2, 70));
        let answer = server.ask(&server.client(), get("/")).await.unwrap();
        assert!(answer.ends_with("hello"), "{answer}");
    })
    .await;
}

#[tokio::test]
async fn a_required_client_certificate_is_required() {
    bounded(async {
        let server = start(true, short_limits(), |_| hello()).await;
        let good = server
            .ask(&server.client_with_certificate(), get("/"))
            .await;
        assert!(good.unwrap().ends_with("hello"));

        assert!(
            server.ask(&server.client(), get("/")).await.is_err(),
            "none"
        );

        let other_dir = tempfile::tempdir().unwrap();
        let other = DevPki::generate(other_dir.path(), &[]).unwrap();
        let stranger = server
            .client()
            .with_certificate(&other.client_certificate, &other.client_key);
        assert!(
            server.ask(&stranger, get("/")).await.is_err(),
            "of another CA"
        );

        let server_as_client = server
            .client()
            .with_certificate(&server.pki.server_certificate, &server.pki.server_key);
        assert!(
            server.ask(&server_as_client, get("/")).await.is_err(),
            "for servers only"
        );
        until("failures are counted", || {
            server
                .rendered_metrics()
                .contains("k3s_daas_http_handshakes_total{listener=\"test\",outcome=\"failed\"} 3")
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn an_expired_client_certificate_is_refused() {
    bounded(async {
        // A CA of its own, since the development CA's key is not kept.
        let dir = tempfile::tempdir().unwrap();
        let ca_key = KeyPair::generate().unwrap();
        let mut ca_params = CertificateParams::new(vec![]).unwrap();
        ca_params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let ca = ca_params.self_signed(&ca_key).unwrap();
        let issuer = rcgen::Issuer::new(ca_params, ca_key);
        let signed = |name: &str, year| {
            let key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::new(vec![]).unwrap();
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(year, 1, 1);
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            let certificate = params.signed_by(&key, &issuer).unwrap();
            let paths = (
                dir.path().join(format!("{name}.crt")),
                dir.path().join(format!("{name}.key")),
            );
            fs::write(&paths.0, certificate.pem()).unwrap();
            fs::write(&paths.1, key.serialize_pem()).unwrap();
            paths
        };
        let (valid, expired) = (signed("valid", 2200), signed("expired", 2021));

        let server = start(true, short_limits(), |_| hello()).await;
        // Also shows that a changed client CA is taken into use.
        fs::write(
            &server.pki.ca,
            format!(
                "{}{}",
                ca.pem(),
                fs::read_to_string(&server.pki.ca).unwrap()
            ),
        )
        .unwrap();
        until("the client CA is reloaded", || {
            server.rendered_metrics().contains("outcome=\"loaded\"} 1")
        })
        .await;
        let with = |(certificate, key): &(std::path::PathBuf, std::path::PathBuf)| {
            server.client().with_certificate(certificate, key)
        };
        let answer = server.ask(&with(&valid), get("/")).await.unwrap();
        assert!(answer.ends_with("hello"));
        assert!(server.ask(&with(&expired), get("/")).await.is_err());
    })
    .await;
}

#[tokio::test]
async fn no_session_is_resumed_past_the_check_of_the_client_certificate() {
    bounded(async {
        let server = start(true, short_limits(), |_| hello()).await;
        // One configuration, so that the client could resume if it were let.
        let config = server.client_with_certificate().config();
        for _ in 0..3 {
            let mut stream = connect(config.clone(), server.serving.address)
                .await
                .unwrap();
            stream.write_all(get("/").as_bytes()).await.unwrap();
            assert!(read_all(&mut stream).await.unwrap().ends_with("hello"));
            let kind = stream.get_ref().1.handshake_kind();
            assert_eq!(kind, Some(rustls::HandshakeKind::Full));
        }
    })
    .await;
}

#[tokio::test]
async fn new_certificates_are_used_and_open_connections_go_on() {
    bounded(async {
        let limits = Limits {
            header_read_timeout: Duration::from_secs(20),
            idle_timeout: Duration::from_secs(20),
            ..short_limits()
        };
        let server = start(false, limits, |_| hello()).await;
        let mut old = server.connect(&server.client()).await.unwrap();
        let keep_alive = "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";
        old.write_all(keep_alive.as_bytes()).await.unwrap();
        assert!(read_one(&mut old).await.ends_with("hello"));

        let new_dir = tempfile::tempdir().unwrap();
        let new = DevPki::generate(new_dir.path(), &["localhost".to_owned()]).unwrap();
        // Half of it: refused, and the old pair stays.
        fs::copy(&new.server_certificate, &server.pki.server_certificate).unwrap();
        until("the half pair is seen", || {
            server.rendered_metrics().contains("outcome=\"kept\"} 1")
        })
        .await;
        let answer = server.ask(&server.client(), get("/")).await.unwrap();
        assert!(answer.ends_with("hello"));

        fs::copy(&new.server_key, &server.pki.server_key).unwrap();
        until("the new pair is taken", || {
            server.rendered_metrics().contains("outcome=\"loaded\"} 1")
        })
        .await;
        let answer = server.ask(&Client::trusting(&new.ca), get("/")).await;
        assert!(answer.unwrap().ends_with("hello"));
        assert!(server.ask(&server.client(), get("/")).await.is_err());

        old.write_all(keep_alive.as_bytes()).await.unwrap();
        assert!(read_one(&mut old).await.ends_with("hello"), "it goes on");
    })
    .await;
}

#[tokio::test]
async fn speaks_both_protocols_and_http_1_without_alpn() {
    bounded(async {
        let server = start(false, short_limits(), |_| hello()).await;
        for (offered, agreed) in [
            (vec![b"h2".as_slice(), b"http/1.1"], Some(b"h2".as_slice())),
            (vec![b"http/1.1".as_slice()], Some(b"http/1.1".as_slice())),
            (vec![], None),
        ] {
            let client = server.client().with_alpn(&offered);
            let stream = server.connect(&client).await.unwrap();
            assert_eq!(stream.get_ref().1.alpn_protocol(), agreed);
        }
        let client = server.client().with_alpn(&[]);
        let answer = server.ask(&client, get("/")).await.unwrap();
        assert!(answer.ends_with("hello"));
        let spdy = server.client().with_alpn(&[b"spdy/3"]);
        assert!(server.connect(&spdy).await.is_err());
    })
    .await;
}
