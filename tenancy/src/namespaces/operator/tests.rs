use std::sync::{Arc, Mutex};

use kube::client::Body;
use serde_json::{Value, json};

use super::*;
use crate::namespaces::objects;

#[test]
fn times_are_shown_for_people() {
    assert_eq!(rfc3339(UnixMillis(0)), "1970-01-01T00:00:00Z");
    assert_eq!(
        rfc3339(UnixMillis(1_767_225_600_999)),
        "2026-01-01T00:00:00Z"
    );
    assert_eq!(rfc3339(UnixMillis(u64::MAX)), u64::MAX.to_string());
}

#[test]
fn what_is_no_tenants_is_not_shown() {
    let owner = Address::from_bytes([1; 32]);
    let mine = objects::namespace("seal-0101010101010101", &owner);
    let tenant = shown(&mine.metadata, None).unwrap();
    assert_eq!((tenant.state, tenant.owner), ("preparing", owner));
    let other = objects::namespace("kube-system", &owner);
    assert_eq!(shown(&other.metadata, None), None);
}

#[test]
fn what_is_still_to_come_is_not_told_as_if_it_had_been() {
    let owner = Address::from_bytes([1; 32]);
    let mut mine = objects::namespace("seal-0101010101010101", &owner);
    let annotations = mine.metadata.annotations.get_or_insert_default();
    for (key, time) in [
        (marks::ANNOTATION_STOPS_AT, "2026-01-01T00:10:00Z"),
        (marks::ANNOTATION_DELETES_AT, "2026-01-08T00:00:00Z"),
    ] {
        annotations.insert(key.to_owned(), time.to_owned());
    }
    let shown = serde_json::to_value(shown(&mine.metadata, None)).unwrap();
    assert_eq!(shown["stops_at"], "2026-01-01T00:10:00Z");
    assert_eq!(shown["deletes_at"], "2026-01-08T00:00:00Z");
    let names: Vec<&String> = shown.as_object().unwrap().keys().collect();
    assert!(!names.contains(&&"deleted_at".to_owned()), "{names:?}");
}

type Seen = Arc<Mutex<Vec<String>>>;

fn refused() -> (u16, Value) {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 403,
        "reason": "Forbidden", "message": "no",
    });
    (403, status)
}

/// An API server of `count` owners, asked by the last of them, who may read his own quota alone.
fn asked_by_the_last(count: u8) -> (kube::Client, Seen) {
    let seen = Seen::default();
    let all: Vec<Value> = (1..=count)
        .map(|number| {
            let owner = Address::from_bytes([number; 32]);
            let name = seal::identity::home_namespace(&owner);
            json!({ "metadata": objects::namespace(&name, &owner).metadata })
        })
        .collect();
    let me = Address::from_bytes([count; 32]);
    let mine = format!(
        "/api/v1/namespaces/{}/resourcequotas/{QUOTA}",
        seal::identity::home_namespace(&me)
    );
    let log = Arc::clone(&seen);
    let service = tower::service_fn(move |request: http::Request<Body>| {
        let path = request.uri().path().to_owned();
        let (code, answer) = match path.as_str() {
            "/api/v1/namespaces" => (200, json!({ "metadata": {}, "items": all })),
            "/apis/authentication.k8s.io/v1/selfsubjectreviews" => {
                let user = json!({ "username": seal::identity::user_name(&me) });
                (201, json!({ "status": { "userInfo": user } }))
            }
            path if path == mine => {
                let (used, hard) = (json!({ "pods": "3" }), json!({ "pods": "50" }));
                let quota = json!({ "spec": { "hard": hard }, "status": { "used": used } });
                (200, quota)
            }
            _ => refused(),
        };
        log.lock().unwrap().push(path);
        let answer = http::Response::builder()
            .status(code)
            .body(Body::from(answer.to_string().into_bytes()));
        async move { Ok::<_, std::convert::Infallible>(answer.unwrap()) }
    });
    (kube::Client::new(service, "default"), seen)
}

#[tokio::test]
async fn who_may_not_list_quotas_still_sees_the_pods_of_the_own_namespaces() {
    let (client, seen) = asked_by_the_last(20);
    let found = list(&client, None).await.unwrap();
    assert_eq!(found.len(), 20);
    let (last, others) = found.split_last().unwrap();
    assert_eq!(last.owner, Address::from_bytes([20; 32]));
    assert_eq!(last.pods_used.as_deref(), Some("3"));
    assert_eq!(last.pods_hard.as_deref(), Some("50"));
    assert!(others.iter().all(|one| one.pods_hard.is_none()));
    // However many tenants there are.
    let seen = seen.lock().unwrap();
    let asked = seen.iter().filter(|path| path.ends_with(QUOTA)).count();
    assert_eq!(asked, MOST, "{seen:?}");
}
