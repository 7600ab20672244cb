//! The chain as the commands see it: reads of records, calls of the contract, one wallet.
//!
//! Errors: every answer is sorted into what a person can act on: the contract said no (code 3),
//!         nobody answers in time (code 4), something here is wrong (code 1 or 2).

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use prometheus_client::registry::Registry;
use seal::{Address, CredentialHash, Mist, SealRecord, Thresholds};
use sui_ledger::chain_id::ChainId;
use sui_ledger::client::{ClientSettings, LedgerClient};
use sui_ledger::contract::Pool;
use sui_ledger::error::LedgerError;
use sui_ledger::keystore::{ClientConfig, Keystore, KeystoreError, WalletKey};
use sui_ledger::manifest::ContractIds;
use sui_ledger::metrics::LedgerMetrics;
use sui_ledger::reads::{read_owner, read_pool, read_seal};
use sui_ledger::tx::{TxError, Wallet, WalletSettings};

use crate::config::keys::ChainConfig;
use crate::failure::{Failure, Kind, OrFail, Outcome};

mod calls;
pub mod faucet;

pub use calls::{NewSeal, TxFailure, tx_failure};

/// The pause between two reads while waiting for a transaction to show up: a checkpoint comes
/// every 250 ms.
const POLL: Duration = Duration::from_millis(50);

/// The chain and, where there is one, a wallet.
#[derive(Debug, Clone)]
pub struct Chain {
    ids: ContractIds,
    client: LedgerClient,
    timeout: Duration,
    wallet: Result<Arc<Wallet>, String>,
}

/// What the pool says that bears on every seal.
#[derive(Debug, Clone)]
pub struct PoolView {
    /// The least stake of each tier.
    pub thresholds: Thresholds,
    /// All of it.
    pub pool: Pool,
}

impl Chain {
    /// Opens the chain as configured. Does not connect yet. A wallet that can't be used is a
    /// failure only for those who need it.
    pub fn open(config: &ChainConfig) -> Outcome<Self> {
        let mut ids = ContractIds::load(&config.contract)
            .or_fail(Kind::Usage, "the contract is not known")
            .map_err(|failure| {
                failure.next(
                    "give --contract: the file that `contract publish`, `devnet` or `up` wrote \
                     (up: ./.k3s-daas/contract.toml)",
                )
            })?;
        if let Some(endpoint) = &config.endpoint {
            ids.endpoint.clone_from(&endpoint.0);
        }
        let wallet = wallet_key(config).map_err(|error| format!("{:#}", anyhow::Error::new(error)));
        let timeout = Duration::from_secs(config.transaction_timeout_seconds);
        Self::new(ids, wallet, timeout)
    }

    /// The chain of a contract file, without a wallet.
    pub fn open_at(contract: &Path) -> Outcome<Self> {
        let ids = ContractIds::load(contract).or_fail(Kind::Failed, "the contract is not known")?;
        Self::reading(ids, Duration::from_mins(1))
    }

    /// The chain without a wallet.
    pub fn reading(ids: ContractIds, timeout: Duration) -> Outcome<Self> {
        Self::new(ids, Err("no wallet was given".to_owned()), timeout)
    }

    fn new(
        ids: ContractIds,
        wallet: Result<WalletKey, String>,
        timeout: Duration,
    ) -> Outcome<Self> {
        let client = client(&ids.endpoint, Some(ids.chain_id))?;
        let chain = Self {
            ids,
            client,
            timeout,
            wallet: Err("no wallet was given".to_owned()),
        };
        Ok(match wallet {
            Ok(key) => chain.with_wallet(key),
            Err(error) => Self {
                wallet: Err(error),
                ..chain
            },
        })
    }

    /// The same chain with another wallet.
    #[must_use]
    pub fn with_wallet(&self, key: WalletKey) -> Self {
        let settings = WalletSettings {
            outcome_limit: self.timeout,
            visible_limit: self.timeout,
            ..WalletSettings::default()
        };
        let wallet = Wallet::new(self.client.clone(), key, settings);
        Self {
            wallet: Ok(Arc::new(wallet)),
            ..self.clone()
        }
    }

    /// The contract's ids.
    pub fn ids(&self) -> &ContractIds {
        &self.ids
    }

    /// The connection.
    pub fn client(&self) -> &LedgerClient {
        &self.client
    }

    /// Who signs.
    pub fn wallet(&self) -> Outcome<&Wallet> {
        self.wallet.as_deref().map_err(|error| {
            Failure::message(Kind::Usage, error)
                .context("there is no wallet to sign with")
                .next(
                    "give --keystore and --address; `k3s-daas wallet show` lists the addresses, \
                     `k3s-daas wallet new` makes one",
                )
        })
    }

    /// The pool.
    pub async fn pool(&self) -> Outcome<PoolView> {
        let read = self.patiently(|| read_pool(&self.client, &self.ids)).await;
        let pool = match read {
            Err(TxError::Ledger(LedgerError::NotFound(_))) => {
                return Err(Failure::message(
                    Kind::Failed,
                    format!("the chain has no pool {}", self.ids.pool),
                )
                .next("the contract file is of another chain, or of a ledger that was made anew"));
            }
            read => self.answered(read)?.value,
        };
        Ok(PoolView {
            thresholds: pool.config.thresholds(),
            pool,
        })
    }

    /// The record of a hash.
    pub async fn record(&self, hash: &CredentialHash) -> Outcome<Option<SealRecord>> {
        let read = self
            .patiently(|| read_seal(&self.client, &self.ids, hash))
            .await;
        self.answered(read).map(|answer| answer.value)
    }

    /// The hashes of an owner's seals that are not retired.
    pub async fn hashes_of(&self, owner: &Address) -> Outcome<Vec<CredentialHash>> {
        let read = self
            .patiently(|| read_owner(&self.client, &self.ids, owner))
            .await;
        self.answered(read).map(|answer| answer.value)
    }

    /// Reads until the record is as wanted: a node shows a transaction only with its checkpoint.
    pub async fn read_back(
        &self,
        hash: &CredentialHash,
        wanted: impl Fn(&SealRecord) -> bool,
    ) -> Outcome<SealRecord> {
        let started = Instant::now();
        loop {
            if let Some(record) = self.record(hash).await?
                && wanted(&record)
            {
                return Ok(record);
            }
            if started.elapsed() > self.timeout {
                return Err(Failure::message(
                    Kind::Unavailable,
                    "the transaction was executed, but the node does not show it yet",
                )
                .next("look again with `k3s-daas seal list --recover`"));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// An account's balance.
    pub async fn balance(&self, owner: &Address) -> Outcome<Mist> {
        let coins = self
            .client
            .coins(owner)
            .await
            .map_err(|error| self.failure(error))?;
        let sum = coins
            .coins
            .iter()
            .map(|coin| coin.balance.0)
            .fold(0, u64::saturating_add);
        Ok(Mist(sum))
    }

    /// Tries a read again for a moment: a node that restarts is back soon.
    async fn patiently<T, F>(&self, read: impl Fn() -> F) -> Result<T, TxError>
    where
        F: Future<Output = Result<T, TxError>>,
    {
        let started = Instant::now();
        loop {
            match read().await {
                Err(TxError::Ledger(error))
                    if error.is_retryable() && started.elapsed() < READ_PATIENCE =>
                {
                    tracing::debug!(reason = error.label(), "a read is tried again");
                    tokio::time::sleep(POLL * 4).await;
                }
                answer => return answer,
            }
        }
    }

    fn answered<T>(&self, read: Result<T, TxError>) -> Outcome<T> {
        read.map_err(|error| tx_failure(error, &self.ids.endpoint))
    }

    fn failure(&self, error: LedgerError) -> Failure {
        ledger_failure(error, &self.ids.endpoint)
    }
}

/// How long a read is tried again.
const READ_PATIENCE: Duration = Duration::from_secs(5);

/// A connection for a command; any chain will do when none is named.
pub fn client(endpoint: &str, chain: Option<ChainId>) -> Outcome<LedgerClient> {
    let settings = ClientSettings {
        chain,
        ..ClientSettings::default()
    };
    LedgerClient::new(endpoint, settings, metrics())
        .map_err(|error| ledger_failure(error, endpoint))
}

/// Nobody scrapes a command's counters; the server has its own.
fn metrics() -> LedgerMetrics {
    LedgerMetrics::register(&mut Registry::default())
}

/// The configured key: that of the address, else the keystore's only one, else the one that the
/// `sui` command line has made active in the `client.yaml` beside the keystore.
pub fn wallet_key(config: &ChainConfig) -> Result<WalletKey, KeystoreError> {
    let keystore = Keystore::load(&config.keystore)?;
    if let Some(address) = &config.address {
        return keystore.key(address).cloned();
    }
    let ambiguous = match keystore.only_key() {
        Err(error @ KeystoreError::Ambiguous { .. }) => error,
        key => return key.cloned(),
    };
    let beside = config.keystore.with_file_name("client.yaml");
    match ClientConfig::load(&beside) {
        Ok(client) => keystore.key(&client.active_address).cloned(),
        Err(_) => Err(ambiguous),
    }
}

/// Sorts a failure of the node.
pub fn ledger_failure(error: LedgerError, endpoint: &str) -> Failure {
    let (kind, next) = match &error {
        LedgerError::Endpoint { .. } => (Kind::Usage, "correct the endpoint"),
        LedgerError::OtherChain { .. } => (
            Kind::Usage,
            "give the contract file of this chain with --contract, or another --endpoint",
        ),
        error if error.is_retryable() => (
            Kind::Unavailable,
            "see that the node runs and can be reached, then try again; --endpoint names another",
        ),
        _ => (Kind::Failed, "`k3s-daas doctor` looks at the node"),
    };
    let what = match &error {
        LedgerError::Invalid(_) => "refused the request",
        LedgerError::OtherChain { .. } => "is another one",
        _ => "gave no answer",
    };
    Failure::new(kind, error)
        .context(format!("the chain at {endpoint} {what}"))
        .next(next)
}
