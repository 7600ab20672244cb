//! `GET /api/v1/metrics`: for whoever has the machine's seal token.

use axum::body::Body;
use http::Request;
use serde_json::json;

use crate::fakes::*;

fn asked(values: &[&[u8]]) -> Request<Body> {
    let request = values.iter().fold(Request::get(METRICS), |request, value| {
        request.header("authorization", *value)
    });
    request.body(Body::empty()).unwrap()
}

fn shown() -> String {
    format!("Bearer {}", *own_token().reveal())
}

#[tokio::test]
async fn figures_are_the_owners() {
    let rig = Rig::new();
    for router in [&rig.public, &rig.private] {
        for own in [shown(), shown().replace("Bearer", "bEARER")] {
            let told = ask(router, asked(&[own.as_bytes()])).await;
            assert_eq!(told.status, 200, "{told:?}");
            let expected = json!({
                "cpu_usage": 45.5, "pod_count": 25, "container_count": 48,
                "network_rx": 1_024_000, "timestamp": 1_234_567_890,
            });
            assert_eq!(told.json(), expected);
        }
    }
}

#[tokio::test]
async fn a_header_that_is_not_one_bearer_token_is_no_credential() {
    let rig = Rig::new();
    let own = shown();
    let token = own_token().reveal().to_string();
    let (basic, upper) = (
        format!("Basic {token}"),
        format!("Bearer {}", "AB".repeat(32)),
    );
    let (short, long) = (&own[..own.len() - 1], format!("{own}1"));
    let cases: [&[&[u8]]; 9] = [
        &[],
        &[own.as_bytes(), own.as_bytes()],
        &[basic.as_bytes()],
        &[token.as_bytes()],
        &[b"Bearer"],
        &[upper.as_bytes()],
        &[short.as_bytes()],
        &[long.as_bytes()],
        &[b"Bearer \xff\xfe"],
    ];
    for values in cases {
        for router in [&rig.public, &rig.private] {
            let told = ask(router, asked(values)).await;
            assert_eq!(told.status, 401, "{values:?}");
            assert_eq!(told.problem().as_deref(), Some("no-credential"));
            assert_eq!(
                told.header("www-authenticate"),
                Some("Bearer realm=\"k3s-daas\"")
            );
            assert!(!String::from_utf8_lossy(&told.body).contains(&token[..16]));
        }
    }
}

#[tokio::test]
async fn another_token_or_a_machine_without_one_is_refused() {
    let other = format!("Bearer {}", "22".repeat(32));
    for (rig, value) in [
        (Rig::new(), other),
        (Rig::with(Some(figures()), false, 1), shown()),
    ] {
        let told = ask(&rig.public, asked(&[value.as_bytes()])).await;
        assert_eq!(told.status, 401, "{told:?}");
        assert_eq!(told.problem().as_deref(), Some("other-seal"));
        let challenge = told.header("www-authenticate").unwrap();
        assert!(challenge.contains("invalid_token"), "{challenge}");
    }
}

#[tokio::test]
async fn before_the_first_look_there_is_nothing() {
    let rig = Rig::with(None, true, 1);
    let told = ask(&rig.public, asked(&[shown().as_bytes()])).await;
    assert_eq!(told.status, 503);
    assert_eq!(told.problem().as_deref(), Some("no-figures"));
    assert_eq!(told.header("retry-after"), Some("1"));
    // Nobody learns even that without the token.
    assert_eq!(ask(&rig.public, asked(&[])).await.status, 401);
}
