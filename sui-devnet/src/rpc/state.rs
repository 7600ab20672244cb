//! `StateService`: what belongs to whom.

use std::str::FromStr;
use std::sync::Arc;

use sui_rpc::field::FieldMaskTree;
use sui_rpc::proto::sui::rpc::v2::dynamic_field::DynamicFieldKind;
use sui_rpc::proto::sui::rpc::v2::state_service_server::StateService;
use sui_rpc::proto::sui::rpc::v2::{
    Balance, Bcs, DynamicField, GetBalanceRequest, GetBalanceResponse, GetCoinInfoRequest,
    GetCoinInfoResponse, ListBalancesRequest, ListBalancesResponse, ListDynamicFieldsRequest,
    ListDynamicFieldsResponse, ListOwnedObjectsRequest, ListOwnedObjectsResponse, Object,
};
use sui_sdk_types::{Address, Object as ChainObject, StructTag, TypeTag};
use tonic::{Request, Response, Status};

use super::render::{self, without_spaces};
use super::status::invalid;
use super::{Rpc, ids, masks, pages};
use crate::ledger::balance_of;

const OWNED_MASK: &str = "object_id,version,object_type";
const FIELD_MASK: &str = "parent,field_id";

#[tonic::async_trait]
impl StateService for Rpc {
    async fn list_owned_objects(
        &self,
        request: Request<ListOwnedObjectsRequest>,
    ) -> Result<Response<ListOwnedObjectsResponse>, Status> {
        self.before_read().await?;
        let request = request.into_inner();
        let owner = ids::address(request.owner.as_ref(), "owner", || "owner".to_owned())?;
        let filter = request.object_type.as_deref().map(filter).transpose()?;
        let mask = masks::checked::<Object>(request.read_mask, OWNED_MASK)?;
        let from = pages::key(owner, request.page_token.as_deref())?;

        let ledger = self.node.read();
        let visible = self.node.visible(&ledger);
        let mut sorted: Vec<(Vec<u8>, &Arc<ChainObject>)> = ledger
            .store()
            .owned_at(&owner, visible)
            // The fields of an object are not listed here.
            .filter(|object| matches!(object.owner(), sui_sdk_types::Owner::Address(_)))
            .filter(|object| filter.as_ref().is_none_or(|filter| matches(filter, object)))
            .map(|object| (owned_key(object), object))
            .collect();
        sorted.sort_by(|one, other| one.0.cmp(&other.0));
        let (page, next) = pages::cut(sorted, from.as_deref(), pages::size(request.page_size));
        let mut response = ListOwnedObjectsResponse::default();
        response.objects = page
            .into_iter()
            .map(|object| render::object(object, &mask))
            .collect();
        response.next_page_token = next.map(|key| pages::token(owner, &key).into());
        Ok(Response::new(response))
    }

    async fn list_dynamic_fields(
        &self,
        request: Request<ListDynamicFieldsRequest>,
    ) -> Result<Response<ListDynamicFieldsResponse>, Status> {
        self.before_read().await?;
        let request = request.into_inner();
        let parent = ids::address(request.parent.as_ref(), "parent", || "parent".to_owned())?;
        let mask = masks::checked::<DynamicField>(request.read_mask, FIELD_MASK)?;
        let from = pages::key(parent, request.page_token.as_deref())?;

        let ledger = self.node.read();
        let visible = self.node.visible(&ledger);
        let sorted: Vec<(Vec<u8>, &Arc<ChainObject>)> = ledger
            .store()
            .owned_at(&parent, visible)
            .filter(|object| matches!(object.owner(), sui_sdk_types::Owner::Object(_)))
            .map(|object| (object.object_id().into_inner().to_vec(), object))
            .collect();
        let (page, next) = pages::cut(sorted, from.as_deref(), pages::size(request.page_size));
        let mut response = ListDynamicFieldsResponse::default();
        response.dynamic_fields = page
            .into_iter()
            .map(|object| dynamic_field(parent, object, &mask))
            .collect();
        response.next_page_token = next.map(|key| pages::token(parent, &key).into());
        Ok(Response::new(response))
    }

    async fn get_balance(
        &self,
        request: Request<GetBalanceRequest>,
    ) -> Result<Response<GetBalanceResponse>, Status> {
        self.before_read().await?;
        let request = request.into_inner();
        let owner = ids::address(request.owner.as_ref(), "owner", || "owner".to_owned())?;
        let coin_type = request
            .coin_type
            .as_deref()
            .ok_or_else(|| super::status::missing("coin_type"))?;
        let coin_type: TypeTag = TypeTag::from_str(coin_type)
            .map_err(|error| invalid("coin_type", format!("invalid coin_type: {error}")))?;
        let sui = coin_type == TypeTag::from(StructTag::sui());
        let ledger = self.node.read();
        let visible = self.node.visible(&ledger);
        let total: u64 = ledger
            .store()
            .owned_at(&owner, visible)
            .filter(|_| sui)
            .filter_map(|object| balance_of(object))
            .fold(0, u64::saturating_add);
        let mut balance = Balance::default();
        balance.coin_type = Some(coin_type.to_string());
        balance.balance = Some(total);
        let mut response = GetBalanceResponse::default();
        response.balance = Some(balance);
        Ok(Response::new(response))
    }

    async fn get_coin_info(
        &self,
        _: Request<GetCoinInfoRequest>,
    ) -> Result<Response<GetCoinInfoResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn list_balances(
        &self,
        _: Request<ListBalancesRequest>,
    ) -> Result<Response<ListBalancesResponse>, Status> {
        Err(Status::unimplemented(""))
    }
}

fn filter(text: &str) -> Result<StructTag, Status> {
    StructTag::from_str(text).map_err(|_| {
        invalid(
            "object_type",
            format!(
                "invalid object_type: Invalid struct type: {text}. Got error: unexpected end of \
                 tokens"
            ),
        )
    })
}

/// A filter without parameters takes any.
fn matches(filter: &StructTag, object: &ChainObject) -> bool {
    object.as_struct().is_some_and(|data| {
        let tag = data.object_type();
        tag.address() == filter.address()
            && tag.module() == filter.module()
            && tag.name() == filter.name()
            && (filter.type_params().is_empty() || filter.type_params() == tag.type_params())
    })
}

/// Objects are listed by type, coins of a type by falling balance, then by id.
fn owned_key(object: &ChainObject) -> Vec<u8> {
    let mut key = object
        .as_struct()
        .map(|data| data.object_type().to_string())
        .unwrap_or_default()
        .into_bytes();
    key.push(0);
    if let Some(balance) = balance_of(object) {
        key.extend_from_slice(&(!balance).to_be_bytes());
    }
    key.extend_from_slice(&object.object_id().into_inner());
    key
}

fn dynamic_field(parent: Address, object: &ChainObject, mask: &FieldMaskTree) -> DynamicField {
    let mut message = DynamicField::default();
    if mask.contains(DynamicField::KIND_FIELD) {
        message.kind = Some(DynamicFieldKind::Field.into());
    }
    if mask.contains(DynamicField::PARENT_FIELD) {
        message.parent = Some(parent.to_string());
    }
    if mask.contains(DynamicField::FIELD_ID_FIELD) {
        message.field_id = Some(object.object_id().to_string());
    }
    if let Some(mask) = mask.subtree(DynamicField::FIELD_OBJECT_FIELD) {
        message.field_object = Some(render::object(object, &mask));
    }
    let Some((name_type, value_type, contents)) = parts(object) else {
        return message;
    };
    if mask.contains(DynamicField::VALUE_TYPE_FIELD) {
        message.value_type = Some(without_spaces(&value_type.to_string()));
    }
    if let Some((name, value)) = split(&name_type, contents) {
        if mask.contains(DynamicField::NAME_FIELD) {
            message.name = Some(typed(&name_type, name));
        }
        if mask.contains(DynamicField::VALUE_FIELD) {
            message.value = Some(typed(&value_type, value));
        }
    }
    message
}

/// The types of a field's key and value, and the bytes after the id.
fn parts(object: &ChainObject) -> Option<(TypeTag, TypeTag, &[u8])> {
    let data = object.as_struct()?;
    let [name, value] = data.object_type().type_params() else {
        return None;
    };
    Some((
        name.clone(),
        value.clone(),
        data.contents().get(Address::LENGTH..)?,
    ))
}

/// Where the key ends: an address has 32 bytes, the others begin with their length, which is one
/// byte as keys are shorter than 128.
fn split<'a>(name_type: &TypeTag, contents: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
    let length = match name_type {
        TypeTag::Address => Address::LENGTH,
        _ => 1 + usize::from(*contents.first().filter(|length| **length < 128)?),
    };
    contents.split_at_checked(length)
}

fn typed(type_: &TypeTag, bytes: &[u8]) -> Bcs {
    let mut bcs = Bcs::from(bytes.to_vec());
    bcs.name = Some(without_spaces(&type_.to_string()));
    bcs
}
