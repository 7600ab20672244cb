//! What the operator does, and what is nobody's.

use seal::Tier;
use serde_json::json;
use tenancy::namespaces::{self, HomeError};

use crate::bench::{Bench, home, owner};
use crate::chain::FAR;

pub(crate) async fn foreign_namespaces_are_left_alone(bench: &Bench) {
    let (me, name) = (owner(5), home(5));
    bench.chain.stake(me, 2, FAR);
    let bare = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } });
    bench.make(None, &bare).await;
    let refused = bench
        .tenants
        .ensure_home(&bench.client, &me, Tier::Developer)
        .await;
    assert!(
        matches!(refused, Err(HomeError::Foreign { .. })),
        "{refused:?}"
    );
    let released = namespaces::release(&bench.client, &name).await;
    assert!(
        matches!(released, Err(HomeError::Foreign { .. })),
        "{released:?}"
    );

    // An owner's mark on a name that is not the owner's.
    let marked = json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": { "name": "team", "annotations": { "k3s-daas.io/owner": me.to_string() } },
    });
    bench.make(None, &marked).await;
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    for name in [name.as_str(), "team"] {
        assert_eq!(bench.state(name).await, "", "{name}");
        let quotas = bench.objects(Some(name), "ResourceQuota");
        let quotas = quotas
            .list(&kube::api::ListParams::default())
            .await
            .unwrap();
        assert!(quotas.items.is_empty(), "{name}");
    }
    let kept = namespaces::release(&bench.client, "kube-system").await;
    assert!(matches!(kept, Err(HomeError::Foreign { .. })), "{kept:?}");
    let missing = namespaces::release(&bench.client, "seal-0000000000000000").await;
    assert!(
        matches!(missing, Err(HomeError::Missing { .. })),
        "{missing:?}"
    );
}

pub(crate) async fn namespaces_are_added_listed_and_released(bench: &Bench) {
    let me = owner(6);
    bench.chain.stake(me, 5, FAR);
    let added = namespaces::add(&bench.client, &me, Some("team"))
        .await
        .unwrap();
    assert_eq!(added.name, format!("{}-team", home(6)));
    assert_eq!((added.state, added.tier), ("active", Some("admin")));
    let again = namespaces::add(&bench.client, &me, Some("team"))
        .await
        .unwrap();
    assert_eq!(again.name, added.name, "adding it again changes nothing");
    let bad = namespaces::add(&bench.client, &me, Some("Team")).await;
    assert!(matches!(bad, Err(HomeError::Suffix(_))), "{bad:?}");

    for number in 1..8 {
        let suffix = number.to_string();
        namespaces::add(&bench.client, &me, Some(&suffix))
            .await
            .unwrap();
    }
    let ninth = namespaces::add(&bench.client, &me, Some("ninth")).await;
    assert!(
        matches!(ninth, Err(HomeError::TooMany { count: 8, .. })),
        "{ninth:?}"
    );
    let mine = namespaces::list(&bench.client, Some(&me)).await.unwrap();
    assert_eq!(mine.len(), 8);
    assert!(
        mine.iter()
            .all(|one| one.owner == me && one.pods_hard.as_deref() == Some("9"))
    );

    // An owner without a seal gets one that has ended already.
    let nobody = owner(7);
    let ended = namespaces::add(&bench.client, &nobody, None).await.unwrap();
    assert_eq!(ended.state, "ended");
    assert!(ended.ended_at.is_some() && ended.stops_at.is_some() && ended.deletes_at.is_some());

    for namespace in mine {
        let released = namespaces::release(&bench.client, &namespace.name)
            .await
            .unwrap();
        assert_eq!(released.namespace.name, namespace.name);
    }
    bench.reaches(&added.name, "gone").await;
}
