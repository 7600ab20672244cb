use std::collections::VecDeque;
use std::sync::Mutex;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use kube::client::Body;

use super::*;

const OWNER: &str = "0x29dfbf688abce7ab43bb8e70cae158ae961196e721440f515482f8ba1684390f";
const HOME: &str = "seal-29dfbf688abce7ab";

fn owner() -> Address {
    OWNER.parse().unwrap()
}

fn marks(ownership: Ownership) -> Marks {
    Marks {
        ownership,
        active: None,
    }
}

fn owned() -> Marks {
    Marks {
        ownership: Ownership::Owned(owner()),
        active: Some(Tier::Developer),
    }
}

fn unowned() -> Marks {
    marks(Ownership::Unowned)
}

fn namespaces(watch: &NamespaceWatch, told: Told<Marks>) {
    watch.told_of_namespaces(Instant::now(), told);
}

fn bindings(watch: &NamespaceWatch, told: Told<Vec<Box<str>>>) {
    watch.told_of_bindings(Instant::now(), told);
}

fn reaches(watch: &NamespaceWatch, told: Told<Reach>) {
    watch.told_of_reaches(Instant::now(), told);
}

fn into(place: &str, from: &[&str]) -> Reach {
    Reach {
        place: place.into(),
        namespaces: from.iter().map(|name| (*name).into()).collect(),
    }
}

fn list<T>(all: impl IntoIterator<Item = (&'static str, T)>) -> Told<T> {
    Told::All(
        all.into_iter()
            .map(|(name, fact)| (name.into(), fact))
            .collect(),
    )
}

fn listed() -> NamespaceWatch {
    let watch = NamespaceWatch::new();
    namespaces(&watch, list([(HOME, owned()), ("team", unowned())]));
    bindings(&watch, list([("b1", vec!["ops".into()])]));
    reaches(&watch, list([("leader", into("kube-system", &["tools"]))]));
    watch
}

#[test]
fn nothing_is_known_before_the_lists_are_complete() {
    let watch = NamespaceWatch::new();
    namespaces(&watch, Told::Is(HOME.into(), owned()));
    assert_eq!(watch.view(HOME), NamespaceView::UNKNOWN);
    namespaces(&watch, list([(HOME, owned()), ("team", unowned())]));
    assert_eq!(watch.view("team").bound, Bound::Unknown);
    assert!(!watch.is_ready());
    bindings(&watch, list([]));
    assert_eq!(watch.view("team").bound, Bound::Unknown);
    assert!(!watch.is_ready());
    reaches(&watch, list([]));
    assert!(watch.is_ready());
    assert_eq!(watch.view(HOME).ownership, Ownership::Owned(owner()));
    assert_eq!(watch.view("team").ownership, Ownership::Unowned);
    assert_eq!(watch.view("new").ownership, Ownership::Unknown);
}

#[test]
fn changes_and_deletions_count_at_once() {
    let watch = listed();
    namespaces(&watch, Told::Is("new".into(), unowned()));
    assert_eq!(watch.view("new").ownership, Ownership::Unowned);
    namespaces(&watch, Told::Gone(HOME.into()));
    assert_eq!(watch.view(HOME).ownership, Ownership::Unknown);
    bindings(&watch, Told::Is("b2".into(), vec!["team".into()]));
    assert_eq!(watch.view("team").bound, Bound::Yes);
    bindings(&watch, Told::Is("b1".into(), vec![]));
    assert_eq!(watch.view("ops").bound, Bound::No);
    bindings(&watch, Told::Gone("b2".into()));
    assert_eq!(watch.view("team").bound, Bound::No);
    assert_eq!(watch.view("tools").bound, Bound::Yes);
    reaches(&watch, Told::Gone("leader".into()));
    assert_eq!(watch.view("tools").bound, Bound::No);
}

#[test]
fn who_reaches_into_a_protected_namespace_has_a_protected_one() {
    let watch = listed();
    let bound = |name| watch.view(name).bound;
    reaches(&watch, Told::Is("a".into(), into("default", &["agents"])));
    reaches(&watch, Told::Is("b".into(), into("team", &["friends"])));
    assert_eq!(bound("agents"), Bound::Yes);
    assert_eq!(bound("friends"), Bound::No, "anybody's namespace is open");
    // Through one that is protected because of what is bound there.
    reaches(&watch, Told::Is("c".into(), into("ops", &["helpers"])));
    reaches(&watch, Told::Is("d".into(), into("helpers", &["pets"])));
    assert_eq!(bound("helpers"), Bound::Yes);
    assert_eq!(bound("pets"), Bound::Yes);
    // By the operator's list, from the moment it changes.
    watch.protect(ProtectedNamespaces::new(["team"]).unwrap());
    assert_eq!(bound("friends"), Bound::Yes);
    watch.protect(ProtectedNamespaces::default());
    assert_eq!(bound("friends"), Bound::No);
    // And with the end of the binding all is open again.
    reaches(&watch, Told::Is("a".into(), into("default", &[])));
    bindings(&watch, Told::Gone("b1".into()));
    for name in ["agents", "ops", "helpers", "pets"] {
        assert_eq!(bound(name), Bound::No, "{name}");
    }
}

#[test]
fn a_new_list_replaces_the_old_one() {
    let watch = listed();
    namespaces(&watch, list([]));
    bindings(&watch, list([]));
    assert_eq!(watch.view(HOME).ownership, Ownership::Unknown);
    assert_eq!(watch.view("ops").bound, Bound::No);
}

#[test]
fn what_either_watch_has_not_confirmed_for_too_long_is_unknown() {
    let watch = listed();
    let now = Instant::now();
    let late = now + MAX_AGE + Duration::from_secs(2);
    assert_ne!(
        watch.view_at(now + MAX_AGE / 2, HOME),
        NamespaceView::UNKNOWN
    );
    assert_eq!(watch.view_at(late, HOME), NamespaceView::UNKNOWN);
    // One that is heard of does not make up for the other.
    watch.told_of_namespaces(late, Told::Nothing);
    assert_eq!(watch.view_at(late, HOME), NamespaceView::UNKNOWN);
    watch.told_of_bindings(late, Told::Nothing);
    assert_eq!(watch.view_at(late, HOME), NamespaceView::UNKNOWN);
    watch.told_of_reaches(late, Told::Nothing);
    assert_eq!(
        watch.view_at(late, HOME).ownership,
        Ownership::Owned(owner())
    );
    assert_eq!(watch.view_at(late, HOME).bound, Bound::No);
}

#[test]
fn a_home_is_there_while_it_is_in_use_and_for_its_tier() {
    let watch = listed();
    let other = Address::from_bytes([7; 32]);
    assert!(watch.has_home(&owner(), Tier::Developer));
    assert!(
        !watch.has_home(&owner(), Tier::Admin),
        "its quota is a developer's"
    );
    assert!(!watch.has_home(&other, Tier::Developer));
    namespaces(&watch, Told::Is(HOME.into(), marks(owned().ownership)));
    assert!(!watch.has_home(&owner(), Tier::Developer), "it has ended");
    namespaces(&watch, Told::Is(HOME.into(), owned()));
    assert!(watch.has_home(&owner(), Tier::Developer));
    namespaces(&watch, Told::Gone(HOME.into()));
    assert!(!watch.has_home(&owner(), Tier::Developer));
}

#[tokio::test]
async fn whoever_makes_a_namespace_can_wait_for_the_watch_to_know_it() {
    let watch = Arc::new(listed());
    namespaces(&watch, list([]));
    let waiting = Arc::clone(&watch);
    let waits = tokio::spawn(async move { waiting.wait_owned(HOME, &owner()).await });
    tokio::task::yield_now().await;
    // Made, and not guarded yet.
    namespaces(&watch, Told::Is(HOME.into(), marks(Ownership::Unknown)));
    tokio::task::yield_now().await;
    assert!(!waits.is_finished());
    namespaces(&watch, Told::Is(HOME.into(), owned()));
    tokio::time::timeout(Duration::from_secs(10), waits)
        .await
        .unwrap()
        .unwrap();
}

/// An API server of three lists: the first answer of each kind may be a failure; watches
/// stay open and silent.
fn api_server(failures: usize) -> Client {
    let failing = Arc::new(Mutex::new(VecDeque::from(vec![(); failures * 3])));
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
            } else if uri.contains("/rolebindings") {
                (200, SYSTEM_BINDINGS.to_owned())
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
            "metadata": {
                "name": HOME,
                "annotations": {"k3s-daas.io/owner": OWNER},
                "labels": {"k3s-daas.io/state": "active", "k3s-daas.io/tier": "developer"},
            },
        }],
    })
    .to_string()
}

const BINDINGS: &str = r#"{"apiVersion":"rbac.authorization.k8s.io/v1",
    "kind":"ClusterRoleBindingList","metadata":{"resourceVersion":"1"},"items":[{
        "metadata":{"name":"b"},
        "roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"view"},
        "subjects":[{"kind":"ServiceAccount","name":"x","namespace":"ops"}]}]}"#;

const SYSTEM_BINDINGS: &str = r#"{"apiVersion":"rbac.authorization.k8s.io/v1",
    "kind":"RoleBindingList","metadata":{"resourceVersion":"1"},"items":[{
        "metadata":{"name":"b","namespace":"kube-system"},
        "roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"Role","name":"r"},
        "subjects":[{"kind":"ServiceAccount","name":"x","namespace":"tools"}]}]}"#;

#[tokio::test]
async fn follows_an_api_server_that_fails_at_first() {
    let watch = Arc::new(NamespaceWatch::new());
    let running = tokio::spawn(Arc::clone(&watch).run(api_server(1)));
    tokio::time::timeout(Duration::from_secs(10), watch.wait_ready())
        .await
        .unwrap();
    assert_eq!(watch.view(HOME).ownership, Ownership::Owned(owner()));
    assert!(watch.has_home(&owner(), Tier::Developer));
    assert_eq!(watch.view("ops").bound, Bound::Yes);
    assert_eq!(watch.view("tools").bound, Bound::Yes);
    running.abort();
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_never_answers_is_given_up_and_so_is_what_it_knew() {
    let watch = Arc::new(NamespaceWatch::new());
    let running = tokio::spawn(Arc::clone(&watch).run(api_server(0)));
    watch.wait_ready().await;
    assert!(watch.is_ready());
    tokio::time::sleep(MAX_AGE + Duration::from_secs(5)).await;
    assert!(!watch.is_ready());
    assert_eq!(watch.view(HOME), NamespaceView::UNKNOWN);
    running.abort();
}
