use std::sync::Arc;

use proptest::prelude::*;

use super::super::claims::Claims;
use super::*;

const OWN: &str = "system:node:w1";

fn settings() -> AdmitSettings {
    AdmitSettings {
        control_plane_nodes: ["server-1".to_owned()].into(),
        reserved_names: ["api.example.com".to_owned()].into(),
        cluster_ranges: vec![
            "10.42.0.0/16".parse().unwrap(),
            "10.43.0.0/16".parse().unwrap(),
        ],
        control_plane_addresses: ["192.0.2.1".parse().unwrap()].into(),
    }
}

/// `w1` has nothing, `w2` has 10.0.0.2, the API server announces 192.0.2.9.
fn book() -> Book {
    let mut book = Book::default();
    book.begin();
    book.list("w1", &Claims::default());
    book.list("w2", &of(&[("InternalIP", "10.0.0.2")], &[]));
    book.listed();
    book.serve(["192.0.2.9".parse().unwrap()].into());
    book
}

fn of(addresses: &[(&str, &str)], marks: &[(&str, &str)]) -> Claims {
    Claims::gather(addresses.iter().copied(), marks.iter().copied())
}

fn change(user: &str, claims: Claims) -> Change {
    Change {
        user: user.to_owned(),
        name: "w1".to_owned(),
        claims,
        dry_run: false,
    }
}

fn outcome(change: &Change) -> &'static str {
    decide(&settings(), &mut book(), Instant::now(), change)
        .map_or_else(|refusal| refusal.label(), |()| "allowed")
}

#[test]
fn every_rule_refuses_what_it_is_for() {
    let internal = |address: &str| of(&[("InternalIP", address)], &[]);
    let host = |name: &str| of(&[("Hostname", name)], &[]);
    let note = |key: &str, value: &str| of(&[], &[(key, value)]);
    for (claims, expected) in [
        (internal("10.0.0.1"), "allowed"),
        (
            of(
                &[
                    ("InternalIP", "10.0.0.1"),
                    ("ExternalIP", "203.0.113.7"),
                    ("Hostname", "w1"),
                ],
                &[],
            ),
            "allowed",
        ),
        (host("w1"), "allowed"),
        (host("host-1"), "allowed"),
        (
            note("k3s.io/internal-ip", "10.0.0.1,2001:db8::1"),
            "allowed",
        ),
        (Claims::default(), "allowed"),
        (internal("10.0.0.2"), "taken"),
        (internal("010.0.0.02"), "taken"),
        (internal("::ffff:10.0.0.2"), "taken"),
        (of(&[("ExternalIP", "10.0.0.2")], &[]), "taken"),
        (host("10.0.0.2"), "taken"),
        (note("k3s.io/internal-ip", "10.0.0.1,10.0.0.2"), "taken"),
        (note("k3s.io/external-ip", "10.0.0.2"), "taken"),
        (
            note("flannel.alpha.coreos.com/public-ip", "10.0.0.2"),
            "taken",
        ),
        (
            note("alpha.kubernetes.io/provided-node-ip", "10.0.0.2"),
            "taken",
        ),
        (internal("127.0.0.1"), "unreachable"),
        (internal("169.254.169.254"), "unreachable"),
        (internal("0.0.0.0"), "unreachable"),
        (internal("224.0.0.1"), "unreachable"),
        (internal("64:ff9b::a00:2"), "unreachable"),
        (internal("10.43.0.1"), "cluster_range"),
        (internal("10.42.7.1"), "cluster_range"),
        (internal("::ffff:10.43.0.1"), "cluster_range"),
        (internal("192.0.2.1"), "control_plane"),
        (internal("192.0.2.9"), "control_plane"),
        (host("w2"), "foreign_name"),
        (host("W2."), "foreign_name"),
        (host("server-1"), "foreign_name"),
        (host("kubernetes"), "foreign_name"),
        (host("api.example.com"), "foreign_name"),
        (note("k3s.io/hostname", "w2"), "foreign_name"),
        (internal("w2"), "nonsense"),
        (internal(""), "nonsense"),
        (of(&[("Elsewhere", "10.0.0.1")], &[]), "nonsense"),
    ] {
        assert_eq!(
            outcome(&change(OWN, claims.clone())),
            expected,
            "{claims:?}"
        );
        // The user that all machines share is held to the same.
        assert_eq!(
            outcome(&change(SHARED_USER, claims.clone())),
            expected,
            "{claims:?}"
        );
        for trusted in [
            "system:node:server-1",
            "system:cloud-controller-manager",
            "alice",
            "",
        ] {
            assert_eq!(outcome(&change(trusted, claims.clone())), "allowed");
        }
    }
    let many: Vec<_> = (0..=MOST).map(|n| format!("10.1.0.{n}")).collect();
    let many: Vec<_> = many
        .iter()
        .map(|one| ("InternalIP", one.as_str()))
        .collect();
    assert_eq!(outcome(&change(OWN, of(&many, &[]))), "too_many");
    assert_eq!(
        outcome(&change("system:node:w3", internal("10.0.0.1"))),
        "foreign_node"
    );
}

#[test]
fn a_machine_that_bears_a_reserved_name_has_no_node() {
    for name in ["api.example.com", "kubernetes", "localhost"] {
        let change = Change {
            name: name.to_owned(),
            ..change(&format!("{NODE_USER_PREFIX}{name}"), Claims::default())
        };
        assert_eq!(outcome(&change), "reserved_node", "{name}");
    }
}

#[test]
fn before_all_nodes_are_known_nobody_claims_anything() {
    let mut empty = Book::default();
    let now = Instant::now();
    let claim = change(OWN, of(&[("InternalIP", "10.0.0.1")], &[]));
    let refusal = decide(&settings(), &mut empty, now, &claim).unwrap_err();
    assert_eq!(refusal, Refusal::Unknown);
    let trusted = change("system:node:server-1", claim.claims);
    assert_eq!(decide(&settings(), &mut empty, now, &trusted), Ok(()));
}

#[test]
fn what_one_review_is_granted_the_next_one_finds_taken() {
    let (mut book, now) = (book(), Instant::now());
    let claim = of(&[("InternalIP", "10.0.0.7")], &[]);
    let of_w1 = change(OWN, claim.clone());
    let of_w2 = Change {
        name: "w2".to_owned(),
        ..change("system:node:w2", claim)
    };
    let dry = Change {
        dry_run: true,
        ..of_w1.clone()
    };
    assert_eq!(decide(&settings(), &mut book, now, &dry), Ok(()));
    assert_eq!(decide(&settings(), &mut book, now, &of_w2), Ok(()));
    let taken = decide(&settings(), &mut book, now, &of_w1).unwrap_err();
    assert_eq!(
        taken,
        Refusal::Taken("10.0.0.7".parse().unwrap(), "w2".to_owned())
    );
    assert_eq!(decide(&settings(), &mut book, now, &of_w2), Ok(()));
}

#[test]
fn of_many_reviews_at_once_one_passes() {
    let admit = Arc::new(Admit::new(settings(), AdmitMetrics::default()));
    admit.with_book(|known| *known = book());
    let threads: Vec<_> = (0..16)
        .map(|n| {
            let admit = Arc::clone(&admit);
            std::thread::spawn(move || {
                let change = Change {
                    name: format!("x{n}"),
                    ..change(
                        &format!("{NODE_USER_PREFIX}x{n}"),
                        of(&[("InternalIP", "10.0.0.77")], &[]),
                    )
                };
                let settings = settings();
                let now = Instant::now();
                admit
                    .with_book(|book| decide(&settings, book, now, &change))
                    .is_ok()
            })
        })
        .collect();
    let passed = threads.into_iter().map(|thread| thread.join().unwrap());
    assert_eq!(passed.filter(|passed| *passed).count(), 1);
}

#[test]
fn a_machine_that_claims_ever_new_addresses_is_stopped() {
    let (mut book, now) = (book(), Instant::now());
    let refused = (0..200_u8).find_map(|n| {
        let claim = change(OWN, of(&[("InternalIP", &format!("10.1.0.{n}"))], &[]));
        decide(&settings(), &mut book, now, &claim).err()
    });
    assert_eq!(refused, Some(Refusal::TooOften));
}

#[test]
fn every_refusal_has_a_label_of_its_own_that_is_listed() {
    let address = "10.0.0.1".parse().unwrap();
    let all = [
        Refusal::Unexpected,
        Refusal::Unknown,
        Refusal::ForeignNode,
        Refusal::ReservedNode(String::new()),
        Refusal::ForeignName(String::new()),
        Refusal::Nonsense(String::new()),
        Refusal::TooMany,
        Refusal::Unreachable(address, Unreachable(Unusable::Loopback)),
        Refusal::ClusterRange(address, "10.0.0.0/8".parse().unwrap()),
        Refusal::ControlPlane(address),
        Refusal::Taken(address, String::new()),
        Refusal::TooOften,
    ];
    let labels: Vec<_> = all.iter().map(Refusal::label).collect();
    assert_eq!(labels, Refusal::LABELS);
}

proptest! {
    /// Whatever is claimed in whatever order: no address is ever granted to two Nodes.
    #[test]
    fn no_address_is_granted_twice(steps in proptest::collection::vec((0_u8..5, 0_u8..6, any::<bool>()), 1..40)) {
        let mut book = Book::default();
        book.listed();
        let now = Instant::now();
        let mut granted: std::collections::HashMap<u8, u8> = std::collections::HashMap::new();
        for (node, last, told) in steps {
            let name = format!("x{node}");
            let claims = of(&[("InternalIP", &format!("10.1.0.{last}"))], &[]);
            let change = Change { name: name.clone(), ..change(&format!("{NODE_USER_PREFIX}{name}"), claims.clone()) };
            if decide(&settings(), &mut book, now, &change).is_ok() {
                let holder = *granted.entry(last).or_insert(node);
                prop_assert_eq!(holder, node);
                if told {
                    book.is(&name, &claims);
                }
            }
        }
    }
}
