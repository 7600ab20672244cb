//! The path from stake to verdict on one machine, without an API server: an embedded ledger,
//! the seal directory, both webhooks over real TLS, and wallets that stake.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use authn_webhook::{Audiences, Authn, AuthnMetrics, NoHomeNamespace, Policy};
use authz_webhook::{App, AuthzMetrics, NamespaceOwners, Settings};
use prometheus_client::registry::Registry;
use seal::access::NamespaceView;
use seal::{Address, ElevatedOwners, Mist, SealToken};
use serde_json::Value;
use sui_ledger::client::{ClientSettings, LedgerClient};
use sui_ledger::directory::chain::NodeChain;
use sui_ledger::directory::{Chain, Directory, DirectoryConfig, Running};
use sui_ledger::keystore::WalletKey;
use sui_ledger::manifest::ContractIds;
use sui_ledger::metrics::LedgerMetrics;
use sui_ledger::tx::{Call, Stake, Wallet, WalletSettings};
use tokio_util::sync::CancellationToken;
use webhook_server::pki::DevPki;
use webhook_server::{
    GroupLimits, Limits, RouteGroup, ServerConfig, ServerMetrics, Serving, TlsFiles, Transport,
    serve,
};

/// Both webhooks and the directory behind them, serving.
pub struct Webhooks {
    /// Where they listen.
    pub address: SocketAddr,
    /// The directory.
    pub directory: Arc<Directory>,
    client: reqwest::Client,
    running: Running,
    serving: Serving,
    stop: CancellationToken,
}

/// No namespace is known: each counts as somebody else's.
struct Nobodys;

impl NamespaceOwners for Nobodys {
    fn view(&self, _name: &str) -> NamespaceView {
        NamespaceView::UNKNOWN
    }
}

/// What a TokenReview came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Authenticated as this user.
    Yes(String),
    /// Refused, with this `status.error`.
    No(String),
    /// Not answered: this HTTP status.
    Unanswered(u16),
}

impl Answer {
    /// Whether it is a yes.
    pub fn is_yes(&self) -> bool {
        matches!(self, Self::Yes(_))
    }
}

impl Webhooks {
    /// Serves before `chain`. Certificates go to `folder`.
    pub async fn start<C: Chain>(
        chain: C,
        ids: &ContractIds,
        config: DirectoryConfig,
        folder: &Path,
    ) -> anyhow::Result<Self> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut registry = Registry::default();
        let (directory, running) = Directory::start(chain, ids, config, &mut registry)?;
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
        let app = App::new(
            directory.clone(),
            Arc::new(Nobodys),
            Arc::new(authz_webhook::NoNodes),
            Settings::new(seal::access::Policy::new(ElevatedOwners::Any)),
            guards,
            AuthzMetrics::register(&mut registry),
        );
        let metrics = ServerMetrics::register(&mut registry);
        let router =
            authn_webhook::router(Arc::new(authn)).merge(authz_webhook::router(Arc::new(app)));
        let router = RouteGroup::new("reviews", GroupLimits::reviews(), &metrics).wrap(router);
        let pki = DevPki::generate(folder, &["localhost".to_owned(), "127.0.0.1".to_owned()])?;
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
        let stop = CancellationToken::new();
        let serving = serve(config, router, &metrics, stop.clone()).await?;
        let client = reqwest::Client::builder()
            .use_preconfigured_tls((*crate::bench::ours::client_tls(&pki.ca)?).clone())
            .http2_prior_knowledge()
            .timeout(Duration::from_secs(10))
            .no_proxy()
            .build()?;
        Ok(Self {
            address: serving.address,
            directory,
            client,
            running,
            serving,
            stop,
        })
    }

    /// Waits until the directory answers.
    pub async fn ready(&self) -> anyhow::Result<()> {
        self.until(Duration::from_secs(30), |fresh| fresh).await
    }

    /// Waits until the directory no longer answers.
    pub async fn stale(&self, within: Duration) -> anyhow::Result<()> {
        self.until(within, |fresh| !fresh).await
    }

    async fn until(&self, within: Duration, wanted: impl Fn(bool) -> bool) -> anyhow::Result<()> {
        let started = Instant::now();
        while !wanted(self.directory.status().fresh()) {
            ensure!(
                started.elapsed() < within,
                "still {:?}",
                self.directory.status()
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// Asks as the API server does.
    pub async fn token_review(&self, token: &str) -> anyhow::Result<Answer> {
        let response = self
            .client
            .post(format!(
                "https://localhost:{}/authenticate",
                self.address.port()
            ))
            .header("content-type", "application/json")
            .body(crate::bench::reviews::token_review(token))
            .send()
            .await?;
        if response.status() != reqwest::StatusCode::OK {
            return Ok(Answer::Unanswered(response.status().as_u16()));
        }
        let body = response.bytes().await?;
        let review: Value = serde_json::from_slice(&body)?;
        let status = review.get("status").context("no status")?;
        let text =
            |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
        if status.get("authenticated").and_then(Value::as_bool) == Some(true) {
            let user = status.get("user").context("no user")?;
            return Ok(Answer::Yes(text(user.get("username"))));
        }
        let error = text(status.get("error"));
        ensure!(
            !error.is_empty(),
            "a refusal without error would be cached: {review}"
        );
        Ok(Answer::No(error))
    }

    /// Ends everything and waits for the end.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.stop.cancel();
        self.serving.task.await?;
        self.running.stop().await;
        Ok(())
    }
}

/// A client of the ledger at `ids.endpoint`.
pub fn client(ids: &ContractIds) -> anyhow::Result<LedgerClient> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let settings = ClientSettings {
        chain: Some(ids.chain_id),
        ..ClientSettings::default()
    };
    let metrics = LedgerMetrics::register(&mut Registry::default());
    Ok(LedgerClient::new(&ids.endpoint, settings, metrics)?)
}

/// The chain behind the webhooks of a test.
pub fn node(ids: &ContractIds) -> anyhow::Result<NodeChain> {
    Ok(NodeChain::new(client(ids)?, ids.clone()))
}

/// Asks the faucet for coins and waits until reads show them.
pub async fn fund(faucet_url: &str, client: &LedgerClient, address: Address) -> anyhow::Result<()> {
    let http = reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(10))
        .build()?;
    let body = serde_json::json!({"FixedAmountRequest": {"recipient": address.to_string()}});
    let answer = http
        .post(format!("{faucet_url}/v2/gas"))
        .header("content-type", "application/json")
        .body(body.to_string())
        .send()
        .await?;
    ensure!(
        answer.status().is_success(),
        "the faucet answered {}",
        answer.status()
    );
    let started = Instant::now();
    while client.coins(&address).await?.coins.is_empty() {
        if started.elapsed() > Duration::from_secs(10) {
            bail!("the faucet's coins never came");
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

/// A wallet with coins.
pub async fn funded_wallet(
    ids: &ContractIds,
    faucet_url: &str,
    key: WalletKey,
) -> anyhow::Result<Wallet> {
    let client = client(ids)?;
    fund(faucet_url, &client, key.address()).await?;
    Ok(Wallet::new(client, key, WalletSettings::default()))
}

/// Stakes for a token.
pub async fn stake(
    wallet: &Wallet,
    ids: &ContractIds,
    token: &SealToken,
    amount: Mist,
) -> anyhow::Result<()> {
    let stake = Stake {
        amount,
        hash: token.credential_hash(),
        node: None,
        namespace: None,
        validity_ms: 0,
    };
    wallet.stake(ids, stake).await?;
    Ok(())
}

/// The slash of a seal, by the operator's cap.
pub fn slash(ids: &ContractIds, token: &SealToken) -> anyhow::Result<Call> {
    Ok(Call::Slash {
        cap: ids.caps.slash.context("the manifest names no SlashCap")?,
        hash: token.credential_hash(),
        reason: "measured".to_owned(),
    })
}
