//! Who is answered, and who is not.

use seal::{Mist, SealRecord, SealStatus, UnixMillis};
use sui_ledger::directory::Unavailable;

use crate::double::{Bench, JOIN, NODE, NOW, SEAL, record, request, sealed_calls, token};

#[tokio::test]
async fn every_call_but_health_and_the_document_needs_a_token() {
    let bench = Bench::new();
    for (method, path, body) in sealed_calls() {
        let answer = bench.send(request(method, path, None, body)).await;
        answer.is_problem(401, "no-credential");
        assert_eq!(
            answer.header("www-authenticate"),
            Some("Bearer realm=\"k3s-daas\""),
            "{path}"
        );
    }
    for path in ["/healthz", "/openapi.json"] {
        let answer = bench.send(request("GET", path, None, None)).await;
        assert_eq!(answer.status, 200, "{path}");
    }
}

#[tokio::test]
async fn what_is_no_seal_token_is_refused_without_a_look_at_the_chain() {
    let bench = Bench::new();
    bench.directory.fail(Some(Unavailable::Starting));
    for token in ["", "x", JOIN, &SEAL.to_uppercase(), &format!("{SEAL}0")] {
        let answer = bench.get_as(token, "/api/v1/nodes").await;
        answer.is_problem(401, "no-credential");
    }
    let mut twice = request("GET", "/api/v1/nodes", Some(SEAL), None);
    twice
        .headers_mut()
        .append("authorization", format!("Bearer {SEAL}").parse().unwrap());
    bench.send(twice).await.is_problem(401, "no-credential");
}

#[tokio::test]
async fn a_token_that_the_chain_does_not_know_is_refused_everywhere() {
    let bench = Bench::new();
    for (method, path, body) in sealed_calls() {
        let answer = bench
            .send(request(method, path, Some(&token(9)), body))
            .await;
        answer.is_problem(401, "unknown-seal");
        let challenge = answer.header("www-authenticate").unwrap();
        assert!(challenge.contains("invalid_token"), "{challenge}");
    }
}

#[tokio::test]
async fn a_seal_that_can_not_be_used_is_refused_everywhere_with_the_reason() {
    let with_status = |status| SealRecord { status, ..record() };
    for (unusable, reason) in [
        (with_status(SealStatus::Unbonding), "unbonding"),
        (with_status(SealStatus::Slashed), "slashed"),
        (with_status(SealStatus::Revoked), "revoked"),
        (with_status(SealStatus::Retired), "retired"),
        (
            SealRecord {
                expires_at: UnixMillis(NOW),
                ..record()
            },
            "expired",
        ),
        (
            SealRecord {
                stake: Mist(499_999_999),
                ..record()
            },
            "stake_too_low",
        ),
    ] {
        let bench = Bench::new();
        bench.directory.put(SEAL, unusable);
        for (method, path, body) in sealed_calls() {
            let answer = bench.send(request(method, path, Some(SEAL), body)).await;
            let problem = answer.is_problem(401, "unusable-seal");
            assert_eq!(problem["reason"], reason, "{path}");
        }
    }
}

#[tokio::test]
async fn without_a_view_of_the_chain_nobody_is_answered_and_all_are_asked_to_come_again() {
    let bench = Bench::new();
    for cause in Unavailable::ALL {
        bench.directory.fail(Some(cause));
        for (method, path, body) in sealed_calls() {
            let answer = bench.send(request(method, path, Some(SEAL), body)).await;
            let problem = answer.is_problem(503, "chain-unavailable");
            assert_eq!(problem["reason"], cause.label());
            assert_eq!(answer.header("retry-after"), Some("2"));
        }
    }
    bench.directory.fail(None);
    assert_eq!(bench.get("/api/v1/nodes").await.status, 200);
}

#[tokio::test]
async fn the_token_is_in_no_metric_and_routes_are_counted_by_their_names() {
    let bench = Bench::new();
    for path in ["/api/v1/nodes", "/api/v1/nodes?limit=0", "/x/y", SEAL] {
        let path = format!("/{}", path.trim_start_matches('/'));
        bench.get(&path).await;
    }
    bench.get_as("x", "/kubectl/config").await;
    bench
        .send(request("PUT", "/api/v1/nodes", None, None))
        .await;
    let text = bench.rendered_metrics();
    for line in [
        "k3s_daas_api_requests_total{route=\"/api/v1/nodes\",status=\"200\"} 1",
        "k3s_daas_api_requests_total{route=\"/api/v1/nodes\",status=\"400\"} 1",
        "k3s_daas_api_requests_total{route=\"/api/v1/nodes\",status=\"405\"} 1",
        "k3s_daas_api_requests_total{route=\"/kubectl/config\",status=\"401\"} 1",
        "k3s_daas_api_requests_total{route=\"other\",status=\"404\"} 2",
        "k3s_daas_api_problems_total{problem=\"no-credential\"} 1",
        "k3s_daas_api_problems_total{problem=\"not-found\"} 2",
        "k3s_daas_api_problems_total{problem=\"rate-limited\"} 0",
        "k3s_daas_api_request_duration_seconds_count 6",
        "k3s_daas_http_requests_total{group=\"api\",outcome=\"answered\"} 1",
        "k3s_daas_http_requests_total{group=\"api\",outcome=\"client_error\"} 5",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    assert!(!text.contains(SEAL) && !text.contains(NODE), "{text}");
}
