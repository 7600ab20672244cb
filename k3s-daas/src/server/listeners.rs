//! Where the server listens: reviews, admission, audit events and the REST API over TLS, each on a
//! listener of its own, health and metrics without.
//!
//! What strangers can reach (the REST API) shares no listener, no connection limit and no budget
//! with what the API server asks: a flood there leaves reviews alone.

use std::net::SocketAddr;
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

/// What is served, and where.
pub(super) struct Served {
    pub(super) reviews: Router,
    pub(super) admit: Router,
    /// None where the REST API is off.
    pub(super) api: Option<Router>,
    /// None where nobody needs audit events.
    pub(super) audit: Option<Router>,
    pub(super) health: Health,
    pub(super) registry: Registry,
}

/// All listeners.
pub(super) struct Listeners {
    pub(super) reviews: Serving,
    pub(super) admit: Serving,
    pub(super) api: Option<Serving>,
    pub(super) audit: Option<Serving>,
    pub(super) operations: Serving,
}

/// Starts all. Whoever can't be heard ends the start.
pub(super) async fn start(
    config: &ServerConfig,
    tls: &Certificates,
    served: Served,
    metrics: &ServerMetrics,
    shutdown: &CancellationToken,
) -> Outcome<Listeners> {
    let start = async |name, key: &str, listen, transport, router| {
        let listener = Listener {
            name,
            listen,
            transport,
            limits: Limits::default(),
        };
        let flag = key.replace('_', "-");
        serve(listener, router, metrics, shutdown.clone())
            .await
            .or_fail(Kind::Failed, "a listener did not start")
            .map_err(|failure| {
                failure.next(format!("end what listens there, or give another --{flag}"))
            })
    };
    let reviews = Transport::Tls(tls.webhooks.clone());
    let reviews = start("webhooks", "listen", config.listen, reviews, served.reviews).await?;
    let (listen, transport) = (config.admit_listen, Transport::Tls(tls.webhooks.clone()));
    let admit = start("admission", "admit_listen", listen, transport, served.admit).await?;
    let api = match (config.api_listen, served.api) {
        (Some(listen), Some(router)) => {
            let transport = Transport::Tls(tls.api.clone());
            Some(start("api", "api_listen", listen, transport, router).await?)
        }
        _ => None,
    };
    let audit = match served.audit {
        Some(router) => {
            let (listen, transport) = (config.audit_listen, Transport::Tls(tls.webhooks.clone()));
            Some(start("audit", "audit_listen", listen, transport, router).await?)
        }
        None => None,
    };
    let operations = start(
        "operations",
        "metrics_listen",
        config.metrics_listen,
        Transport::Plain,
        operations::router(served.health, Arc::new(served.registry)),
    )
    .await?;
    Ok(Listeners {
        reviews,
        admit,
        api,
        audit,
        operations,
    })
}

/// Only the API server may ask.
fn guarded(config: &ServerConfig) -> Outcome {
    for (key, listen) in [
        ("listen", config.listen),
        ("admit_listen", config.admit_listen),
        ("audit_listen", config.audit_listen),
    ] {
        if config.tls_client_ca.is_none() && !listen.ip().is_loopback() {
            return Err(Failure::message(
                Kind::Usage,
                format!("{key} is {listen}, and strangers could ask there"),
            )
            .next(
                "set tls_client_ca, so that only the API server is answered, or listen on loopback",
            ));
        }
    }
    Ok(())
}

fn pair<'a>(
    names: &str,
    certificate: Option<&'a PathBuf>,
    key: Option<&'a PathBuf>,
) -> Outcome<Option<(&'a PathBuf, &'a PathBuf)>> {
    match (certificate, key) {
        (Some(certificate), Some(key)) => Ok(Some((certificate, key))),
        (None, None) => Ok(None),
        _ => Err(Failure::message(
            Kind::Usage,
            format!("{names} go together"),
        )),
    }
}

fn certificate_pair(config: &ServerConfig) -> Outcome<Option<(&PathBuf, &PathBuf)>> {
    pair(
        "tls_certificate and tls_key",
        config.tls_certificate.as_ref(),
        config.tls_key.as_ref(),
    )
}

fn api_pair(config: &ServerConfig) -> Outcome<Option<(&PathBuf, &PathBuf)>> {
    pair(
        "api_certificate and api_key",
        config.api_certificate.as_ref(),
        config.api_key.as_ref(),
    )
}

/// Nobody believes a certificate that was made here but whoever can read this machine's files.
fn reachable(config: &ServerConfig) -> Outcome {
    match config.api_listen {
        Some(listen) if !listen.ip().is_loopback() && api_pair(config)?.is_none() => {
            Err(Failure::message(
                Kind::Usage,
                format!(
                    "api_listen is {listen}, and the REST API has no certificate to show there"
                ),
            )
            .next(
                "set api_certificate and api_key, listen on loopback, or turn the REST API off \
                 with an empty api_listen",
            ))
        }
        _ => api_pair(config).map(drop),
    }
}

/// The API server must know whom to believe at /admit, or it would refuse nodes.
fn believed(config: &ServerConfig) -> Outcome {
    if certificate_pair(config)?.is_some() && config.admit_ca.is_none() {
        return Err(Failure::message(
            Kind::Usage,
            "tls_certificate is set and admit_ca is not: the API server would not believe /admit",
        )
        .next(
            "set admit_ca to the CA bundle that signed tls_certificate, as webhook_ca is for K3s",
        ));
    }
    match &config.admit_url {
        Some(url) if !url.0.starts_with("https://") => Err(Failure::message(
            Kind::Usage,
            format!(
                "admit_url is {}: the API server asks over https alone",
                url.0
            ),
        )
        .next("give an address that begins with https://")),
        None if config.admit_listen.ip().is_unspecified() => Err(Failure::message(
            Kind::Usage,
            format!(
                "admit_listen is {}, which is no address to connect to",
                config.admit_listen
            ),
        )
        .next("set admit_url to where the API server reaches it")),
        _ => Ok(()),
    }
}

/// Says what keeps the listeners' keys from working together.
pub(super) fn validate(config: &ServerConfig) -> Outcome {
    guarded(config)?;
    reachable(config)?;
    believed(config)?;
    validate_gate(config)
}

/// Each connection is known by its loopback address, and none may lead the gate back to itself.
pub fn validate_gate(config: &ServerConfig) -> Outcome {
    let doors = super::gate::doors(config);
    let loopback = |upstream: SocketAddr| upstream.is_ipv4() && upstream.ip().is_loopback();
    if let Some(door) = doors.iter().find(|door| !loopback(door.upstream)) {
        return Err(Failure::message(
            Kind::Usage,
            format!(
                "gate_upstream is {}: K3s behind the gate must listen on loopback (127.0.0.0/8)",
                door.upstream
            ),
        )
        .next("give K3s bind-address: 127.0.0.1, as `config render` does with gate_listen set"));
    }
    let takes_in = |listen: SocketAddr, upstream: SocketAddr| {
        listen.port() == upstream.port()
            && (listen.ip() == upstream.ip() || listen.ip().is_unspecified())
    };
    let mut doors = doors.iter();
    match doors.find(|door| takes_in(door.listen, door.upstream)) {
        Some(door) => Err(Failure::message(
            Kind::Usage,
            format!("the gate can't listen on {}: K3s is there", door.listen),
        )
        .next("give gate_listen the advertised address, or another port with gate_upstream set")),
        None => Ok(()),
    }
}

/// What the listeners show.
pub(super) struct Certificates {
    webhooks: TlsFiles,
    api: TlsFiles,
    /// By which the API server knows /admit.
    pub(super) admit_ca: PathBuf,
}

/// The configured certificates, or one that is made for this machine.
pub(super) fn tls(config: &ServerConfig, state_dir: &Path) -> Outcome<Certificates> {
    validate(config)?;
    let (configured, of_api) = (certificate_pair(config)?, api_pair(config)?);
    let made = if configured.is_none() || of_api.is_none() {
        let mut names = vec!["localhost".to_owned(), config.listen.ip().to_string()];
        let others = [
            Some(config.admit_listen),
            Some(config.audit_listen),
            config.api_listen,
        ];
        for listen in others.into_iter().flatten() {
            let name = listen.ip().to_string();
            if !listen.ip().is_unspecified() && !names.contains(&name) {
                names.push(name);
            }
        }
        let pki = DevPki::generate(&pki_folder(state_dir), &names);
        Some(pki.or_fail(Kind::Failed, "can't make a certificate")?)
    } else {
        None
    };
    let files = |configured: Option<(&PathBuf, &PathBuf)>| match (configured, &made) {
        (Some((certificate, key)), _) => Ok((certificate.clone(), key.clone())),
        (None, Some(pki)) => Ok((pki.server_certificate.clone(), pki.server_key.clone())),
        (None, None) => Err(Failure::message(Kind::Failed, "there is no certificate")),
    };
    let (certificate, key) = files(configured)?;
    let webhooks = TlsFiles {
        certificate,
        key,
        client_ca: config.tls_client_ca.clone(),
    };
    let (certificate, key) = files(of_api)?;
    let made_ca = made.as_ref().map(|pki| pki.ca.clone());
    Ok(Certificates {
        webhooks,
        api: TlsFiles {
            certificate,
            key,
            client_ca: None,
        },
        admit_ca: config.admit_ca.clone().or(made_ca).unwrap_or_default(),
    })
}

/// Where the API server reaches /admit.
pub fn admit_url(config: &ServerConfig, bound: SocketAddr) -> String {
    match &config.admit_url {
        Some(url) => format!(
            "{}/admit",
            url.0.trim_end_matches('/').trim_end_matches("/admit")
        ),
        None => format!("https://{bound}/admit"),
    }
}
