//! Join credentials through the whole router: recorded requests of supervisors, who gets in under
//! which name, and what stands in the way.

#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::{Ask, HASH, JOIN, Logs, Making, NOW, SEAL, World, record, review};
use seal::{JoinCredential, SealRecord, SealStatus, UnixMillis};
use serde_json::json;
use sui_ledger::directory::Unavailable;

const NAME: &str = "worker-001";

fn recorded(name: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("testdata")
        .join(name);
    std::fs::read_to_string(path).unwrap()
}

/// A world in which the seal of [`JOIN`] may join as [`NAME`].
fn world() -> World {
    let world = World::new();
    world.directory.put_node(HASH.parse_hash(), NAME, record());
    world
}

fn node(name: &str) -> serde_json::Value {
    json!({
        "authenticated": true,
        "user": {"username": format!("system:node:{name}"), "groups": ["system:nodes"]},
    })
}

#[tokio::test]
async fn a_supervisor_learns_which_node_its_agent_is() {
    for (number, file) in [
        "v1.36-tokenreview-supervisor.json",
        "v1.21-tokenreview-supervisor-config.json",
        "v1.21-tokenreview-supervisor-client-kubelet-crt.json",
    ]
    .into_iter()
    .enumerate()
    {
        let world = World::new();
        let body: serde_json::Value = serde_json::from_str(&recorded(file)).unwrap();
        let token = body["spec"]["token"].as_str().unwrap();
        let hash = JoinCredential::parse(token).unwrap().credential_hash();
        let name = format!("worker-{number}");
        world.directory.put_node(hash, &name, record());
        let answer = world.ask(recorded(file)).await;
        assert_eq!(answer.code, 200);
        assert_eq!(answer.body["status"], node(&name), "{file}");
        assert_eq!(world.nodes.asked(), [(name, hash)]);
        assert_eq!(world.counted("accepted", "node"), 1);
        assert_eq!(world.home.asked(), 0, "a machine needs no namespace");
    }
}

#[tokio::test]
async fn the_same_credential_is_refused_at_the_api_and_the_token_at_the_supervisor() {
    let world = world();
    for (token, audiences) in [(JOIN, Some(["k3s"].as_slice())), (SEAL, None)] {
        let answer = world.ask(review(token, audiences)).await;
        assert_eq!(answer.body["status"]["authenticated"], false);
    }
    assert_eq!(world.nodes.asked(), []);
    assert_eq!(world.directory.asked(), 0, "no look-up");
}

#[tokio::test]
async fn no_node_is_made_for_a_seal_that_may_not_join() {
    let refused = async |world: World, reason: &str| {
        let answer = world.ask(review(JOIN, None)).await;
        assert_eq!(answer.code, 200);
        let status = &answer.body["status"];
        assert_eq!(status["authenticated"], false, "{reason}");
        assert!(!status["error"].as_str().unwrap().is_empty(), "{reason}");
        assert_eq!(world.counted("refused", reason), 1, "{reason}");
        assert_eq!(world.nodes.asked(), [], "{reason}");
    };
    refused(World::new(), "unknown").await;
    for status in [
        SealStatus::Unbonding,
        SealStatus::Slashed,
        SealStatus::Revoked,
        SealStatus::Retired,
    ] {
        let world = World::new();
        let record = SealRecord { status, ..record() };
        world.directory.put_node(HASH.parse_hash(), NAME, record);
        refused(world, status.label()).await;
    }
    let expired = World::new();
    let record_of = SealRecord {
        expires_at: UnixMillis(NOW),
        ..record()
    };
    expired
        .directory
        .put_node(HASH.parse_hash(), NAME, record_of);
    refused(expired, "expired").await;

    let nameless = World::new();
    nameless.directory.put(HASH.parse_hash(), record());
    refused(nameless, "no_node").await;

    // The name has moved on to another seal of the owner, as a refresh does.
    let moved = world();
    let newer = seal::CredentialHash::from_bytes([9; 32]);
    moved.directory.put_node(newer, NAME, record());
    refused(moved, "not_the_claim").await;

    let unguarded = world();
    unguarded.guards.set(false);
    refused(unguarded, "guards_missing").await;
}

#[tokio::test]
async fn an_unavailable_chain_lets_no_machine_join_and_says_so() {
    for cause in Unavailable::ALL {
        let world = world();
        world.directory.fail(Some(cause));
        let answer = world.ask(review(JOIN, None)).await;
        assert_eq!(answer.body["status"]["authenticated"], false);
        assert_eq!(world.counted("undecided", cause.label()), 1);
        assert_eq!(world.nodes.asked(), []);
    }
}

#[tokio::test(start_paused = true)]
async fn a_machine_without_its_node_is_not_authenticated() {
    for (making, reason) in [
        (Making::Reserved, "node_reserved"),
        (Making::Taken, "node_taken"),
        (Making::Fails, "node_not_made"),
        (Making::Hangs, "node_not_made"),
    ] {
        let world = world();
        world.nodes.go(making);
        let begun = tokio::time::Instant::now();
        let answer = world.ask(review(JOIN, None)).await;
        assert_eq!(answer.code, 200);
        assert_eq!(answer.body["status"]["authenticated"], false, "{making:?}");
        assert_eq!(world.counted("refused", reason), 1, "{making:?}");
        assert!(begun.elapsed() < Duration::from_secs(2), "{making:?}");

        world.nodes.go(Making::Made);
        let answer = world.ask(review(JOIN, None)).await;
        assert_eq!(answer.body["status"], node(NAME), "the next attempt");
    }
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_does_not_come_is_told_in_time() {
    let world = world();
    world.directory.hang_on_unknown();
    let begun = tokio::time::Instant::now();
    let answer = world.ask(review(JOIN, None)).await;
    assert_eq!(answer.code, 200);
    assert_eq!(answer.body["status"]["authenticated"], false);
    assert_eq!(world.counted("undecided", "read_timed_out"), 1);
    assert!(begun.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn unknown_machines_that_wait_keep_no_user_waiting() {
    let world = std::sync::Arc::new(world());
    world.directory.hang_on_unknown();
    let mut knocking = tokio::task::JoinSet::new();
    for number in 0..300 {
        let world = std::sync::Arc::clone(&world);
        let token = format!("aaaaaa.{number:016}");
        knocking.spawn(async move { world.ask(review(&token, None)).await });
    }
    // All places of machines are taken; the others are told at once.
    let mut told = 0;
    while let Some(answer) = knocking.join_next().await {
        assert_eq!(answer.unwrap().body["status"]["authenticated"], false);
        told += 1;
        if told == 300 - world.directory.waiting() {
            break;
        }
    }
    assert!(told > 0 && world.directory.waiting() < 300);
    world.directory.put(
        "2745a3451aac76eeb840dabfc0c2f5f945a638039ad995b049b80e5f3abd823e".parse_hash(),
        record(),
    );
    let answer = world.ask(review(&"0".repeat(64), Some(&["k3s"]))).await;
    assert_eq!(answer.body["status"]["authenticated"], true);
    knocking.abort_all();
}

#[tokio::test]
async fn no_join_credential_is_ever_logged() {
    let logs = Logs::default();
    let _guard = tracing::subscriber::set_default(logs.subscriber());
    for making in [Making::Made, Making::Taken, Making::Fails] {
        let world = world();
        world.nodes.go(making);
        world.ask(review(JOIN, None)).await;
    }
    world().ask(review(JOIN, Some(&["k3s"]))).await;
    let text = logs.text();
    assert!(text.contains(NAME), "there is something to look at: {text}");
    assert!(!text.contains(JOIN) && !text.contains(HASH), "{text}");
}
