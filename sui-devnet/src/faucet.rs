//! The faucet: SUI for anyone who asks.
//!
//! Shape:  `POST /v2/gas` with `{"FixedAmountRequest":{"recipient":"0x…"}}`, as the Sui faucet
//!         has it; the answer is `{"status":"Success","coins_sent":[{amount,id,transferTxDigest}]}`.
//!         `GET /health` answers 200. The coins are sent by an ordinary transaction of the
//!         faucet's account.
//! Errors: 400 for a body that is no such request, 413 for a long one, 503 when there is too much
//!         to do. At most [`MAX_IN_FLIGHT`] requests are at work at once.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use sui_ledger::ids::to_sui;
use sui_ledger::keystore::WalletKey;
use sui_sdk_types::{
    Address, Argument, Command, GasPayment, Input, ObjectReference, ProgrammableTransaction,
    SignedTransaction, SplitCoins, Transaction, TransactionExpiration, TransactionKind,
    TransferObjects,
};
use tokio::sync::{Semaphore, oneshot};

use crate::ledger::{Executed, Ledger, REFERENCE_GAS_PRICE, balance_of};
use crate::node::{Request, WriterHandle};

const MAX_BODY_BYTES: usize = 4 * 1024;
const MAX_IN_FLIGHT: usize = 64;
/// One checkpoint and a disk are far faster.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Pays for the storage of 100 coins.
const BUDGET: u64 = 1_000_000_000;

/// The account that gives.
#[derive(Debug)]
pub(crate) struct Faucet {
    pub(crate) key: WalletKey,
    pub(crate) amount: u64,
    pub(crate) coins: usize,
}

impl Faucet {
    /// A transaction that sends coins; `None` when the faucet has run dry.
    pub(crate) fn transaction(
        &self,
        ledger: &Ledger,
        recipient: Address,
    ) -> Option<SignedTransaction> {
        let coin = ledger.faucet_coin()?;
        let owner = to_sui(self.key.address().as_bytes());
        let sent = u16::try_from(self.coins).ok()?;
        let transaction = Transaction {
            kind: TransactionKind::ProgrammableTransaction(ProgrammableTransaction {
                inputs: vec![
                    Input::Pure(self.amount.to_le_bytes().to_vec()),
                    Input::Pure(recipient.into_inner().to_vec()),
                ],
                commands: vec![
                    Command::SplitCoins(SplitCoins {
                        coin: Argument::Gas,
                        amounts: vec![Argument::Input(0); self.coins],
                    }),
                    Command::TransferObjects(TransferObjects {
                        objects: (0..sent).map(|at| Argument::NestedResult(0, at)).collect(),
                        address: Argument::Input(1),
                    }),
                ],
            }),
            sender: owner,
            gas_payment: GasPayment {
                objects: vec![ObjectReference::new(
                    coin.object_id(),
                    coin.version(),
                    coin.digest(),
                )],
                owner,
                price: REFERENCE_GAS_PRICE,
                budget: BUDGET,
            },
            expiration: TransactionExpiration::None,
        };
        let signature = self.key.sign(&transaction).ok()?;
        Some(SignedTransaction {
            transaction,
            signatures: vec![signature],
        })
    }
}

#[derive(Clone)]
struct Shared {
    writer: WriterHandle,
    in_flight: Arc<Semaphore>,
}

/// The faucet's HTTP routes.
pub(crate) fn router(writer: WriterHandle) -> Router {
    Router::new()
        .route("/v2/gas", post(gas))
        .route("/health", get(|| async { "OK" }))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(Shared {
            writer,
            in_flight: Arc::new(Semaphore::new(MAX_IN_FLIGHT)),
        })
}

#[derive(Debug, Deserialize)]
enum Asked {
    FixedAmountRequest { recipient: Address },
}

#[derive(Debug, Serialize)]
struct Answer {
    status: Status,
    coins_sent: Option<Vec<CoinInfo>>,
}

#[derive(Debug, Serialize)]
enum Status {
    Success,
    Failure(Failure),
}

#[derive(Debug, Serialize)]
enum Failure {
    Internal(String),
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct CoinInfo {
    amount: u64,
    id: String,
    transfer_tx_digest: String,
}

async fn gas(State(shared): State<Shared>, Json(asked): Json<Asked>) -> Response {
    let Asked::FixedAmountRequest { recipient } = asked;
    let Ok(_permit) = shared.in_flight.try_acquire() else {
        return failure(StatusCode::SERVICE_UNAVAILABLE, "too many requests at once");
    };
    let (reply, answer) = oneshot::channel();
    let request = Request::Give { recipient, reply };
    if let Err(error) = shared.writer.send(request) {
        return failure(StatusCode::SERVICE_UNAVAILABLE, &error.to_string());
    }
    match tokio::time::timeout(ANSWER_TIMEOUT, answer).await {
        Ok(Ok(Ok(executed))) => Json(Answer {
            status: Status::Success,
            coins_sent: Some(sent(&executed, recipient)),
        })
        .into_response(),
        Ok(Ok(Err(error))) => failure(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
        Ok(Err(_)) => failure(StatusCode::SERVICE_UNAVAILABLE, "the ledger is stopping"),
        Err(_) => failure(
            StatusCode::SERVICE_UNAVAILABLE,
            "the ledger does not answer",
        ),
    }
}

fn failure(code: StatusCode, reason: &str) -> Response {
    let answer = Answer {
        status: Status::Failure(Failure::Internal(reason.to_owned())),
        coins_sent: None,
    };
    (code, Json(answer)).into_response()
}

fn sent(executed: &Executed, recipient: Address) -> Vec<CoinInfo> {
    let recipient = sui_sdk_types::Owner::Address(recipient);
    executed
        .outputs
        .iter()
        .filter(|object| *object.owner() == recipient)
        .filter_map(|object| {
            Some(CoinInfo {
                amount: balance_of(object)?,
                id: object.object_id().to_string(),
                transfer_tx_digest: executed.digest.to_string(),
            })
        })
        .collect()
}
