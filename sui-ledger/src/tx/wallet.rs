//! One account that sends transactions, one after the other.
//!
//! Shape:  a wallet remembers its gas coin and owned objects by the versions of the last effects,
//!         since reads lag behind an executed transaction until its checkpoint. Two wallets (or
//!         processes) with one key at once would lock each other's coins.
//! Units:  MIST.

mod settings;
mod state;

use std::time::Duration;

use seal::{Address, CredentialHash, Mist, NodeName, ObjectId};
use sui_sdk_types::{Digest, ObjectReference, Transaction};
use tokio::sync::{Mutex, watch};

pub use settings::WalletSettings;
use state::{GasCoin, State};

use super::abort::ContractAbort;
use super::build::{Gas, build_call, build_publish};
use super::call::Call;
use super::error::TxError;
use super::publish::{Artefact, find_contract};
use super::submit::{submit, wait_visible};
use crate::client::{Executed, Failure, FailureKind, LedgerClient, Owner};
use crate::contract::{Layout, SealTokenBcs};
use crate::error::LedgerError;
use crate::frame::ContractEvent;
use crate::ids::{ContractType, to_sui};
use crate::keystore::WalletKey;
use crate::manifest::ContractIds;
use crate::reads::read_seal;

/// How long a failed transaction's checkpoint is waited for.
const SETTLE_LIMIT: Duration = Duration::from_secs(5);
/// Coins merged in one transaction; the protocol allows 512 inputs or so.
const MAX_MERGE: usize = 200;

/// What a call did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The transaction.
    pub digest: Digest,
    /// Its checkpoint; reads of that node show its changes.
    pub checkpoint: Option<u64>,
    /// What the contract said.
    pub events: Vec<ContractEvent>,
    /// Everything else.
    pub executed: Executed,
}

/// What to stake for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stake {
    /// How much.
    pub amount: Mist,
    /// The new seal's credential hash.
    pub hash: CredentialHash,
    /// The machine that may join by it.
    pub node: Option<NodeName>,
    /// A wish.
    pub namespace: Option<String>,
    /// In ms; 0 for the pool's default.
    pub validity_ms: u64,
}

/// A `SealToken` of the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    /// The object.
    pub id: ObjectId,
    /// The record it manages.
    pub hash: CredentialHash,
}

/// One account on one node.
#[derive(Debug)]
pub struct Wallet {
    client: LedgerClient,
    key: WalletKey,
    settings: WalletSettings,
    ticks: Option<watch::Receiver<u64>>,
    /// Held over a whole transaction: one gas coin, one transaction at a time.
    state: Mutex<State>,
}

impl Wallet {
    /// A wallet that signs with `key`.
    #[must_use]
    pub fn new(client: LedgerClient, key: WalletKey, settings: WalletSettings) -> Self {
        Self {
            client,
            key,
            settings,
            ticks: None,
            state: Mutex::default(),
        }
    }

    /// Looks for its transactions when a checkpoint came instead of in intervals: `ticks` holds
    /// the newest checkpoint's number of somebody who follows the stream.
    #[must_use]
    pub fn with_ticks(mut self, ticks: watch::Receiver<u64>) -> Self {
        self.ticks = Some(ticks);
        self
    }

    /// The account.
    #[must_use]
    pub const fn address(&self) -> Address {
        self.key.address()
    }

    /// The node.
    #[must_use]
    pub const fn client(&self) -> &LedgerClient {
        &self.client
    }

    /// Stakes, and reads the record back: only when it names us as its owner is the seal ours.
    pub async fn stake(&self, ids: &ContractIds, stake: Stake) -> Result<Receipt, TxError> {
        let hash = stake.hash;
        let call = Call::Stake {
            amount: stake.amount,
            hash,
            node: stake.node,
            namespace: stake.namespace,
            validity_ms: stake.validity_ms,
        };
        let receipt = self.call(ids, &call).await?;
        let record = read_seal(&self.client, ids, &hash).await?.value;
        match record {
            Some(record) if record.owner == self.address() => Ok(receipt),
            _ => Err(TxError::Taken),
        }
    }

    /// The account's seal tokens in this pool.
    pub async fn tokens(&self, ids: &ContractIds) -> Result<Vec<Token>, TxError> {
        let tag = ContractType::SealToken.tag(&ids.original_package);
        let objects = self.client.owned_objects(&self.address(), &tag).await?;
        let mut tokens = Vec::new();
        for object in objects {
            let token = SealTokenBcs::decode(&object.contents)?;
            if token.pool == ids.pool {
                tokens.push(Token {
                    id: object.id,
                    hash: token.credential_hash()?,
                });
            }
        }
        Ok(tokens)
    }

    /// Calls the contract and waits until reads show what it did.
    pub async fn call(&self, ids: &ContractIds, call: &Call) -> Result<Receipt, TxError> {
        let result = self.call_uncounted(ids, call).await;
        self.client.metrics().transaction(
            call.function(),
            result.as_ref().map_or_else(TxError::label, |_| "ok"),
        );
        result
    }

    async fn call_uncounted(&self, ids: &ContractIds, call: &Call) -> Result<Receipt, TxError> {
        let mut state = self.state.lock().await;
        let factor = if call.is_urgent() {
            self.settings.urgent_price_factor
        } else {
            1
        };
        let executed = self
            .run(
                &mut state,
                factor,
                self.settings.call_storage,
                call.spends(),
                call.owned_object(),
                |gas, owned| build_call(ids, to_sui(self.address().as_bytes()), call, owned, gas),
            )
            .await?;
        if let Some(failure) = &executed.failure {
            let packages = [ids.original_package, ids.latest_package];
            let abort = failure
                .abort
                .as_ref()
                .and_then(|abort| ContractAbort::read(abort, &packages));
            self.settle(&executed.digest).await;
            return Err(failed(&executed, failure, abort));
        }
        let visible = self.wait(&executed.digest).await?;
        let decoder = ids.frame_decoder();
        let events = visible
            .events
            .iter()
            .filter_map(|event| decoder.event(&event.event_type, Some(&event.contents)))
            .collect();
        Ok(Receipt {
            digest: visible.digest,
            checkpoint: visible.checkpoint,
            events,
            executed: visible,
        })
    }

    /// Publishes the package and finds pool, tables and caps.
    pub async fn publish(
        &self,
        artefact: &Artefact,
        endpoint: &str,
    ) -> Result<ContractIds, TxError> {
        let result = self.publish_uncounted(artefact, endpoint).await;
        self.client.metrics().transaction(
            "publish",
            result.as_ref().map_or_else(TxError::label, |_| "ok"),
        );
        result
    }

    async fn publish_uncounted(
        &self,
        artefact: &Artefact,
        endpoint: &str,
    ) -> Result<ContractIds, TxError> {
        let chain = self.client.service_info().await?.value.chain;
        let mut state = self.state.lock().await;
        let sender = to_sui(self.address().as_bytes());
        let executed = self
            .run(
                &mut state,
                1,
                self.settings.publish_storage,
                Mist(0),
                None,
                |gas, _owned| build_publish(sender, artefact, gas),
            )
            .await?;
        if let Some(failure) = &executed.failure {
            self.settle(&executed.digest).await;
            return Err(failed(&executed, failure, None));
        }
        let visible = self.wait(&executed.digest).await?;
        find_contract(&self.client, &visible, self.address(), endpoint, chain).await
    }

    /// Waits for the checkpoint of a transaction that failed. It paid gas, so whoever reads the
    /// account's coins before that (the next command in a shell) would spend an old version.
    async fn settle(&self, digest: &Digest) {
        let ticks = self.ticks.clone();
        let limit = self.settings.visible_limit.min(SETTLE_LIMIT);
        if let Err(error) = wait_visible(&self.client, digest, ticks, limit).await {
            tracing::debug!(%digest, reason = error.label(), "a failed transaction is not visible yet");
        }
    }

    async fn wait(&self, digest: &Digest) -> Result<Executed, TxError> {
        wait_visible(
            &self.client,
            digest,
            self.ticks.clone(),
            self.settings.visible_limit,
        )
        .await
    }

    /// Builds, signs and sends until it is executed; again when it was cancelled for
    /// congestion, and once more with fresh versions when the remembered ones are refused.
    async fn run(
        &self,
        state: &mut State,
        factor: u64,
        storage: Mist,
        spends: Mist,
        owned: Option<ObjectId>,
        build: impl Fn(&Gas, Option<&ObjectReference>) -> Result<Transaction, TxError>,
    ) -> Result<Executed, TxError> {
        let mut fresh = false;
        let mut factor = factor;
        let mut congested = 0;
        loop {
            let remembered = state.gas.is_some() || owned.is_some_and(|id| state.knows(&id));
            let owned = match owned {
                Some(id) => Some(self.owned_reference(state, id).await?),
                None => None,
            };
            let gas = self.gas(state, factor, storage, spends).await?;
            let transaction = build(&gas, owned.as_ref())?;
            let signature = self.key.sign(&transaction)?;
            let sent = submit(
                &self.client,
                &transaction,
                &signature,
                self.settings.outcome_limit,
            )
            .await;
            match sent {
                Ok(executed) => {
                    state.learn(&executed, spends, &gas);
                    let cancelled = executed
                        .failure
                        .as_ref()
                        .is_some_and(|failure| failure.kind == FailureKind::Congestion);
                    congested += 1;
                    if !cancelled || congested >= self.settings.congestion_attempts {
                        return Ok(executed);
                    }
                    tracing::warn!(digest = %executed.digest, "cancelled for congestion, bidding twice the price");
                    factor = factor.saturating_mul(2);
                }
                // Nothing ran, so building anew can't do anything twice.
                Err(TxError::Ledger(LedgerError::Invalid(status))) if remembered && !fresh => {
                    tracing::debug!(code = %status.code(), "remembered versions refused, reading them again");
                    *state = State::default();
                    fresh = true;
                }
                Err(error) => {
                    *state = State::default();
                    return Err(error);
                }
            }
        }
    }

    /// The current version of a token or cap of ours.
    async fn owned_reference(
        &self,
        state: &mut State,
        id: ObjectId,
    ) -> Result<ObjectReference, TxError> {
        if let Some(reference) = state.known.get(&to_sui(id.as_bytes())) {
            return Ok(reference.clone());
        }
        let object = match self.client.get_object(&id).await {
            Ok(answer) => answer.value,
            Err(LedgerError::NotFound(_)) => return Err(TxError::MissingObject { object: id }),
            Err(error) => return Err(error.into()),
        };
        if object.owner != Owner::Address(self.address()) {
            return Err(TxError::NotOwned {
                object: id,
                owner: self.address(),
            });
        }
        let reference = object.reference();
        state.remember(reference.clone());
        Ok(reference)
    }

    /// The coin that pays: the remembered one while it suffices, else the richest, with others
    /// merged into it only when it alone is worth too little.
    async fn gas(
        &self,
        state: &mut State,
        factor: u64,
        storage: Mist,
        spends: Mist,
    ) -> Result<Gas, TxError> {
        let reference_price = if let Some(price) = state.price {
            price
        } else {
            let price = self.client.gas_price().await?.value;
            state.price = Some(price);
            price
        };
        let price = reference_price.saturating_mul(factor);
        let computation = price.saturating_mul(self.settings.computation_units);
        let budget = Mist(storage.0.saturating_add(computation));
        let need = Mist(budget.0.saturating_add(spends.0));
        if let Some(coin) = state.gas.as_ref().filter(|coin| coin.balance >= need) {
            return Ok(Gas {
                coin: coin.reference.clone(),
                merge: Vec::new(),
                price,
                budget,
            });
        }
        let owner = self.address();
        let mut coins = self.client.coins(&owner).await?.coins.into_iter();
        let first = coins.next().ok_or(TxError::NoCoins { owner })?;
        let mut have = first.balance.0;
        // The budget must come out of the gas coin before anything is merged into it.
        let covers_gas = first.balance >= budget;
        let mut merge = Vec::new();
        for coin in coins.take(MAX_MERGE) {
            if have >= need.0 {
                break;
            }
            have = have.saturating_add(coin.balance.0);
            merge.push(coin.reference);
        }
        if have < need.0 {
            return Err(TxError::NotEnough {
                owner,
                need,
                have: Mist(have),
            });
        }
        if !covers_gas {
            return Err(TxError::NoGasCoin {
                owner,
                budget,
                richest: first.balance,
            });
        }
        let coin = state.newest(first.reference);
        state.gas = Some(GasCoin {
            reference: coin.clone(),
            balance: Mist(have),
        });
        Ok(Gas {
            coin,
            merge: merge
                .into_iter()
                .map(|reference| state.newest(reference))
                .collect(),
            price,
            budget,
        })
    }
}

/// The error of an executed transaction that failed.
fn failed(executed: &Executed, failure: &Failure, abort: Option<ContractAbort>) -> TxError {
    let digest = executed.digest;
    abort.map_or_else(
        || TxError::Failed {
            digest,
            failure: Box::new(failure.clone()),
        },
        |abort| TxError::Aborted { digest, abort },
    )
}
