//! Whether the webhooks answer, with the certificate that the API server will trust.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Check;
use crate::causes::in_one_line;
use crate::config::keys::{K3sConfig, ServerConfig};
use crate::server::{DEFAULT_STATE, pki_folder};

const TIMEOUT: Duration = Duration::from_secs(5);

/// Asks the webhooks and their health.
pub(super) async fn checks(
    config: &ServerConfig,
    k3s: &K3sConfig,
    state: Option<&Path>,
) -> Vec<Check> {
    vec![
        reviews(config, k3s, state).await,
        ready(config.metrics_listen).await,
    ]
}

/// Where a client of `0.0.0.0` connects to.
pub(super) fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::from([127, 0, 0, 1]),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// Asks as the API server does: with the CA and the client certificate that it is rendered.
async fn reviews(config: &ServerConfig, k3s: &K3sConfig, state: Option<&Path>) -> Check {
    const NAME: &str = "webhooks";
    let pki = pki_folder(state.unwrap_or(Path::new(DEFAULT_STATE)));
    let ca: PathBuf = k3s.webhook_ca.clone().unwrap_or_else(|| pki.join("ca.crt"));
    let read = std::fs::read(&ca).map(|pem| reqwest::Certificate::from_pem_bundle(&pem));
    let Ok(Ok(roots)) = read else {
        return Check::warn(
            NAME,
            format!(
                "the CA of their certificate, {}, can't be read",
                ca.display()
            ),
            "set webhook_ca, start `k3s-daas server` once, or run the doctor as the server's user",
        );
    };
    let mut client = reqwest::Client::builder()
        .tls_certs_only(roots)
        .timeout(TIMEOUT)
        .no_proxy();
    let identity = [
        (&k3s.webhook_client_certificate, "client.crt"),
        (&k3s.webhook_client_key, "client.key"),
    ]
    .map(|(given, made)| std::fs::read(given.clone().unwrap_or_else(|| pki.join(made))));
    if let [Ok(certificate), Ok(key)] = identity
        && let Ok(identity) = reqwest::Identity::from_pem(&[certificate, key].concat())
    {
        client = client.identity(identity);
    }
    let url = format!("https://{}/authenticate", reachable(config.listen));
    let sent = match client.build() {
        // No review at all: a 4xx is the right answer, and nothing is looked up.
        Ok(client) => client.post(&url).body("{}").send().await,
        Err(error) => Err(error),
    };
    match sent {
        Ok(answer) if answer.status().is_client_error() => {
            Check::ok(NAME, format!("{url} answers with the right certificate"))
        }
        Ok(answer) => Check::fail(
            NAME,
            format!("{url} answered {} to what is no review", answer.status()),
            "something else listens there; see --listen",
        ),
        Err(error) => Check::fail(
            NAME,
            format!("{url} does not answer: {}", in_one_line(&error)),
            "start `k3s-daas server`; see listen, webhook_ca and, where tls_client_ca is set, \
             webhook_client_certificate",
        ),
    }
}

async fn ready(listen: SocketAddr) -> Check {
    const NAME: &str = "readiness";
    let url = format!("http://{}/readyz", reachable(listen));
    let sent = match reqwest::Client::builder()
        .timeout(TIMEOUT)
        .no_proxy()
        .build()
    {
        Ok(client) => client.get(&url).send().await,
        Err(error) => Err(error),
    };
    match sent {
        Ok(answer) if answer.status().is_success() => Check::ok(NAME, format!("{url} says ready")),
        Ok(answer) => {
            let text = answer.text().await.unwrap_or_default();
            let lines: Vec<&str> = text.lines().take(10).collect();
            Check::fail(
                NAME,
                format!("not ready: {}", lines.join("; ")),
                "see the server's log",
            )
        }
        Err(error) => Check::fail(
            NAME,
            format!("{url} does not answer: {}", in_one_line(&error)),
            "start `k3s-daas server`; see --metrics-listen",
        ),
    }
}
