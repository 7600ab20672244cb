use std::collections::VecDeque;

use serde_json::{Value, json};

use super::*;
use crate::scripted::{self, Answer, Asked};

fn object(name: &str, version: &str) -> Value {
    json!({
        "apiVersion": "k3s-daas.io/v1", "kind": "SealedNode",
        "metadata": { "name": name, "resourceVersion": version },
        "spec": { "owner": "", "sealId": "", "credentialHash": "" },
    })
}

fn event(kind: &str, name: &str, version: &str) -> Value {
    json!({ "type": kind, "object": object(name, version) })
}

fn bookmark(version: &str) -> Value {
    json!({ "type": "BOOKMARK", "object": {
        "apiVersion": "k3s-daas.io/v1", "kind": "SealedNode",
        "metadata": { "resourceVersion": version },
    }})
}

fn list(names: &[&str], version: &str) -> Answer {
    let items: Vec<Value> = names.iter().map(|name| object(name, "1")).collect();
    Answer::Is(json!({
        "apiVersion": "k3s-daas.io/v1", "kind": "SealedNodeList",
        "metadata": { "resourceVersion": version }, "items": items,
    }))
}

fn definition(established: bool) -> Answer {
    let status = if established { "True" } else { "False" };
    Answer::Is(json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": "sealednodes.k3s-daas.io" },
        "spec": {
            "group": "k3s-daas.io", "scope": "Cluster", "versions": [],
            "names": { "kind": "SealedNode", "plural": "sealednodes" },
        },
        "status": { "conditions": [{ "type": "Established", "status": status }] },
    }))
}

/// Follows through the script of lists and watches, and then some; the definition is there.
/// What is known whenever time passes, and all requests but those for the definition.
async fn play(script: Vec<Answer>) -> (Vec<String>, Vec<Asked>, Store) {
    let mut left = VecDeque::from(script);
    let (client, log) = scripted::client(move |asked| {
        if asked.path.ends_with("sealednodes.k3s-daas.io") {
            return definition(true);
        }
        left.pop_front().unwrap_or(Answer::Silence)
    });
    let store = Store::default();
    let mut known = Vec::new();
    let watching = async {
        let mut before = None;
        loop {
            let names: Vec<String> = store.all().iter().map(|node| node.name_any()).collect();
            let now = store.age().map(|_| names.join(","));
            if let Some(now) = now.filter(|now| before.as_ref() != Some(now)) {
                known.push(now.clone());
                before = Some(now);
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let all = async { tokio::join!(hear(&store, &client), watching) };
    let _ended = tokio::time::timeout(Duration::from_mins(2), all).await;
    let mut asked = log.all();
    asked.retain(|asked| asked.path.ends_with("/sealednodes"));
    (known, asked, store)
}

fn version_of(asked: &Asked) -> Option<&str> {
    let mut pairs = asked.query.split('&');
    pairs.find_map(|pair| pair.strip_prefix("resourceVersion="))
}

#[tokio::test(start_paused = true)]
async fn a_watch_goes_on_where_the_last_one_ended() {
    let (_, asked, store) = play(vec![
        list(&["a", "b"], "5"),
        Answer::Events(vec![
            event("ADDED", "c", "6"),
            event("MODIFIED", "a", "7"),
            event("DELETED", "b", "8"),
        ]),
        Answer::Events(vec![bookmark("20")]),
        Answer::Events(vec![event("ADDED", "d", "21")]),
    ])
    .await;
    let names: Vec<String> = store.all().iter().map(|node| node.name_any()).collect();
    assert_eq!(names, ["a", "c", "d"]);
    let versions: Vec<_> = asked.iter().map(version_of).collect();
    let places = [Some("5"), Some("8"), Some("20"), Some("21")];
    assert_eq!(versions[1..5], places);
    let query = &asked[1].query;
    assert!(query.contains("timeoutSeconds=20") && query.contains("allowWatchBookmarks"));
}

#[tokio::test(start_paused = true)]
async fn a_dead_connection_is_noticed_and_watched_anew_from_the_same_place() {
    let (known, asked, _) = play(vec![
        list(&["a"], "5"),
        Answer::Stall(vec![event("ADDED", "b", "6")]),
        Answer::Silence,
        Answer::Events(vec![event("ADDED", "c", "7")]),
    ])
    .await;
    assert_eq!(known, ["a,b", "a,b,c"]);
    let took = |at: usize| asked[at].at.abs_diff(asked[at - 1].at);
    assert!(took(2) <= Duration::from_secs(25) + LONGEST_PAUSE);
    assert!(took(3) <= ANSWER + LONGEST_PAUSE);
    assert_eq!(version_of(&asked[3]), Some("6"));
}

#[tokio::test(start_paused = true)]
async fn a_place_that_is_forgotten_is_listed_anew() {
    let expired = json!({ "type": "ERROR", "object": {
        "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": 410,
        "reason": "Expired", "message": "too old resource version",
    }});
    for forgotten in [Answer::Status(410), Answer::Events(vec![expired])] {
        let (known, ..) = play(vec![
            list(&["a", "b"], "5"),
            forgotten,
            list(&["b"], "50"),
            Answer::Events(vec![event("ADDED", "c", "51")]),
        ])
        .await;
        assert_eq!(known, ["a,b", "b,c"]);
    }
}

#[tokio::test(start_paused = true)]
async fn watches_that_end_at_once_are_not_opened_without_pause() {
    let watches = (0..100).map(|_| Answer::Events(Vec::new()));
    let script = std::iter::once(list(&[], "1")).chain(watches);
    let (_, asked, _) = play(script.collect()).await;
    let took = asked[100].at.abs_diff(asked[1].at);
    assert!(took >= FIRST_PAUSE * 99, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_does_not_answer_is_asked_again() {
    let (known, ..) = play(vec![
        Answer::Silence,
        Answer::Status(500),
        list(&["a"], "1"),
    ])
    .await;
    assert_eq!(known, ["a"]);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_listed_before_the_definition_is_served() {
    let mut looks = 0;
    let (client, log) = scripted::client(move |asked| {
        if !asked.path.ends_with("sealednodes.k3s-daas.io") {
            return list(&["a"], "1");
        }
        looks += 1;
        match looks {
            1 => Answer::Status(503),
            2 | 3 => definition(false),
            _ => definition(true),
        }
    });
    let store = Store::default();
    let heard = tokio::time::timeout(Duration::from_secs(3), hear(&store, &client)).await;
    assert!(heard.is_err(), "for ever");
    let asked: Vec<String> = log.all().into_iter().map(|asked| asked.method).collect();
    // Refused, applied, looked at twice, then listed.
    assert_eq!(asked[..5], ["PATCH", "PATCH", "GET", "GET", "GET"]);
    assert!(log.all()[4].path.ends_with("/sealednodes"));
    assert!(store.get("a").is_some());
}
