//! Against an API server that is scripted answer by answer. Time is paused: it passes
//! while everybody waits.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use axum::body::Body as Answer;
use bytes::Bytes;
use k8s_openapi::api::rbac::v1::ClusterRoleBinding;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};

use super::*;

/// How the API server answers one request.
#[derive(Debug)]
enum Step {
    /// These objects, at this version.
    List(&'static [&'static str], &'static str),
    /// These events, then the end.
    Watch(Vec<Value>),
    /// These events, then silence.
    Stall(Vec<Value>),
    /// Never.
    Silence,
    /// With this status.
    Status(u16),
}

/// What was asked, by query, and when; and what was told, by name.
#[derive(Debug, Clone, Default)]
struct Seen {
    asked: Arc<Mutex<Vec<(Duration, String)>>>,
    told: Arc<Mutex<Vec<String>>>,
}

fn object(name: &str, version: &str) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": {"name": name, "resourceVersion": version},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "x"},
    })
}

fn event(kind: &str, name: &str, version: &str) -> Value {
    json!({"type": kind, "object": object(name, version)})
}

fn bookmark(version: &str) -> Value {
    json!({"type": "BOOKMARK", "object": {
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": {"resourceVersion": version},
    }})
}

fn lines(events: Vec<Value>) -> Vec<Result<Bytes, Infallible>> {
    let line = |event: Value| Ok(Bytes::from(format!("{event}\n")));
    events.into_iter().map(line).collect()
}

async fn answer(step: Step) -> http::Response<Answer> {
    let whole = |value: Value| Answer::from(value.to_string());
    let (status, body) = match step {
        Step::Silence => std::future::pending().await,
        Step::List(names, version) => {
            let items: Vec<Value> = names.iter().map(|name| object(name, "1")).collect();
            let list = json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBindingList",
                "metadata": {"resourceVersion": version}, "items": items,
            });
            (200, whole(list))
        }
        Step::Watch(events) => {
            let stream = futures::stream::iter(lines(events));
            (200, Answer::from_stream(stream))
        }
        Step::Stall(events) => {
            let stream = futures::stream::iter(lines(events)).chain(futures::stream::pending());
            (200, Answer::from_stream(stream))
        }
        Step::Status(code) => {
            let status = json!({
                "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code,
                "reason": "Expired", "message": "no",
            });
            (code, whole(status))
        }
    };
    http::Response::builder().status(status).body(body).unwrap()
}

/// Follows through the script until it is at its end; the last request is not answered.
async fn play(script: Vec<Step>) -> (Vec<(Duration, String)>, Vec<String>) {
    let seen = Seen::default();
    let steps = Arc::new(Mutex::new(VecDeque::from(script)));
    let began = Instant::now();
    let (asked, left) = (Arc::clone(&seen.asked), Arc::clone(&steps));
    let service = tower::service_fn(move |request: http::Request<Body>| {
        let query = request.uri().query().unwrap_or_default().to_owned();
        asked.lock().unwrap().push((began.elapsed(), query));
        let step = left.lock().unwrap().pop_front().unwrap_or(Step::Silence);
        async move { Ok::<_, Infallible>(answer(step).await) }
    });
    let api: Api<ClusterRoleBinding> = Api::all(Client::new(service, "default"));
    let told = Arc::clone(&seen.told);
    let following = follow(
        "bindings",
        api,
        |_| (),
        move |_, news| {
            let text = match news {
                Told::All(all) => {
                    let mut names: Vec<_> = all.into_keys().collect();
                    names.sort();
                    format!("all {}", names.join(","))
                }
                Told::Is(name, ()) => format!("is {name}"),
                Told::Gone(name) => format!("gone {name}"),
                Told::Nothing => return,
            };
            told.lock().unwrap().push(text);
        },
    );
    let ended = async {
        while !steps.lock().unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        tokio::time::sleep(LONGEST_PAUSE + WHOLE_WATCH).await;
    };
    tokio::select! {
        () = following => {}
        () = ended => {}
    }
    let (asked, told) = (
        seen.asked.lock().unwrap().clone(),
        seen.told.lock().unwrap().clone(),
    );
    (asked, told)
}

const WHOLE_WATCH: Duration = Duration::from_secs(WATCH as u64 + MARGIN.as_secs());

fn version_of(query: &str) -> Option<&str> {
    query
        .split('&')
        .find_map(|pair| pair.strip_prefix("resourceVersion="))
}

#[tokio::test(start_paused = true)]
async fn a_watch_goes_on_where_the_last_one_ended() {
    let (asked, told) = play(vec![
        Step::List(&["a", "b"], "5"),
        Step::Watch(vec![
            event("ADDED", "c", "6"),
            event("MODIFIED", "a", "7"),
            event("DELETED", "b", "8"),
        ]),
        Step::Watch(vec![bookmark("20")]),
        Step::Watch(vec![event("ADDED", "d", "21")]),
    ])
    .await;
    assert_eq!(told, ["all a,b", "is c", "is a", "gone b", "is d"]);
    let versions: Vec<_> = asked.iter().map(|(_, query)| version_of(query)).collect();
    assert_eq!(
        versions[1..5],
        [Some("5"), Some("8"), Some("20"), Some("21")]
    );
    assert!(asked[1].1.contains("timeoutSeconds=20") && asked[1].1.contains("allowWatchBookmarks"));
}

#[tokio::test(start_paused = true)]
async fn a_dead_connection_is_noticed_and_watched_anew_from_the_same_place() {
    let (asked, told) = play(vec![
        Step::List(&["a"], "5"),
        Step::Stall(vec![event("ADDED", "b", "6")]),
        Step::Silence,
        Step::Watch(vec![event("ADDED", "c", "7")]),
    ])
    .await;
    assert_eq!(told, ["all a", "is b", "is c"]);
    let at: Vec<_> = asked.iter().map(|(at, _)| *at).collect();
    assert!(
        at[2].abs_diff(at[1]) <= WHOLE_WATCH + LONGEST_PAUSE,
        "{at:?}"
    );
    assert!(at[3].abs_diff(at[2]) <= ANSWER + LONGEST_PAUSE, "{at:?}");
    assert_eq!(version_of(&asked[3].1), Some("6"));
}

#[tokio::test(start_paused = true)]
async fn a_place_that_is_forgotten_is_not_asked_for_again() {
    let expired = json!({"type": "ERROR", "object": {
        "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": 410,
        "reason": "Expired", "message": "too old resource version",
    }});
    for forgotten in [Step::Status(410), Step::Watch(vec![expired])] {
        let (_, told) = play(vec![
            Step::List(&["a", "b"], "5"),
            forgotten,
            Step::List(&["b"], "50"),
            Step::Watch(vec![event("ADDED", "c", "51")]),
        ])
        .await;
        assert_eq!(told, ["all a,b", "all b", "is c"]);
    }
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_ends_every_watch_at_once_is_not_asked_without_pause() {
    let script = std::iter::once(Step::List(&[], "1"));
    let script = script.chain((0..20).map(|_| Step::Watch(Vec::new())));
    let (asked, _) = play(script.collect()).await;
    let took = asked[20].0.abs_diff(asked[1].0);
    assert!(took > Duration::from_secs(20), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_list_that_is_not_answered_is_asked_for_again() {
    let (_, told) = play(vec![
        Step::Silence,
        Step::Status(500),
        Step::List(&["a"], "1"),
    ])
    .await;
    assert_eq!(told, ["all a"]);
}

#[test]
fn the_same_trouble_is_told_once() {
    let mut trouble = Trouble::default();
    assert!(trouble.is_new("refused"));
    assert!(!trouble.is_new("refused"));
    assert!(trouble.is_new("late"));
    assert!(trouble.is_new("refused"));
}
