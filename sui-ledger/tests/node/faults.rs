//! What networks and nodes do to a client.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::StreamExt;
use prost::Message;
use seal::{CredentialHash, ObjectId};
use sui_ledger::client::{ClientSettings, LedgerClient, MAX_BATCH};
use sui_ledger::error::{AnswerError, LedgerError};
use sui_ledger::frame::{ContractEvent, FrameDecoder, FrameError};
use sui_ledger::metrics::LedgerMetrics;
use sui_rpc::proto::sui::rpc::v2 as proto;
use tokio::net::TcpListener;
use tonic::Code;

use crate::replay::{End, Node, Reply, default_headers, settings};

fn decoder() -> FrameDecoder {
    FrameDecoder::new(
        &ObjectId::from_bytes([0xaa; 32]),
        ObjectId::from_bytes([3; 32]),
    )
}

fn checkpoint(sequence: u64, events: Vec<proto::Event>) -> proto::Checkpoint {
    let mut transaction = proto::ExecutedTransaction::default();
    let mut list = proto::TransactionEvents::default();
    list.events = events;
    transaction.events = Some(list);
    let mut summary = proto::CheckpointSummary::default();
    summary.timestamp = Some(prost_types::Timestamp {
        seconds: 1_795_364_361,
        nanos: 201_000_000,
    });
    let mut checkpoint = proto::Checkpoint::default();
    checkpoint.sequence_number = Some(sequence);
    checkpoint.summary = Some(summary);
    checkpoint.transactions = vec![transaction];
    checkpoint
}

fn frame(cursor: u64, checkpoint: proto::Checkpoint) -> Bytes {
    let mut frame = proto::SubscribeCheckpointsResponse::default();
    frame.cursor = Some(cursor);
    frame.checkpoint = Some(checkpoint);
    frame.encode_to_vec().into()
}

fn frames(range: std::ops::Range<u64>) -> Vec<Bytes> {
    range.map(|n| frame(n, checkpoint(n, Vec::new()))).collect()
}

fn quick() -> ClientSettings {
    ClientSettings {
        read_deadline: Duration::from_millis(300),
        execute_deadline: Duration::from_millis(300),
        frame_deadline: Duration::from_millis(300),
        ..settings()
    }
}

#[tokio::test]
async fn a_clean_end_is_an_end_and_no_error() {
    let node = Node::always(Reply::stream(frames(5..8), End::Clean)).await;
    let mut stream = node.client().subscribe(decoder()).await.unwrap();
    for sequence in 5..8 {
        assert_eq!(stream.next().await.unwrap().unwrap().sequence, sequence);
    }
    assert!(stream.next().await.is_none());
    assert!(stream.next().await.is_none(), "and stays one");
}

#[tokio::test]
async fn a_silent_stream_ends_within_the_frame_deadline() {
    let node = Node::always(Reply::stream(frames(5..7), End::Hang)).await;
    let mut stream = node
        .client_with(quick())
        .subscribe(decoder())
        .await
        .unwrap();
    assert!(stream.next().await.unwrap().is_ok());
    assert!(stream.next().await.unwrap().is_ok());
    let started = Instant::now();
    let error = stream.next().await.unwrap().unwrap_err();
    assert!(
        matches!(error, LedgerError::StreamSilent { .. }),
        "{error:?}"
    );
    assert!(error.is_retryable());
    assert!(started.elapsed() < Duration::from_secs(3));
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn a_stream_that_never_opens_runs_into_the_deadline() {
    let node = Node::always(Reply::silence()).await;
    let error = node
        .client_with(quick())
        .subscribe(decoder())
        .await
        .unwrap_err();
    assert!(matches!(error, LedgerError::Deadline { .. }), "{error:?}");
}

#[tokio::test]
async fn a_broken_stream_is_retryable() {
    let node = Node::always(Reply::stream(frames(5..6), End::Break)).await;
    let mut stream = node.client().subscribe(decoder()).await.unwrap();
    assert!(stream.next().await.unwrap().is_ok());
    let error = stream.next().await.unwrap().unwrap_err();
    assert!(error.is_retryable(), "{error:?}");
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn a_cursor_that_is_not_the_checkpoints_number_is_no_frame() {
    let reply = Reply::stream(vec![frame(6, checkpoint(5, Vec::new()))], End::Hang);
    let node = Node::always(reply).await;
    let mut stream = node.client().subscribe(decoder()).await.unwrap();
    let error = stream.next().await.unwrap().unwrap_err();
    assert!(matches!(
        error,
        LedgerError::Answer(AnswerError::Frame(FrameError::Cursor {
            cursor: 6,
            sequence: 5
        }))
    ));
}

#[tokio::test]
async fn a_frame_brings_our_events_and_no_others() {
    let ours = |name: &str, value: Vec<u8>| {
        let mut event = proto::Event::default();
        event.event_type = Some(format!(
            "{}::staking::{name}",
            ObjectId::from_bytes([0xaa; 32])
        ));
        let mut contents = proto::Bcs::default();
        contents.value = Some(value.into());
        event.contents = Some(contents);
        event
    };
    let mut foreign = ours("SealChanged", vec![1]);
    foreign.event_type = Some("0xbb::staking::SealChanged".to_owned());
    let events = vec![
        foreign,
        ours("SealChanged", vec![1]),
        ours("SomethingNew", vec![1]),
    ];
    let reply = Reply::stream(vec![frame(5, checkpoint(5, events))], End::Hang);
    let node = Node::always(reply).await;
    let mut stream = node.client().subscribe(decoder()).await.unwrap();
    let frame = stream.next().await.unwrap().unwrap();
    assert!(
        matches!(frame.events.as_slice(), [ContractEvent::Undecodable(_)]),
        "one of ours that can't be read is not passed over: {:?}",
        frame.events
    );
}

/// One stranger's transaction of 3 SUI makes such a frame.
fn thirty_mebibytes() -> proto::Checkpoint {
    let mut event = proto::Event::default();
    event.event_type = Some("0xbb::spam::Spam".to_owned());
    let mut contents = proto::Bcs::default();
    contents.value = Some(vec![7; 30 * 1024 * 1024].into());
    event.contents = Some(contents);
    checkpoint(5, vec![event])
}

#[tokio::test]
async fn a_strangers_frame_of_30_mib_does_not_blind_us() {
    let mut answer = proto::GetCheckpointResponse::default();
    answer.checkpoint = Some(thirty_mebibytes());
    let unary = Reply::message(&answer);
    let stream = Reply::stream(
        vec![
            frame(5, thirty_mebibytes()),
            frame(6, checkpoint(6, Vec::new())),
        ],
        End::Hang,
    );
    let node = Node::start(move |seen| {
        if seen.method == "SubscribeCheckpoints" {
            stream.clone()
        } else {
            unary.clone()
        }
    })
    .await;
    let client = node.client();
    let mut stream = client.subscribe(decoder()).await.unwrap();
    assert_eq!(stream.next().await.unwrap().unwrap().sequence, 5);
    assert_eq!(stream.next().await.unwrap().unwrap().sequence, 6);
    assert!(client.get_checkpoint(5, &decoder()).await.is_ok());

    // What the usual limit of 4 MiB would do: fail for ever, on both ways.
    let client = node.client_with(ClientSettings {
        max_message_bytes: 4 * 1024 * 1024,
        ..settings()
    });
    let mut stream = client.subscribe(decoder()).await.unwrap();
    let error = stream.next().await.unwrap().unwrap_err();
    assert!(matches!(error, LedgerError::TooLarge(_)), "{error:?}");
    let error = client.get_checkpoint(5, &decoder()).await.unwrap_err();
    assert!(matches!(error, LedgerError::TooLarge(_)), "{error:?}");
}

#[tokio::test]
async fn a_silent_node_runs_into_the_deadline() {
    let node = Node::always(Reply::silence()).await;
    let client = node.client_with(quick());
    let started = Instant::now();
    let error = client.service_info().await.unwrap_err();
    assert!(matches!(error, LedgerError::Deadline { .. }), "{error:?}");
    assert!(started.elapsed() < Duration::from_secs(3));

    // Headers and no message is silence too.
    let node = Node::always(Reply::stream(Vec::new(), End::Hang)).await;
    let error = node.client_with(quick()).service_info().await.unwrap_err();
    assert!(matches!(error, LedgerError::Deadline { .. }), "{error:?}");
}

#[tokio::test]
async fn a_port_that_accepts_and_says_nothing_runs_into_the_deadline() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let client = LedgerClient::new(&endpoint, quick(), LedgerMetrics::default()).unwrap();
    let started = Instant::now();
    let error = client.service_info().await.unwrap_err();
    assert!(error.is_retryable(), "{error:?}");
    assert!(started.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn a_node_that_is_not_there_is_unavailable_and_found_again_by_itself() {
    let port = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap().port()
    };
    let endpoint = format!("http://127.0.0.1:{port}");
    let client = LedgerClient::new(&endpoint, settings(), LedgerMetrics::default()).unwrap();
    let error = client.service_info().await.unwrap_err();
    assert!(matches!(error, LedgerError::Unavailable(_)), "{error:?}");
}

#[tokio::test]
async fn no_more_than_fifty_objects_are_asked_for_at_once() {
    let node = Node::always(Reply::status(Code::Internal)).await;
    let ids = vec![ObjectId::from_bytes([1; 32]); MAX_BATCH + 1];
    let error = node.client().read_objects(&ids).await.unwrap_err();
    assert!(matches!(
        error,
        LedgerError::BatchTooLarge {
            asked: 51,
            limit: 50
        }
    ));
    assert_eq!(node.seen().len(), 0, "nothing was sent");
}

#[tokio::test]
async fn one_object_that_the_node_cannot_read_is_neither_there_nor_absent() {
    let mut status = sui_rpc::proto::google::rpc::Status::default();
    status.code = Code::Internal as i32;
    let mut result = proto::GetObjectResult::default();
    result.result = Some(proto::get_object_result::Result::Error(status));
    let mut answer = proto::BatchGetObjectsResponse::default();
    answer.objects = vec![result];
    let node = Node::always(Reply::message(&answer)).await;
    let ids = [ObjectId::from_bytes([1; 32])];
    let reads = node.client().read_objects(&ids).await.unwrap().value;
    assert!(matches!(
        reads.as_slice(),
        [sui_ledger::client::ObjectRead::Failed {
            code: Code::Internal
        }]
    ));

    answer.objects = vec![proto::GetObjectResult::default()];
    let node = Node::always(Reply::message(&answer)).await;
    let error = node.client().read_objects(&ids).await.unwrap_err();
    assert!(
        matches!(error, LedgerError::Answer(_)),
        "an empty entry is no absence"
    );
}

#[tokio::test]
async fn an_answer_of_another_chain_is_refused_on_every_way() {
    let mut headers = default_headers();
    headers[0].1 = "00000000".to_owned();
    let unary = Reply::message(&proto::GetServiceInfoResponse::default());
    let stream = Reply::stream(frames(5..6), End::Hang);
    let node = Node::start(move |seen| {
        let reply = if seen.method == "SubscribeCheckpoints" {
            stream.clone()
        } else {
            unary.clone()
        };
        reply.with_headers(headers.clone())
    })
    .await;
    let error = node.client().service_info().await.unwrap_err();
    assert!(matches!(error, LedgerError::OtherChain { .. }), "{error:?}");
    let error = node.client().subscribe(decoder()).await.unwrap_err();
    assert!(matches!(error, LedgerError::OtherChain { .. }), "{error:?}");
}

#[tokio::test]
async fn an_answer_without_the_nodes_headers_is_refused() {
    for missing in 0..4 {
        let mut headers = default_headers();
        let (name, _) = headers.remove(missing);
        let reply = Reply::message(&proto::GetEpochResponse::default()).with_headers(headers);
        let node = Node::always(reply).await;
        let error = node.client().gas_price().await.unwrap_err();
        assert!(
            matches!(&error, LedgerError::Answer(AnswerError::Header { name: found }) if *found == name),
            "{name}: {error:?}"
        );
    }
}

#[tokio::test]
async fn a_service_the_node_does_not_have_is_unimplemented() {
    // Sui answers plain HTTP 404 without a gRPC status.
    let mut reply = Reply::stream(Vec::new(), End::Clean);
    reply.http_status = 404;
    let node = Node::always(reply).await;
    let error = node.client().service_info().await.unwrap_err();
    assert!(matches!(error, LedgerError::Unimplemented(_)), "{error:?}");
}

#[tokio::test]
async fn garbage_instead_of_a_message_is_an_error() {
    let node = Node::always(Reply::bytes(vec![0xff; 3])).await;
    let error = node.client().service_info().await.unwrap_err();
    assert!(!matches!(error, LedgerError::NotFound(_)), "{error:?}");
    let id = ObjectId::from_bytes([1; 32]);
    assert!(node.client().read_objects(&[id]).await.is_err());
}

#[tokio::test]
async fn an_endpoint_that_is_no_address_is_named() {
    for endpoint in ["", "http://", "::", "http://exa mple"] {
        let error = LedgerClient::new(endpoint, settings(), LedgerMetrics::default());
        assert!(
            matches!(error, Err(LedgerError::Endpoint { .. })),
            "{endpoint}"
        );
    }
}

#[tokio::test]
async fn a_row_is_asked_for_by_its_derived_id() {
    let node = Node::always(Reply::status(Code::Unavailable)).await;
    let ids = crate::chain_model::ids();
    let hash = CredentialHash::from_bytes([4; 32]);
    let read = sui_ledger::reads::read_seal(&node.client(), &ids, &hash).await;
    assert!(read.is_err());
    let seen = node.seen();
    let request = proto::BatchGetObjectsRequest::decode(seen[0].message.clone()).unwrap();
    let want = sui_ledger::ids::seal_field_id(&ids.seals_table, &hash).to_string();
    assert_eq!(
        request.requests[0].object_id.as_deref(),
        Some(want.as_str())
    );
}
