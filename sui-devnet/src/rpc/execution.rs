//! `TransactionExecutionService`: execute and simulate.

use std::sync::Arc;

use sui_rpc::field::FieldMaskTree;
use sui_rpc::proto::sui::rpc::v2::simulate_transaction_request::TransactionChecks;
use sui_rpc::proto::sui::rpc::v2::transaction_execution_service_server::TransactionExecutionService;
use sui_rpc::proto::sui::rpc::v2::{
    Bcs, CommandOutput, CommandResult, ExecuteTransactionRequest, ExecuteTransactionResponse,
    ExecutedTransaction, SimulateTransactionRequest, SimulateTransactionResponse,
    Transaction as ProtoTransaction,
};
use sui_sdk_types::{SignedTransaction, Transaction, UserSignature};
use tokio::sync::oneshot;
use tonic::{Code, Request, Response, Status};

use super::render::{self, Place, without_spaces};
use super::status::{missing, plain, rejected, timed_out, unreadable, write_error};
use super::{Rpc, json, masks};
use crate::ledger::{CommandOutcome, Executed, Rejection, verify_signatures};
use crate::node::{Request as WriteRequest, WriteError};

const EXECUTE_MASK: &str = "effects";
const MAX_SIGNATURES: usize = 2;

#[tonic::async_trait]
impl TransactionExecutionService for Rpc {
    async fn execute_transaction(
        &self,
        request: Request<ExecuteTransactionRequest>,
    ) -> Result<Response<ExecuteTransactionResponse>, Status> {
        let request = request.into_inner();
        let transaction = transaction(request.transaction.as_ref())?;
        if request.signatures.len() > MAX_SIGNATURES {
            return Err(plain(Code::InvalidArgument, "too many signatures"));
        }
        let signatures = request
            .signatures
            .iter()
            .map(|signature| {
                UserSignature::try_from(signature).map_err(|error| unreadable("signatures", error))
            })
            .collect::<Result<Vec<_>, Status>>()?;
        let mask = masks::checked::<ExecutedTransaction>(request.read_mask, EXECUTE_MASK)?;
        verify_signatures(&transaction, &signatures).map_err(|error| {
            plain(
                Code::InvalidArgument,
                format!("Invalid user signature: {error}"),
            )
        })?;
        let executed = self
            .execute(SignedTransaction {
                transaction,
                signatures,
            })
            .await?;
        let mut response = ExecuteTransactionResponse::default();
        response.transaction = Some(render::executed(&executed, None, &mask, Place::Execution));
        Ok(Response::new(response))
    }

    async fn simulate_transaction(
        &self,
        request: Request<SimulateTransactionRequest>,
    ) -> Result<Response<SimulateTransactionResponse>, Status> {
        self.before_read().await?;
        let request = request.into_inner();
        let transaction = transaction(request.transaction.as_ref())?;
        let mask = masks::checked::<SimulateTransactionResponse>(request.read_mask, "*")?;
        let checks = request.checks != Some(TransactionChecks::Disabled.into());
        let signed = SignedTransaction {
            transaction,
            signatures: Vec::new(),
        };
        let ledger = self.node.read();
        let visible = self.node.visible(&ledger);
        let (executed, outcomes) = ledger
            .simulate(&signed, visible, checks)
            .map_err(|rejection| rejected(&rejection))?;
        drop(ledger);
        Ok(Response::new(simulated(&executed, &outcomes, &mask)))
    }
}

impl Rpc {
    /// Hands a transaction to the writer and waits until it is on the disk.
    async fn execute(&self, signed: SignedTransaction) -> Result<Arc<Executed>, Status> {
        if self.node.switches.writes_refused() {
            return Err(plain(Code::Unavailable, "writes are refused"));
        }
        let digest = signed.transaction.digest();
        let locks = self
            .node
            .locks
            .lock(&signed.transaction, digest)
            .map_err(|rejection| rejected(&rejection))?;
        let (reply, answer) = oneshot::channel();
        self.writer
            .send(WriteRequest::Execute {
                signed: Box::new(signed),
                locks,
                reply,
            })
            .map_err(write_error)?;
        if self.node.switches.answers_lost() {
            return Err(timed_out());
        }
        let deadline = tokio::time::Instant::now() + self.finality_timeout;
        match tokio::time::timeout_at(deadline, answer).await {
            Ok(Ok(Ok(executed))) => Ok(executed),
            Ok(Ok(Err(WriteError::Rejected(Rejection::NoSharedObject { .. })))) => {
                // Validators wait for the object, so the caller waits for them.
                tokio::time::sleep_until(deadline).await;
                Err(timed_out())
            }
            Ok(Ok(Err(error))) => Err(write_error(error)),
            Ok(Err(_)) => Err(write_error(WriteError::Stopped)),
            Err(_) => Err(timed_out()),
        }
    }
}

fn transaction(message: Option<&ProtoTransaction>) -> Result<Transaction, Status> {
    let message = message.ok_or_else(|| missing("transaction"))?;
    Transaction::try_from(message).map_err(|error| unreadable("transaction", error))
}

fn simulated(
    executed: &Executed,
    outcomes: &[CommandOutcome],
    mask: &FieldMaskTree,
) -> SimulateTransactionResponse {
    let mut response = SimulateTransactionResponse::default();
    if let Some(mask) = mask.subtree(SimulateTransactionResponse::TRANSACTION_FIELD) {
        let mut shown = render::executed(executed, None, &mask, Place::Execution);
        // A simulation has no signatures, and its digest names nothing.
        shown.digest = None;
        shown.signatures = Vec::new();
        response.transaction = Some(shown);
    }
    let failed = *executed.effects.status() != sui_sdk_types::ExecutionStatus::Success;
    if mask.contains(SimulateTransactionResponse::COMMAND_OUTPUTS_FIELD) && !failed {
        response.command_outputs = outcomes.iter().map(command_result).collect();
    }
    response
}

fn command_result(outcome: &CommandOutcome) -> CommandResult {
    let mut result = CommandResult::default();
    result.return_values = outcome
        .results
        .iter()
        .map(|(type_, bytes)| {
            let mut value = Bcs::from(bytes.clone());
            value.name = Some(without_spaces(&type_.to_string()));
            let mut output = CommandOutput::default();
            output.value = Some(value);
            output.json = json::render(type_, bytes).map(Box::new);
            output
        })
        .collect();
    result
}
