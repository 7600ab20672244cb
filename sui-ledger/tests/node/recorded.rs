//! Every recorded answer goes through our client, byte for byte as it was sent.

use std::time::Duration;

use futures::StreamExt;
use prost::Message;
use serde_json::Value;
use sui_ledger::client::{FailureKind, ObjectRead, Owner};
use sui_ledger::error::{AnswerError, LedgerError};
use sui_ledger::frame::{FrameDecoder, FrameError};
use sui_ledger::ids::to_sui;
use sui_ledger::keystore::WalletKey;
use sui_rpc::proto::sui::rpc::v2 as proto;
use sui_sdk_types::{Address, Digest, Transaction, TypeTag, UserSignature};
use tonic::{Code, Status};

use crate::recording::{self, RecordedError, Recording, bytes, load};
use crate::replay::{Node, Reply, settings};

const SENDER_SECRET: [u8; 32] = [1; 32];

fn reply(recording: &Recording) -> Reply {
    let reply = match recording.error() {
        Some(error) => Reply::error(error),
        None => Reply::bytes(recording.response().unwrap()),
    };
    reply.with_headers(recording.headers())
}

fn decoder() -> FrameDecoder {
    let id = |byte| seal::ObjectId::from_bytes([byte; 32]);
    FrameDecoder::new(&id(1), id(2))
}

fn object_id(value: &Value) -> seal::ObjectId {
    value.as_str().unwrap().parse().unwrap()
}

fn number(value: &Value) -> u64 {
    value.as_str().unwrap().parse().unwrap()
}

/// The label that the client must give to an error of this code.
fn label(code: i32) -> &'static str {
    LedgerError::from_status(Status::new(Code::from(code), ""), Duration::ZERO).label()
}

/// A signed transaction out of a recorded request.
fn signed(recording: &Recording) -> (Transaction, UserSignature) {
    let request = proto::ExecuteTransactionRequest::decode(recording.request()).unwrap();
    let transaction = request
        .transaction
        .unwrap()
        .bcs
        .unwrap()
        .deserialize()
        .unwrap();
    let signature = UserSignature::from_bytes(
        request.signatures[0]
            .bcs
            .as_ref()
            .unwrap()
            .value
            .as_ref()
            .unwrap(),
    )
    .unwrap();
    (transaction, signature)
}

fn any_signed() -> (Transaction, UserSignature) {
    signed(&load("execute_first_time"))
}

#[tokio::test]
async fn every_recorded_object_decodes_or_says_which_field_its_mask_left_out() {
    let mut count = 0;
    for recording in recording::all() {
        if recording.method() != "GetObject" || recording.response().is_none() {
            continue;
        }
        count += 1;
        let json = &recording.response_json()["object"];
        let id = object_id(&json["objectId"]);
        let node = Node::always(reply(&recording)).await;
        let client = node.client_with(sui_ledger::client::ClientSettings {
            // `released-v2` has a network of its own.
            chain: None,
            ..settings()
        });
        let result = client.get_object(&id).await;
        let name = &recording.name;
        let short_mask = ["get_object_registry_no_mask", "get_object_id_without_0x"];
        if short_mask.contains(&name.as_str()) {
            // Nothing was asked for but id, version and digest: not enough for us.
            assert!(
                matches!(
                    result,
                    Err(LedgerError::Answer(AnswerError::Field { field: "owner" }))
                ),
                "{name}: {result:?}"
            );
            continue;
        }
        let answer = result.unwrap_or_else(|error| panic!("{name}: {error:?}"));
        let object = answer.value;
        assert_eq!(object.version, number(&json["version"]), "{name}");
        assert_eq!(object.digest.to_string(), json["digest"], "{name}");
        assert_eq!(object.object_type, json["objectType"], "{name}");
        let contents = &json["contents"]["value"];
        if contents.is_string() {
            assert_eq!(object.contents, bytes(contents), "{name}");
        }
        let kind = match object.owner {
            Owner::Address(_) => "ADDRESS",
            Owner::Object(_) => "OBJECT",
            Owner::Shared { initial_version } => {
                assert_eq!(initial_version, number(&json["owner"]["version"]), "{name}");
                "SHARED"
            }
            Owner::Immutable => "IMMUTABLE",
            Owner::Unknown => "?",
        };
        assert_eq!(kind, json["owner"]["kind"], "{name}");
        assert_eq!(
            answer.head.checkpoint.to_string(),
            recording.value["response"]["headers"]["x-sui-checkpoint-height"],
            "{name}"
        );
    }
    assert_eq!(count, 18);
}

#[tokio::test]
async fn a_recorded_package_names_its_publication_and_other_objects_are_none() {
    let recording = load("get_object_package");
    let json = &recording.response_json()["object"];
    let node = Node::always(reply(&recording)).await;
    let client = node.client_with(settings());
    let answer = client.get_package(&object_id(&json["objectId"])).await;
    let found = answer.unwrap().value.unwrap();
    let published = found.published.unwrap();
    assert_eq!(published.to_string(), json["previousTransaction"]);
    // The probe that was recorded has no pool.
    assert_eq!(found.pool_from, None);

    let other = load("get_object_registry_mask_star");
    let id = object_id(&other.response_json()["object"]["objectId"]);
    let node = Node::always(reply(&other)).await;
    let package = node.client_with(settings()).get_package(&id).await;
    assert_eq!(package.unwrap().value, None);
}

#[tokio::test]
async fn every_recorded_error_has_the_class_of_its_code() {
    let mut count = 0;
    for recording in recording::all() {
        let Some(error) = recording.error() else {
            continue;
        };
        count += 1;
        let want = label(error.code);
        let node = Node::always(reply(&recording)).await;
        let client = node.client_with(sui_ledger::client::ClientSettings {
            chain: None,
            ..settings()
        });
        let id = seal::ObjectId::from_bytes([9; 32]);
        let (transaction, signature) = any_signed();
        let owner = seal::Address::from_bytes([9; 32]);
        let found = match recording.method() {
            "ExecuteTransaction" => client.execute(&transaction, &signature).await.unwrap_err(),
            "BatchGetObjects" => client.read_objects(&[id]).await.unwrap_err(),
            "GetCheckpoint" => client.get_checkpoint(1, &decoder()).await.unwrap_err(),
            "GetTransaction" => client.get_transaction(&Digest::ZERO).await.unwrap_err(),
            "ListOwnedObjects" => client.coins(&owner).await.unwrap_err(),
            "SubscribeEvents" => {
                // A stream that can't be opened fails at the opening or with its first item.
                match client.subscribe(decoder()).await {
                    Err(error) => error,
                    Ok(mut stream) => stream.next().await.unwrap().unwrap_err(),
                }
            }
            _ => client.get_object(&id).await.unwrap_err(),
        };
        assert_eq!(found.label(), want, "{}: {found:?}", recording.name);
        // The node's text survives for people.
        let source = std::error::Error::source(&found).map(ToString::to_string);
        assert!(source.is_some() || want == "deadline", "{}", recording.name);
    }
    assert_eq!(count, 38);
}

#[test]
fn the_two_texts_of_one_input_error_have_one_class() {
    let texts: Vec<(String, &str)> = recording::all()
        .iter()
        .filter(|recording| recording.method() == "ExecuteTransaction")
        .filter_map(Recording::error)
        .filter(|error| error.code == Code::InvalidArgument as i32)
        .map(|error| {
            let class = label(error.code);
            (error.message, class)
        })
        .collect();
    let form = |start: &str| {
        texts
            .iter()
            .filter(|(text, _)| text.contains(start))
            .count()
    };
    assert!(form("[MFP experimental]") > 0, "both forms are recorded");
    assert!(form("Transaction execution failed due to issues") > 0);
    assert!(texts.iter().all(|(_, class)| *class == "invalid"));
}

#[tokio::test]
async fn a_batch_comes_in_the_order_asked_with_absent_ones_in_their_places() {
    let recording = load("batch_get_objects_one_missing");
    let asked: Vec<seal::ObjectId> = recording.request_json()["requests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|request| object_id(&request["objectId"]))
        .collect();
    let node = Node::always(reply(&recording)).await;
    let objects = node.client().read_objects(&asked).await.unwrap().value;
    let found: Vec<bool> = objects.iter().map(|read| read.found().is_some()).collect();
    // The registry, an id that never was, a field, a removed field: the second and the last
    // look the same.
    assert_eq!(found, [true, false, true, false]);
    assert_eq!(objects[1], ObjectRead::Absent);
    assert_eq!(objects[3], ObjectRead::Absent);

    let mut swapped = asked.clone();
    swapped.swap(0, 2);
    let error = node.client().read_objects(&swapped).await.unwrap_err();
    assert!(matches!(error, LedgerError::Answer(AnswerError::Unasked)));
    let error = node.client().read_objects(&asked[..3]).await.unwrap_err();
    assert!(matches!(
        error,
        LedgerError::Answer(AnswerError::Count { want: 3, found: 4 })
    ));

    let node = Node::always(reply(&load("batch_get_objects_empty"))).await;
    assert_eq!(node.client().read_objects(&[]).await.unwrap().value, []);
}

#[tokio::test]
async fn every_recorded_transaction_decodes() {
    let mut count = 0;
    for recording in recording::all() {
        if recording.method() != "GetTransaction" || recording.response().is_none() {
            continue;
        }
        count += 1;
        let name = &recording.name;
        let json = &recording.response_json()["transaction"];
        let digest = Digest::from_base58(json["digest"].as_str().unwrap()).unwrap();
        let node = Node::always(reply(&recording)).await;
        let result = node.client().get_transaction(&digest).await;
        if name == "get_transaction_no_mask" {
            assert!(
                matches!(
                    result,
                    Err(LedgerError::Answer(AnswerError::Field { field: "effects" }))
                ),
                "{name}: {result:?}"
            );
            continue;
        }
        let executed = result
            .unwrap_or_else(|error| panic!("{name}: {error:?}"))
            .value;
        assert_eq!(
            executed.checkpoint,
            Some(number(&json["checkpoint"])),
            "{name}"
        );
        assert!(executed.timestamp.is_some(), "{name}");
        assert_eq!(
            executed.failure.is_none(),
            json["effects"]["status"]["success"].as_bool().unwrap(),
            "{name}"
        );
        let events = json["events"]["events"].as_array().map_or(0, Vec::len);
        assert_eq!(executed.events.len(), events, "{name}");
        let changed = json["effects"]["changedObjects"].as_array().unwrap().len();
        assert_eq!(executed.changed.len(), changed, "{name}");
    }
    assert_eq!(count, 10);
}

#[tokio::test]
async fn every_recorded_execution_decodes_or_is_known_as_empty() {
    let mut count = 0;
    for recording in recording::all() {
        if recording.method() != "ExecuteTransaction" || recording.response().is_none() {
            continue;
        }
        count += 1;
        let name = recording.name.as_str();
        let (transaction, signature) = signed(&recording);
        let node = Node::always(reply(&recording)).await;
        let client = node.client_with(sui_ledger::client::ClientSettings {
            chain: None,
            ..settings()
        });
        let result = client.execute(&transaction, &signature).await;
        if recording.response().unwrap().is_empty() {
            // A mask the node does not know: executed all the same, and nothing said of it.
            assert!(name.starts_with("execute_mask_"), "{name}");
            assert!(
                matches!(result, Err(LedgerError::Answer(AnswerError::Empty))),
                "{name}: {result:?}"
            );
            continue;
        }
        if name == "released-v2/execute_mask_transaction" {
            assert!(
                matches!(result, Err(LedgerError::Answer(_))),
                "{name}: that mask leaves the effects out in the released protocol: {result:?}"
            );
            continue;
        }
        let executed = result
            .unwrap_or_else(|error| panic!("{name}: {error:?}"))
            .value;
        assert_eq!(executed.digest, transaction.digest(), "{name}");
        assert_eq!(
            executed.checkpoint, None,
            "{name}: execution never knows its checkpoint"
        );
        if !name.starts_with("released-v2/") {
            assert!(executed.gas_object.is_some(), "{name}");
        }
        let kind = executed.failure.as_ref().map(|failure| failure.kind);
        let want = match name {
            "execute_abort_only" | "execute_abort_add_twice" | "execute_abort_remove_missing" => {
                Some(FailureKind::MoveAbort)
            }
            "execute_budget_short" => Some(FailureKind::InsufficientGas),
            "execute_unknown_function" => Some(FailureKind::FunctionNotFound),
            _ => None,
        };
        assert_eq!(kind, want, "{name}");
    }
    assert_eq!(count, 26);
}

#[tokio::test]
async fn an_abort_is_a_success_of_the_call_and_names_code_and_place() {
    for (name, code, module, function) in [
        ("execute_abort_only", 7, "probe", "only"),
        ("execute_abort_add_twice", 0, "dynamic_field", "add"),
    ] {
        let recording = load(name);
        let (transaction, signature) = signed(&recording);
        let node = Node::always(reply(&recording)).await;
        let executed = node
            .client()
            .execute(&transaction, &signature)
            .await
            .unwrap()
            .value;
        let abort = executed.failure.unwrap().abort.unwrap();
        assert_eq!(abort.code, code, "{name}");
        assert_eq!(abort.module, module, "{name}");
        assert_eq!(abort.function.as_deref(), Some(function), "{name}");
        // Gas is paid all the same, so the coin has a new version.
        assert!(executed.gas_used.computation > 0, "{name}");
    }
}

#[test]
fn our_signature_and_digest_are_the_recorded_ones() {
    let key = WalletKey::from_secret(&SENDER_SECRET);
    let mut count = 0;
    for recording in recording::all() {
        if recording.method() != "ExecuteTransaction" || recording.response().is_none() {
            continue;
        }
        let (transaction, signature) = signed(&recording);
        if transaction.sender != to_sui(key.address().as_bytes()) {
            continue;
        }
        count += 1;
        assert_eq!(
            key.sign(&transaction).unwrap(),
            signature,
            "{}",
            recording.name
        );
        let json = &recording.response_json()["transaction"];
        if let Some(digest) = json["digest"].as_str() {
            assert_eq!(
                transaction.digest().to_string(),
                digest,
                "{}",
                recording.name
            );
        }
    }
    assert!(count >= 15, "{count}");
}

#[tokio::test]
async fn of_two_spends_of_one_coin_version_the_second_is_locked() {
    let recording = load("execute_equivocation");
    let error = RecordedError::read(&recording.value["second"]["error"]);
    let node = Node::always(Reply::error(error)).await;
    let (transaction, signature) = any_signed();
    let error = node
        .client()
        .execute(&transaction, &signature)
        .await
        .unwrap_err();
    assert!(matches!(error, LedgerError::Locked(_)));
    assert!(!error.is_retryable());
    let node = Node::always(Reply::bytes(bytes(
        &recording.value["first"]["response"]["base64"],
    )))
    .await;
    let executed = node
        .client()
        .execute(&transaction, &signature)
        .await
        .unwrap()
        .value;
    assert_eq!(executed.failure, None);
}

#[tokio::test]
async fn every_recorded_simulation_decodes() {
    let (transaction, _) = any_signed();
    for (name, success) in [
        ("simulate_read", true),
        ("simulate_read_checks_enabled", true),
        ("simulate_read_missing", false),
    ] {
        let node = Node::always(reply(&load(name))).await;
        let result = node.client().simulate(&transaction).await;
        let executed = result
            .unwrap_or_else(|error| panic!("{name}: {error:?}"))
            .value;
        assert_eq!(executed.failure.is_none(), success, "{name}");
    }
    // Its mask asked for outputs alone.
    let node = Node::always(reply(&load("simulate_read_no_gas_object"))).await;
    let error = node.client().simulate(&transaction).await.unwrap_err();
    assert!(matches!(error, LedgerError::Answer(_)), "{error:?}");
}

#[tokio::test]
async fn every_recorded_stream_gives_frames_or_says_that_its_mask_left_them_empty() {
    let mut frames = 0;
    for recording in recording::all() {
        if recording.method() != "SubscribeCheckpoints" {
            continue;
        }
        let Some(messages) = recording.frames() else {
            continue;
        };
        let name = recording.name.as_str();
        let headers = recording.headers();
        let mut reply = Reply::stream(messages.clone(), crate::replay::End::Clean);
        if !headers.is_empty() {
            reply = reply.with_headers(headers);
        }
        let node = Node::always(reply).await;
        let client = node.client_with(sui_ledger::client::ClientSettings {
            chain: None,
            ..settings()
        });
        let mut stream = client.subscribe(decoder()).await.unwrap();
        let empty = [
            "subscribe_checkpoints_no_mask",
            "subscribe_checkpoints_mask_empty_paths",
        ];
        if empty.contains(&name) {
            let error = stream.next().await.unwrap().unwrap_err();
            assert!(
                matches!(
                    error,
                    LedgerError::Answer(AnswerError::Frame(FrameError::NoSequence))
                ),
                "{name}: {error:?}"
            );
            assert!(stream.next().await.is_none(), "nothing follows an error");
            continue;
        }
        for message in &messages {
            let recorded = proto::SubscribeCheckpointsResponse::decode(message.clone()).unwrap();
            let recorded = recorded.checkpoint.unwrap();
            let item = stream.next().await.unwrap();
            if recorded
                .summary
                .as_ref()
                .is_none_or(|summary| summary.timestamp.is_none())
            {
                // A mask without the time: no frame, for what could be said of its age?
                assert!(
                    matches!(
                        item,
                        Err(LedgerError::Answer(AnswerError::Frame(
                            FrameError::NoTimestamp
                        )))
                    ),
                    "{name}: {item:?}"
                );
                break;
            }
            frames += 1;
            let frame = item.unwrap_or_else(|error| panic!("{name}: {error:?}"));
            assert_eq!(frame.sequence, recorded.sequence_number.unwrap(), "{name}");
            assert_eq!(frame.events, [], "{name}: another package's events");
        }
    }
    assert!(frames >= 17, "{frames}");
}

#[tokio::test]
async fn a_checkpoint_by_number_reads_like_a_frame() {
    let recording = load("get_checkpoint_with_events");
    let node = Node::always(reply(&recording)).await;
    let frame = node
        .client()
        .get_checkpoint(50, &decoder())
        .await
        .unwrap()
        .value;
    assert_eq!(frame.sequence, 50);
    assert_eq!(frame.timestamp.0, 1_795_364_361_201);
    let error = node
        .client()
        .get_checkpoint(51, &decoder())
        .await
        .unwrap_err();
    assert!(matches!(error, LedgerError::Answer(AnswerError::Unasked)));
    // The latest, asked without a mask: a number and no time.
    let node = Node::always(reply(&load("get_checkpoint_latest"))).await;
    let error = node
        .client()
        .get_checkpoint(1, &decoder())
        .await
        .unwrap_err();
    assert!(matches!(
        error,
        LedgerError::Answer(AnswerError::Frame(FrameError::NoTimestamp))
    ));
}

#[tokio::test]
async fn service_info_gas_price_and_coins_decode() {
    let node = Node::always(reply(&load("get_service_info"))).await;
    let info = node.client().service_info().await.unwrap().value;
    assert_eq!(info.chain.to_string(), crate::replay::CHAIN);
    assert_eq!(info.checkpoint, 40);

    let node = Node::always(reply(&load("get_epoch"))).await;
    assert_eq!(node.client().gas_price().await.unwrap().value, 1_000);

    let recording = load("list_owned_objects_gas_coins");
    let json = recording.response_json()["objects"]
        .as_array()
        .unwrap()
        .len();
    // Without its token the page is the last one.
    let mut page = proto::ListOwnedObjectsResponse::decode(recording.response().unwrap()).unwrap();
    page.next_page_token = None;
    let node = Node::always(Reply::message(&page)).await;
    let owner = WalletKey::from_secret(&SENDER_SECRET).address();
    let coins = node.client().coins(&owner).await.unwrap();
    assert_eq!(coins.coins.len(), json);
    assert!(!coins.more);
    assert!(coins.coins.is_sorted_by(|a, b| a.balance >= b.balance));

    // A node that always promises another page does not keep us for ever.
    let node = Node::always(reply(&recording)).await;
    let coins = node.client().coins(&owner).await.unwrap();
    assert!(coins.more);
    assert_eq!(node.count("ListOwnedObjects"), 20);
}

#[tokio::test]
async fn owned_objects_of_a_type_decode() {
    let recording = load("list_owned_objects_filter_exact");
    let node = Node::always(reply(&recording)).await;
    let owner = WalletKey::from_secret(&SENDER_SECRET).address();
    let tag = "0x2::coin::Coin<0x2::sui::SUI>".parse().unwrap();
    let result = node.client().owned_objects(&owner, &tag).await;
    let json = recording.response_json()["objects"].as_array().unwrap();
    let has_owner = json.iter().all(|object| object.get("owner").is_some());
    match result {
        Ok(objects) => assert_eq!(objects.len(), json.len()),
        Err(error) => assert!(
            matches!(error, LedgerError::Answer(AnswerError::Field { .. })) && !has_owner,
            "{error:?}"
        ),
    }
    for name in [
        "list_owned_objects_filter_none_of_it",
        "list_owned_objects_of_the_registry",
    ] {
        let node = Node::always(reply(&load(name))).await;
        let objects = node.client().owned_objects(&owner, &tag).await.unwrap();
        assert_eq!(objects, [], "{name}");
    }
}

/// What is left: calls that we don't make, whose messages must decode all the same.
#[test]
fn the_remaining_answers_decode_as_messages() {
    let mut count = 0;
    for recording in recording::all() {
        let Some(response) = recording.response() else {
            continue;
        };
        match recording.method() {
            "ListDynamicFields" if recording.name == "list_dynamic_fields" => {
                // This node's message has other fields from number 4 on than the released one.
                continue;
            }
            "ListDynamicFields" => {
                let page = proto::ListDynamicFieldsResponse::decode(response).unwrap();
                let json = recording.response_json()["dynamicFields"].as_array();
                assert_eq!(page.dynamic_fields.len(), json.map_or(0, Vec::len));
                assert!(
                    page.dynamic_fields
                        .iter()
                        .all(|field| field.field_id.is_some())
                );
            }
            "BatchGetTransactions" => {
                let batch = proto::BatchGetTransactionsResponse::decode(response).unwrap();
                assert_eq!(batch.transactions.len(), 2);
            }
            "ListOwnedObjects" => {
                proto::ListOwnedObjectsResponse::decode(response).unwrap();
            }
            "GetServiceInfo" | "GetObject" if !recording.is_v2() => {}
            _ => continue,
        }
        count += 1;
    }
    assert!(count >= 14, "{count}");
}

#[test]
fn a_stopped_and_a_killed_node_leave_retryable_errors_only() {
    for name in [
        "subscribe_node_stopped_and_restarted",
        "subscribe_node_process_killed",
    ] {
        let recording = load(name);
        let mut errors = Vec::new();
        collect_errors(&recording.value["how_the_stream_ended"], &mut errors);
        collect_errors(&recording.value["unary_calls_while_down"], &mut errors);
        assert!(!errors.is_empty(), "{name}");
        for code in errors {
            let error = LedgerError::from_status(Status::new(Code::from(code), ""), Duration::ZERO);
            assert!(error.is_retryable(), "{name}: {error:?}");
        }
    }
}

fn collect_errors(value: &Value, to: &mut Vec<i32>) {
    match value {
        Value::Object(fields) => {
            if let Some(code) = fields.get("code").and_then(Value::as_i64) {
                to.push(i32::try_from(code).unwrap());
            }
            fields.values().for_each(|field| collect_errors(field, to));
        }
        Value::Array(items) => items.iter().for_each(|item| collect_errors(item, to)),
        _ => {}
    }
}

#[test]
fn field_ids_are_the_recorded_ones() {
    for facts in ["facts", "released-v2/facts"] {
        let facts = load(facts);
        let derivation = &facts.value["c_derivation"];
        let parent: Address = derivation["parent"].as_str().unwrap().parse().unwrap();
        let key_type: TypeTag = derivation["key_type"].as_str().unwrap().parse().unwrap();
        for key in derivation["keys"].as_array().unwrap() {
            let bcs = hex::decode(key["key_bcs_hex"].as_str().unwrap()).unwrap();
            let id = parent.derive_dynamic_child_id(&key_type, &bcs);
            assert_eq!(id.to_string(), key["derived_id"]);
        }
    }
}
