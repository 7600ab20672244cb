use axum::body::Body;
use proptest::prelude::*;
use serde_json::{Value, json};
use tower::ServiceExt;
use webhook_server::parse_review;

use super::super::claims::Claims;
use super::super::{AdmitMetrics, AdmitSettings};
use super::*;

const CREATE: &str =
    include_str!("../../../testdata/k3s-v1.36.3/admissionreview-node-create-by-kubelet.json");
const ANNOTATED: &str =
    include_str!("../../../testdata/k3s-v1.36.3/admissionreview-node-update-by-kubelet.json");
const FINALIZER: &str =
    include_str!("../../../testdata/k3s-v1.36.3/admissionreview-node-update-by-supervisor.json");
const DELETE: &str = include_str!("../../../testdata/k3s-v1.36.3/admissionreview-node-delete.json");
const PASSWORD: &str =
    include_str!("../../../testdata/k3s-v1.36.3/admissionreview-node-password-secret-create.json");
const OLD_CREATE: &str =
    include_str!("../../../testdata/k3s-v1.21.2/admissionreview-node-create-by-node.json");
const OLD_CREATE_BY_ADMIN: &str =
    include_str!("../../../testdata/k3s-v1.21.2/admissionreview-node-create-by-admin.json");
const OLD_UPDATE: &str =
    include_str!("../../../testdata/k3s-v1.21.2/admissionreview-node-update-by-node.json");
const OLD_DELETE: &str =
    include_str!("../../../testdata/k3s-v1.21.2/admissionreview-node-delete-by-admin.json");
const EXEC: &str =
    include_str!("../../../testdata/k3s-v1.36.3/admissionreview-connect-pods-exec.json");

/// `other` has 10.200.0.9.
fn admit() -> Arc<Admit> {
    let admit = Admit::new(AdmitSettings::default(), AdmitMetrics::default());
    admit.with_book(|book| {
        book.begin();
        book.list("other", &Claims::gather([("InternalIP", "10.200.0.9")], []));
        book.listed();
    });
    Arc::new(admit)
}

async fn post_to(admit: Arc<Admit>, body: impl Into<Body>) -> (u16, Value) {
    let request = http::Request::post(PATH)
        .header("content-type", "application/json")
        .body(body.into())
        .unwrap();
    let answer = router(admit).oneshot(request).await.unwrap();
    let code = answer.status().as_u16();
    let bytes = axum::body::to_bytes(answer.into_body(), 1 << 20)
        .await
        .unwrap();
    (code, serde_json::from_slice(&bytes).unwrap())
}

async fn ask(body: impl Into<Body>) -> (u16, Value) {
    post_to(admit(), body).await
}

fn with(text: &str, change: impl FnOnce(&mut Value)) -> String {
    let mut review: Value = serde_json::from_str(text).unwrap();
    change(&mut review);
    review.to_string()
}

#[tokio::test]
async fn requests_of_a_real_k3s_pass() {
    for (text, uid) in [
        (CREATE, "db2478c3-22af-4063-92a9-3b94b787a7d7"),
        (FINALIZER, "21d71815-806f-46c1-9663-294b1c2d98fa"),
    ] {
        let (code, answer) = ask(text).await;
        let expected = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "response": {"uid": uid, "allowed": true}});
        assert_eq!((code, answer), (200, expected));
    }
    assert_eq!(ask(ANNOTATED).await.1["response"]["allowed"], true);
}

#[tokio::test]
async fn an_address_of_another_node_is_refused_in_words() {
    let taken = with(ANNOTATED, |review| {
        review["request"]["object"]["metadata"]["annotations"]["k3s.io/internal-ip"] =
            "::ffff:10.200.0.9".into();
    });
    let (code, answer) = ask(taken).await;
    assert_eq!(code, 200);
    let response = &answer["response"];
    assert_eq!(response["allowed"], false);
    assert_eq!(response["status"]["code"], 403);
    assert_eq!(response["status"]["reason"], "Forbidden");
    let message = response["status"]["message"].as_str().unwrap();
    assert!(
        message.starts_with("10.200.0.9 is the address of the Node other;"),
        "{message}"
    );
}

#[tokio::test]
async fn what_is_not_for_it_to_judge_passes() {
    // The control plane, operators and tenants: whatever they do.
    for text in [
        DELETE,
        EXEC,
        PASSWORD,
        FINALIZER,
        OLD_CREATE_BY_ADMIN,
        OLD_DELETE,
    ] {
        let (code, answer) = ask(text).await;
        assert_eq!(
            (code, &answer["response"]["allowed"]),
            (200, &json!(true)),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn reviews_of_an_old_k3s_are_understood() {
    for text in [OLD_CREATE, OLD_UPDATE] {
        let (code, answer) = ask(text).await;
        assert_eq!(code, 200, "{answer}");
        assert!(answer["response"]["allowed"].is_boolean(), "{answer}");
    }
}

#[tokio::test]
async fn what_it_is_never_asked_about_of_machines_is_refused() {
    let by_machine = |text: &str| {
        with(text, |review| {
            review["request"]["userInfo"]["username"] = "system:node:worker-001".into();
        })
    };
    for body in [
        by_machine(DELETE),
        by_machine(EXEC),
        by_machine(PASSWORD),
        with(CREATE, |review| review["request"]["name"] = "other".into()),
        with(CREATE, |review| {
            review["request"]["subResource"] = "proxy".into();
        }),
    ] {
        let (code, answer) = ask(body).await;
        assert_eq!(
            (code, &answer["response"]["allowed"]),
            (200, &json!(false)),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn while_nodes_are_not_known_it_refuses() {
    let ignorant = Arc::new(Admit::new(
        AdmitSettings::default(),
        AdmitMetrics::default(),
    ));
    let (_, answer) = post_to(Arc::clone(&ignorant), CREATE).await;
    let message = answer["response"]["status"]["message"].as_str().unwrap();
    assert!(message.contains("not known at this moment"), "{message}");
    assert!(!ignorant.is_ready() && admit().is_ready());
    assert_eq!(
        post_to(ignorant, FINALIZER).await.1["response"]["allowed"],
        true
    );
}

#[tokio::test]
async fn a_dry_run_reserves_nothing() {
    let admit = admit();
    let dry = with(CREATE, |review| review["request"]["dryRun"] = true.into());
    let of_another = with(CREATE, |review| {
        review["request"]["name"] = "w5".into();
        review["request"]["userInfo"]["username"] = "system:node:w5".into();
        review["request"]["object"]["metadata"]["name"] = "w5".into();
    });
    for (body, allowed) in [(dry.as_str(), true), (&of_another, true), (CREATE, false)] {
        // The host name of the other is that of no Node yet.
        let answer = post_to(Arc::clone(&admit), body.to_owned()).await.1;
        assert_eq!(answer["response"]["allowed"], allowed, "{answer}");
    }
}

#[tokio::test]
async fn malformed_reviews_are_refused_with_a_status() {
    let replaced = |pointer: &str, value: Value| {
        with(CREATE, |review| {
            *review.pointer_mut(pointer).unwrap() = value;
        })
    };
    let without = |pointer: &str, key: &str| {
        with(CREATE, |review| {
            let object = review.pointer_mut(pointer).unwrap();
            object.as_object_mut().unwrap().remove(key);
        })
    };
    for body in [
        String::new(),
        "{}".to_owned(),
        "[]".to_owned(),
        "null".to_owned(),
        CREATE.get(..CREATE.len() / 2).unwrap().to_owned(),
        replaced("/kind", "TokenReview".into()),
        replaced("/apiVersion", "admission.k8s.io/v1beta1".into()),
        replaced("/request", Value::Null),
        replaced("/request", json!([])),
        replaced("/request/uid", 7.into()),
        replaced("/request/uid", "".into()),
        replaced("/request/uid", "x".repeat(129).into()),
        replaced("/request/object", json!("Node")),
        replaced(
            "/request/object/status/addresses",
            json!({"type": "InternalIP"}),
        ),
        replaced("/request/object/status/addresses/0/address", 10.into()),
        replaced("/request/object/metadata/annotations", json!({"a": 1})),
        replaced("/request/operation", Value::Null),
        without("", "request"),
        without("/request", "uid"),
        without("/request", "resource"),
        without("/request", "userInfo"),
    ] {
        let (code, answer) = ask(body.clone()).await;
        assert_eq!(
            (code, &answer["kind"]),
            (400, &json!("Status")),
            "{body:.200}"
        );
    }
    // What Kubernetes may leave out, or add.
    for body in [
        without("/request", "dryRun"),
        without("/request", "name"),
        without("/request/object", "status"),
        replaced("/request/object/metadata/labels", Value::Null),
        replaced("/request/object/status/addresses", Value::Null),
        with(CREATE, |review| review["request"]["new"] = json!({"a": []})),
    ] {
        let (code, answer) = ask(body.clone()).await;
        assert_eq!(
            (code, &answer["response"]["allowed"]),
            (200, &json!(true)),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn only_json_by_post_is_read() {
    for (method, content_type, code) in [
        ("GET", "application/json", 405),
        ("POST", "text/plain", 415),
    ] {
        let request = http::Request::builder()
            .method(method)
            .uri(PATH)
            .header("content-type", content_type)
            .body(Body::from(CREATE))
            .unwrap();
        let answer = router(admit()).oneshot(request).await.unwrap();
        assert_eq!(answer.status().as_u16(), code);
    }
}

proptest! {
    #[test]
    fn no_body_panics(body in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = parse_review::<AdmissionReview>(&body);
    }

    #[test]
    fn no_damage_to_a_good_review_panics(at in 0_usize..3000, byte: u8) {
        let mut body = ANNOTATED.as_bytes().to_vec();
        if let Some(place) = body.get_mut(at) {
            *place = byte;
        }
        if let Ok(review) = parse_review::<AdmissionReview>(&body) {
            let _ = admit().judge(Instant::now(), &review.request);
        }
    }

    #[test]
    fn no_text_in_the_place_of_an_address_panics(kind in "\\PC{0,20}", address in "\\PC{0,80}") {
        let body = with(CREATE, |review| {
            review["request"]["object"]["status"]["addresses"] =
                json!([{"type": kind, "address": address}]);
        });
        let review = parse_review::<AdmissionReview>(body.as_bytes()).unwrap();
        let _ = admit().judge(Instant::now(), &review.request);
    }
}
