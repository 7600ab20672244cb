//! From the chain's types to the messages of `sui.rpc.v2`, as far as the mask wants them.

use std::collections::HashMap;
use std::sync::Arc;

use sui_rpc::field::FieldMaskTree;
use sui_rpc::merge::Merge;
use sui_rpc::proto::sui::rpc::v2 as proto;
use sui_rpc::proto::timestamp_ms_to_proto;
use sui_sdk_types::{Address, Object, ObjectType};

use super::json;
use crate::ledger::{Checkpoint, Executed, balance_of};

/// Where an executed transaction is shown: not all methods fill all fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// ExecuteTransaction and SimulateTransaction: with objects, never with a checkpoint.
    Execution,
    /// GetTransaction.
    Read,
    /// A frame of a stream, or GetCheckpoint: no JSON, no types of changed objects.
    Frame,
}

/// An object.
pub(super) fn object(object: &Object, mask: &FieldMaskTree) -> proto::Object {
    let mut message = proto::Object::merge_from(object.clone(), mask);
    // Reads have type names without the space that the SDK writes after a comma.
    if let Some(name) = &mut message.object_type {
        *name = without_spaces(name);
    }
    if let Some(name) = message
        .contents
        .as_mut()
        .and_then(|contents| contents.name.as_mut())
    {
        *name = without_spaces(name);
    }
    if mask.contains(proto::Object::BALANCE_FIELD) {
        message.balance = balance_of(object);
    }
    if mask.contains(proto::Object::JSON_FIELD)
        && let Some(data) = object.as_struct()
    {
        message.json =
            json::render(&data.object_type().clone().into(), data.contents()).map(Box::new);
    }
    message
}

pub(super) fn without_spaces(type_name: &str) -> String {
    type_name.replace(", ", ",")
}

/// An executed transaction.
pub(super) fn executed(
    executed: &Executed,
    timestamp_ms: Option<u64>,
    mask: &FieldMaskTree,
    place: Place,
) -> proto::ExecutedTransaction {
    use proto::ExecutedTransaction as Message;
    let mut message = Message::default();
    if mask.contains(Message::DIGEST_FIELD) {
        message.digest = Some(executed.digest.to_string());
    }
    if let Some(mask) = mask.subtree(Message::TRANSACTION_FIELD) {
        let transaction = executed.signed.transaction.clone();
        let mut shown = proto::Transaction::merge_from(transaction, &mask);
        forget_newer(&mut shown);
        message.transaction = Some(shown);
    }
    if let Some(mask) = mask.subtree(Message::SIGNATURES_FIELD) {
        message.signatures = executed
            .signed
            .signatures
            .iter()
            .map(|signature| proto::UserSignature::merge_from(signature.clone(), &mask))
            .collect();
    }
    if let Some(mask) = mask.subtree(Message::EFFECTS_FIELD) {
        let mut effects = proto::TransactionEffects::merge_from(&executed.effects, &mask);
        if place != Place::Frame {
            name_types(&mut effects, executed, place);
        }
        message.effects = Some(effects);
    }
    if let (Some(mask), Some(events)) = (mask.subtree(Message::EVENTS_FIELD), &executed.events) {
        message.events = Some(events_of(events, &mask, place));
    }
    if place != Place::Execution {
        if mask.contains(Message::CHECKPOINT_FIELD) {
            message.checkpoint = Some(executed.checkpoint);
        }
        if mask.contains(Message::TIMESTAMP_FIELD) {
            message.timestamp = timestamp_ms.map(timestamp_ms_to_proto);
        }
    }
    if let Some(mask) = mask.subtree(Message::BALANCE_CHANGES_FIELD) {
        message.balance_changes = executed
            .balance_changes
            .iter()
            .map(|change| proto::BalanceChange::merge_from(change, &mask))
            .collect();
    }
    if place == Place::Execution
        && let Some(mask) = mask.subtree(Message::OBJECTS_FIELD)
    {
        message.objects = Some(object_set([executed], &mask));
    }
    message
}

/// Leaves out what the SDK writes and the recorded node does not have.
fn forget_newer(transaction: &mut proto::Transaction) {
    let data = transaction
        .kind
        .as_mut()
        .and_then(|kind| kind.data.as_mut());
    if let Some(proto::transaction_kind::Data::ProgrammableTransaction(program)) = data {
        for input in &mut program.inputs {
            input.mutability = None;
        }
    }
}

fn events_of(
    events: &sui_sdk_types::TransactionEvents,
    mask: &FieldMaskTree,
    place: Place,
) -> proto::TransactionEvents {
    let mut message = proto::TransactionEvents::merge_from(events.clone(), mask);
    let wants_json = place != Place::Frame
        && mask
            .subtree(proto::TransactionEvents::EVENTS_FIELD)
            .is_some_and(|mask| mask.contains(proto::Event::JSON_FIELD));
    if wants_json {
        for (shown, event) in message.events.iter_mut().zip(&events.0) {
            shown.json = json::render(&event.type_.clone().into(), &event.contents).map(Box::new);
        }
    }
    message
}

/// Objects before and after, each version once, in order.
fn object_set<'a>(
    executed: impl IntoIterator<Item = &'a Executed>,
    mask: &FieldMaskTree,
) -> proto::ObjectSet {
    let mut objects: Vec<&Arc<Object>> = executed
        .into_iter()
        .flat_map(|executed| executed.inputs.iter().chain(&executed.outputs))
        .collect();
    let key = |object: &Arc<Object>| (object.object_id(), object.version());
    objects.sort_by_key(|object| key(object));
    objects.dedup_by_key(|object| key(object));
    let mut set = proto::ObjectSet::default();
    if let Some(mask) = mask.subtree(proto::ObjectSet::OBJECTS_FIELD) {
        set.objects = objects
            .into_iter()
            .map(|object| proto::Object::merge_from(Object::clone(object), &mask))
            .collect();
    }
    set
}

/// The types of changed objects, which effects themselves do not hold.
fn name_types(effects: &mut proto::TransactionEffects, executed: &Executed, place: Place) {
    let types: HashMap<Address, String> = executed
        .inputs
        .iter()
        .chain(&executed.outputs)
        .map(|object| {
            let name = match object.object_type() {
                ObjectType::Struct(tag) => tag.to_string(),
                ObjectType::Package => "package".to_owned(),
            };
            let name = match place {
                Place::Execution => name,
                Place::Read | Place::Frame => without_spaces(&name),
            };
            (object.object_id(), name)
        })
        .collect();
    for changed in &mut effects.changed_objects {
        changed.object_type = changed
            .object_id
            .as_ref()
            .and_then(|id| id.parse().ok())
            .and_then(|id: Address| types.get(&id).cloned());
    }
}

/// A checkpoint.
pub(super) fn checkpoint(checkpoint: &Checkpoint, mask: &FieldMaskTree) -> proto::Checkpoint {
    use proto::Checkpoint as Message;
    let mut message = Message::default();
    message.merge(&checkpoint.summary, mask);
    message.merge(checkpoint.contents.clone(), mask);
    if let Some(mask) = mask.subtree(Message::TRANSACTIONS_FIELD) {
        let timestamp_ms = Some(checkpoint.summary.timestamp_ms);
        message.transactions = checkpoint
            .transactions
            .iter()
            .map(|shown| executed(shown, timestamp_ms, &mask, Place::Frame))
            .collect();
    }
    if let Some(mask) = mask.subtree(Message::OBJECTS_FIELD) {
        let transactions = checkpoint.transactions.iter().map(AsRef::as_ref);
        message.objects = Some(object_set(transactions, &mask));
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use prost::Message;
    use sui_rpc::proto::sui::rpc::v2::{GetObjectResponse, GetTransactionResponse};
    use sui_sdk_types::{Digest, SignedTransaction, UserSignature};

    fn recorded<M: Message + Default>(name: &str) -> M {
        let path = format!("{}/testdata/{name}.json", env!("CARGO_MANIFEST_DIR"));
        let file: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let bytes = STANDARD
            .decode(file["response"]["base64"].as_str().unwrap())
            .unwrap();
        M::decode(bytes.as_slice()).unwrap()
    }

    #[test]
    fn an_object_is_shown_as_the_recorded_node_shows_it() {
        for name in [
            "get_object_registry",
            "get_object_field_1",
            "get_object_field_2",
            "get_object_field_3",
            "get_object_ticket",
            "get_object_short_id",
        ] {
            let mut wanted = recorded::<GetObjectResponse>(name).object.unwrap();
            let chain: Object = wanted.bcs().deserialize().unwrap();
            let mask = FieldMaskTree::new_wildcard();
            let mut shown = object(&chain, &mask);
            if name == "get_object_short_id" {
                assert_eq!(shown.json, wanted.json, "the Clock's JSON");
            }
            // The test package's types are not known here; the others are compared above.
            shown.json = None;
            wanted.json = None;
            assert_eq!(shown, wanted, "{name}");
        }
    }

    #[test]
    fn a_transaction_is_shown_as_the_recorded_node_shows_it() {
        for name in ["get_transaction_add_1", "get_transaction_abort_add_twice"] {
            let mut wanted = recorded::<GetTransactionResponse>(name)
                .transaction
                .unwrap();
            let effects: sui_sdk_types::TransactionEffects =
                wanted.effects().bcs().deserialize().unwrap();
            let events = wanted
                .events
                .as_ref()
                .map(|events| events.bcs().deserialize().unwrap());
            let signatures = wanted
                .signatures()
                .iter()
                .map(|signature| UserSignature::try_from(signature).unwrap())
                .collect();
            let digest: Digest = wanted.digest().parse().unwrap();
            let chain = Executed {
                signed: SignedTransaction {
                    transaction: wanted.transaction().bcs().deserialize().unwrap(),
                    signatures,
                },
                digest,
                effects,
                events,
                inputs: Vec::new(),
                outputs: Vec::new(),
                deleted: Vec::new(),
                version: 0,
                balance_changes: wanted
                    .balance_changes()
                    .iter()
                    .map(|change| change.try_into().unwrap())
                    .collect(),
                checkpoint: wanted.checkpoint(),
            };
            assert_eq!(chain.signed.transaction.digest(), digest, "{name}");
            let timestamp =
                sui_rpc::proto::proto_to_timestamp_ms(wanted.timestamp.unwrap()).unwrap();
            let mask = FieldMaskTree::new_wildcard();
            let shown = executed(&chain, Some(timestamp), &mask, Place::Read);
            // What needs the objects and their types, which a recording does not hold.
            for changed in &mut wanted.effects.as_mut().unwrap().changed_objects {
                changed.object_type = None;
            }
            if let Some(events) = &mut wanted.events {
                for event in &mut events.events {
                    event.json = None;
                }
            }
            assert_eq!(shown, wanted, "{name}");
        }
    }
}
