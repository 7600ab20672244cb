//! Stakes for this machine with the worker's own key, and asks for the stake.
//!
//! Shape:  one order at a time. Before anything is paid it is seen whether the machine has a seal
//!         already: in its token file, in a transaction that was under way when something went wrong,
//!         or on chain under a token that is not here.
//! Errors: an order that is repeated never stakes twice. What is not known for certain is an error
//!         that says so, and the next try finds out.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use cri_shim::api::{StakeOrder, Staked, Staking, Unstaked, WorkError};
use seal::{Address, Mist, NodeName, SealRecord, SealStatus, SealToken, Unusable};
use sui_ledger::keystore::{Keystore, WalletKey};
use sui_ledger::tx::{Call, TxError};
use tokio::sync::{Mutex, Notify};

use crate::causes::in_one_line;
use crate::chain::{Chain, PoolView};
use crate::commands::seal::SETTLED_AFTER_MS;
use crate::commands::stake::{Order, TokenPlace, mint, read_token};
use crate::failure::{Failure, Kind, Outcome};
use crate::seals::{Purpose, Seals, now};

/// Where the worker's key is.
#[derive(Debug, Clone)]
pub struct KeySettings {
    /// In the format of Sui's own keystore.
    pub keystore: PathBuf,
    /// Whose key; the only one's when not given.
    pub address: Option<Address>,
}

/// The seal of this machine.
#[derive(Debug)]
pub(super) struct OwnSeal {
    chain: Chain,
    key: KeySettings,
    /// Where tokens are while their transactions are under way.
    seals: Seals,
    token_file: PathBuf,
    node: NodeName,
    /// What is staked where an order names no amount.
    amount: Mist,
    /// Told after each order, so that the rest of the worker looks at the chain.
    wake: Arc<Notify>,
    one: Mutex<()>,
}

impl OwnSeal {
    pub(super) fn new(
        chain: Chain,
        key: KeySettings,
        token_file: &Path,
        node: NodeName,
        amount: Mist,
        wake: Arc<Notify>,
    ) -> Self {
        // Beside the token, so that one rename within a file system is all it takes.
        let folder = token_file.parent().unwrap_or(Path::new("."));
        Self {
            chain,
            key,
            seals: Seals::new(folder),
            token_file: token_file.to_owned(),
            node,
            amount,
            wake,
            one: Mutex::new(()),
        }
    }

    /// The chain with the worker's key, which is read anew for each order.
    fn signing(&self) -> Result<(Chain, Address), WorkError> {
        let not_set_up = |error: &dyn std::fmt::Display| {
            let at = self.key.keystore.display();
            WorkError::NotSetUp(format!("there is no key to stake with in {at}: {error}"))
        };
        let keys = Keystore::load(&self.key.keystore).map_err(|error| not_set_up(&error))?;
        let key: Result<&WalletKey, _> = match &self.key.address {
            Some(address) => keys.key(address),
            None => keys.only_key(),
        };
        let chain = self
            .chain
            .with_wallet(key.map_err(|error| not_set_up(&error))?.clone());
        let owner = chain.wallet().map_err(told)?.address();
        Ok((chain, owner))
    }

    async fn stake_once(&self, order: StakeOrder) -> Result<Staked, WorkError> {
        let _one = self.one.lock().await;
        let (chain, owner) = self.signing()?;
        if owner != order.wallet {
            return Err(WorkError::OtherWallet);
        }
        self.finish_pending(&chain, owner).await?;
        let pool = chain.pool().await.map_err(told)?;
        if self.token_file.exists() {
            let token = self.own_token()?;
            let record = self.record(&chain, &token).await?;
            if record.status != SealStatus::Retired {
                return self.usable(token, &record, &pool);
            }
            // Of no use to anybody any more, and in the way of a new one.
            let aside = self.token_file.with_extension("retired");
            std::fs::rename(&self.token_file, &aside).map_err(|error| failed(&aside, &error))?;
        }
        self.no_token_elsewhere(&chain, owner, &pool).await?;
        self.mint(&chain, &order, &pool).await
    }

    async fn mint(
        &self,
        chain: &Chain,
        order: &StakeOrder,
        pool: &PoolView,
    ) -> Result<Staked, WorkError> {
        let place = TokenPlace {
            token_file: Some(self.token_file.clone()),
            ..TokenPlace::default()
        };
        let minting = Order {
            amount: order.amount.unwrap_or(self.amount),
            node_id: Some(self.node.clone()),
            namespace: None,
            validity_ms: order.validity_ms,
        };
        let minted = match mint(chain, &self.seals, &minting, &place).await {
            Ok(minted) => minted,
            // A token that was kept is one whose transaction may have come through.
            Err(failure) if self.waits() => return Err(WorkError::OutcomeUnknown(text(&failure))),
            Err(failure) => return Err(told(failure)),
        };
        self.seals
            .settle(&minted.token, &minted.pending)
            .map_err(told)?;
        tracing::info!(
            node = %self.node,
            hash = %minted.token.credential_hash(),
            transaction = minted.transaction,
            "staked for this machine"
        );
        self.usable(minted.token, &minted.record, pool)
    }

    /// Gives the token of a transaction that came through its place, and waits for those that may
    /// still come.
    async fn finish_pending(&self, chain: &Chain, owner: Address) -> Result<(), WorkError> {
        for (token, pending) in self.pending().map_err(told)? {
            let hash = token.credential_hash();
            let age = now().0.saturating_sub(pending.since.0);
            match chain.record(&hash).await.map_err(told)? {
                Some(record) if record.owner == pending.owner => {
                    self.seals.settle(&token, &pending).map_err(told)?;
                    tracing::info!(%hash, "a stake of before is finished");
                }
                // Somebody else has the hash, or the transaction never came.
                Some(_) => self.seals.forget_pending(&pending.hash).map_err(told)?,
                None if age > SETTLED_AFTER_MS => {
                    self.seals.forget_pending(&pending.hash).map_err(told)?;
                }
                None => {
                    let text = format!(
                        "a stake of {} s ago by {owner} may still come through",
                        age / 1_000
                    );
                    return Err(WorkError::OutcomeUnknown(text));
                }
            }
        }
        Ok(())
    }

    fn pending(&self) -> Outcome<Vec<(SealToken, crate::seals::Pending)>> {
        let own = std::path::absolute(&self.token_file)?;
        let mut all = self.seals.pending()?;
        all.retain(|(_, pending)| pending.purpose == Purpose::Stake && pending.destination == own);
        Ok(all)
    }

    fn waits(&self) -> bool {
        self.pending().is_ok_and(|pending| !pending.is_empty())
    }

    /// Whoever lost the token file has a seal all the same; so has who keeps it in another place.
    async fn no_token_elsewhere(
        &self,
        chain: &Chain,
        owner: Address,
        pool: &PoolView,
    ) -> Result<(), WorkError> {
        for hash in chain.hashes_of(&owner).await.map_err(told)? {
            let record = chain.record(&hash).await.map_err(told)?;
            let usable = record.is_some_and(|record| {
                record.node_id.as_ref() == Some(&self.node)
                    && record.usable(now(), &pool.thresholds).is_ok()
            });
            if usable {
                return Err(WorkError::SealEnded {
                    reason: "token_elsewhere",
                    detail: format!(
                        "{} has a usable seal, {hash}, whose token is not in {}: put it there, or \
                         give the seal a new one with `k3s-daas refresh`",
                        self.node,
                        self.token_file.display()
                    ),
                });
            }
        }
        Ok(())
    }

    /// The seal, where it can be used for this machine.
    fn usable(
        &self,
        token: SealToken,
        record: &SealRecord,
        pool: &PoolView,
    ) -> Result<Staked, WorkError> {
        let file = self.token_file.display();
        if record.node_id.as_ref() != Some(&self.node) {
            return Err(WorkError::SealEnded {
                reason: "other_node",
                detail: format!("the seal of {file} was not staked for {}", self.node),
            });
        }
        match record.usable(now(), &pool.thresholds) {
            Ok(tier) => Ok(Staked {
                token,
                expires_at: record.expires_at,
                tier,
            }),
            Err(why) => Err(WorkError::SealEnded {
                reason: why.label(),
                detail: format!("the seal of {file} can't be used: {why}; {}", remedy(why)),
            }),
        }
    }

    fn own_token(&self) -> Result<SealToken, WorkError> {
        if !self.token_file.exists() {
            return Err(WorkError::NotStaked);
        }
        read_token(&self.token_file).map_err(told)
    }

    async fn record(&self, chain: &Chain, token: &SealToken) -> Result<SealRecord, WorkError> {
        let record = chain.record(&token.credential_hash()).await;
        record.map_err(told)?.ok_or_else(|| WorkError::SealEnded {
            reason: "no_seal",
            detail: format!(
                "the chain knows no seal of the token in {}: see that the contract is the right \
                 one, or put the file away",
                self.token_file.display()
            ),
        })
    }

    async fn unstake_once(&self) -> Result<Unstaked, WorkError> {
        let _one = self.one.lock().await;
        let (chain, owner) = self.signing()?;
        self.finish_pending(&chain, owner).await?;
        let token = self.own_token()?;
        let hash = token.credential_hash();
        let record = self.record(&chain, &token).await?;
        if record.owner != owner {
            return Err(WorkError::OtherWallet);
        }
        let asked = |record: &SealRecord| record.unbonding_ends_at.0 != 0;
        if record.status == SealStatus::Retired {
            return Err(WorkError::SealEnded {
                reason: Unusable::Retired.label(),
                detail: format!("the seal of {} is gone already", self.token_file.display()),
            });
        }
        if record.status != SealStatus::Unbonding {
            let call = Call::RequestUnstake {
                token: record.seal_id,
            };
            let transaction = chain.call(&call).await.map_err(told)?;
            tracing::info!(node = %self.node, %hash, transaction, "asked for the stake");
        }
        let record = chain.read_back(&hash, asked).await.map_err(told)?;
        Ok(Unstaked {
            withdrawable_at: record.unbonding_ends_at,
        })
    }
}

impl Staking for OwnSeal {
    async fn stake(&self, order: StakeOrder) -> Result<Staked, WorkError> {
        let staked = self.stake_once(order).await;
        self.wake.notify_one();
        staked
    }

    async fn unstake(&self) -> Result<Unstaked, WorkError> {
        let unstaked = self.unstake_once().await;
        self.wake.notify_one();
        unstaked
    }
}

/// What its owner can do about it.
fn remedy(why: Unusable) -> &'static str {
    match why {
        Unusable::Expired => "`k3s-daas refresh` gives it more time and a new token",
        Unusable::Slashed | Unusable::StakeTooLow => "`k3s-daas restake` adds to its stake",
        Unusable::Unbonding => "`k3s-daas withdraw` ends it once the unbonding is over",
        Unusable::Revoked => {
            "ask the cluster's operator why; `k3s-daas unstake` asks for what is left"
        }
        Unusable::Retired => "it was refreshed or withdrawn",
    }
}

fn failed(path: &Path, error: &std::io::Error) -> WorkError {
    WorkError::Failed(format!("can't write {}: {error}", path.display()))
}

/// A failure of a command, as the API sorts them.
#[allow(clippy::needless_pass_by_value, reason = "what map_err gives")]
pub(super) fn told(failure: Failure) -> WorkError {
    let text = text(&failure);
    let coins = failure.cause.downcast_ref::<TxError>();
    match failure.kind {
        _ if matches!(
            coins,
            Some(TxError::NoCoins { .. } | TxError::NotEnough { .. })
        ) =>
        {
            WorkError::NotEnough(text)
        }
        Kind::Refused => WorkError::ContractRefused(text),
        Kind::Unavailable => WorkError::ChainUnavailable(text),
        Kind::Usage => WorkError::NotSetUp(text),
        Kind::Failed | Kind::Interrupted => WorkError::Failed(text),
    }
}

/// In one line, with the next step.
fn text(failure: &Failure) -> String {
    let causes = in_one_line(failure.cause.as_ref());
    match &failure.next_step {
        Some(step) => format!("{causes}; {step}"),
        None => causes,
    }
}

#[cfg(test)]
mod tests;
