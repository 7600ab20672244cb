use std::sync::Arc;

use proptest::prelude::*;
use seal::access::{Bound, Decision, DenyReason, Grant, ResourceAttributes};
use seal::testing::active_record;
use seal::{
    Address, CredentialHash, ElevatedOwners, Mist, NodeClaim, NodeName, ObjectId, SealStatus,
    Thresholds, UnixMillis, Unusable,
};
use sui_ledger::directory::Unavailable;

mod nodes;

use super::*;
use crate::claimed::ClaimedSeal;
use crate::gather::Read;
use crate::review::SubjectAccessReviewSpec;

const OWNER: Address = Address::from_bytes([2; 32]);
const HASH: CredentialHash = CredentialHash::from_bytes([3; 32]);
const STALE: Cause = Cause::Directory(Unavailable::Stale { for_ms: 20_000 });

fn record(stake: u64) -> SealRecord {
    SealRecord {
        owner: OWNER,
        stake: Mist(stake),
        node_id: Some(node_name()),
        namespace_wish: Some("kube-system".to_owned()),
        ..active_record()
    }
}

const DEVELOPER: u64 = 2_000_000_000;
const SUPER: u64 = 10_000_000_000;

fn node_name() -> NodeName {
    "worker-1".parse().unwrap()
}

fn clock() -> Clock {
    Clock {
        now: UnixMillis(999),
        thresholds: Thresholds::default(),
        guarded: true,
    }
}

fn settings() -> Settings {
    Settings::new(Policy::new(ElevatedOwners::Any))
}

/// A spec as `authn-webhook` makes the user, with some parts replaced.
fn spec(user: &str, uid: &str, seal: &str, hash: &str) -> SubjectAccessReviewSpec {
    let json = serde_json::json!({
        "user": user, "uid": uid, "groups": ["seal:tier:super"],
        "extra": {"k3s-daas.io/seal": [seal], "k3s-daas.io/credential-hash": [hash]},
    });
    serde_json::from_value(json).unwrap()
}

fn user() -> String {
    format!("seal:{OWNER}")
}

fn seal_id() -> String {
    ObjectId::from_bytes([1; 32]).to_string()
}

fn hash() -> String {
    "03".repeat(32)
}

fn claimed() -> ClaimedSeal {
    ClaimedSeal::read(&spec(&user(), &seal_id(), &seal_id(), &hash())).unwrap()
}

fn facts(record: Read<Arc<SealRecord>>) -> SealFacts {
    SealFacts {
        claimed: claimed(),
        record,
        namespace: None,
        clock: clock(),
    }
}

fn list_pods(namespace: &str) -> Attributes<'_> {
    Attributes::Resource(ResourceAttributes {
        verb: "list",
        resource: "pods",
        namespace,
        ..ResourceAttributes::default()
    })
}

fn judge(facts: SealFacts) -> Verdict {
    decide(&settings(), &Facts::Seal(facts), &list_pods(""))
}

// As `gather` gives it.
#[allow(clippy::unnecessary_wraps)]
fn present(record: SealRecord) -> Read<Arc<SealRecord>> {
    Ok(Some(Arc::new(record)))
}

#[test]
fn the_tier_comes_from_the_record_and_not_from_the_groups() {
    let verdict = judge(facts(present(record(DEVELOPER))));
    assert!(matches!(
        verdict,
        Verdict::Tier(Tier::Developer, Decision::NoOpinion(_))
    ));
    let verdict = judge(facts(present(record(SUPER))));
    assert_eq!(
        verdict,
        Verdict::Tier(Tier::Super, Decision::Allow(Grant::Super))
    );
}

#[test]
fn owners_who_may_not_be_elevated_are_developers() {
    let mut settings = settings();
    settings.policy.elevated_owners = ElevatedOwners::None;
    let verdict = decide(
        &settings,
        &Facts::Seal(facts(present(record(SUPER)))),
        &list_pods(""),
    );
    assert!(matches!(verdict, Verdict::Tier(Tier::Developer, _)));
}

#[test]
fn before_the_guards_are_in_place_every_seal_is_a_viewer_and_is_told_why() {
    let of = |stake, request: &Attributes<'_>| {
        let mut facts = facts(present(record(stake)));
        facts.clock.guarded = false;
        facts.namespace = Some(NamespaceView {
            ownership: Ownership::Owned(OWNER),
            bound: Bound::No,
        });
        decide(&settings(), &Facts::Seal(facts), request)
    };
    let create = Attributes::Resource(ResourceAttributes {
        verb: "create",
        resource: "pods",
        namespace: "seal-0202020202020202",
        ..ResourceAttributes::default()
    });
    let everywhere = list_pods("");
    for (stake, tier) in [
        (DEVELOPER, Tier::Developer),
        (5_000_000_000, Tier::Admin),
        (SUPER, Tier::Super),
    ] {
        let home = list_pods("seal-0202020202020202");
        assert_eq!(
            of(stake, &home),
            Verdict::Tier(Tier::Viewer, Decision::Allow(Grant::View))
        );
        // What would be no opinion is a no: RBAC may name the owner or the tier's group.
        for request in [&create, &everywhere] {
            let verdict = of(stake, request);
            assert_eq!(verdict, Verdict::Refuse(Refusal::Held(tier)));
            assert_eq!(verdict.outcome().label(), "deny");
            assert_eq!(verdict.label(), "guards_missing");
        }
        let text = Refusal::Held(tier).to_string();
        assert!(
            text.contains("guards") && text.contains(tier.label()),
            "{text}"
        );
    }
    // A viewer is not held: it is one.
    assert!(matches!(
        of(500_000_000, &everywhere),
        Verdict::Tier(Tier::Viewer, Decision::NoOpinion(_))
    ));
}

#[test]
fn before_the_guards_are_in_place_tenants_accounts_may_do_nothing() {
    let of = |guarded| {
        let facts = AccountFacts {
            ownership: Ownership::Owned(OWNER),
            seals: vec![present(record(SUPER))],
            clock: Clock { guarded, ..clock() },
        };
        decide(&settings(), &Facts::Account(facts), &list_pods(""))
    };
    assert_eq!(of(true), Verdict::Pass(Pass::Account));
    assert_eq!(of(false), Verdict::Refuse(Refusal::AccountHeld));
}

#[test]
fn a_missing_record_is_denied() {
    assert_eq!(
        judge(facts(Ok(None))),
        Verdict::Refuse(Refusal::SealUnknown)
    );
}

#[test]
fn an_unreadable_record_is_denied() {
    assert_eq!(judge(facts(Err(STALE))), Verdict::UndecidedDeny(STALE));
    assert_eq!(judge(facts(Err(STALE))).outcome().label(), "deny");
}

#[test]
fn a_record_that_is_not_active_is_denied_at_every_stake() {
    for (status, expected) in [
        (SealStatus::Unbonding, Unusable::Unbonding),
        (SealStatus::Slashed, Unusable::Slashed),
        (SealStatus::Revoked, Unusable::Revoked),
        (SealStatus::Retired, Unusable::Retired),
    ] {
        let ended = SealRecord {
            status,
            ..record(SUPER)
        };
        assert_eq!(
            judge(facts(present(ended))),
            Verdict::Refuse(Refusal::Seal(expected))
        );
    }
}

#[test]
fn a_seal_is_denied_at_the_instant_it_expires() {
    let mut at_the_end = facts(present(record(SUPER)));
    at_the_end.clock.now = UnixMillis(1_000);
    assert_eq!(
        judge(at_the_end),
        Verdict::Refuse(Refusal::Seal(Unusable::Expired))
    );
}

#[test]
fn too_little_stake_is_denied() {
    assert_eq!(
        judge(facts(present(record(499_999_999)))),
        Verdict::Refuse(Refusal::Seal(Unusable::StakeTooLow))
    );
}

#[test]
fn a_record_of_another_owner_is_denied() {
    let other = SealRecord {
        owner: Address::from_bytes([9; 32]),
        ..record(SUPER)
    };
    assert_eq!(
        judge(facts(present(other))),
        Verdict::Refuse(Refusal::OtherOwner)
    );
}

#[test]
fn a_record_of_another_seal_is_denied() {
    let other = SealRecord {
        seal_id: ObjectId::from_bytes([9; 32]),
        ..record(SUPER)
    };
    assert_eq!(
        judge(facts(present(other))),
        Verdict::Refuse(Refusal::OtherSeal)
    );
}

#[test]
fn a_uid_of_another_seal_is_denied_and_none_is_accepted() {
    let with_uid = |uid: &str| {
        let claimed = ClaimedSeal::read(&spec(&user(), uid, &seal_id(), &hash())).unwrap();
        judge(SealFacts {
            claimed,
            ..facts(present(record(SUPER)))
        })
    };
    let other = ObjectId::from_bytes([9; 32]).to_string();
    assert_eq!(with_uid(&other), Verdict::Refuse(Refusal::OtherUid));
    assert_eq!(with_uid("").outcome().label(), "allow");
}

#[test]
fn claims_have_one_written_form() {
    let read = |user: &str, uid: &str, seal: &str, hash: &str| {
        ClaimedSeal::read(&spec(user, uid, seal, hash)).map(|_| ())
    };
    let (user, seal, hash) = (user(), seal_id(), hash());
    assert_eq!(read(&user, "", &seal, &hash), Ok(()));
    assert_eq!(read("seal:0x2", "", &seal, &hash), Err(Refusal::OtherOwner));
    assert_eq!(read("seal:", "", &seal, &hash), Err(Refusal::OtherOwner));
    assert_eq!(
        read(&format!("{user} "), "", &seal, &hash),
        Err(Refusal::OtherOwner)
    );
    assert_eq!(read(&user, "0x1", &seal, &hash), Err(Refusal::OtherUid));
    assert_eq!(read(&user, "", "0x1", &hash), Err(Refusal::ExtraMalformed));
    assert_eq!(read(&user, "", &seal, "03"), Err(Refusal::ExtraMalformed));
    let shouted = format!("{}AB", &hash[..62]);
    assert_eq!(
        read(&user, "", &seal, &shouted),
        Err(Refusal::ExtraMalformed)
    );
}

#[test]
fn an_extra_with_several_values_or_none_is_denied() {
    let read = |extra: serde_json::Value| {
        let json = serde_json::json!({"user": user(), "extra": extra});
        let spec: SubjectAccessReviewSpec = serde_json::from_value(json).unwrap();
        ClaimedSeal::read(&spec).map(|_| ())
    };
    let (seal, hash) = (seal_id(), hash());
    let (key_seal, key_hash) = ("k3s-daas.io/seal", "k3s-daas.io/credential-hash");
    assert_eq!(read(serde_json::json!({})), Err(Refusal::ExtraMissing));
    for extra in [
        serde_json::json!({key_seal: [seal]}),
        serde_json::json!({key_hash: [hash]}),
        serde_json::json!({key_seal: [seal, seal], key_hash: [hash]}),
        serde_json::json!({key_seal: [seal], key_hash: [hash, hash]}),
        serde_json::json!({key_seal: [], key_hash: [hash]}),
        serde_json::json!({key_seal: [seal], key_hash: [hash], "k3s-daas.io/tier": ["a", "b"]}),
    ] {
        assert_eq!(read(extra.clone()), Err(Refusal::ExtraMalformed), "{extra}");
    }
}

#[test]
fn the_namespaces_standing_is_the_record_owners() {
    let mut mine = facts(present(record(DEVELOPER)));
    mine.namespace = Some(NamespaceView {
        ownership: Ownership::Owned(OWNER),
        bound: Bound::No,
    });
    let create = Attributes::Resource(ResourceAttributes {
        verb: "create",
        resource: "pods",
        namespace: "seal-0202020202020202",
        ..ResourceAttributes::default()
    });
    let verdict = decide(&settings(), &Facts::Seal(mine), &create);
    assert_eq!(
        verdict,
        Verdict::Tier(Tier::Developer, Decision::Allow(Grant::OwnNamespace))
    );
    // The record's wish names no namespace of its own, and an unknown one is closed.
    let unknown = facts(present(record(DEVELOPER)));
    assert_eq!(
        decide(&settings(), &Facts::Seal(unknown), &list_pods("team-a")),
        Verdict::Tier(
            Tier::Developer,
            Decision::Deny(DenyReason::NamespaceUnclear)
        )
    );
}

fn account(ownership: Ownership, seals: Vec<Read<Arc<SealRecord>>>) -> Verdict {
    let facts = Facts::Account(AccountFacts {
        ownership,
        seals,
        clock: clock(),
    });
    decide(&settings(), &facts, &list_pods("seal-0202020202020202"))
}

#[test]
fn service_accounts_live_and_end_with_their_owners_seals() {
    let owned = Ownership::Owned(OWNER);
    let ended = || {
        present(SealRecord {
            status: SealStatus::Slashed,
            ..record(SUPER)
        })
    };
    let viewer = || present(record(500_000_000));
    let foreign = || {
        present(SealRecord {
            owner: Address::from_bytes([9; 32]),
            ..record(SUPER)
        })
    };
    let good = || present(record(DEVELOPER));
    for seals in [
        vec![good()],
        vec![ended(), good()],
        vec![Err(STALE), good()],
    ] {
        assert_eq!(account(owned, seals), Verdict::Pass(Pass::Account));
    }
    for seals in [
        vec![],
        vec![ended()],
        vec![viewer()],
        vec![foreign()],
        vec![Ok(None)],
    ] {
        assert_eq!(
            account(owned, seals),
            Verdict::Refuse(Refusal::AccountOwnerEnded)
        );
    }
    assert_eq!(
        account(owned, vec![ended(), Err(STALE)]),
        Verdict::UndecidedDeny(STALE)
    );
    assert_eq!(
        account(Ownership::Unowned, vec![]),
        Verdict::Refuse(Refusal::AccountOwnerless)
    );
    assert_eq!(
        account(Ownership::Unknown, vec![]),
        Verdict::UndecidedDeny(Cause::Namespaces)
    );
}

fn shared(isolation: Isolation, identity: SharedIdentity, request: &Attributes<'_>) -> bool {
    let settings = Settings {
        isolation,
        ..settings()
    };
    let verdict = decide(&settings, &Facts::Shared(identity), request);
    verdict == Verdict::Pass(Pass::SharedIdentity)
}

#[test]
fn strict_isolation_leaves_the_controller_five_requests_and_kube_proxy_none() {
    let resource = |verb, group, resource, namespace, name| {
        Attributes::Resource(ResourceAttributes {
            verb,
            group,
            resource,
            namespace,
            name,
            ..ResourceAttributes::default()
        })
    };
    let path = |verb, path| Attributes::Path { verb, path };
    let (slices, authorization) = ("discovery.k8s.io", "authorization.k8s.io");
    for (request, left) in [
        (path("get", "/readyz"), true),
        (
            resource("create", authorization, "selfsubjectaccessreviews", "", ""),
            true,
        ),
        (resource("get", "", "nodes", "", "worker-1"), true),
        (
            resource("list", slices, "endpointslices", "default", ""),
            true,
        ),
        (
            resource("watch", slices, "endpointslices", "default", ""),
            true,
        ),
        (path("get", "/livez"), false),
        (path("post", "/readyz"), false),
        (resource("get", "", "nodes", "", ""), false),
        (resource("list", "", "nodes", "", ""), false),
        (resource("list", slices, "endpointslices", "", ""), false),
        (
            resource("list", slices, "endpointslices", "kube-system", ""),
            false,
        ),
        (
            resource("get", slices, "endpointslices", "default", "x"),
            false,
        ),
        (resource("list", "", "pods", "default", ""), false),
    ] {
        for identity in [SharedIdentity::KubeProxy, SharedIdentity::K3sController] {
            assert!(shared(Isolation::Open, identity, &request), "{request:?}");
        }
        assert_eq!(
            shared(Isolation::Strict, SharedIdentity::K3sController, &request),
            left,
            "{request:?}"
        );
        assert!(!shared(
            Isolation::Strict,
            SharedIdentity::KubeProxy,
            &request
        ));
    }
    let status = Attributes::Resource(ResourceAttributes {
        verb: "get",
        resource: "nodes",
        subresource: "status",
        name: "worker-1",
        ..ResourceAttributes::default()
    });
    assert!(!shared(
        Isolation::Strict,
        SharedIdentity::K3sController,
        &status
    ));
}

#[test]
fn everybody_else_is_none_of_ours() {
    assert_eq!(
        decide(&settings(), &Facts::Other, &list_pods("")),
        Verdict::Pass(Pass::NotOurs)
    );
    assert_eq!(
        decide(&settings(), &Facts::ControlPlane, &list_pods("")),
        Verdict::Pass(Pass::ControlPlane)
    );
}

proptest! {
    #[test]
    fn more_stake_never_turns_a_yes_into_a_no(
        a in 0..12_000_000_000u64, b in 0..12_000_000_000u64,
        verb in proptest::sample::select(vec!["get", "list", "create", "delete", "*"]),
        resource in proptest::sample::select(vec!["pods", "secrets", "nodes", "namespaces"]),
        namespace in proptest::sample::select(vec!["", "default", "team-a"]),
    ) {
        let request = Attributes::Resource(ResourceAttributes {
            verb, resource, namespace, ..ResourceAttributes::default()
        });
        let allowed = |stake| {
            let mut facts = facts(present(record(stake)));
            facts.namespace = Some(NamespaceView {
                ownership: Ownership::Unowned,
                bound: Bound::No,
            });
            let verdict = decide(&settings(), &Facts::Seal(facts), &request);
            verdict.outcome() == crate::verdict::Outcome::Allow
        };
        prop_assert!(allowed(a.min(b)) <= allowed(a.max(b)));
    }
}
