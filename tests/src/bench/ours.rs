//! The webhooks as they are, before a directory of a synthetic chain.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use authn_webhook::{Audiences, Authn, AuthnMetrics, NoHomeNamespace, Policy};
use authz_webhook::{App, AuthzMetrics, NamespaceOwners, Settings};
use prometheus_client::registry::Registry;
use seal::ElevatedOwners;
use seal::access::{Bound, NamespaceView, Ownership};
use sui_ledger::directory::{Directory, DirectoryConfig, Running, SealDirectory as _};
use tokio_util::sync::CancellationToken;
use webhook_server::pki::DevPki;
use webhook_server::{
    GroupLimits, Limits, RouteGroup, ServerConfig, ServerMetrics, Serving, TlsFiles, Transport,
    serve,
};

use super::synthetic::SyntheticChain;

/// The webhooks, serving.
pub struct Ours {
    /// Where.
    pub address: SocketAddr,
    /// The directory behind them.
    pub directory: Arc<Directory>,
    _running: Running,
    _serving: Serving,
}

/// Namespaces `seal-<n>` of owner `n`, as a watch would know them.
struct Namespaces(HashMap<String, NamespaceView>);

impl NamespaceOwners for Namespaces {
    fn view(&self, name: &str) -> NamespaceView {
        self.0.get(name).copied().unwrap_or(NamespaceView::UNKNOWN)
    }
}

/// Starts a directory of `chain` and waits until it answers.
pub async fn directory(
    chain: SyntheticChain,
    registry: &mut Registry,
) -> anyhow::Result<(Directory, Running)> {
    let (directory, running) = Directory::start(
        chain,
        &SyntheticChain::ids(),
        DirectoryConfig::default(),
        registry,
    )?;
    let started = std::time::Instant::now();
    while !directory.status().fresh() {
        ensure!(
            started.elapsed() < Duration::from_secs(20),
            "the directory never got fresh"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok((directory, running))
}

/// Serves the webhooks before `chain`, with the first `warm` seals in the directory.
pub async fn start(chain: SyntheticChain, warm: u64, pki: &DevPki) -> anyhow::Result<Ours> {
    let mut registry = Registry::default();
    let (directory, running) = directory(chain, &mut registry).await?;
    for n in 0..warm {
        let record = directory
            .seal(super::synthetic::token(n).credential_hash())
            .await?;
        ensure!(record.is_some(), "seal {n} is missing");
    }
    let directory = Arc::new(directory);
    let policy = Policy {
        audiences: Audiences::default(),
        elevated: ElevatedOwners::Any,
    };
    let guards = seal::access::GuardState::default();
    guards.set(true);
    let authn = Authn::new(
        directory.clone(),
        policy,
        guards.clone(),
        NoHomeNamespace,
        authn_webhook::NoNodes,
        AuthnMetrics::register(&mut registry),
    );
    let namespaces = (0..warm)
        .map(|n| {
            let owner = super::synthetic::owner(n);
            (
                seal::identity::home_namespace(&owner),
                NamespaceView {
                    ownership: Ownership::Owned(owner),
                    bound: Bound::No,
                },
            )
        })
        .collect();
    let app = App::new(
        directory.clone(),
        Arc::new(Namespaces(namespaces)),
        Arc::new(authz_webhook::NoNodes),
        Settings::new(seal::access::Policy::new(ElevatedOwners::Any)),
        guards,
        AuthzMetrics::register(&mut registry),
    );
    let metrics = ServerMetrics::register(&mut registry);
    let router = authn_webhook::router(Arc::new(authn)).merge(authz_webhook::router(Arc::new(app)));
    let router = RouteGroup::new("reviews", GroupLimits::reviews(), &metrics).wrap(router);
    let config = ServerConfig {
        name: "webhooks",
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        transport: Transport::Tls(TlsFiles {
            certificate: pki.server_certificate.clone(),
            key: pki.server_key.clone(),
            client_ca: None,
        }),
        limits: Limits::default(),
    };
    let serving = serve(config, router, &metrics, CancellationToken::new()).await?;
    Ok(Ours {
        address: serving.address,
        directory,
        _running: running,
        _serving: serving,
    })
}

/// TLS settings of a client that trusts this PKI.
pub fn client_tls(ca: &Path) -> anyhow::Result<Arc<rustls::ClientConfig>> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca)?)?;
    let mut tls = rustls::ClientConfig::builder_with_protocol_versions(&[&rustls::version::TLS13])
        .with_root_certificates(roots)
        .with_no_client_auth();
    tls.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(tls))
}

/// TLS settings of the bare server.
pub fn bare_tls(pki: &DevPki) -> anyhow::Result<rustls::ServerConfig> {
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let chain =
        CertificateDer::pem_file_iter(&pki.server_certificate)?.collect::<Result<_, _>>()?;
    let key = PrivateKeyDer::from_pem_file(&pki.server_key)?;
    let mut tls = rustls::ServerConfig::builder_with_protocol_versions(&[&rustls::version::TLS13])
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(tls)
}
