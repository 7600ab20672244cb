//! A small model of a chain for the tests of transactions: coins, one gas price, executed
//! transactions that become visible later. It decides by what it is sent, not by a script.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use prost::Message;
use seal::{Address, CredentialHash, ObjectId};
use sui_ledger::chain_id::ChainId;
use sui_ledger::ids::to_sui;
use sui_ledger::keystore::WalletKey;
use sui_ledger::manifest::{CapIds, ContractIds};
use sui_rpc::proto::sui::rpc::v2 as proto;
use sui_rpc::proto::sui::rpc::v2::changed_object::{IdOperation, OutputObjectState};
use sui_rpc::proto::sui::rpc::v2::execution_error::{ErrorDetails, ExecutionErrorKind};
use sui_rpc::proto::sui::rpc::v2::owner::OwnerKind;
use sui_sdk_types::{Digest, Transaction};
use tonic::Code;

use crate::replay::{CHAIN, Node, Reply, Seen};

pub(crate) fn key() -> WalletKey {
    WalletKey::from_secret(&[1; 32])
}

pub(crate) fn ids() -> ContractIds {
    let id = |byte| ObjectId::from_bytes([byte; 32]);
    ContractIds {
        endpoint: "http://127.0.0.1:9000".to_owned(),
        chain_id: CHAIN.parse::<ChainId>().unwrap(),
        original_package: id(0xaa),
        latest_package: id(0xab),
        pool: id(3),
        pool_initial_version: 5,
        seals_table: id(4),
        nodes_table: id(5),
        owners_table: id(6),
        caps: CapIds::default(),
    }
}

/// How the model treats what it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Executes and says so.
    None,
    /// Executes, and answers UNAVAILABLE.
    LostAnswer,
    /// Does not execute, and answers UNAVAILABLE.
    LostRequest,
    /// Executes, and answers OK with nothing in it.
    EmptyAnswer,
    /// Cancelled for congestion: executed, gas paid.
    Congestion,
    /// Our contract's abort with this code.
    Abort(u64),
    /// FAILED_PRECONDITION.
    Locked,
    /// INVALID_ARGUMENT for whatever is sent.
    Invalid,
}

#[derive(Debug, Clone)]
pub(crate) struct ModelCoin {
    pub(crate) id: ObjectId,
    pub(crate) version: u64,
    pub(crate) balance: u64,
}

#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) coins: Vec<ModelCoin>,
    /// Taken one a sending; then `Fault::None`.
    pub(crate) faults: Vec<Fault>,
    /// GetTransaction says NOT_FOUND this often for each digest before it shows a checkpoint.
    pub(crate) lag: usize,
    pub(crate) executed: HashMap<Digest, proto::ExecutedTransaction>,
    pub(crate) sent: Vec<Transaction>,
    /// What BatchGetObjects and GetObject find.
    pub(crate) objects: HashMap<ObjectId, proto::Object>,
    /// What every transaction makes besides.
    pub(crate) created: Vec<proto::ChangedObject>,
    looks: HashMap<String, usize>,
}

pub(crate) type Shared = Arc<Mutex<Model>>;

impl Model {
    pub(crate) fn new(balances: &[u64]) -> Self {
        let coins = balances
            .iter()
            .enumerate()
            .map(|(at, balance)| ModelCoin {
                id: ObjectId::from_bytes([u8::try_from(0x10 + at).unwrap(); 32]),
                version: 1,
                balance: *balance,
            })
            .collect();
        Self {
            coins,
            faults: Vec::new(),
            lag: 0,
            executed: HashMap::new(),
            sent: Vec::new(),
            objects: HashMap::new(),
            created: Vec::new(),
            looks: HashMap::new(),
        }
    }

    pub(crate) async fn start(self) -> (Node, Shared) {
        let model = Arc::new(Mutex::new(self));
        let shared = Arc::clone(&model);
        let node = Node::start(move |seen| model.lock().unwrap().answer(seen)).await;
        (node, shared)
    }

    fn answer(&mut self, seen: &Seen) -> Reply {
        match seen.method.as_str() {
            "GetEpoch" => {
                let mut epoch = proto::Epoch::default();
                epoch.reference_gas_price = Some(1_000);
                let mut answer = proto::GetEpochResponse::default();
                answer.epoch = Some(epoch);
                Reply::message(&answer)
            }
            "GetServiceInfo" => {
                let mut answer = proto::GetServiceInfoResponse::default();
                answer.chain_id = Some(CHAIN.to_owned());
                answer.checkpoint_height = Some(1);
                answer.timestamp = Some(prost_types::Timestamp {
                    seconds: 1,
                    nanos: 0,
                });
                Reply::message(&answer)
            }
            "ListOwnedObjects" => {
                let mut answer = proto::ListOwnedObjectsResponse::default();
                answer.objects = self.coins.iter().map(coin_object).collect();
                Reply::message(&answer)
            }
            "GetObject" => {
                let request = proto::GetObjectRequest::decode(seen.message.clone()).unwrap();
                let id: ObjectId = request.object_id.unwrap().parse().unwrap();
                match self.objects.get(&id) {
                    Some(object) => {
                        let mut answer = proto::GetObjectResponse::default();
                        answer.object = Some(object.clone());
                        Reply::message(&answer)
                    }
                    None => Reply::status(Code::NotFound),
                }
            }
            "BatchGetObjects" => self.batch(seen),
            "GetTransaction" => {
                let request = proto::GetTransactionRequest::decode(seen.message.clone()).unwrap();
                let digest = request.digest.unwrap();
                let looks = self.looks.entry(digest.clone()).or_default();
                *looks += 1;
                let found = self.executed.get(&Digest::from_base58(&digest).unwrap());
                match found {
                    Some(transaction) if *looks > self.lag => {
                        let mut transaction = transaction.clone();
                        transaction.checkpoint = Some(77);
                        let mut answer = proto::GetTransactionResponse::default();
                        answer.transaction = Some(transaction);
                        Reply::message(&answer)
                    }
                    _ => Reply::status(Code::NotFound),
                }
            }
            "ExecuteTransaction" => self.execute(seen),
            _ => Reply::status(Code::Unimplemented),
        }
    }

    fn batch(&self, seen: &Seen) -> Reply {
        let request = proto::BatchGetObjectsRequest::decode(seen.message.clone()).unwrap();
        let mut answer = proto::BatchGetObjectsResponse::default();
        for request in request.requests {
            let id: ObjectId = request.object_id.unwrap().parse().unwrap();
            let mut result = proto::GetObjectResult::default();
            result.result = Some(if let Some(object) = self.objects.get(&id) {
                proto::get_object_result::Result::Object(object.clone())
            } else {
                let mut status = sui_rpc::proto::google::rpc::Status::default();
                status.code = Code::NotFound as i32;
                proto::get_object_result::Result::Error(status)
            });
            answer.objects.push(result);
        }
        Reply::message(&answer)
    }

    fn execute(&mut self, seen: &Seen) -> Reply {
        let request = proto::ExecuteTransactionRequest::decode(seen.message.clone()).unwrap();
        let mask = request.read_mask.unwrap();
        assert_eq!(mask.paths, ["*"], "the only mask that works everywhere");
        let transaction: Transaction = request
            .transaction
            .unwrap()
            .bcs
            .unwrap()
            .deserialize()
            .unwrap();
        self.sent.push(transaction.clone());
        let digest = transaction.digest();
        let fault = if self.faults.is_empty() {
            Fault::None
        } else {
            self.faults.remove(0)
        };
        match fault {
            Fault::LostRequest => return Reply::status(Code::Unavailable),
            Fault::Locked => return Reply::status(Code::FailedPrecondition),
            Fault::Invalid => return Reply::status(Code::InvalidArgument),
            _ => {}
        }
        // Sent twice: the same effects again.
        if !self.executed.contains_key(&digest) {
            let [gas] = transaction.gas_payment.objects.as_slice() else {
                panic!("one gas coin");
            };
            let at = self
                .coins
                .iter()
                .position(|coin| to_sui(coin.id.as_bytes()) == *gas.object_id())
                .unwrap();
            if self.coins[at].version != gas.version() {
                return Reply::status(Code::InvalidArgument);
            }
            self.coins[at].version += 1;
            self.coins[at].balance -= 1_000_000;
            let executed = self.effects(digest, at, fault);
            self.executed.insert(digest, executed);
        }
        match fault {
            Fault::LostAnswer => Reply::status(Code::Unavailable),
            Fault::EmptyAnswer => Reply::bytes(Vec::new()),
            _ => {
                let mut answer = proto::ExecuteTransactionResponse::default();
                answer.transaction = self.executed.get(&digest).cloned();
                Reply::message(&answer)
            }
        }
    }

    fn effects(&self, digest: Digest, coin: usize, fault: Fault) -> proto::ExecutedTransaction {
        let coin = &self.coins[coin];
        let mut status = proto::ExecutionStatus::default();
        status.success = Some(true);
        let mut error = proto::ExecutionError::default();
        match fault {
            Fault::Congestion => {
                error.kind = Some(
                    ExecutionErrorKind::ExecutionCanceledDueToConsensusObjectCongestion as i32,
                );
                status.success = Some(false);
                status.error = Some(error);
            }
            Fault::Abort(code) => {
                let mut location = proto::MoveLocation::default();
                location.package = Some(ids().original_package.to_string());
                location.module = Some("staking".to_owned());
                location.function_name = Some("assert_fresh_hash".to_owned());
                let mut abort = proto::MoveAbort::default();
                abort.abort_code = Some(code);
                abort.location = Some(location);
                error.kind = Some(ExecutionErrorKind::MoveAbort as i32);
                error.error_details = Some(ErrorDetails::Abort(abort));
                status.success = Some(false);
                status.error = Some(error);
            }
            _ => {}
        }
        let mut gas = proto::GasCostSummary::default();
        gas.computation_cost = Some(1_000_000);
        let mut changed = proto::ChangedObject::default();
        changed.object_id = Some(coin.id.to_string());
        changed.output_state = Some(OutputObjectState::ObjectWrite as i32);
        changed.output_version = Some(coin.version);
        changed.output_digest = Some(coin_digest(coin).to_string());
        changed.output_owner = Some(owned_by(&key().address()));
        changed.id_operation = Some(IdOperation::None as i32);
        let mut effects = proto::TransactionEffects::default();
        effects.status = Some(status);
        effects.gas_used = Some(gas);
        effects.gas_object = Some(changed.clone());
        effects.changed_objects = vec![changed];
        effects.changed_objects.extend(self.created.iter().cloned());
        let mut executed = proto::ExecutedTransaction::default();
        executed.digest = Some(digest.to_string());
        executed.effects = Some(effects);
        executed
    }
}

pub(crate) fn coin_digest(coin: &ModelCoin) -> Digest {
    let mut bytes = *coin.id.as_bytes();
    bytes[31] = u8::try_from(coin.version).unwrap();
    Digest::new(bytes)
}

fn coin_object(coin: &ModelCoin) -> proto::Object {
    let mut object = proto::Object::default();
    object.object_id = Some(coin.id.to_string());
    object.version = Some(coin.version);
    object.digest = Some(coin_digest(coin).to_string());
    object.balance = Some(coin.balance);
    object
}

pub(crate) fn owned_by(owner: &Address) -> proto::Owner {
    let mut kind = proto::Owner::default();
    kind.kind = Some(OwnerKind::Address as i32);
    kind.address = Some(owner.to_string());
    kind
}

/// An object of the node, of version 9.
pub(crate) fn object(
    id: &ObjectId,
    owner: proto::Owner,
    object_type: &str,
    contents: Vec<u8>,
) -> proto::Object {
    let mut object = proto::Object::default();
    object.object_id = Some(id.to_string());
    object.version = Some(9);
    object.digest = Some(Digest::new(*id.as_bytes()).to_string());
    object.owner = Some(owner);
    object.object_type = Some(object_type.to_owned());
    let mut bcs = proto::Bcs::default();
    bcs.value = Some(contents.into());
    object.contents = Some(bcs);
    object
}

pub(crate) fn hash() -> CredentialHash {
    CredentialHash::from_bytes([4; 32])
}
