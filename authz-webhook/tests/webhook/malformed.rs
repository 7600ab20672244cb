//! Reviews that no API server sends, and requests that are no reviews.

use axum::body::Body;
use http::{Method, Request, StatusCode, header};
use proptest::prelude::*;
use seal::Tier;
use serde_json::{Value, json};

use crate::directory::{Holder, Namespaces, Webhook};

fn review(change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut review = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
        "spec": {
            "user": "alice", "groups": ["g"],
            "resourceAttributes": {"verb": "get", "resource": "pods"},
        },
    });
    change(&mut review);
    review.to_string().into_bytes()
}

async fn refused(body: Vec<u8>) -> (StatusCode, Value) {
    let webhook = Webhook::new(Namespaces::default());
    webhook.stake(Holder(1), Tier::Super);
    webhook.post(body).await
}

#[tokio::test]
async fn malformed_reviews_get_a_status_of_400() {
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("empty", vec![]),
        ("not json", b"hello".to_vec()),
        ("not utf-8", b"{\"kind\":\"\xff\"}".to_vec()),
        ("cut off", review(|_| ())[..40].to_vec()),
        ("a list", b"[]".to_vec()),
        ("null", b"null".to_vec()),
        (
            "its values as a list",
            b"[\"authorization.k8s.io/v1\",\"SubjectAccessReview\",{}]".to_vec(),
        ),
        (
            "a spec as a list",
            review(|r| r["spec"] = json!(["alice", "", ["g"], {}, {"verb": "get"}])),
        ),
        (
            "attributes' values as a list",
            review(|r| r["spec"]["resourceAttributes"] = json!(["get", "", "pods"])),
        ),
        ("a text", b"\"x\"".to_vec()),
        ("two documents", [review(|_| ()), review(|_| ())].concat()),
        (
            "no kind",
            review(|r| _ = r.as_object_mut().unwrap().remove("kind")),
        ),
        (
            "no version",
            review(|r| _ = r.as_object_mut().unwrap().remove("apiVersion")),
        ),
        (
            "no spec",
            review(|r| _ = r.as_object_mut().unwrap().remove("spec")),
        ),
        ("null spec", review(|r| r["spec"] = Value::Null)),
        ("spec is a text", review(|r| r["spec"] = json!("x"))),
        (
            "v1beta1",
            review(|r| r["apiVersion"] = json!("authorization.k8s.io/v1beta1")),
        ),
        (
            "other group",
            review(|r| r["apiVersion"] = json!("authentication.k8s.io/v1")),
        ),
        ("core v1", review(|r| r["apiVersion"] = json!("v1"))),
        ("other kind", review(|r| r["kind"] = json!("TokenReview"))),
        (
            "local review",
            review(|r| r["kind"] = json!("LocalSubjectAccessReview")),
        ),
        (
            "kind in lower case",
            review(|r| r["kind"] = json!("subjectaccessreview")),
        ),
        ("kind is a number", review(|r| r["kind"] = json!(1))),
        (
            "no attributes",
            review(|r| {
                _ = r["spec"]
                    .as_object_mut()
                    .unwrap()
                    .remove("resourceAttributes");
            }),
        ),
        (
            "both attributes",
            review(|r| {
                r["spec"]["nonResourceAttributes"] = json!({"path": "/", "verb": "get"});
            }),
        ),
        (
            "attributes are a list",
            review(|r| r["spec"]["resourceAttributes"] = json!([1])),
        ),
        (
            "verb is a number",
            review(|r| r["spec"]["resourceAttributes"]["verb"] = json!(1)),
        ),
        (
            "user is a list",
            review(|r| r["spec"]["user"] = json!(["alice"])),
        ),
        (
            "groups are a text",
            review(|r| r["spec"]["groups"] = json!("g")),
        ),
        (
            "a group is a number",
            review(|r| r["spec"]["groups"] = json!([1])),
        ),
        (
            "extra is a list",
            review(|r| r["spec"]["extra"] = json!([])),
        ),
        (
            "an extra of ours is a text",
            review(|r| r["spec"]["extra"] = json!({"k3s-daas.io/seal": "x"})),
        ),
        (
            "nobody asks",
            review(|r| {
                r["spec"]["user"] = json!("");
                r["spec"]["groups"] = json!([]);
            }),
        ),
    ];
    for (name, body) in cases {
        let (code, status) = refused(body).await;
        assert_eq!(code, StatusCode::BAD_REQUEST, "{name}: {status}");
        assert_eq!(status["kind"], "Status", "{name}");
        assert_eq!(status["apiVersion"], "v1", "{name}");
        assert_eq!(status["status"], "Failure", "{name}");
        assert_eq!(status["code"], 400, "{name}");
        assert!(!status["message"].as_str().unwrap().is_empty(), "{name}");
    }
}

#[tokio::test]
async fn v1beta1_is_told_what_to_set() {
    let (_, status) = refused(review(|r| {
        r["apiVersion"] = json!("authorization.k8s.io/v1beta1");
    }))
    .await;
    let message = status["message"].as_str().unwrap();
    assert!(
        message.contains("subjectAccessReviewVersion: v1"),
        "{message}"
    );
}

#[tokio::test]
async fn unknown_fields_are_ignored_and_nulls_are_absent() {
    let (code, answer) = refused(review(|r| {
        r["spec"]["resourceAttributes"]["fieldSelector"] = json!({"requirements": [{"key": "a"}]});
        r["spec"]["resourceAttributes"]["namespace"] = Value::Null;
        r["spec"]["nonResourceAttributes"] = Value::Null;
        r["spec"]["extra"] = json!({"example.org/x": ["1", "2"], "example.org/y": 7});
        r["spec"]["groups"] = Value::Null;
        r["status"] = json!({"allowed": true});
        r["future"] = json!({"a": [1, 2, 3]});
    }))
    .await;
    assert_eq!(code, StatusCode::OK);
    assert_eq!(answer["status"]["allowed"], false);
    assert!(answer["status"].get("denied").is_none());
}

#[tokio::test]
async fn other_methods_and_media_types_are_refused() {
    let webhook = Webhook::new(Namespaces::default());
    let request = |method: Method, media: Option<&str>| {
        let mut request = Request::builder().method(method).uri("/authorize");
        if let Some(media) = media {
            request = request.header(header::CONTENT_TYPE, media);
        }
        request.body(Body::from(review(|_| ()))).unwrap()
    };
    let json = Some("application/json");
    for (request, expected) in [
        (request(Method::GET, json), StatusCode::METHOD_NOT_ALLOWED),
        (request(Method::PUT, json), StatusCode::METHOD_NOT_ALLOWED),
        (
            request(Method::POST, Some("text/plain")),
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ),
        (
            request(Method::POST, None),
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ),
    ] {
        let (code, status) = webhook.send(request).await;
        assert_eq!(code, expected);
        assert_eq!(status["kind"], "Status");
    }
    let (code, _) = webhook
        .send(request(
            Method::POST,
            Some("application/json; charset=utf-8"),
        ))
        .await;
    assert_eq!(code, StatusCode::OK);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn random_bytes_are_answered_with_a_status(body in proptest::collection::vec(any::<u8>(), 0..512)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (code, status) = runtime.block_on(refused(body));
        prop_assert_eq!(code, StatusCode::BAD_REQUEST);
        prop_assert_eq!(&status["kind"], "Status");
    }

    #[test]
    fn random_texts_in_a_review_never_give_a_yes(
        user: String, uid: String, group: String, seal: String, hash: String,
        verb: String, resource: String, namespace: String,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let body = review(|r| r["spec"] = json!({
            "user": format!("seal:{user}"), "uid": uid, "groups": [group],
            "extra": {"k3s-daas.io/seal": [seal], "k3s-daas.io/credential-hash": [hash]},
            "resourceAttributes": {"verb": verb, "resource": resource, "namespace": namespace},
        }));
        let (code, answer) = runtime.block_on(refused(body));
        prop_assert_eq!(code, StatusCode::OK);
        prop_assert_eq!(&answer["status"]["denied"], true);
    }
}
