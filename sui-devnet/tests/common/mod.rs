//! A client's side of the tests: the published SDK, nothing of our own but the contract's types.

#![allow(dead_code, reason = "each test file uses a part")]

use std::time::Duration;

use sui_devnet::{Devnet, DevnetConfig, RunningDevnet};
use sui_ledger::ids::to_sui;
use sui_ledger::keystore::WalletKey;
use sui_ledger::manifest::ContractIds;
use sui_rpc::Client;
use sui_rpc::field::{FieldMask, FieldMaskUtil};
use sui_rpc::proto::sui::rpc::v2 as proto;
use sui_sdk_types::{
    Address, Argument, Command, Digest, GasPayment, Identifier, Input, MoveCall, ObjectReference,
    ProgrammableTransaction, SharedInput, SignedTransaction, SplitCoins, Transaction,
    TransactionExpiration, TransactionKind,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::Status;

/// Nothing here takes longer, on the slowest machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) async fn start() -> RunningDevnet {
    Devnet::start(DevnetConfig::for_tests()).await.unwrap()
}

pub(crate) fn client(devnet: &RunningDevnet) -> Client {
    Client::new(devnet.rpc_url.as_str()).unwrap()
}

pub(crate) fn mask(paths: &str) -> FieldMask {
    <FieldMask as FieldMaskUtil>::from_str(paths)
}

pub(crate) fn address_of(key: &WalletKey) -> Address {
    to_sui(key.address().as_bytes())
}

/// Asks the faucet, and waits until the coins can be seen.
pub(crate) async fn fund(devnet: &RunningDevnet, owner: Address) -> Vec<ObjectReference> {
    fund_at(&client(devnet), &devnet.faucet_url, owner).await
}

async fn fund_at(client: &Client, faucet_url: &str, owner: Address) -> Vec<ObjectReference> {
    let body = serde_json::json!({"FixedAmountRequest": {"recipient": owner.to_string()}});
    let (status, answer) = post(faucet_url, "/v2/gas", &body.to_string()).await;
    assert_eq!(status, 200, "{answer}");
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["status"], "Success", "{answer}");
    let mut references = Vec::new();
    for coin in answer["coins_sent"].as_array().unwrap() {
        let id: Address = coin["id"].as_str().unwrap().parse().unwrap();
        references.push(wait_for_object(client, id, 0).await);
    }
    references
}

/// One HTTP request by hand: status and body.
pub(crate) async fn post(url: &str, path: &str, body: &str) -> (u16, String) {
    let host = url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(host).await.unwrap();
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let read = stream.read_to_string(&mut answer);
    tokio::time::timeout(DEADLINE, read).await.unwrap().unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    let body = answer.split_once("\r\n\r\n").unwrap().1.to_owned();
    (status, body)
}

/// Waits until an object has at least this version.
pub(crate) async fn wait_for_object(client: &Client, id: Address, version: u64) -> ObjectReference {
    let wait = async {
        loop {
            if let Ok(object) = get_object(client, id, "object_id,version,digest").await
                && object.version() >= version
            {
                return (&object.object_reference()).try_into().unwrap();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(DEADLINE, wait).await.unwrap()
}

pub(crate) async fn get_object(
    client: &Client,
    id: Address,
    paths: &str,
) -> Result<proto::Object, Status> {
    let mut request = proto::GetObjectRequest::new(&id);
    request.read_mask = Some(mask(paths));
    let response = client.clone().ledger_client().get_object(request).await?;
    Ok(response.into_inner().object.unwrap())
}

/// Builds transactions of one account.
pub(crate) struct Wallet {
    pub(crate) key: WalletKey,
    pub(crate) gas: ObjectReference,
    pub(crate) package: Address,
    pub(crate) pool: Input,
    pub(crate) price: u64,
    pub(crate) budget: u64,
}

pub(crate) const CLOCK: Address = Address::from_static("0x6");

pub(crate) fn clock() -> Input {
    Input::Shared(SharedInput::new(CLOCK, 1, false))
}

pub(crate) fn pure<T: serde::Serialize>(value: &T) -> Input {
    Input::Pure(bcs::to_bytes(value).unwrap())
}

impl Wallet {
    pub(crate) async fn new(devnet: &RunningDevnet) -> Self {
        Self::of(devnet, WalletKey::generate().unwrap()).await
    }

    pub(crate) async fn operator(devnet: &RunningDevnet) -> Self {
        Self::of(devnet, devnet.operator.clone()).await
    }

    pub(crate) async fn of(devnet: &RunningDevnet, key: WalletKey) -> Self {
        let coins = fund(devnet, address_of(&key)).await;
        Self::with(&devnet.ids, key, coins[0].clone())
    }

    /// A wallet at a ledger in another process.
    pub(crate) async fn at(rpc_url: &str, faucet_url: &str, ids: &ContractIds) -> Self {
        let key = WalletKey::generate().unwrap();
        let client = Client::new(rpc_url).unwrap();
        let coins = fund_at(&client, faucet_url, address_of(&key)).await;
        Self::with(ids, key, coins[0].clone())
    }

    fn with(ids: &ContractIds, key: WalletKey, gas: ObjectReference) -> Self {
        Self {
            gas,
            key,
            package: to_sui(ids.latest_package.as_bytes()),
            pool: Input::Shared(SharedInput::new(
                to_sui(ids.pool.as_bytes()),
                ids.pool_initial_version,
                true,
            )),
            price: 1_000,
            budget: 100_000_000,
        }
    }

    pub(crate) fn address(&self) -> Address {
        address_of(&self.key)
    }

    pub(crate) fn transaction(&self, inputs: Vec<Input>, commands: Vec<Command>) -> Transaction {
        Transaction {
            kind: TransactionKind::ProgrammableTransaction(ProgrammableTransaction {
                inputs,
                commands,
            }),
            sender: self.address(),
            gas_payment: GasPayment {
                objects: vec![self.gas.clone()],
                owner: self.address(),
                price: self.price,
                budget: self.budget,
            },
            expiration: TransactionExpiration::None,
        }
    }

    pub(crate) fn sign(&self, transaction: Transaction) -> SignedTransaction {
        let signatures = vec![self.key.sign(&transaction).unwrap()];
        SignedTransaction {
            transaction,
            signatures,
        }
    }

    /// A call whose arguments are the inputs in order.
    pub(crate) fn call(&self, function: &'static str, inputs: Vec<Input>) -> Transaction {
        let arguments = (0..inputs.len())
            .map(|at| Argument::Input(u16::try_from(at).unwrap()))
            .collect();
        let call = self.move_call(function, arguments);
        self.transaction(inputs, vec![call])
    }

    pub(crate) fn move_call(&self, function: &'static str, arguments: Vec<Argument>) -> Command {
        Command::MoveCall(MoveCall {
            package: self.package,
            module: Identifier::from_static("staking"),
            function: Identifier::from_static(function),
            type_arguments: Vec::new(),
            arguments,
        })
    }

    /// Splits a coin off the gas coin and stakes it.
    pub(crate) fn stake(&self, amount: u64, hash: [u8; 32], node: Option<&str>) -> Transaction {
        let inputs = vec![
            self.pool.clone(),
            pure(&amount),
            pure(&hash.to_vec()),
            pure(&node),
            pure(&None::<String>),
            pure(&0u64),
            clock(),
        ];
        let split = Command::SplitCoins(SplitCoins {
            coin: Argument::Gas,
            amounts: vec![Argument::Input(1)],
        });
        let mut arguments = vec![Argument::Input(0), Argument::NestedResult(0, 0)];
        arguments.extend((2..7).map(Argument::Input));
        let stake = self.move_call("stake_and_mint_seal", arguments);
        self.transaction(inputs, vec![split, stake])
    }

    pub(crate) fn slash(&self, cap: ObjectReference, hash: [u8; 32], reason: &str) -> Transaction {
        let inputs = vec![
            self.pool.clone(),
            Input::ImmutableOrOwned(cap),
            pure(&hash.to_vec()),
            pure(&reason),
            clock(),
        ];
        self.call("slash", inputs)
    }

    /// Signs, executes, and takes the gas coin's next version from the effects.
    pub(crate) async fn execute(
        &mut self,
        client: &Client,
        transaction: Transaction,
    ) -> Result<proto::ExecutedTransaction, Status> {
        let signed = self.sign(transaction);
        let executed = execute(client, &signed, "*").await?;
        self.gas = gas_after(&executed);
        Ok(executed)
    }
}

pub(crate) fn gas_after(executed: &proto::ExecutedTransaction) -> ObjectReference {
    let gas = executed.effects().gas_object();
    ObjectReference::new(
        gas.object_id().parse().unwrap(),
        gas.output_version(),
        gas.output_digest().parse().unwrap(),
    )
}

pub(crate) fn execute_request(
    signed: &SignedTransaction,
    paths: &str,
) -> proto::ExecuteTransactionRequest {
    let mut request = proto::ExecuteTransactionRequest::default();
    request.transaction = Some(signed.transaction.clone().into());
    request.signatures = signed.signatures.iter().cloned().map(Into::into).collect();
    request.read_mask = Some(mask(paths));
    request
}

pub(crate) async fn execute(
    client: &Client,
    signed: &SignedTransaction,
    paths: &str,
) -> Result<proto::ExecutedTransaction, Status> {
    let response = client
        .clone()
        .execution_client()
        .execute_transaction(execute_request(signed, paths))
        .await?;
    Ok(response.into_inner().transaction.unwrap())
}

/// Waits until a transaction is in a checkpoint.
pub(crate) async fn wait_for_transaction(
    client: &Client,
    digest: Digest,
) -> proto::ExecutedTransaction {
    let wait = async {
        loop {
            let mut request = proto::GetTransactionRequest::new(&digest);
            request.read_mask = Some(mask("*"));
            match client
                .clone()
                .ledger_client()
                .get_transaction(request)
                .await
            {
                Ok(response) => return response.into_inner().transaction.unwrap(),
                Err(status) => assert_eq!(status.code(), tonic::Code::NotFound, "{status}"),
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(DEADLINE, wait).await.unwrap()
}

/// The new version of an owned object that a transaction has made or changed.
pub(crate) fn written(executed: &proto::ExecutedTransaction, type_name: &str) -> ObjectReference {
    let changed = executed
        .effects()
        .changed_objects()
        .iter()
        .find(|changed| changed.object_type().ends_with(type_name))
        .unwrap_or_else(|| panic!("no {type_name} in {executed:?}"));
    ObjectReference::new(
        changed.object_id().parse().unwrap(),
        changed.output_version(),
        changed.output_digest().parse().unwrap(),
    )
}

pub(crate) async fn subscribe(
    client: &Client,
    paths: &str,
) -> tonic::Streaming<proto::SubscribeCheckpointsResponse> {
    let mut request = proto::SubscribeCheckpointsRequest::default();
    request.read_mask = Some(mask(paths));
    client
        .clone()
        .subscription_client()
        .subscribe_checkpoints(request)
        .await
        .unwrap()
        .into_inner()
}
