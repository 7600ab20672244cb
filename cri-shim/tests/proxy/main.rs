//! The relay between a client and a server that speak HTTP/2 by hand, so that each frame is seen.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests"
)]

mod client;
mod server;

use std::time::Duration;

use bytes::Bytes;
use cri_shim::guard::{Guard, GuardSettings};
use cri_shim::methods::Method;
use cri_shim::standing::{Standing, Standings};
use h2::Reason;
use http::HeaderMap;
use prost::Message as _;
use seal::testing::active_record;
use seal::{CredentialHash, SealRecord, SealStatus, Thresholds, UnixMillis};

use client::framed;
use server::{Does, Rig, Saw};

const UNARY: &str = "/runtime.v1.RuntimeService/Status";
const RUN: &str = "/runtime.v1.RuntimeService/RunPodSandbox";
const EVENTS: &str = "/runtime.v1.RuntimeService/GetContainerEvents";
const SOON: Duration = Duration::from_secs(10);

async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    let done = tokio::time::timeout(SOON, future).await;
    done.unwrap_or_else(|_| panic!("{what} should come soon"))
}

fn status(headers: &HeaderMap) -> &str {
    headers["grpc-status"].to_str().unwrap()
}

#[tokio::test]
async fn frames_metadata_and_trailers_go_on_as_they_are() {
    let rig = Rig::start(Does::Echo).await;
    let mut client = rig.client().await;
    let metadata = [
        ("grpc-timeout", "30S"),
        (
            "traceparent",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ),
        ("baggage", "a=b"),
        ("user-agent", "kubelet/9"),
        ("x-bin", "AAEC"),
    ];
    for path in [
        UNARY,
        "/runtime.v1.RuntimeService/OfTomorrow",
        "/none.such/Method",
    ] {
        let answer = client
            .call(path, &metadata, &[b"one", b"two", b"three"])
            .await
            .unwrap();
        assert_eq!(answer.body, b"onetwothree");
        assert_eq!(status(answer.trailers.as_ref().unwrap()), "0");
        assert_eq!(answer.trailers.as_ref().unwrap()["x-more"], "at the end");
        let names: Vec<&str> = answer
            .headers
            .keys()
            .map(http::HeaderName::as_str)
            .collect();
        assert_eq!(names, ["content-type", "x-first"], "nothing is added");
        let Saw::Request(request) = rig.saw().await else {
            panic!("a request");
        };
        assert_eq!(request.uri().path(), path);
        for (name, value) in metadata {
            assert_eq!(request.headers()[name], value, "{name}");
        }
        let ours = ["content-type", "te"];
        assert_eq!(
            request.headers().len(),
            metadata.len() + ours.len(),
            "{request:?}"
        );
    }
}

#[tokio::test]
async fn an_answer_without_a_body_stays_one() {
    let rig = Rig::start(Does::TrailersOnly).await;
    let answer = rig.client().await.call(UNARY, &[], &[b"x"]).await.unwrap();
    assert_eq!(status(&answer.headers), "12");
    assert_eq!(answer.headers["grpc-message"], "no such%0Athing");
    assert!(answer.ended_with_headers && answer.trailers.is_none());
}

#[tokio::test]
async fn resets_go_on_with_their_reason() {
    for reason in [
        Reason::REFUSED_STREAM,
        Reason::CANCEL,
        Reason::INTERNAL_ERROR,
        Reason::ENHANCE_YOUR_CALM,
    ] {
        for does in [Does::Reset(reason), Does::ResetAfterData(reason)] {
            let rig = Rig::start(does).await;
            let called = rig.client().await.call(UNARY, &[], &[b"x"]).await;
            assert_eq!(called.unwrap_err().reason(), Some(reason), "{does:?}");
        }
    }
}

#[tokio::test]
async fn a_caller_that_gives_up_is_given_up_on_at_once() {
    // Before the answer, and in the middle of it.
    for does in [Does::Hang, Does::Drip] {
        let rig = Rig::start(does).await;
        let mut client = rig.client().await;
        let call = client.begin(UNARY, &[], &[b"x"]).await;
        assert!(matches!(rig.saw().await, Saw::Request(_)));
        if does == Does::Drip {
            call.first().await;
        }
        call.give_up(Reason::CANCEL);
        let Saw::Reset(reason) = soon("the reset", rig.saw()).await else {
            panic!("a reset");
        };
        assert_eq!(reason, Reason::CANCEL, "{does:?}");
    }
}

#[tokio::test]
async fn a_caller_that_disappears_takes_its_streams_with_it() {
    let rig = Rig::start(Does::Flood).await;
    let mut client = rig.client().await;
    // Never read: the windows fill and the server has to wait.
    let _unread = client.begin(EVENTS, &[], &[b"x"]).await;
    assert!(matches!(rig.saw().await, Saw::Request(_)));
    tokio::time::sleep(Duration::from_millis(300)).await;
    // Others are not held up, on the same connection nor on another one.
    for client in [&mut client, &mut rig.client().await] {
        let answer = soon("another answer", client.call("/quick", &[], &[b"x"])).await;
        assert_eq!(answer.unwrap().body, b"x");
        assert!(matches!(rig.saw().await, Saw::Request(_)));
    }
    let sent = rig.sent();
    assert!(
        sent < 8 << 20,
        "{sent} bytes were taken of a stream that nobody reads"
    );
    client.disappear();
    assert!(matches!(
        soon("the end", rig.saw()).await,
        Saw::Reset(_) | Saw::Gone
    ));
}

#[tokio::test]
async fn calls_wait_for_containerd_up_to_their_deadline() {
    let rig = Rig::absent();
    let mut client = rig.client().await;
    let began = std::time::Instant::now();
    let answer = client
        .call(UNARY, &[("grpc-timeout", "300m")], &[b"x"])
        .await
        .unwrap();
    assert_eq!(status(&answer.headers), "14");
    let told = answer.headers["grpc-message"].to_str().unwrap();
    assert!(
        told.starts_with("containerd can't be reached at "),
        "{told}"
    );
    assert!(began.elapsed() < SOON);
    let waiting = client
        .begin(UNARY, &[("grpc-timeout", "9S")], &[b"x"])
        .await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    rig.appear(Does::Echo).await;
    assert_eq!(
        soon("the answer", waiting.answer()).await.unwrap().body,
        b"x"
    );
}

#[tokio::test]
async fn a_connection_that_dies_is_unavailable_and_the_next_call_goes_on() {
    for does in [Does::Hang, Does::Drip] {
        let mut rig = Rig::start(does).await;
        let mut client = rig.client().await;
        let call = client.begin(UNARY, &[], &[b"x"]).await;
        assert!(matches!(rig.saw().await, Saw::Request(_)));
        if does == Does::Drip {
            call.first().await;
        }
        rig.die().await;
        let answer = soon("the end", call.answer()).await.unwrap();
        let said = answer.trailers.as_ref().unwrap_or(&answer.headers);
        assert_eq!(status(said), "14", "{does:?}");
        rig.appear(Does::Echo).await;
        let answer = soon("an answer", client.call(UNARY, &[], &[b"again"])).await;
        assert_eq!(answer.unwrap().body, b"again");
    }
}

#[tokio::test]
async fn a_stop_lets_calls_end_and_ends_what_has_no_end() {
    let mut rig = Rig::start(Does::Slow(Duration::from_millis(400))).await;
    let mut client = rig.client().await;
    let slow = client.begin(UNARY, &[], &[b"x"]).await;
    assert!(matches!(rig.saw().await, Saw::Request(_)));
    let events = client.begin(EVENTS, &[], &[b"x"]).await;
    assert!(matches!(rig.saw().await, Saw::Request(_)));
    events.first().await;
    let proxying = rig.proxying.take().unwrap();
    let stopping = tokio::spawn(proxying.stop());
    assert_eq!(
        soon("the slow answer", slow.answer()).await.unwrap().body,
        b"x"
    );
    let ended = soon("the stream's end", events.answer()).await.unwrap();
    assert_eq!(status(ended.trailers.as_ref().unwrap()), "14");
    soon("the stop", stopping).await.unwrap();
}

#[tokio::test]
async fn lists_that_come_in_pieces_pass_piece_by_piece() {
    let rig = Rig::start(Does::Drip).await;
    let mut client = rig.client().await;
    let streams = Method::all().filter(|method| method.label().starts_with("Stream"));
    let paths: Vec<String> = streams.filter_map(Method::path).collect();
    assert_eq!(paths.len(), 6);
    for path in paths {
        let call = client.begin(&path, &[], &[b"x"]).await;
        // The first piece is here while the next ones are not even made.
        soon("the first piece", call.first()).await;
        call.give_up(Reason::CANCEL);
    }
}

#[tokio::test]
async fn large_messages_pass_as_they_are() {
    let rig = Rig::start(Does::Echo).await;
    let message = vec![7_u8; 17 << 20];
    let answer = rig
        .client()
        .await
        .call(UNARY, &[], &[&message])
        .await
        .unwrap();
    assert!(answer.body == message);
}

fn guard(status: SealStatus) -> Guard {
    let record = SealRecord {
        status,
        expires_at: UnixMillis(u64::MAX),
        ..active_record()
    };
    let standing = Standing {
        hash: CredentialHash::from_bytes([1; 32]),
        record: Some(record),
        thresholds: Thresholds::default(),
        seen_at: UnixMillis(1),
        ended_at: Some(UnixMillis(1)),
    };
    let settings = GuardSettings {
        grace: Duration::from_mins(5),
        exempt: ["cni".to_owned()].into(),
        node: "worker-001".to_owned(),
    };
    Guard::new(settings, Standings::fixed(Some(standing)))
}

fn pod(namespace: &str, padding: usize) -> Vec<u8> {
    use k8s_cri::v1::{PodSandboxConfig, PodSandboxMetadata, RunPodSandboxRequest};
    let config = PodSandboxConfig {
        metadata: Some(PodSandboxMetadata {
            name: "p".to_owned(),
            namespace: namespace.to_owned(),
            ..PodSandboxMetadata::default()
        }),
        hostname: "h".repeat(padding),
        ..PodSandboxConfig::default()
    };
    let request = RunPodSandboxRequest {
        config: Some(config),
        ..RunPodSandboxRequest::default()
    };
    // A field of a later version.
    let mut message = request.encode_to_vec();
    message.extend([0xa2, 0x1f, 2, 7, 7]);
    framed(&message)
}

#[tokio::test]
async fn the_guard_refuses_new_pods_and_nothing_else() {
    let rig = Rig::guarded(guard(SealStatus::Slashed), Does::Echo).await;
    let mut client = rig.client().await;
    let body = pod("team-a", 0);
    let (head, tail) = body.split_at(9);
    let answer = client.call(RUN, &[], &[head, tail]).await.unwrap();
    assert_eq!(status(&answer.headers), "7");
    assert!(answer.ended_with_headers);
    let told = answer.headers["grpc-message"].to_str().unwrap();
    assert!(
        told.contains("worker-001 was slashed") && told.contains("k3s-daas restake"),
        "{told}"
    );
    // Exempt: the very bytes go on, in however many pieces they come.
    for padding in [0, 3 << 20] {
        let body = pod("cni", padding);
        let (head, tail) = body.split_at(9);
        let answer = client.call(RUN, &[], &[head, tail]).await.unwrap();
        assert!(answer.body == body);
    }
    let too_large = pod("cni", 17 << 20);
    let answer = client.call(RUN, &[], &[&too_large]).await.unwrap();
    assert_eq!(status(&answer.headers), "8");
    for body in [
        &b""[..],
        b"\x00\x00\x00\x00\x09nonsense.",
        b"\x01\x00\x00\x00\x00",
    ] {
        let answer = client.call(RUN, &[], &[body]).await.unwrap();
        assert_eq!(status(&answer.headers), "7");
    }
    for path in [UNARY, "/runtime.v1.RuntimeService/CreateContainer"] {
        assert_eq!(client.call(path, &[], &[b"x"]).await.unwrap().body, b"x");
    }
}

#[tokio::test]
async fn the_guard_lets_pods_through_while_the_seal_is_usable() {
    let rig = Rig::guarded(guard(SealStatus::Active), Does::Echo).await;
    let body = pod("team-a", 17 << 20);
    let answer = rig.client().await.call(RUN, &[], &[&body]).await.unwrap();
    assert!(answer.body == body, "it is not even looked at");
}

#[tokio::test]
async fn many_calls_given_up_at_once_are_no_attack() {
    let rig = Rig::start(Does::Hang).await;
    let (mut client, hold) = rig.held_client().await;
    let answer = soon("an answer", client.call("/quick", &[], &[b"x"])).await;
    assert_eq!(answer.unwrap().body, b"x");
    hold.hold();
    for _ in 0..70 {
        let mut calls = Vec::new();
        for _ in 0..64 {
            calls.push(client.begin(UNARY, &[], &[b"x"]).await);
        }
        // Said before it is given up: what was never said needs no giving up.
        tokio::time::sleep(Duration::from_millis(1)).await;
        for call in calls {
            call.give_up(Reason::CANCEL);
        }
    }
    hold.release();
    let answer = soon("an answer", client.call("/quick", &[], &[b"x"])).await;
    assert_eq!(answer.unwrap().body, b"x");
}

/// Held back, it says nothing until the proxy was told to stop.
#[tokio::test]
async fn who_has_just_connected_is_still_served_when_the_proxy_stops() {
    let mut rig = Rig::start(Does::Echo).await;
    let (mut client, hold) = rig.held_client().await;
    hold.hold();
    let call = client.begin(UNARY, &[], &[b"x"]).await;
    // Accepted by now.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let proxying = rig.proxying.take().unwrap();
    let stopping = tokio::spawn(proxying.stop());
    tokio::time::sleep(Duration::from_millis(100)).await;
    hold.release();
    let answer = soon("an answer", call.answer()).await;
    assert_eq!(answer.unwrap().body, b"x");
    drop(client);
    soon("the end", stopping).await.unwrap();
}

/// Readers of events that stopped, on one connection with everybody else.
#[tokio::test]
async fn streams_that_nobody_reads_hold_up_no_other_call() {
    let rig = Rig::start(Does::Flood).await;
    let mut client = rig.client().await;
    let mut stopped = Vec::new();
    for _ in 0..8 {
        stopped.push(client.begin(EVENTS, &[], &[b"x"]).await);
        assert!(matches!(rig.saw().await, Saw::Request(_)));
    }
    // Until nothing more of them is taken.
    let mut before = 0;
    while rig.sent() > before {
        before = rig.sent();
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    assert!(before > 8 << 20, "{before} bytes: they were not stalled");
    let answer = soon("an answer", client.call("/quick", &[], &[b"x"])).await;
    assert_eq!(answer.unwrap().body, b"x");
    drop(stopped);
}

/// Bytes of a message, as a frame of gRPC.
#[test]
fn frames_are_framed() {
    assert_eq!(framed(b"ab"), Bytes::from_static(b"\0\0\0\0\x02ab"));
}
