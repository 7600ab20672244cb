//! Transactions, and what becomes of their failures.

use seal::{CredentialHash, Mist, NodeName, ObjectId};
use sui_ledger::tx::{AbortCode, Call, Receipt, Stake, TxError};

use super::{Chain, ledger_failure};
use crate::failure::{Failure, Kind, Outcome};

/// A seal to be staked for.
#[derive(Debug, Clone)]
pub struct NewSeal {
    /// How much.
    pub amount: Mist,
    /// Its key on chain.
    pub hash: CredentialHash,
    /// For which machine.
    pub node_id: Option<NodeName>,
    /// A wish.
    pub namespace: Option<String>,
    /// 0 is the pool's default.
    pub validity_ms: u64,
}

/// Why a transaction that makes a token failed, by what it means for the token.
#[derive(Debug)]
pub enum TxFailure {
    /// Somebody else has the hash: start over with another token.
    HashSpent(Failure),
    /// Nothing was changed: the token is of no use.
    Nothing(Failure),
    /// Not known: the transaction may still come through, and then the token counts.
    Unknown(Failure),
}

impl Chain {
    /// Stakes. The record has been read back with the sender as owner.
    pub async fn stake(&self, seal: &NewSeal) -> Result<String, TxFailure> {
        let stake = Stake {
            amount: seal.amount,
            hash: seal.hash,
            node: seal.node_id.clone(),
            namespace: seal.namespace.clone(),
            validity_ms: seal.validity_ms,
        };
        let wallet = self.wallet().map_err(TxFailure::Nothing)?;
        let receipt = wallet.stake(&self.ids, stake).await;
        receipt
            .map(|receipt| digest(&receipt))
            .map_err(|error| self.token_failure(error))
    }

    /// Puts the seal under a new hash.
    pub async fn refresh(
        &self,
        token: ObjectId,
        new_hash: CredentialHash,
        validity_ms: u64,
    ) -> Result<String, TxFailure> {
        let call = Call::Refresh {
            token,
            new_hash,
            validity_ms,
        };
        let wallet = self.wallet().map_err(TxFailure::Nothing)?;
        let receipt = wallet.call(&self.ids, &call).await;
        receipt
            .map(|receipt| digest(&receipt))
            .map_err(|error| self.token_failure(error))
    }

    /// Any other call; gives the transaction's digest.
    pub async fn call(&self, call: &Call) -> Outcome<String> {
        let receipt = self.wallet()?.call(&self.ids, call).await;
        receipt
            .map(|receipt| digest(&receipt))
            .map_err(|error| self.tx_failure(error))
    }

    fn token_failure(&self, error: TxError) -> TxFailure {
        let spent = error
            .abort()
            .is_some_and(|abort| abort.code == AbortCode::HashSpent);
        let taken = spent || matches!(error, TxError::Taken);
        let unknown = error.may_have_happened();
        let failure = self.tx_failure(error);
        if taken {
            TxFailure::HashSpent(failure)
        } else if unknown {
            TxFailure::Unknown(failure)
        } else {
            TxFailure::Nothing(failure)
        }
    }

    fn tx_failure(&self, error: TxError) -> Failure {
        tx_failure(error, &self.ids.endpoint)
    }
}

/// Sorts a failed transaction.
pub fn tx_failure(error: TxError, endpoint: &str) -> Failure {
    match error {
        TxError::Ledger(error) => ledger_failure(error, endpoint),
        TxError::Aborted { digest, abort } => {
            let code = abort.code;
            Failure::message(
                Kind::Refused,
                format!(
                    "the contract refused: {} ({}, transaction {digest})",
                    code.text(),
                    code.name()
                ),
            )
            .next(code.next_step())
        }
        error @ (TxError::NoCoins { .. } | TxError::NotEnough { .. }) => {
            Failure::new(Kind::Failed, error).next(
                "send SUI to the address; on the embedded ledger `k3s-daas wallet faucet` does",
            )
        }
        error @ (TxError::NotOwned { .. } | TxError::MissingObject { .. }) => {
            Failure::new(Kind::Refused, error).next(
                "`k3s-daas seal list` shows the seals of the wallet's address; slash and revoke \
                 need the wallet that holds the SlashCap: --keystore, --address or --cap",
            )
        }
        error @ TxError::Taken => Failure::new(Kind::Refused, error)
            .next("`k3s-daas seal list` shows the seals of the wallet's address"),
        error @ (TxError::OutcomeUnknown { .. } | TxError::NotVisible { .. }) => {
            Failure::new(Kind::Unavailable, error)
                .next("look at the seal with `k3s-daas seal list` before trying again")
        }
        error => Failure::new(Kind::Failed, error),
    }
}

fn digest(receipt: &Receipt) -> String {
    receipt.digest.to_string()
}

#[cfg(test)]
mod tests {
    use sui_ledger::tx::ContractAbort;

    use super::*;

    #[test]
    fn an_abort_is_a_refusal_with_the_codes_own_next_step() {
        let error = TxError::Aborted {
            digest: "11111111111111111111111111111111".parse().unwrap(),
            abort: ContractAbort {
                code: AbortCode::StakeTooLow,
                function: None,
            },
        };
        let failure = tx_failure(error, "http://node");
        assert_eq!(failure.kind, Kind::Refused);
        assert_eq!(
            failure.next_step.as_deref(),
            Some(AbortCode::StakeTooLow.next_step())
        );
        assert!(failure.to_string().contains("EStakeTooLow"), "{failure}");
    }
}
