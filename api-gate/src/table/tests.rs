use std::net::SocketAddr;

use prometheus_client::registry::Registry;
use seal::{Address, CredentialHash};

use super::*;

fn table() -> Table {
    Table::new(GateMetrics::register(&mut Registry::default()))
}

fn at(ip: &str) -> SocketAddr {
    SocketAddr::new(ip.parse().unwrap(), 1)
}

fn open(table: &Table, ip: &str) -> Opened {
    let limits = Limits {
        new_per_second: 10_000,
        ..Limits::default()
    };
    let seat = table.admit(at(ip), &limits).unwrap();
    table.open(seat, at(ip), at("10.9.9.9"))
}

fn seal(number: u8) -> Arc<Who> {
    Arc::new(Who::Seal {
        owner: Address::from_bytes([number; 32]),
        hash: CredentialHash::from_bytes([number; 32]),
    })
}

fn node(name: &str) -> Arc<Who> {
    Arc::new(Who::Node(name.into()))
}

fn account(namespace: &str, node: Option<&str>) -> Arc<Who> {
    Arc::new(Who::Account {
        namespace: namespace.into(),
        name: "default".into(),
        node: node.map(Into::into),
    })
}

fn end_of(number: u8) -> Ended {
    Ended::Seal(CredentialHash::from_bytes([number; 32]))
}

/// Whether it was told to end.
fn is_ended(opened: &mut Opened) -> bool {
    opened.ended.try_recv().is_ok()
}

fn end(table: &Table, ended: &Ended) -> usize {
    table.end(ended, Cause::Revoked).closed
}

#[test]
fn source_addresses_are_in_range_and_never_used_twice_while_they_are_remembered() {
    let table = table();
    table.lock().next = SOURCES - 2;
    let kept = open(&table, "10.0.0.1");
    let mut seen = HashSet::from([kept.source]);
    for _ in 0..300 {
        let opened = open(&table, "10.0.0.1");
        let [a, b, _, _] = opened.source.octets();
        assert!(a == 127 && (1..=250).contains(&b), "{}", opened.source);
        assert!(seen.insert(opened.source), "{} again", opened.source);
    }
    // All round, past those that are open or remembered.
    table.lock().next = SOURCES - 2;
    assert!(seen.insert(open(&table, "10.0.0.1").source));
}

#[tokio::test(start_paused = true)]
async fn an_address_is_free_again_once_nothing_can_name_it() {
    let table = table();
    let first = open(&table, "10.0.0.1").source;
    tokio::time::advance(REMEMBERED + Duration::from_secs(1)).await;
    table.lock().next = first.to_bits() - FIRST_SOURCE;
    assert_eq!(open(&table, "10.0.0.1").source, first);
}

#[test]
fn a_seal_s_connections_end_with_it_and_others_stay() {
    let table = table();
    let (mut one, mut two, mut other) = (
        open(&table, "10.0.0.1"),
        open(&table, "10.0.0.2"),
        open(&table, "10.0.0.3"),
    );
    assert_eq!(table.attribute(one.source, &seal(1)), Attributed::New);
    assert_eq!(table.attribute(one.source, &seal(1)), Attributed::Known);
    assert_eq!(table.attribute(two.source, &seal(1)), Attributed::New);
    assert_eq!(table.attribute(other.source, &seal(2)), Attributed::New);
    assert_eq!(end(&table, &end_of(1)), 2);
    assert!(is_ended(&mut one) && is_ended(&mut two) && !is_ended(&mut other));
    assert_eq!(end(&table, &end_of(1)), 0, "they are told once");
}

#[test]
fn a_shared_connection_ends_with_the_first_of_its_users() {
    let table = table();
    let mut shared = open(&table, "10.0.0.1");
    table.attribute(shared.source, &seal(1));
    table.attribute(shared.source, &seal(2));
    assert_eq!(end(&table, &end_of(2)), 1);
    assert!(is_ended(&mut shared));
}

#[test]
fn what_nobody_was_seen_on_ends_with_who_was_seen_at_its_address() {
    let table = table();
    let (seen, mut idle, mut elsewhere, mut innocent) = (
        open(&table, "10.0.0.1"),
        open(&table, "10.0.0.1"),
        open(&table, "10.0.0.2"),
        open(&table, "10.0.0.1"),
    );
    table.attribute(seen.source, &seal(1));
    table.attribute(innocent.source, &seal(2));
    assert_eq!(end(&table, &end_of(1)), 2);
    assert!(is_ended(&mut idle));
    assert!(!is_ended(&mut elsewhere), "nobody ended was seen there");
    assert!(!is_ended(&mut innocent), "a live user was seen on it");
}

#[test]
fn an_address_is_remembered_after_the_connection_on_which_somebody_was_seen() {
    let table = table();
    let seen = open(&table, "10.0.0.1");
    table.attribute(seen.source, &seal(1));
    drop(seen);
    let mut later = open(&table, "10.0.0.1");
    assert_eq!(end(&table, &end_of(1)), 1);
    assert!(is_ended(&mut later));
    // An event that came after its connection was closed tells the address too.
    let closed = open(&table, "10.0.0.7").source;
    assert_eq!(table.attribute(closed, &seal(3)), Attributed::Gone);
    let mut at_it = open(&table, "10.0.0.7");
    assert_eq!(end(&table, &end_of(3)), 1);
    assert!(is_ended(&mut at_it));
}

#[test]
fn a_machine_s_own_connections_end_with_the_machine_alone() {
    let table = table();
    let (kubelet, mut tunnel, mut pod, mut others_pod) = (
        open(&table, "10.0.0.1"),
        open(&table, "10.0.0.1"),
        open(&table, "10.0.0.1"),
        open(&table, "10.0.0.1"),
    );
    table.attribute(kubelet.source, &node("w-1"));
    table.attribute(pod.source, &account("mine", Some("w-1")));
    table.attribute(others_pod.source, &account("theirs", Some("w-2")));
    let accounts = Ended::Accounts(["mine".into()].into());
    assert_eq!(end(&table, &accounts), 1, "the pod alone");
    assert!(is_ended(&mut pod) && !is_ended(&mut tunnel));
    assert_eq!(end(&table, &Ended::Node("w-1".into())), 2);
    assert!(is_ended(&mut tunnel));
    assert!(!is_ended(&mut others_pod), "of another machine");
}

#[test]
fn a_cut_machine_takes_its_pods_connections_along() {
    let table = table();
    let mut pod = open(&table, "10.0.0.1");
    table.attribute(pod.source, &account("theirs", Some("w-1")));
    assert_eq!(end(&table, &Ended::Node("w-1".into())), 1);
    assert!(is_ended(&mut pod));
}

#[tokio::test(start_paused = true)]
async fn a_late_event_ends_what_was_open_by_then() {
    let table = table();
    let seen = open(&table, "10.0.0.1");
    let mut before = open(&table, "10.0.0.1");
    let lost = Instant::now();
    tokio::time::advance(Duration::from_secs(1)).await;
    let mut after = open(&table, "10.0.0.1");
    table.attribute(seen.source, &seal(1));
    assert_eq!(table.end_nobodys(&end_of(1), lost), 1);
    assert!(is_ended(&mut before) && !is_ended(&mut after));
}

#[test]
fn users_beyond_telling_apart_end_the_connection() {
    let table = table();
    let mut proxy = open(&table, "10.0.0.1");
    for number in 0..MOST_USERS {
        let user = seal(u8::try_from(number).unwrap());
        assert_eq!(table.attribute(proxy.source, &user), Attributed::New);
    }
    assert_eq!(
        table.attribute(proxy.source, &seal(200)),
        Attributed::Crowded
    );
    assert_eq!(proxy.ended.try_recv().unwrap(), Cause::Crowded);
}

#[test]
fn what_is_closed_leaves_no_index_behind() {
    let table = table();
    for number in 0..50 {
        let opened = open(&table, "10.0.0.1");
        table.attribute(opened.source, &seal(number));
    }
    let inner = table.lock();
    assert!(inner.open.is_empty() && inner.by_who.is_empty() && inner.by_peer.is_empty());
    drop(inner);
    assert_eq!(table.seated(), 0);
}

#[test]
fn the_book_tells_whose_address_it_was_and_when() {
    let table = table();
    let opened = open(&table, "10.0.0.1");
    let (source, from) = (IpAddr::V4(opened.source), time_of_day());
    assert_eq!(table.peer_at(source, from), Some(at("10.0.0.1")));
    assert_eq!(table.peer_at(source, UnixMillis(1)), None, "before it was");
    drop(opened);
    assert_eq!(table.peer_at(source, from), Some(at("10.0.0.1")));
    let long_after = UnixMillis(from.0 + 3_600_000);
    assert_eq!(table.peer_at(source, long_after), None);
    assert_eq!(table.peer_at("127.0.0.1".parse().unwrap(), from), None);
}

#[test]
fn who_is_connected_is_shown() {
    let table = table();
    let opened = open(&table, "10.0.0.1");
    table.attribute(opened.source, &seal(1));
    let shown = table.connections();
    let [one] = shown.as_slice() else {
        panic!("{shown:?}")
    };
    assert_eq!((one.peer, one.source), (at("10.0.0.1"), opened.source));
    let [user] = one.users.as_slice() else {
        panic!("{one:?}")
    };
    assert_eq!(user.kind, "seal");
    assert_eq!(user.hash.as_deref(), Some("01".repeat(32).as_str()));
}
