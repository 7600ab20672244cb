use std::collections::VecDeque;
use std::sync::Mutex;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use kube::client::Body;

use super::*;

const OWNER: &str = "0x29dfbf688abce7ab43bb8e70cae158ae961196e721440f515482f8ba1684390f";
const HOME: &str = "seal-29dfbf688abce7ab";

fn owned() -> Ownership {
    Ownership::Owned(OWNER.parse::<Address>().unwrap())
}

fn listed(watch: &NamespaceWatch) {
    watch.apply_namespace(Event::Init);
    watch.apply_namespace(Event::InitApply((HOME.into(), owned())));
    watch.apply_namespace(Event::InitApply(("team".into(), Ownership::Unowned)));
    watch.apply_namespace(Event::InitDone);
    watch.apply_binding(Event::Init);
    watch.apply_binding(Event::InitApply(("b1".into(), vec!["ops".into()])));
    watch.apply_binding(Event::InitDone);
}

#[test]
fn nothing_is_known_before_the_lists_are_complete() {
    let watch = NamespaceWatch::new();
    watch.apply_namespace(Event::Init);
    watch.apply_namespace(Event::InitApply((HOME.into(), owned())));
    assert_eq!(watch.view(HOME), NamespaceView::UNKNOWN);
    assert!(!watch.is_ready());
    listed(&watch);
    assert!(watch.is_ready());
    assert_eq!(watch.view(HOME).ownership, owned());
    assert_eq!(watch.view("team").ownership, Ownership::Unowned);
    assert_eq!(watch.view("new").ownership, Ownership::Unknown);
}

#[test]
fn changes_and_deletions_count_at_once() {
    let watch = NamespaceWatch::new();
    listed(&watch);
    watch.apply_namespace(Event::Apply(("new".into(), Ownership::Unowned)));
    assert_eq!(watch.view("new").ownership, Ownership::Unowned);
    watch.apply_namespace(Event::Delete((HOME.into(), owned())));
    assert_eq!(watch.view(HOME).ownership, Ownership::Unknown);
    watch.apply_binding(Event::Apply(("b2".into(), vec!["team".into()])));
    assert_eq!(watch.view("team").bound, Bound::Yes);
    watch.apply_binding(Event::Delete(("b2".into(), vec![])));
    assert_eq!(watch.view("team").bound, Bound::No);
    assert_eq!(watch.view("ops").bound, Bound::Yes);
}

#[test]
fn a_new_list_replaces_the_old_one_only_when_it_is_complete() {
    let watch = NamespaceWatch::new();
    listed(&watch);
    watch.apply_namespace(Event::Init);
    assert_eq!(watch.view(HOME).ownership, owned());
    watch.apply_binding(Event::Init);
    assert_eq!(watch.view("ops").bound, Bound::Yes);
    watch.apply_namespace(Event::InitDone);
    watch.apply_binding(Event::InitDone);
    assert_eq!(watch.view(HOME).ownership, Ownership::Unknown);
    assert_eq!(watch.view("ops").bound, Bound::No);
}

#[tokio::test]
async fn whoever_makes_a_namespace_can_wait_for_the_watch_to_know_it() {
    let watch = Arc::new(NamespaceWatch::new());
    let owner: Address = OWNER.parse().unwrap();
    let waiting = Arc::clone(&watch);
    let waits = tokio::spawn(async move { waiting.wait_owned(HOME, &owner).await });
    tokio::task::yield_now().await;
    watch.apply_namespace(Event::Apply((HOME.into(), Ownership::Unknown)));
    tokio::task::yield_now().await;
    assert!(!waits.is_finished());
    watch.apply_namespace(Event::Apply((HOME.into(), owned())));
    tokio::time::timeout(Duration::from_secs(10), waits)
        .await
        .unwrap()
        .unwrap();
}

/// An API server of two lists: the first answer of each kind may be a failure; watches
/// stay open and silent.
fn api_server(failures: usize) -> Client {
    let failing = Arc::new(Mutex::new(VecDeque::from(vec![(); failures * 2])));
    let service = tower::service_fn(move |request: http::Request<Body>| {
        let failing = Arc::clone(&failing);
        async move {
            let uri = request.uri().to_string();
            if uri.contains("watch=true") {
                std::future::pending::<()>().await;
            }
            let fails = failing.lock().unwrap().pop_front().is_some();
            let (status, body) = if fails {
                (500, "not json".to_owned())
            } else if uri.contains("/namespaces") {
                (200, namespace_list(&request))
            } else {
                (200, BINDINGS.to_owned())
            };
            let body = Full::new(Bytes::from(body)).boxed();
            let response = http::Response::builder().status(status).body(body).unwrap();
            Ok::<_, std::convert::Infallible>(response)
        }
    });
    Client::new(service, "default")
}

fn namespace_list(request: &http::Request<Body>) -> String {
    let accept = request.headers()[http::header::ACCEPT].to_str().unwrap();
    assert!(accept.contains("PartialObjectMetadataList"), "{accept}");
    serde_json::json!({
        "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadataList",
        "metadata": {"resourceVersion": "1"},
        "items": [{
            "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata",
            "metadata": {"name": HOME, "annotations": {"k3s-daas.io/owner": OWNER}},
        }],
    })
    .to_string()
}

const BINDINGS: &str = r#"{"apiVersion":"rbac.authorization.k8s.io/v1",
    "kind":"ClusterRoleBindingList","metadata":{"resourceVersion":"1"},"items":[{
        "metadata":{"name":"b"},
        "roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"view"},
        "subjects":[{"kind":"ServiceAccount","name":"x","namespace":"ops"}]}]}"#;

#[tokio::test]
async fn follows_an_api_server_that_fails_at_first() {
    let watch = Arc::new(NamespaceWatch::new());
    let running = tokio::spawn(Arc::clone(&watch).run(api_server(1)));
    tokio::time::timeout(Duration::from_secs(10), watch.wait_ready())
        .await
        .unwrap();
    assert_eq!(watch.view(HOME).ownership, owned());
    assert_eq!(watch.view("ops").bound, Bound::Yes);
    running.abort();
}
