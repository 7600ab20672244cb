//! Seal users, their service accounts and those who only look like them.

use authz_webhook::Settings;
use seal::access::{Ownership, Policy};
use seal::{ElevatedOwners, SealRecord, SealStatus, Tier, UnixMillis};
use serde_json::{Value, json};
use sui_ledger::directory::Unavailable;

use crate::directory::{Holder, NOW, Namespaces, Webhook};

const ME: Holder = Holder(1);
const OTHER: Holder = Holder(2);

fn webhook() -> Webhook {
    let owned = |holder: Holder| (holder.home(), Ownership::Owned(holder.owner()));
    Webhook::new(Namespaces([owned(ME), owned(OTHER)].into()))
}

fn get(resource: &str, namespace: &str) -> Value {
    json!({"resourceAttributes": {
        "verb": "get", "version": "v1", "resource": resource, "namespace": namespace, "name": "x",
    }})
}

#[tokio::test]
async fn a_slashed_seal_loses_access_with_the_next_review() {
    let webhook = webhook();
    webhook.stake(ME, Tier::Developer);
    let request = get("secrets", &ME.home());
    assert_eq!(webhook.ask_as(ME, &request).await.outcome, "allow");
    for status in SealStatus::ALL {
        webhook.ledger(|ledger| {
            let record = SealRecord {
                status,
                ..ME.record(Tier::Developer)
            };
            ledger.seals.insert(ME.hash(), record);
        });
        let answered = webhook.ask_as(ME, &request).await;
        let expected = if status == SealStatus::Active {
            "allow"
        } else {
            "deny"
        };
        assert_eq!(answered.outcome, expected, "{status}");
    }
}

#[tokio::test]
async fn refuses_a_seal_at_the_instant_it_expires() {
    let webhook = webhook();
    for (expires_at, expected) in [(NOW.0 + 1, "allow"), (NOW.0, "deny"), (NOW.0 - 1, "deny")] {
        webhook.ledger(|ledger| {
            let record = SealRecord {
                expires_at: UnixMillis(expires_at),
                ..ME.record(Tier::Super)
            };
            ledger.seals.insert(ME.hash(), record);
        });
        let answered = webhook.ask_as(ME, &get("pods", "default")).await;
        assert_eq!(answered.outcome, expected);
    }
}

#[tokio::test]
async fn an_unreadable_or_silent_directory_denies_seals_and_says_why() {
    let webhook = webhook();
    webhook.stake(ME, Tier::Super);
    let request = get("pods", &ME.home());
    webhook.ledger(|ledger| ledger.unavailable = Some(Unavailable::Stale { for_ms: 15_001 }));
    let answered = webhook.ask_as(ME, &request).await;
    assert_eq!(answered.outcome, "deny");
    assert!(answered.evaluation_error.contains("stale"), "{answered:?}");
    assert!(answered.reason.contains("stale"), "{answered:?}");
    webhook.ledger(|ledger| {
        ledger.unavailable = None;
        ledger.silent = true;
    });
    let answered = webhook.ask_as(ME, &request).await;
    assert_eq!(answered.outcome, "deny");
    assert!(
        answered.evaluation_error.contains("in time"),
        "{answered:?}"
    );
}

#[tokio::test]
async fn nobody_borrows_a_name_a_group_or_an_extra() {
    let webhook = webhook();
    webhook.stake(ME, Tier::Viewer);
    webhook.stake(OTHER, Tier::Super);
    let request = &get("secrets", &OTHER.home())["resourceAttributes"];
    let with = |change: &dyn Fn(&mut Value)| {
        let mut spec = ME.user();
        spec["resourceAttributes"] = request.clone();
        change(&mut spec);
        spec
    };
    let hash = "k3s-daas.io/credential-hash";
    let others = || json!([OTHER.hash().to_string()]);
    for (name, spec) in [
        ("as is", with(&|_| ())),
        (
            "other's groups",
            with(&|spec| spec["groups"] = json!(["seal:tier:super"])),
        ),
        ("other's hash", with(&|spec| spec["extra"][hash] = others())),
        (
            "both hashes",
            with(&|spec| {
                spec["extra"][hash] = json!([ME.hash().to_string(), OTHER.hash().to_string()]);
            }),
        ),
        (
            "other's hash and seal",
            with(&|spec| {
                spec["extra"][hash] = others();
                spec["extra"]["k3s-daas.io/seal"] = json!([OTHER.seal_id().to_string()]);
            }),
        ),
        (
            "other's name",
            with(&|spec| spec["user"] = OTHER.user()["user"].clone()),
        ),
        (
            "all but the uid",
            with(&|spec| {
                let uid = spec["uid"].clone();
                let attributes = spec["resourceAttributes"].clone();
                *spec = OTHER.user();
                spec["uid"] = uid;
                spec["resourceAttributes"] = attributes;
            }),
        ),
        ("no extra", with(&|spec| spec["extra"] = json!({}))),
        ("null extra", with(&|spec| spec["extra"] = Value::Null)),
        (
            "a group alone",
            with(&|spec| {
                spec["user"] = json!("bob");
                spec["groups"] = json!(["seal:holders"]);
            }),
        ),
    ] {
        assert_eq!(webhook.ask(spec).await.outcome, "deny", "{name}");
    }
    // And the other's own user is who it says.
    let answered = webhook.ask_as(OTHER, &get("secrets", &OTHER.home())).await;
    assert_eq!(answered.outcome, "allow");
}

#[tokio::test]
async fn a_review_without_uid_is_answered_all_the_same() {
    let webhook = webhook();
    webhook.stake(ME, Tier::Developer);
    let mut spec = ME.user();
    spec["uid"] = json!("");
    spec["resourceAttributes"] = get("pods", &ME.home())["resourceAttributes"].clone();
    assert_eq!(webhook.ask(spec).await.outcome, "allow");
}

#[tokio::test]
async fn owners_who_are_not_elevated_stay_developers_whatever_they_stake() {
    let mut settings = Settings::new(Policy::new(ElevatedOwners::only([OTHER.owner()]).unwrap()));
    settings.policy.tenancy = seal::access::Tenancy::Own;
    let webhook = Webhook::with(Namespaces::default(), settings);
    webhook.stake(ME, Tier::Super);
    webhook.stake(OTHER, Tier::Super);
    let request = get("secrets", "kube-system");
    assert_eq!(webhook.ask_as(ME, &request).await.outcome, "deny");
    assert_eq!(webhook.ask_as(OTHER, &request).await.outcome, "allow");
}

#[tokio::test]
async fn a_namespace_that_the_watch_does_not_know_is_somebody_elses() {
    let webhook = webhook();
    webhook.stake(ME, Tier::Developer);
    let answered = webhook.ask_as(ME, &get("pods", "brand-new")).await;
    assert_eq!(answered.outcome, "deny");
}

fn account(namespace: &str) -> Value {
    json!({
        "user": format!("system:serviceaccount:{namespace}:default"),
        "groups": ["system:serviceaccounts", format!("system:serviceaccounts:{namespace}")],
        "resourceAttributes": {"verb": "get", "resource": "pods", "namespace": namespace},
    })
}

#[tokio::test]
async fn service_accounts_of_tenants_end_with_their_owners_seal() {
    let webhook = webhook();
    let home = ME.home();
    assert_eq!(webhook.ask(account(&home)).await.outcome, "deny");
    webhook.stake(ME, Tier::Viewer);
    assert_eq!(webhook.ask(account(&home)).await.outcome, "deny");
    webhook.stake(ME, Tier::Developer);
    assert_eq!(webhook.ask(account(&home)).await.outcome, "no-opinion");
    webhook.ledger(|ledger| ledger.unavailable = Some(Unavailable::Starting));
    let answered = webhook.ask(account(&home)).await;
    assert_eq!(answered.outcome, "deny");
    assert!(!answered.evaluation_error.is_empty());
}

#[tokio::test]
async fn service_accounts_of_namespaces_that_only_look_like_tenants_are_denied() {
    let webhook = webhook();
    webhook.stake(ME, Tier::Super);
    assert_eq!(webhook.ask(account("seal-unknown")).await.outcome, "deny");
    for other in ["kube-system", "team-a"] {
        assert_eq!(webhook.ask(account(other)).await.outcome, "no-opinion");
    }
}

#[tokio::test]
async fn everybody_else_is_left_to_kubernetes() {
    let webhook = webhook();
    webhook.ledger(|ledger| ledger.silent = true);
    for user in ["system:kube-scheduler", "alice", "system:anonymous"] {
        let spec = json!({
            "user": user, "groups": ["system:authenticated"],
            "resourceAttributes": {"verb": "get", "resource": "secrets", "namespace": "kube-system"},
        });
        let answered = webhook.ask(spec).await;
        assert_eq!(answered.outcome, "no-opinion", "{user}");
        assert_eq!(answered.reason, "");
    }
}

#[tokio::test]
async fn reviews_are_counted_by_outcome_and_reason() {
    let webhook = webhook();
    webhook.ask_as(ME, &get("pods", "default")).await;
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &webhook.registry).unwrap();
    let line = "k3s_daas_authz_reviews_total{outcome=\"deny\",reason=\"seal_unknown\"} 1";
    assert!(text.lines().any(|found| found == line), "{text}");
}

#[tokio::test]
async fn guards_that_go_missing_hold_seals_at_viewer_with_the_next_review() {
    let webhook = webhook();
    webhook.stake(ME, Tier::Developer);
    let create = json!({"resourceAttributes": {
        "verb": "create", "version": "v1", "resource": "pods", "namespace": ME.home(),
    }});
    assert_eq!(webhook.ask_as(ME, &create).await.outcome, "allow");
    webhook.guards.set(false);
    let held = webhook.ask_as(ME, &create).await;
    assert_eq!(held.outcome, "deny");
    assert!(held.reason.contains("not in place yet"), "{}", held.reason);
    let account = json!({
        "user": format!("system:serviceaccount:{}:default", ME.home()),
        "groups": ["system:serviceaccounts"],
        "resourceAttributes": {"verb": "list", "resource": "pods", "namespace": ME.home()},
    });
    assert_eq!(webhook.ask(account.clone()).await.outcome, "deny");
    webhook.guards.set(true);
    assert_eq!(webhook.ask_as(ME, &create).await.outcome, "allow");
    assert_eq!(webhook.ask(account).await.outcome, "no-opinion");
}

#[tokio::test]
async fn replaced_settings_count_with_the_next_review() {
    let webhook = webhook();
    webhook.stake(ME, Tier::Super);
    let create = json!({"resourceAttributes": {
        "verb": "create", "version": "v1", "resource": "namespaces",
    }});
    let node = |name: &str| {
        json!({
            "user": format!("system:node:{name}"), "groups": ["system:nodes"],
            "resourceAttributes": {"verb": "list", "resource": "pods"},
        })
    };
    assert_eq!(webhook.ask_as(ME, &create).await.outcome, "allow");
    assert_eq!(webhook.ask(node("server-1")).await.outcome, "deny");
    let mut settings = Settings::new(Policy::new(ElevatedOwners::None));
    settings.control_plane_nodes.insert("server-1".to_owned());
    webhook.app.replace_settings(settings);
    assert_eq!(webhook.ask_as(ME, &create).await.outcome, "no-opinion");
    assert_eq!(webhook.ask(node("server-1")).await.outcome, "no-opinion");
    let mut settings = Settings::new(Policy::new(ElevatedOwners::Any));
    settings.deadline = std::time::Duration::from_millis(100);
    webhook.app.replace_settings(settings);
    assert_eq!(webhook.ask_as(ME, &create).await.outcome, "allow");
}

#[tokio::test]
async fn hashes_that_wait_for_the_chain_leave_room_for_others() {
    let webhook = webhook();
    webhook.stake(ME, Tier::Developer);
    let mut settings = Settings::new(Policy::new(ElevatedOwners::Any));
    settings.deadline = std::time::Duration::from_secs(5);
    webhook.app.replace_settings(settings);
    webhook.ledger(|ledger| ledger.silent = true);
    let request = get("pods", &ME.home());
    let mut crowd: futures::stream::FuturesUnordered<_> =
        (0..2_000).map(|_| webhook.ask_as(ME, &request)).collect();
    // All who find no place are answered before any who waits.
    for _ in 0..976 {
        let answered = futures::StreamExt::next(&mut crowd).await.unwrap();
        assert_eq!(answered.outcome, "deny");
        assert!(
            answered.evaluation_error.contains("too many"),
            "{answered:?}"
        );
    }
    webhook.ledger(|ledger| ledger.silent = false);
    drop(crowd);
    assert_eq!(webhook.ask_as(ME, &request).await.outcome, "allow");
}
