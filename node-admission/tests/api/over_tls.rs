//! The same over TLS, as clients reach it.

use std::net::SocketAddr;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use webhook_server::pki::DevPki;
use webhook_server::{Limits, ServerConfig, TlsFiles, Transport, serve};

use crate::double::{Bench, NODE, SEAL, registration};

const DEADLINE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_worker_is_registered_over_tls_and_the_listener_leaves_nothing_behind() {
    let test = async {
        // Somebody else may have chosen the same one already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let bench = Bench::new();
        let dir = tempfile::tempdir().unwrap();
        let pki = DevPki::generate(dir.path(), &["localhost".to_owned()]).unwrap();
        let config = ServerConfig {
            name: "api",
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            transport: Transport::Tls(TlsFiles {
                certificate: pki.server_certificate,
                key: pki.server_key,
                client_ca: None,
            }),
            limits: Limits::default(),
        };
        let shutdown = CancellationToken::new();
        // Behind another router, as a door that opens later puts it.
        let behind = bench.app.clone();
        let door = tower::service_fn(move |request: axum::extract::Request| {
            behind.clone().oneshot(request)
        });
        let app = axum::Router::new()
            .route_service("/", door.clone())
            .route_service("/{*path}", door);
        let serving = serve(config, app, &bench.metrics, shutdown.clone())
            .await
            .unwrap();
        let ca = reqwest::Certificate::from_pem_bundle(&std::fs::read(pki.ca).unwrap()).unwrap();
        let client = reqwest::Client::builder()
            .tls_certs_only(ca)
            .resolve("localhost", serving.address)
            .no_proxy()
            .timeout(Duration::from_secs(10))
            .build()
            .unwrap();
        let url = |path: &str| format!("https://localhost:{}{path}", serving.address.port());

        let health = client.get(url("/healthz")).send().await.unwrap();
        assert_eq!(health.text().await.unwrap(), "ok");
        let registered = client
            .post(url("/api/v1/register-worker"))
            .bearer_auth(SEAL)
            .json(&registration())
            .send()
            .await
            .unwrap();
        assert_eq!(registered.status(), 200);
        let body: serde_json::Value = registered.json().await.unwrap();
        assert_eq!(body["success"], true);
        let nodes = client
            .get(url("/api/v1/nodes"))
            .bearer_auth(SEAL)
            .send()
            .await
            .unwrap();
        let nodes: serde_json::Value = nodes.json().await.unwrap();
        assert_eq!(nodes["nodes"][0]["node_id"], NODE);
        // What the listener itself refuses has the same form.
        for (path, status) in [("/nothing", 404), ("/api/v1/register-worker", 405)] {
            let refused = client.get(url(path)).send().await.unwrap();
            assert_eq!(refused.status(), status);
            let media_type = refused.headers()["content-type"].to_str().unwrap();
            assert_eq!(media_type, "application/problem+json", "{path}");
        }
        let line =
            "k3s_daas_api_requests_total{route=\"/api/v1/register-worker\",status=\"200\"} 1";
        assert!(
            bench.rendered_metrics().contains(line),
            "counted by its own route"
        );
        let plain = reqwest::Client::builder().no_proxy().build().unwrap();
        let spoken = plain
            .get(url("/healthz").replace("https", "http"))
            .timeout(Duration::from_secs(5));
        assert!(spoken.send().await.is_err(), "nothing is said without TLS");

        shutdown.cancel();
        serving.task.await.unwrap();
    };
    tokio::time::timeout(DEADLINE, test).await.unwrap();
}
