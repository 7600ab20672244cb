use serde_json::json;

use super::*;

fn read(event: &serde_json::Value) -> Event {
    let text = event.to_string();
    serde_json::from_str::<Written<'_>>(&text).unwrap().read()
}

fn event() -> serde_json::Value {
    json!({
        "level": "Metadata",
        "stage": "ResponseStarted",
        "requestURI": "/api/v1/pods?watch=true",
        "user": {
            "username": format!("seal:0x{}", "1".repeat(64)),
            "groups": ["seal:holders"],
            "extra": { "k3s-daas.io/credential-hash": ["ab".repeat(32)] },
        },
        "sourceIPs": ["127.1.0.2"],
        "responseStatus": { "code": 200 },
        "requestReceivedTimestamp": "2026-11-22T16:47:36.321292Z",
        "stageTimestamp": "2026-11-22T16:47:36.363392Z",
        "annotations": { "authorization.k8s.io/decision": "allow" },
    })
}

#[test]
fn tells_who_is_on_which_connection_since_when() {
    let event = read(&event());
    assert_eq!(event.source, Some(Ipv4Addr::new(127, 1, 0, 2)));
    assert!(matches!(event.who, Some(Who::Seal { .. })));
    assert!(!event.denied);
    assert_eq!(event.received, Some(UnixMillis(1_795_366_056_321)));
    assert_eq!(event.told, Some(UnixMillis(1_795_366_056_363)));
}

#[test]
fn the_last_address_counts_since_clients_write_the_others() {
    let mut forged = event();
    forged["sourceIPs"] = json!(["127.1.2.3", "10.0.0.1", "127.9.9.9"]);
    assert_eq!(read(&forged).source, Some(Ipv4Addr::new(127, 9, 9, 9)));
    for nonsense in [json!([]), json!(null), json!(["x"]), json!(["::1"])] {
        forged["sourceIPs"] = nonsense;
        assert_eq!(read(&forged).source, None);
    }
}

#[test]
fn the_authorizer_says_what_was_refused_and_not_the_status() {
    let mut answered = event();
    answered["responseStatus"]["code"] = json!(403);
    assert!(!read(&answered).denied, "a backend said so and may go on");
    answered["annotations"] = json!({ "authorization.k8s.io/decision": "forbid" });
    assert!(read(&answered).denied);
    answered["annotations"] = json!(null);
    assert!(!read(&answered).denied);
}

#[test]
fn the_user_is_who_was_authenticated() {
    let mut other = event();
    other["impersonatedUser"] = json!({ "username": "somebody" });
    assert!(matches!(read(&other).who, Some(Who::Seal { .. })));
    other["user"] = json!({
        "username": "system:serviceaccount:ns:default",
        "extra": { "authentication.kubernetes.io/node-name": ["w-1"] },
    });
    assert!(
        matches!(read(&other).who, Some(Who::Account { node: Some(node), .. }) if &*node == "w-1")
    );
    other["user"] = json!({ "username": "system:kube-proxy", "extra": null });
    assert_eq!(read(&other).who, None);
}
