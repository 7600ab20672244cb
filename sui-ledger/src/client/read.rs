//! Reads: the node, objects, checkpoints, gas price, coins.

use seal::{Address, ObjectId, UnixMillis};
use sui_rpc::field::{FieldMask, FieldMaskUtil};
use sui_rpc::proto::sui::rpc::v2::{
    BatchGetObjectsRequest, GetCheckpointRequest, GetEpochRequest, GetObjectRequest,
    GetServiceInfoRequest, ListOwnedObjectsRequest, Object as ProtoObject,
};
use sui_sdk_types::StructTag;

use super::object::{PACKAGE_MASK, READ_MASK};
use super::{Answer, Coin, LedgerClient, MAX_BATCH, Object, ObjectRead, Package};
use crate::chain_id::ChainId;
use crate::error::{AnswerError, LedgerError};
use crate::frame::{Frame, FrameDecoder, read_mask, to_millis};
use crate::metrics::Method;

/// A page of owned objects; the node allows 1,000.
const PAGE_SIZE: u32 = 1_000;
/// Pages that are read at most. Anybody can send dust coins to an address; that must not make
/// us read for ever.
const MAX_PAGES: usize = 20;

/// What the node says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceInfo {
    /// The chain, whole.
    pub chain: ChainId,
    /// The newest checkpoint.
    pub checkpoint: u64,
    /// Its time.
    pub timestamp: UnixMillis,
    /// The oldest checkpoint that can still be asked for.
    pub lowest_checkpoint: u64,
    /// The node's software, as it calls itself.
    pub server: String,
}

/// An account's SUI coins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Coins {
    /// Richest first.
    pub coins: Vec<Coin>,
    /// There are more than were read.
    pub more: bool,
}

impl LedgerClient {
    /// Asks which chain the node follows, and how far it is.
    pub async fn service_info(&self) -> Result<Answer<ServiceInfo>, LedgerError> {
        self.call(
            Method::ServiceInfo,
            self.settings.read_deadline,
            GetServiceInfoRequest::default(),
            |mut sdk, request| async move { sdk.ledger_client().get_service_info(request).await },
            |info| {
                let field = |field| AnswerError::Field { field };
                Ok(ServiceInfo {
                    chain: info
                        .chain_id
                        .and_then(|text| text.parse().ok())
                        .ok_or(field("chain_id"))?,
                    checkpoint: info.checkpoint_height.ok_or(field("checkpoint_height"))?,
                    timestamp: info
                        .timestamp
                        .as_ref()
                        .and_then(to_millis)
                        .ok_or(field("timestamp"))?,
                    lowest_checkpoint: info.lowest_available_checkpoint.unwrap_or_default(),
                    server: info.server.unwrap_or_default(),
                })
            },
        )
        .await
    }

    /// Reads up to [`MAX_BATCH`] objects in one call, answered in the order asked.
    ///
    /// The node reads them one after the other, children before their parent being written, so
    /// with the pool first, the rest is at least as new as the pool returned.
    pub async fn read_objects(
        &self,
        ids: &[ObjectId],
    ) -> Result<Answer<Vec<ObjectRead>>, LedgerError> {
        if ids.len() > MAX_BATCH {
            return Err(LedgerError::BatchTooLarge {
                asked: ids.len(),
                limit: MAX_BATCH,
            });
        }
        let request = BatchGetObjectsRequest::default()
            .with_requests(ids.iter().map(get_object_request).collect())
            .with_read_mask(FieldMask::from_paths(READ_MASK));
        self.call(
            Method::BatchObjects,
            self.settings.read_deadline,
            request,
            |mut sdk, request| async move { sdk.ledger_client().batch_get_objects(request).await },
            |answer| {
                if answer.objects.len() != ids.len() {
                    return Err(AnswerError::Count {
                        want: ids.len(),
                        found: answer.objects.len(),
                    }
                    .into());
                }
                answer
                    .objects
                    .into_iter()
                    .zip(ids)
                    .map(|(result, id)| ObjectRead::read(result, id).map_err(LedgerError::from))
                    .collect()
            },
        )
        .await
    }

    /// Reads one object. One that is not there is [`LedgerError::NotFound`].
    pub async fn get_object(&self, id: &ObjectId) -> Result<Answer<Object>, LedgerError> {
        let mask = FieldMask::from_paths(READ_MASK);
        self.object(id, mask, |object| {
            let object = Object::read(object)?;
            if object.id == *id {
                Ok(object)
            } else {
                Err(AnswerError::Unasked)
            }
        })
        .await
    }

    /// Reads where a package comes from; none where the object is no package. One that is not
    /// there is [`LedgerError::NotFound`].
    pub async fn get_package(&self, id: &ObjectId) -> Result<Answer<Option<Package>>, LedgerError> {
        let mask = FieldMask::from_paths(PACKAGE_MASK);
        self.object(id, mask, |object| Package::read(object, id))
            .await
    }

    async fn object<T>(
        &self,
        id: &ObjectId,
        mask: FieldMask,
        read: impl FnOnce(ProtoObject) -> Result<T, AnswerError>,
    ) -> Result<Answer<T>, LedgerError> {
        let request = get_object_request(id).with_read_mask(mask);
        self.call(
            Method::Object,
            self.settings.read_deadline,
            request,
            |mut sdk, request| async move { sdk.ledger_client().get_object(request).await },
            |answer| Ok(read(answer.object.ok_or(AnswerError::Empty)?)?),
        )
        .await
    }

    /// Reads a checkpoint as the stream would have brought it. One that does not exist yet or
    /// no more is [`LedgerError::NotFound`].
    pub async fn get_checkpoint(
        &self,
        sequence: u64,
        decoder: &FrameDecoder,
    ) -> Result<Answer<Frame>, LedgerError> {
        let request =
            GetCheckpointRequest::by_sequence_number(sequence).with_read_mask(read_mask());
        self.call(
            Method::Checkpoint,
            self.settings.read_deadline,
            request,
            |mut sdk, request| async move { sdk.ledger_client().get_checkpoint(request).await },
            |answer| {
                let frame = decoder.frame(answer.checkpoint.as_ref().ok_or(AnswerError::Empty)?)?;
                if frame.sequence == sequence {
                    Ok(frame)
                } else {
                    Err(AnswerError::Unasked.into())
                }
            },
        )
        .await
    }

    /// The current epoch's reference gas price, in MIST for a unit of gas.
    pub async fn gas_price(&self) -> Result<Answer<u64>, LedgerError> {
        let request = GetEpochRequest::default()
            .with_read_mask(FieldMask::from_paths(["epoch", "reference_gas_price"]));
        self.call(
            Method::Epoch,
            self.settings.read_deadline,
            request,
            |mut sdk, request| async move { sdk.ledger_client().get_epoch(request).await },
            |answer| {
                answer
                    .epoch
                    .ok_or(AnswerError::Empty)?
                    .reference_gas_price
                    .filter(|price| *price > 0)
                    .ok_or(LedgerError::Answer(AnswerError::Field {
                        field: "epoch.reference_gas_price",
                    }))
            },
        )
        .await
    }

    /// An account's SUI coins, richest first.
    pub async fn coins(&self, owner: &Address) -> Result<Coins, LedgerError> {
        let mask = ["object_id", "version", "digest", "balance"];
        let (objects, more) = self
            .list_owned(owner, &StructTag::gas_coin(), &mask)
            .await?;
        let mut coins = objects
            .iter()
            .map(Coin::read)
            .collect::<Result<Vec<_>, _>>()?;
        coins.sort_by(|a, b| {
            (b.balance, a.reference.object_id()).cmp(&(a.balance, b.reference.object_id()))
        });
        Ok(Coins { coins, more })
    }

    /// An account's objects of one type.
    pub async fn owned_objects(
        &self,
        owner: &Address,
        object_type: &StructTag,
    ) -> Result<Vec<Object>, LedgerError> {
        let (objects, _more) = self.list_owned(owner, object_type, &READ_MASK).await?;
        objects
            .into_iter()
            .map(|object| Object::read(object).map_err(LedgerError::from))
            .collect()
    }

    async fn list_owned(
        &self,
        owner: &Address,
        object_type: &StructTag,
        mask: &[&str],
    ) -> Result<(Vec<sui_rpc::proto::sui::rpc::v2::Object>, bool), LedgerError> {
        let mut objects = Vec::new();
        let mut token = None;
        for _page in 0..MAX_PAGES {
            let mut request = ListOwnedObjectsRequest::default()
                .with_owner(owner.to_string())
                .with_object_type(object_type.to_string())
                .with_page_size(PAGE_SIZE)
                .with_read_mask(FieldMask::from_paths(mask));
            request.page_token = token;
            let page = self
                .call(
                    Method::OwnedObjects,
                    self.settings.read_deadline,
                    request,
                    |mut sdk, request| async move {
                        sdk.state_client().list_owned_objects(request).await
                    },
                    Ok,
                )
                .await?
                .value;
            objects.extend(page.objects);
            token = page.next_page_token.filter(|token| !token.is_empty());
            if token.is_none() {
                return Ok((objects, false));
            }
        }
        Ok((objects, true))
    }
}

fn get_object_request(id: &ObjectId) -> GetObjectRequest {
    GetObjectRequest::default().with_object_id(id.to_string())
}
