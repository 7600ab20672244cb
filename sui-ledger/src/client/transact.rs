//! Sending, looking up and simulating transactions.

use sui_rpc::field::{FieldMask, FieldMaskUtil};
use sui_rpc::proto::sui::rpc::v2::simulate_transaction_request::TransactionChecks;
use sui_rpc::proto::sui::rpc::v2::{
    ExecuteTransactionRequest, GetTransactionRequest, SimulateTransactionRequest,
};
use sui_sdk_types::{Digest, Transaction, UserSignature};

use super::{Answer, Executed, LedgerClient};
use crate::error::{AnswerError, LedgerError};
use crate::metrics::Method;

/// The only mask that both the recorded node and the released protocol understand: others give
/// an empty answer on Sui 1.57, with the transaction executed all the same.
const EXECUTE_MASK: &str = "*";

impl LedgerClient {
    /// Sends a transaction once. Any retryable error leaves its outcome unknown.
    ///
    /// An abort of Move code is a success here; see [`Executed::failure`]. Reads show the
    /// changes only when the transaction's checkpoint is there.
    pub async fn execute(
        &self,
        transaction: &Transaction,
        signature: &UserSignature,
    ) -> Result<Answer<Executed>, LedgerError> {
        let request = ExecuteTransactionRequest::default()
            .with_transaction(transaction.clone())
            .with_signatures(vec![signature.clone().into()])
            .with_read_mask(FieldMask::from_paths([EXECUTE_MASK]));
        self.call(
            Method::Execute,
            self.settings.execute_deadline,
            request,
            |mut sdk, request| async move {
                sdk.execution_client().execute_transaction(request).await
            },
            |answer| {
                Ok(Executed::read(
                    answer.transaction.ok_or(AnswerError::Empty)?,
                )?)
            },
        )
        .await
    }

    /// Looks a transaction up. One that is not in a checkpoint yet is
    /// [`LedgerError::NotFound`], like one that never was.
    pub async fn get_transaction(&self, digest: &Digest) -> Result<Answer<Executed>, LedgerError> {
        let request = GetTransactionRequest::default()
            .with_digest(digest.to_string())
            .with_read_mask(FieldMask::from_paths([
                "digest",
                "effects",
                "events",
                "checkpoint",
                "timestamp",
            ]));
        self.call(
            Method::Transaction,
            self.settings.read_deadline,
            request,
            |mut sdk, request| async move { sdk.ledger_client().get_transaction(request).await },
            |answer| {
                let executed = Executed::read(answer.transaction.ok_or(AnswerError::Empty)?)?;
                if executed.digest == *digest {
                    Ok(executed)
                } else {
                    Err(AnswerError::Unasked.into())
                }
            },
        )
        .await
    }

    /// Runs a resolved transaction without sending it: what would happen now, as this node sees
    /// the chain.
    pub async fn simulate(
        &self,
        transaction: &Transaction,
    ) -> Result<Answer<Executed>, LedgerError> {
        let request = SimulateTransactionRequest::default()
            .with_transaction(transaction.clone())
            .with_read_mask(FieldMask::from_paths([
                "transaction.digest",
                "transaction.effects",
                "transaction.events",
            ]))
            .with_checks(TransactionChecks::Enabled);
        self.call(
            Method::Simulate,
            self.settings.read_deadline,
            request,
            |mut sdk, request| async move {
                sdk.execution_client().simulate_transaction(request).await
            },
            |answer| {
                Ok(Executed::read(
                    answer.transaction.ok_or(AnswerError::Empty)?,
                )?)
            },
        )
        .await
    }
}
