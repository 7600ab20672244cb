//! Each switch does what its real counterpart does.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test panics when something is not as it should be"
)]

mod common;

use std::time::{Duration, Instant};

use common::{
    DEADLINE, Wallet, client, execute, execute_request, start, subscribe, wait_for_transaction,
};
use sui_devnet::{Devnet, DevnetConfig, StreamEnd};
use sui_rpc::Client;
use sui_rpc::proto::sui::rpc::v2 as proto;
use tonic::{Code, Streaming};

type Frames = Streaming<proto::SubscribeCheckpointsResponse>;

async fn next(frames: &mut Frames) -> Result<Option<u64>, tonic::Status> {
    let frame = tokio::time::timeout(DEADLINE, frames.message()).await;
    Ok(frame.unwrap()?.map(|frame| frame.cursor()))
}

async fn height(client: &Client) -> u64 {
    let request = proto::GetServiceInfoRequest::default();
    let info = client
        .clone()
        .ledger_client()
        .get_service_info(request)
        .await;
    info.unwrap().into_inner().checkpoint_height()
}

#[tokio::test]
async fn frames_are_contiguous_also_when_nothing_happens() {
    let devnet = start().await;
    let mut frames = subscribe(&client(&devnet), "sequence_number").await;
    let first = next(&mut frames).await.unwrap().unwrap();
    for number in first + 1..first + 20 {
        assert_eq!(next(&mut frames).await.unwrap(), Some(number));
    }
    devnet.shutdown().await;
}

#[tokio::test]
async fn a_lagging_node_answers_as_of_an_older_checkpoint_and_says_so() {
    let devnet = start().await;
    let client = client(&devnet);
    let mut frames = subscribe(&client, "sequence_number").await;
    while next(&mut frames).await.unwrap().unwrap() < 10 {}
    devnet.faults.lag_reads(8);
    let newest = next(&mut frames).await.unwrap().unwrap();
    let request = proto::GetServiceInfoRequest::default();
    let answer = client
        .clone()
        .ledger_client()
        .get_service_info(request)
        .await
        .unwrap();
    let header: u64 = answer
        .metadata()
        .get("x-sui-checkpoint-height")
        .unwrap()
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    let seen = answer.get_ref().checkpoint_height();
    // Some checkpoints may pass between the frame and the answer.
    assert!(
        seen + 8 >= newest && seen <= header,
        "{seen} {header} {newest}"
    );
    let latest = next(&mut frames).await.unwrap().unwrap();
    assert!(
        header + 8 <= latest + 8 && header < latest,
        "{header} {latest}"
    );
    let mut future = proto::GetCheckpointRequest::by_sequence_number(latest);
    future.read_mask = None;
    devnet.faults.lag_reads(0);
    devnet.faults.hold_reads_at(Some(5));
    let status = client
        .clone()
        .ledger_client()
        .get_checkpoint(future)
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    assert_eq!(height(&client).await, 5);
    devnet.shutdown().await;
}

#[tokio::test]
async fn a_stalled_chain_keeps_streams_open_and_goes_on_with_the_next_number() {
    let devnet = Devnet::start(DevnetConfig {
        finality_timeout: Duration::from_millis(300),
        ..DevnetConfig::for_tests()
    })
    .await
    .unwrap();
    let client = client(&devnet);
    let wallet = Wallet::new(&devnet).await;
    let mut frames = subscribe(&client, "sequence_number").await;
    next(&mut frames).await.unwrap();
    devnet.faults.stall(true);
    // What was sealed before may still come.
    let mut last = 0;
    while let Ok(frame) = tokio::time::timeout(Duration::from_millis(200), frames.message()).await {
        last = frame.unwrap().unwrap().cursor();
    }
    let signed = wallet.sign(wallet.stake(500_000_000, [1; 32], None));
    let status = execute(&client, &signed, "*").await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(
        status.message(),
        "timed-out before finality could be reached"
    );
    let before = height(&client).await;
    assert!(last == 0 || last == before);
    devnet.faults.stall(false);
    // It is executed all the same, and sent again it is found executed.
    wait_for_transaction(&client, signed.transaction.digest()).await;
    execute(&client, &signed, "*").await.unwrap();
    assert_eq!(next(&mut frames).await.unwrap(), Some(before + 1));
    devnet.shutdown().await;
}

#[tokio::test]
async fn streams_end_cleanly_or_with_an_error_and_new_ones_work() {
    let devnet = start().await;
    let client = client(&devnet);
    for (end, code) in [
        (StreamEnd::Clean, None),
        (StreamEnd::Error, Some(Code::Unknown)),
    ] {
        let mut frames = subscribe(&client, "sequence_number").await;
        next(&mut frames).await.unwrap();
        devnet.faults.drop_streams(end);
        let ended = loop {
            match next(&mut frames).await {
                Ok(Some(_)) => {}
                Ok(None) => break None,
                Err(status) => break Some(status.code()),
            }
        };
        assert_eq!(ended, code);
    }
    let mut frames = subscribe(&client, "sequence_number").await;
    assert!(next(&mut frames).await.unwrap().is_some());
    devnet.shutdown().await;
}

#[tokio::test]
async fn a_silenced_stream_stays_open_and_comes_back_with_a_gap() {
    let devnet = start().await;
    let client = client(&devnet);
    let mut frames = subscribe(&client, "sequence_number").await;
    let mut last = next(&mut frames).await.unwrap().unwrap();
    devnet.faults.silence_streams(true);
    while let Ok(frame) = tokio::time::timeout(Duration::from_millis(100), frames.message()).await {
        last = frame.unwrap().unwrap().cursor();
    }
    assert!(height(&client).await > last);
    devnet.faults.silence_streams(false);
    assert!(next(&mut frames).await.unwrap().unwrap() > last + 1);
    devnet.shutdown().await;
}

#[tokio::test]
async fn a_subscriber_that_does_not_read_is_dropped_with_a_clean_end() {
    let devnet = Devnet::start(DevnetConfig {
        checkpoint_interval: Duration::from_millis(1),
        subscriber_queue: 4,
        ..DevnetConfig::for_tests()
    })
    .await
    .unwrap();
    let client = client(&devnet);
    // Whole checkpoints, so that the windows of flow control fill.
    let mut request = proto::SubscribeCheckpointsRequest::default();
    request.read_mask = Some(common::mask("*"));
    let channel = tonic::transport::Endpoint::new(devnet.rpc_url.clone())
        .unwrap()
        .initial_stream_window_size(65_535)
        .connect()
        .await
        .unwrap();
    let mut subscriber =
        proto::subscription_service_client::SubscriptionServiceClient::new(channel);
    let mut frames = subscriber
        .subscribe_checkpoints(request)
        .await
        .unwrap()
        .into_inner();
    let start = height(&client).await;
    let deadline = Instant::now() + DEADLINE;
    while height(&client).await < start + 400 {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let mut count = 0u64;
    while next(&mut frames).await.unwrap().is_some() {
        count += 1;
        assert!(count < 400, "the queue is not bounded");
    }
    devnet.shutdown().await;
}

#[tokio::test]
async fn reads_can_be_slow_or_fail_and_writes_be_refused_or_lose_their_answer() {
    let devnet = start().await;
    let client = client(&devnet);
    let mut wallet = Wallet::new(&devnet).await;

    devnet.faults.slow_reads(Duration::from_millis(150));
    let asked = Instant::now();
    height(&client).await;
    assert!(asked.elapsed() >= Duration::from_millis(150));
    devnet.faults.slow_reads(Duration::ZERO);

    devnet.faults.fail_reads(true);
    let request = proto::GetServiceInfoRequest::default();
    let status = client
        .clone()
        .ledger_client()
        .get_service_info(request)
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    devnet.faults.fail_reads(false);

    devnet.faults.refuse_writes(true);
    let signed = wallet.sign(wallet.stake(500_000_000, [1; 32], None));
    let status = execute(&client, &signed, "*").await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    devnet.faults.refuse_writes(false);
    // It was not executed: its gas coin is still good for another.
    let stake = wallet.stake(500_000_000, [2; 32], None);
    wallet.execute(&client, stake).await.unwrap();

    devnet.faults.lose_answers(true);
    let signed = wallet.sign(wallet.stake(500_000_000, [3; 32], None));
    let request = execute_request(&signed, "*");
    let status = client
        .clone()
        .execution_client()
        .execute_transaction(request)
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    devnet.faults.lose_answers(false);
    wait_for_transaction(&client, signed.transaction.digest()).await;
    devnet.shutdown().await;
}
