//! The whole router: recorded requests, refusals, malformed reviews, and what is
//! left of a secret afterwards.

#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;
use std::time::Duration;

use authn_webhook::{Audiences, Policy};
use common::{Ask, HASH, JOIN, Logs, SEAL, World, body, record, review};
use proptest::prelude::*;
use seal::{ElevatedOwners, Mist, SealRecord, SealStatus, UnixMillis};
use serde_json::json;
use sui_ledger::directory::Unavailable;

const NOT_ACCEPTED: &str = "the credential is not accepted";

fn recorded(name: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("testdata")
        .join(name);
    std::fs::read_to_string(path).unwrap()
}

#[tokio::test]
async fn every_recorded_review_gets_its_answer() {
    let world = World::new();
    // The API server's users of the recordings, with seals of their own.
    for name in [
        "v1.36-tokenreview-api-user.json",
        "v1.21-tokenreview-api-user.json",
    ] {
        let body: serde_json::Value = serde_json::from_str(&recorded(name)).unwrap();
        let token = body["spec"]["token"].as_str().unwrap();
        let hash = seal::SealToken::parse(token).unwrap().credential_hash();
        world.directory.put(hash, record());
        let answer = world.ask(recorded(name)).await;
        assert_eq!(answer.code, 200);
        assert_eq!(answer.body["status"]["authenticated"], true, "{name}");
        assert_eq!(
            answer.body["status"]["audiences"],
            json!(["https://kubernetes.default.svc.cluster.local", "k3s"])
        );
        assert_eq!(
            answer.body["status"]["user"]["extra"]["k3s-daas.io/credential-hash"],
            json!([hash.to_string()])
        );
    }
    for (name, error) in [
        (
            "v1.36-tokenreview-join-credential-at-api.json",
            "a join credential is not accepted here: the API takes the seal token",
        ),
        ("v1.36-tokenreview-supervisor.json", NOT_ACCEPTED),
        ("v1.21-tokenreview-supervisor-config.json", NOT_ACCEPTED),
        (
            "v1.21-tokenreview-supervisor-client-kubelet-crt.json",
            NOT_ACCEPTED,
        ),
        (
            "v1.21-tokenreview-supervisor-unknown-token.json",
            NOT_ACCEPTED,
        ),
    ] {
        let answer = world.ask(recorded(name)).await;
        assert_eq!(answer.code, 200);
        assert_eq!(
            answer.body["status"],
            json!({"authenticated": false, "error": error}),
            "{name}"
        );
    }
}

#[tokio::test]
async fn each_refusal_has_its_reason_in_the_metric_and_nothing_in_the_answer() {
    let with = |change: fn(&mut SealRecord)| {
        let mut record = record();
        change(&mut record);
        Some(record)
    };
    for (record, reason) in [
        (None, "unknown"),
        (
            with(|record| record.status = SealStatus::Unbonding),
            "unbonding",
        ),
        (
            with(|record| record.status = SealStatus::Slashed),
            "slashed",
        ),
        (
            with(|record| record.status = SealStatus::Revoked),
            "revoked",
        ),
        (
            with(|record| record.status = SealStatus::Retired),
            "retired",
        ),
        (
            with(|record| record.expires_at = UnixMillis(common::NOW)),
            "expired",
        ),
        (
            with(|record| record.stake = Mist(499_999_999)),
            "stake_too_low",
        ),
    ] {
        let world = World::new();
        if let Some(record) = record {
            world.directory.put(HASH.parse_hash(), record);
        }
        let answer = world.ask(review(SEAL, Some(&["k3s"]))).await;
        assert_eq!(
            answer.body["status"],
            json!({"authenticated": false, "error": NOT_ACCEPTED}),
            "{reason}"
        );
        assert_eq!(world.counted("refused", reason), 1, "{reason}");
        assert_eq!(world.home.asked(), 0, "no namespace for {reason}");
    }
    for (token, audiences, reason) in [
        (
            "eyJhbGciOiJSUzI1NiJ9.e30.c2ln",
            Some(["k3s"].as_slice()),
            "not_a_credential",
        ),
        (SEAL, Some(&["other"]), "other_audience"),
        (SEAL, None, "seal_token_at_supervisor"),
        (JOIN, Some(&["k3s"]), "join_credential_at_api"),
    ] {
        let world = World::new();
        world.directory.put(HASH.parse_hash(), common::record());
        let answer = world.ask(review(token, audiences)).await;
        assert_eq!(answer.body["status"]["authenticated"], false, "{reason}");
        assert!(!answer.body["status"]["error"].as_str().unwrap().is_empty());
        assert_eq!(world.counted("refused", reason), 1, "{reason}");
        assert_eq!(world.directory.asked(), 0, "no look-up for {reason}");
    }
}

#[tokio::test]
async fn an_unavailable_directory_never_means_yes_and_says_so() {
    for cause in Unavailable::ALL {
        let world = World::new();
        world.directory.put(HASH.parse_hash(), record());
        world.directory.fail(Some(cause));
        let answer = world.ask(review(SEAL, Some(&["k3s"]))).await;
        assert_eq!(answer.code, 200);
        let status = &answer.body["status"];
        assert_eq!(status["authenticated"], false);
        let error = status["error"].as_str().unwrap();
        assert!(error.contains(&cause.to_string()), "{error}");
        assert_eq!(world.counted("undecided", cause.label()), 1);

        world.directory.fail(None);
        let answer = world.ask(review(SEAL, Some(&["k3s"]))).await;
        assert_eq!(
            answer.body["status"]["authenticated"], true,
            "back by itself"
        );
    }
}

fn record_of(stake: u64) -> SealRecord {
    SealRecord {
        stake: Mist(stake),
        ..record()
    }
}

#[tokio::test]
async fn namespaces_are_made_for_developers_and_up_and_never_decide() {
    for (stake, asked) in [(500_000_000, 0), (2_000_000_000, 1), (10_000_000_000, 1)] {
        for fails in [false, true] {
            let world = World::new();
            world.home.fails(fails);
            world.directory.put(HASH.parse_hash(), record_of(stake));
            let answer = world.ask(review(SEAL, Some(&["k3s"]))).await;
            assert_eq!(answer.body["status"]["authenticated"], true);
            assert_eq!(world.home.asked(), asked, "{stake}");
            let world = World::new();
            world.home.is_there(true);
            world.directory.put(HASH.parse_hash(), record_of(stake));
            world.ask(review(SEAL, Some(&["k3s"]))).await;
            assert_eq!(world.home.asked(), 0, "it is there");
        }
    }
}

#[tokio::test]
async fn before_the_guards_are_in_place_everybody_is_a_viewer_without_a_namespace() {
    let world = World::new();
    let mut record = record();
    record.stake = Mist(10_000_000_000);
    world.directory.put(HASH.parse_hash(), record);
    let logs = Logs::default();
    world.guards.set(false);
    let answer = {
        let _collecting = tracing::subscriber::set_default(logs.subscriber());
        world.ask(review(SEAL, Some(&["k3s"]))).await
    };
    let user = &answer.body["status"]["user"];
    assert_eq!(user["groups"], json!(["seal:holders", "seal:tier:viewer"]));
    assert_eq!(user["extra"]["k3s-daas.io/tier"], json!(["viewer"]));
    assert_eq!(world.home.asked(), 0);
    assert_eq!(world.counted("accepted", "held_at_viewer"), 1);
    assert!(logs.text().contains("not in place yet"));
    world.guards.set(true);
    let answer = world.ask(review(SEAL, Some(&["k3s"]))).await;
    let user = &answer.body["status"]["user"];
    assert_eq!(user["groups"], json!(["seal:holders", "seal:tier:super"]));
    assert_eq!(world.home.asked(), 1);
    assert_eq!(world.counted("accepted", "usable"), 1);
}

#[tokio::test]
async fn a_replaced_policy_counts_with_the_next_review() {
    let world = World::new();
    let mut record = record();
    record.stake = Mist(10_000_000_000);
    world.directory.put(HASH.parse_hash(), record);
    for (elevated, ours, tier) in [
        (ElevatedOwners::None, "k3s", "developer"),
        (ElevatedOwners::Any, "k3s", "super"),
        (ElevatedOwners::Any, "elsewhere", "none"),
    ] {
        world.authn.replace_policy(Policy {
            audiences: Audiences::new([ours.to_owned()]).unwrap(),
            elevated,
        });
        let answer = world.ask(review(SEAL, Some(&["k3s"]))).await;
        let status = &answer.body["status"];
        if tier == "none" {
            assert_eq!(status["authenticated"], false);
        } else {
            assert_eq!(status["user"]["extra"]["k3s-daas.io/tier"], json!([tier]));
        }
    }
}

#[tokio::test]
async fn a_namespace_that_takes_for_ever_does_not_take_the_answer_along() {
    let world = World::new();
    world.home.hang();
    world.directory.put(HASH.parse_hash(), record());
    // The group's deadline is that of reviews: 2 s.
    let answer = tokio::time::timeout(
        Duration::from_secs(10),
        world.ask(review(SEAL, Some(&["k3s"]))),
    )
    .await
    .unwrap();
    assert_eq!(
        (answer.code, &answer.body["status"]["authenticated"]),
        (200, &json!(true))
    );
}

#[tokio::test]
async fn malformed_reviews_are_answered_with_a_kubernetes_status() {
    let world = World::new();
    world.directory.put(HASH.parse_hash(), record());
    let good = review(SEAL, Some(&["k3s"]));
    let spec_as_a_list = format!(
        r#"{{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","spec":["{SEAL}",["k3s"]]}}"#
    );
    for (body, code, message) in [
        (String::new(), 400, "not a JSON object"),
        ("{}".to_owned(), 400, "missing"),
        ("null".to_owned(), 400, "not a JSON object"),
        (
            good.replace("/v1", "/v1beta1"),
            400,
            "authentication-token-webhook-version=v1",
        ),
        (good.replace("/v1", "/v2"), 400, "v1 only"),
        (
            good.replace("TokenReview", "SubjectAccessReview"),
            400,
            "expected kind TokenReview",
        ),
        (
            good.replace("authentication.k8s.io", "authorization.k8s.io"),
            400,
            "expected apiVersion",
        ),
        (good.replace(SEAL, ""), 400, "spec.token is required"),
        (
            good.replace(&format!("\"{SEAL}\""), "null"),
            400,
            "wrong type",
        ),
        (
            good.replace(&format!("\"{SEAL}\""), "17"),
            400,
            "wrong type",
        ),
        (
            good.replace(&format!("\"{SEAL}\""), &format!("[\"{SEAL}\"]")),
            400,
            "wrong type",
        ),
        (good.replace("[\"k3s\"]", "\"k3s\""), 400, "wrong type"),
        (good.replace("[\"k3s\"]", "[1]"), 400, "wrong type"),
        (good.replace("\"spec\"", "\"Spec\""), 400, "missing"),
        (spec_as_a_list, 400, "wrong type"),
        (format!("[{good}]"), 400, "not a JSON object"),
        (format!("{good}{good}"), 400, "not JSON"),
        (
            good.replace("\"k3s\"", &format!("\"{}\"", "k".repeat(300_000))),
            413,
            "larger than",
        ),
    ] {
        let answer = world.ask(body.clone()).await;
        assert_eq!(answer.code, code, "{message}");
        assert_eq!(answer.body["kind"], "Status", "{message}");
        assert_eq!(answer.body["status"], "Failure");
        let said = answer.body["message"].as_str().unwrap();
        assert!(said.contains(message), "{said}");
        assert!(!said.contains(&SEAL[..16]), "{said}");
    }
    let yaml = world.ask_as("application/yaml", body(&good)).await;
    assert_eq!(yaml.code, 415);
    assert_eq!(world.directory.asked(), 0);
}

#[tokio::test]
async fn what_newer_and_older_servers_add_or_omit_does_not_matter() {
    let world = World::new();
    world.directory.put(HASH.parse_hash(), record());
    for text in [
        format!(
            r#"{{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","spec":{{"audiences":["k3s"],"token":"{SEAL}"}}}}"#
        ),
        format!(
            r#" {{"new":{{"deep":[1,2]}},"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","metadata":{{"creationTimestamp":null,"managedFields":[]}},"spec":{{"token":"{SEAL}","audiences":["k3s"],"boundTo":"x"}},"status":{{"user":{{}},"authenticated":true}}}} "#
        ),
    ] {
        let answer = world.ask(text).await;
        assert_eq!(answer.body["status"]["authenticated"], true);
    }
}

#[test]
fn no_secret_is_ever_logged() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let jwt = "eyJhbGciOiJSUzI1NiIsImtpZCI6InNlY3JldCJ9.eyJzdWIiOiJzeXN0ZW0ifQ.c2lnbmF0dXJl";
    let logs = common::Logs::default();
    tracing::subscriber::with_default(logs.subscriber(), || {
        runtime.block_on(async {
            let world = World::new();
            for slashed in [false, true] {
                let mut record = record();
                if slashed {
                    record.status = SealStatus::Slashed;
                }
                world.directory.put(HASH.parse_hash(), record);
                for token in [SEAL, JOIN, jwt] {
                    for audiences in [Some(["k3s"].as_slice()), Some(&["other"]), None] {
                        world.ask(review(token, audiences)).await;
                    }
                    world
                        .ask(review(token, None).replace("TokenReview", "Other"))
                        .await;
                    world
                        .ask(review(token, None).replace("{\"token\":", "["))
                        .await;
                }
            }
            world.home.fails(true);
            world.directory.fail(Some(Unavailable::Starting));
            world.ask(review(SEAL, Some(&["k3s"]))).await;
        });
    });
    let text = logs.text();
    assert!(
        text.contains("slashed") && text.contains("starting"),
        "{text}"
    );
    assert!(
        text.contains("request"),
        "at trace level, spans included: {text}"
    );
    for secret in [SEAL, JOIN, jwt, "eyJhbGci", "98bigncycpcjpj15", HASH] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
}

#[tokio::test]
async fn a_flood_of_random_tokens_that_wait_leaves_room_for_those_that_do_not() {
    let world = Arc::new(World::new());
    world.directory.put(HASH.parse_hash(), record());
    // Look-ups of unknown hashes hang, as they would on a slow chain.
    world.directory.hang_on_unknown();
    let flood: Vec<_> = (0u32..3_000)
        .map(|n| {
            let token = format!("{n:064x}");
            let world = Arc::clone(&world);
            tokio::spawn(async move { world.ask(review(&token, Some(&["k3s"]))).await.code })
        })
        .collect();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while world.counted("undecided", "overloaded") < 3_000 - 1_024 {
        assert!(tokio::time::Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert_eq!(world.directory.waiting(), 1_024, "no more wait than may");
    let valid = world.ask(review(SEAL, Some(&["k3s"]))).await;
    assert_eq!(
        (valid.code, &valid.body["status"]["authenticated"]),
        (200, &json!(true))
    );
    for task in flood {
        task.abort();
        let _ = task.await;
    }
    assert_eq!(world.directory.waiting(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_token_but_a_known_one_is_ever_accepted(token in "\\PC{0,80}", bytes: [u8; 32], audience in "[a-z0-9]{0,4}") {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let world = World::new();
            world.directory.put(HASH.parse_hash(), record());
            let random = seal::SealToken::from_bytes(bytes).reveal();
            for token in [token.as_str(), random.as_str(), &SEAL[1..], &SEAL.to_uppercase()] {
                let answer = world.ask(review(token, Some(&["k3s", &audience]))).await;
                prop_assert_ne!(&answer.body["status"]["authenticated"], &json!(true));
            }
            let answer = world.ask(review(SEAL, Some(&[&audience]))).await;
            prop_assert_eq!(
                answer.body["status"]["authenticated"] == json!(true),
                audience == "k3s"
            );
            Ok(())
        })?;
    }

    #[test]
    fn no_body_breaks_the_router(bytes in proptest::collection::vec(any::<u8>(), 0..200), at in 0usize..300, with: u8) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let world = World::new();
            let answer = world.ask_as("application/json", bytes).await;
            prop_assert_eq!(answer.code, 400);
            let mut mutated = review(SEAL, Some(&["k3s"])).into_bytes();
            let at = at % mutated.len();
            mutated[at] = with;
            let answer = world.ask_as("application/json", mutated).await;
            prop_assert!(answer.code == 200 || answer.code == 400);
            // The record is not there, whatever byte was changed.
            prop_assert_ne!(&answer.body["status"]["authenticated"], &json!(true));
            Ok(())
        })?;
    }
}
