//! `LedgerService`: objects, transactions, checkpoints, the epoch.

use sui_rpc::field::FieldMaskTree;
use sui_rpc::merge::Merge;
use sui_rpc::proto::sui::rpc::v2::get_checkpoint_request::CheckpointId;
use sui_rpc::proto::sui::rpc::v2::ledger_service_server::LedgerService;
use sui_rpc::proto::sui::rpc::v2::{
    BatchGetObjectsRequest, BatchGetObjectsResponse, BatchGetTransactionsRequest,
    BatchGetTransactionsResponse, Checkpoint, Epoch, ExecutedTransaction, GetCheckpointRequest,
    GetCheckpointResponse, GetEpochRequest, GetEpochResponse, GetObjectRequest, GetObjectResponse,
    GetObjectResult, GetServiceInfoRequest, GetServiceInfoResponse, GetTransactionRequest,
    GetTransactionResponse, GetTransactionResult, ListCheckpointsRequest, ListCheckpointsResponse,
    ListEventsRequest, ListEventsResponse, ListTransactionsRequest, ListTransactionsResponse,
    Object, ProtocolConfig,
};
use sui_rpc::proto::timestamp_ms_to_proto;
use sui_sdk_types::{Address, Digest};
use tonic::codegen::BoxStream;
use tonic::{Code, Request, Response, Status};

use super::render::{self, Place};
use super::status::{entry, not_found};
use super::{CHAIN, Rpc, SERVER, ids, masks};
use crate::ledger::{Ledger, PROTOCOL_VERSION, REFERENCE_GAS_PRICE};

const OBJECT_MASK: &str = "object_id,version,digest";
const TRANSACTION_MASK: &str = "digest";
const CHECKPOINT_MASK: &str = "sequence_number,digest";
const EPOCH_MASK: &str = "epoch,first_checkpoint,last_checkpoint,start,end,reference_gas_price,\
                          protocol_config.protocol_version";

fn get_object(
    ledger: &Ledger,
    visible: u64,
    (id, version): (Address, Option<u64>),
    mask: &FieldMaskTree,
) -> Result<Object, String> {
    let found = match version {
        None => ledger.store().at(&id, visible),
        Some(version) => ledger.store().version_at(&id, version, visible),
    };
    match (found, version) {
        (Some(object), _) => Ok(render::object(object, mask)),
        (None, None) => Err(format!("Object {id} not found")),
        (None, Some(version)) => Err(format!("Object {id} with version {version} not found")),
    }
}

fn get_transaction(
    ledger: &Ledger,
    visible: u64,
    digest: &Digest,
    mask: &FieldMaskTree,
) -> Result<ExecutedTransaction, String> {
    let executed = ledger
        .transaction(digest, visible)
        .ok_or_else(|| format!("Transaction {digest} not found"))?;
    let timestamp_ms = ledger
        .checkpoint(executed.checkpoint)
        .map(|checkpoint| checkpoint.summary.timestamp_ms);
    Ok(render::executed(executed, timestamp_ms, mask, Place::Read))
}

#[tonic::async_trait]
impl LedgerService for Rpc {
    async fn get_service_info(
        &self,
        _: Request<GetServiceInfoRequest>,
    ) -> Result<Response<GetServiceInfoResponse>, Status> {
        self.before_read().await?;
        let ledger = self.node.read();
        let visible = self.node.visible(&ledger);
        let mut info = GetServiceInfoResponse::default();
        info.chain_id = Some(ledger.ids().chain.clone());
        info.chain = Some(CHAIN.to_owned());
        info.epoch = Some(0);
        info.checkpoint_height = Some(visible);
        info.timestamp = ledger
            .checkpoint(visible)
            .map(|checkpoint| timestamp_ms_to_proto(checkpoint.summary.timestamp_ms));
        info.lowest_available_checkpoint = Some(ledger.lowest());
        info.lowest_available_checkpoint_objects = Some(ledger.lowest());
        info.server = Some(SERVER.to_owned());
        Ok(Response::new(info))
    }

    async fn get_object(
        &self,
        request: Request<GetObjectRequest>,
    ) -> Result<Response<GetObjectResponse>, Status> {
        self.before_read().await?;
        let request = request.into_inner();
        // The node answers through its batch method, and its error says so.
        let path = || "requests[0].object_id".to_owned();
        let id = ids::address(request.object_id.as_ref(), "object_id", path)?;
        let mask = masks::checked::<Object>(request.read_mask, OBJECT_MASK)?;
        let ledger = self.node.read();
        let visible = self.node.visible(&ledger);
        let object =
            get_object(&ledger, visible, (id, request.version), &mask).map_err(not_found)?;
        Ok(Response::new(GetObjectResponse::new(object)))
    }

    async fn batch_get_objects(
        &self,
        request: Request<BatchGetObjectsRequest>,
    ) -> Result<Response<BatchGetObjectsResponse>, Status> {
        self.before_read().await?;
        let request = request.into_inner();
        let wanted = request
            .requests
            .iter()
            .enumerate()
            .map(|(place, one)| {
                let path = || format!("requests[{place}].object_id");
                let id = ids::address(one.object_id.as_ref(), "object_id", path)?;
                Ok((id, one.version))
            })
            .collect::<Result<Vec<_>, Status>>()?;
        let mask = masks::checked::<Object>(request.read_mask, OBJECT_MASK)?;
        let ledger = self.node.read();
        let visible = self.node.visible(&ledger);
        let objects = wanted
            .into_iter()
            .map(|one| match get_object(&ledger, visible, one, &mask) {
                Ok(object) => GetObjectResult::new_object(object),
                Err(text) => GetObjectResult::new_error(entry(Code::NotFound, text)),
            })
            .collect();
        Ok(Response::new(BatchGetObjectsResponse::new(objects)))
    }

    async fn get_transaction(
        &self,
        request: Request<GetTransactionRequest>,
    ) -> Result<Response<GetTransactionResponse>, Status> {
        self.before_read().await?;
        let request = request.into_inner();
        let digest = ids::digest(request.digest.as_ref(), || "digest".to_owned())?;
        let mask = masks::checked::<ExecutedTransaction>(request.read_mask, TRANSACTION_MASK)?;
        let ledger = self.node.read();
        let visible = self.node.visible(&ledger);
        let transaction = get_transaction(&ledger, visible, &digest, &mask).map_err(not_found)?;
        Ok(Response::new(GetTransactionResponse::new(transaction)))
    }

    async fn batch_get_transactions(
        &self,
        request: Request<BatchGetTransactionsRequest>,
    ) -> Result<Response<BatchGetTransactionsResponse>, Status> {
        self.before_read().await?;
        let request = request.into_inner();
        let digests = request
            .digests
            .iter()
            .enumerate()
            .map(|(place, text)| ids::digest(Some(text), || format!("digests[{place}]")))
            .collect::<Result<Vec<_>, Status>>()?;
        let mask = masks::checked::<ExecutedTransaction>(request.read_mask, TRANSACTION_MASK)?;
        let ledger = self.node.read();
        let visible = self.node.visible(&ledger);
        let transactions = digests
            .iter()
            .map(
                |digest| match get_transaction(&ledger, visible, digest, &mask) {
                    Ok(found) => GetTransactionResult::new_transaction(found),
                    Err(text) => GetTransactionResult::new_error(entry(Code::NotFound, text)),
                },
            )
            .collect();
        Ok(Response::new(BatchGetTransactionsResponse::new(
            transactions,
        )))
    }

    async fn get_checkpoint(
        &self,
        request: Request<GetCheckpointRequest>,
    ) -> Result<Response<GetCheckpointResponse>, Status> {
        self.before_read().await?;
        let request = request.into_inner();
        let mask = masks::checked::<Checkpoint>(request.read_mask, CHECKPOINT_MASK)?;
        let wanted = match request.checkpoint_id {
            Some(CheckpointId::Digest(text)) => {
                let digest = ids::digest(Some(&text), || "digest".to_owned())?;
                Some((Err(digest), text))
            }
            Some(CheckpointId::SequenceNumber(number)) => Some((Ok(number), number.to_string())),
            Some(_) | None => None,
        };
        let ledger = self.node.read();
        let visible = self.node.visible(&ledger);
        let (found, name) = match wanted {
            None => (ledger.checkpoint(visible), visible.to_string()),
            Some((Ok(number), name)) => (ledger.checkpoint(number), name),
            Some((Err(digest), name)) => (ledger.checkpoint_by_digest(&digest), name),
        };
        let found = found
            // One whose transactions are not known any more must not look like an empty one.
            .filter(|checkpoint| {
                (ledger.lowest()..=visible).contains(&checkpoint.summary.sequence_number)
            })
            .ok_or_else(|| not_found(format!("Checkpoint {name} not found")))?;
        let message = render::checkpoint(found, &mask);
        Ok(Response::new(GetCheckpointResponse::new(message)))
    }

    async fn get_epoch(
        &self,
        request: Request<GetEpochRequest>,
    ) -> Result<Response<GetEpochResponse>, Status> {
        self.before_read().await?;
        let request = request.into_inner();
        let mask = masks::checked::<Epoch>(request.read_mask, EPOCH_MASK)?;
        if let Some(epoch) = request.epoch.filter(|epoch| *epoch != 0) {
            return Err(not_found(format!("Epoch {epoch} not found")));
        }
        let start = self.node.read().genesis_config().timestamp_ms;
        let mut protocol = ProtocolConfig::default();
        protocol.protocol_version = Some(PROTOCOL_VERSION);
        let mut epoch = Epoch::default();
        epoch.epoch = Some(0);
        epoch.first_checkpoint = Some(0);
        epoch.start = Some(timestamp_ms_to_proto(start));
        epoch.reference_gas_price = Some(REFERENCE_GAS_PRICE);
        epoch.protocol_config = Some(protocol);
        let epoch = Epoch::merge_from(&epoch, &mask);
        Ok(Response::new(GetEpochResponse::new(epoch)))
    }

    async fn list_checkpoints(
        &self,
        _: Request<ListCheckpointsRequest>,
    ) -> Result<Response<BoxStream<ListCheckpointsResponse>>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn list_transactions(
        &self,
        _: Request<ListTransactionsRequest>,
    ) -> Result<Response<BoxStream<ListTransactionsResponse>>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn list_events(
        &self,
        _: Request<ListEventsRequest>,
    ) -> Result<Response<BoxStream<ListEventsResponse>>, Status> {
        Err(Status::unimplemented(""))
    }
}
