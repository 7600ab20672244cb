//! Where the server listens: reviews over TLS, health and metrics without.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;
use webhook_server::pki::DevPki;
use webhook_server::{
    Health, Limits, ServerConfig as Listener, ServerMetrics, Serving, TlsFiles, Transport,
    operations, serve,
};

use crate::config::keys::ServerConfig;
use crate::failure::{Failure, Kind, OrFail, Outcome};

/// The certificates that are made where none are configured.
pub fn pki_folder(state_dir: &Path) -> PathBuf {
    state_dir.join("pki")
}

/// Both listeners.
pub(super) struct Listeners {
    pub(super) reviews: Serving,
    pub(super) operations: Serving,
}

/// Starts both. Whoever can't be heard ends the start.
pub(super) async fn start(
    config: &ServerConfig,
    tls: TlsFiles,
    reviews: Router,
    health: Health,
    registry: Registry,
    metrics: &ServerMetrics,
    shutdown: &CancellationToken,
) -> Outcome<Listeners> {
    let listener = |name, listen, transport| Listener {
        name,
        listen,
        transport,
        limits: Limits::default(),
    };
    let unstarted = "a listener did not start";
    let elsewhere = "end what listens there, or give another --listen or --metrics-listen";
    let reviews = serve(
        listener("webhooks", config.listen, Transport::Tls(tls)),
        reviews,
        metrics,
        shutdown.clone(),
    )
    .await
    .or_fail(Kind::Failed, unstarted)
    .map_err(|failure| failure.next(elsewhere))?;
    let operations = serve(
        listener("operations", config.metrics_listen, Transport::Plain),
        operations::router(health, Arc::new(registry)),
        metrics,
        shutdown.clone(),
    )
    .await
    .or_fail(Kind::Failed, unstarted)
    .map_err(|failure| failure.next(elsewhere))?;
    Ok(Listeners {
        reviews,
        operations,
    })
}

/// Only the API server may ask.
fn guarded(config: &ServerConfig) -> Outcome {
    if config.tls_client_ca.is_none() && !config.listen.ip().is_loopback() {
        return Err(Failure::message(
            Kind::Usage,
            format!("listen is {}, and strangers could ask there", config.listen),
        )
        .next(
            "set tls_client_ca, so that only the API server is answered, or listen on loopback",
        ));
    }
    Ok(())
}

fn certificate_pair(config: &ServerConfig) -> Outcome<Option<(&PathBuf, &PathBuf)>> {
    match (&config.tls_certificate, &config.tls_key) {
        (Some(certificate), Some(key)) => Ok(Some((certificate, key))),
        (None, None) => Ok(None),
        _ => Err(Failure::message(
            Kind::Usage,
            "tls_certificate and tls_key go together",
        )),
    }
}

/// Says what keeps the listeners' keys from working together.
pub(super) fn validate(config: &ServerConfig) -> Outcome {
    guarded(config)?;
    certificate_pair(config).map(drop)
}

/// The configured certificate, or one that is made for this machine.
pub(super) fn tls(config: &ServerConfig, state_dir: &Path) -> Outcome<TlsFiles> {
    guarded(config)?;
    let (certificate, key) = if let Some((certificate, key)) = certificate_pair(config)? {
        (certificate.clone(), key.clone())
    } else {
        let names = ["localhost".to_owned(), config.listen.ip().to_string()];
        let pki = DevPki::generate(&pki_folder(state_dir), &names)
            .or_fail(Kind::Failed, "can't make a certificate")?;
        (pki.server_certificate, pki.server_key)
    };
    Ok(TlsFiles {
        certificate,
        key,
        client_ca: config.tls_client_ca.clone(),
    })
}
