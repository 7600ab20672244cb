use proptest::prelude::*;
use serde_json::json;

use super::super::State;
use super::events::{Counts, counts, unwatched, watched};
use super::*;

fn socket(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn sockets(texts: &[&str]) -> BTreeSet<SocketAddr> {
    texts.iter().map(|text| socket(text)).collect()
}

fn door(listen: &str, upstream: &str) -> Door {
    Door {
        listen: socket(listen),
        upstream: socket(upstream),
    }
}

/// As the kernel writes an address.
fn written(address: SocketAddr) -> String {
    let octets = match address.ip() {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let words: Vec<_> = octets
        .chunks(4)
        .map(|word| u32::from_ne_bytes(word.try_into().unwrap()))
        .map(|word| format!("{word:08X}"))
        .collect();
    let words = words.concat();
    format!("{words}:{:04X}", address.port())
}

#[test]
fn finds_who_listens_and_nobody_who_is_only_connected() {
    let line = |address: &str, state: &str| {
        let local = written(socket(address));
        format!("   0: {local} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000     0")
    };
    let table = [
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid"
            .to_owned(),
        line("127.0.0.1:6443", "0A"),
        line("10.0.0.1:6443", "01"),
        line("[::]:6443", "0A"),
        line("[::ffff:10.0.0.2]:80", "0A"),
    ];
    let found: Vec<_> = listening::parse(&table.join("\n")).collect();
    let wanted = ["127.0.0.1:6443", "[::]:6443", "10.0.0.2:80"];
    assert_eq!(found, wanted.map(socket));
}

#[test]
fn finds_a_listener_of_this_very_process() {
    for address in ["127.0.0.1:0", "0.0.0.0:0"] {
        let mine = std::net::TcpListener::bind(address).unwrap();
        let mine = mine.local_addr().unwrap();
        let there = listening::now().unwrap();
        assert!(there.contains(&mine), "{mine}: {there:?}");
    }
}

proptest! {
    #[test]
    fn what_the_kernel_writes_is_read_back(ip: [u8; 16], v4: bool, port: u16) {
        let ip = if v4 { IpAddr::from([ip[0], ip[1], ip[2], ip[3]]) } else { IpAddr::from(ip) };
        let address = SocketAddr::new(ip, port);
        let table = format!("0: {} 00000000:0000 0A", written(address));
        let found: Vec<_> = listening::parse(&table).collect();
        prop_assert_eq!(found, [SocketAddr::new(ip.to_canonical(), port)]);
    }

    #[test]
    fn nonsense_is_passed_over(text in "\\PC{0,200}", local in "[0-9A-Fg+:é]{0,40}") {
        let _ = listening::parse(&text).count();
        let _ = listening::parse(&format!("0: {local} 0 0A")).count();
        let _ = counts(&text);
        let _ = counts(&format!("k3s_daas_gate_events_total{text} {local}"));
    }
}

#[test]
fn k3s_is_around_the_gate_where_others_reach_it() {
    let same_port = [door("10.0.0.1:6443", "127.0.0.1:6443")];
    let other_port = [door("0.0.0.0:6443", "127.0.0.1:7443")];
    for (doors, there, open) in [
        (
            &same_port,
            &["127.0.0.1:6443", "10.0.0.1:6443"][..],
            &[][..],
        ),
        (&same_port, &["127.0.0.1:6443", "[::1]:6443"], &[]),
        (&same_port, &["0.0.0.0:6443"], &["0.0.0.0:6443"]),
        (&same_port, &["[::]:6443", "0.0.0.0:22"], &["[::]:6443"]),
        (
            &same_port,
            &["10.0.0.1:6443", "10.9.0.1:6443"],
            &["10.9.0.1:6443"],
        ),
        (&other_port, &["0.0.0.0:6443", "127.0.0.1:7443"], &[]),
        (&other_port, &["0.0.0.0:6443", "[::]:7443"], &["[::]:7443"]),
    ] {
        let there = sockets(there);
        let open: Vec<_> = open.iter().map(|text| socket(text)).collect();
        assert_eq!(listening::around(doors, &there), open, "{there:?}");
        let wanted = if open.is_empty() {
            State::Ok
        } else {
            State::Fail
        };
        assert_eq!(around(doors, &there).state, wanted);
    }
}

#[test]
fn says_whether_k3s_itself_is_missing_behind_the_gate() {
    let door = door("10.0.0.1:6443", "127.0.0.1:6443");
    for (there, missing) in [
        (&["10.0.0.1:6443"][..], true),
        (&["127.0.0.1:6443"], false),
        (&["0.0.0.0:6443"], false),
        (&["[::]:6443"], false),
        (&["[::1]:6443", "127.0.0.1:80"], true),
    ] {
        let check = silent(&door, door.listen, "reset", &sockets(there));
        assert_eq!(check.state, State::Fail);
        let to_do = check.to_do.unwrap();
        assert_eq!(
            to_do.contains("nothing listens"),
            missing,
            "{there:?} {to_do}"
        );
    }
}

#[test]
fn agents_and_pods_must_be_told_the_gate() {
    let one = [door("10.0.0.1:6443", "127.0.0.1:6443")];
    let any = [door("0.0.0.0:6443", "127.0.0.1:7443")];
    let loopback = [door("127.0.0.1:6443", "127.0.0.1:6444")];
    let balancer: Option<IpAddr> = Some("192.0.2.1".parse().unwrap());
    for (doors, advertise, endpoints, state) in [
        (&one, None, &["10.0.0.1:6443"][..], State::Ok),
        (&one, None, &["10.0.0.1:7443"], State::Fail),
        (&one, None, &["10.0.0.2:6443"], State::Fail),
        (&one, None, &["10.0.0.1:6443", "10.0.0.2:6443"], State::Warn),
        (&one, balancer, &["192.0.2.1:6443"], State::Ok),
        (&one, None, &[], State::Warn),
        (&any, None, &["10.0.0.2:6443"], State::Ok),
        (&any, None, &["10.0.0.2:7443"], State::Fail),
        (&loopback, None, &["10.0.0.2:6444"], State::Warn),
    ] {
        let check = told(doors, advertise, Ok(sockets(endpoints)));
        assert_eq!(check.state, state, "{check:?}");
    }
    let unread = told(&one, None, Err("forbidden".to_owned()));
    assert_eq!(unread.state, State::Warn);
}

#[test]
fn reads_every_address_and_port_of_a_slice() {
    let slice: EndpointSlice = serde_json::from_value(json!({
        "addressType": "IPv4",
        "endpoints": [{ "addresses": ["10.0.0.1"] }, { "addresses": ["10.0.0.2", "no address"] }],
        "ports": [{ "name": "https", "port": 6443 }, { "name": "none" }, { "port": 70_000 }],
    }))
    .unwrap();
    let wanted = ["10.0.0.1:6443", "10.0.0.2:6443"];
    assert_eq!(addresses(&slice), wanted.map(socket));
}

#[test]
fn the_bound_of_watches_is_told_where_there_is_no_gate() {
    for (said, bound) in [
        (Some("120"), "120 to 240 s (min-request-timeout=120)"),
        (None, "1800 to 3600 s (Kubernetes's own"),
        (Some("soon"), "1800 to 3600 s (Kubernetes's own"),
    ] {
        let check = without(said);
        assert_eq!(check.state, State::Warn);
        assert!(check.found.contains(bound), "{check:?}");
        assert!(check.to_do.unwrap().contains("gate_listen"));
    }
}

const METRICS: &str = "\
# HELP k3s_daas_gate_connections Open connections by the kind of user seen on them.
k3s_daas_gate_connections{kind=\"unknown\"} 3
k3s_daas_gate_connections{kind=\"seal\"} 2
k3s_daas_gate_accepted_total 70
k3s_daas_gate_events_total{outcome=\"attributed\"} 4
k3s_daas_gate_events_total{outcome=\"known\"} 5
k3s_daas_gate_events_total{outcome=\"unknown\"} 6
# EOF
";

#[test]
fn counts_events_and_those_that_told_of_a_connection() {
    let wanted = Counts {
        connections: 5,
        told: 9,
        events: 15,
    };
    assert_eq!(counts(METRICS), Some(wanted));
    assert_eq!(counts("k3s_daas_build_info 1\n# EOF\n"), None);
}

#[test]
fn reads_what_the_gate_registers() {
    let mut registry = prometheus_client::registry::Registry::default();
    let _metrics = api_gate::GateMetrics::register(&mut registry);
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    assert_eq!(counts(&text), Some(Counts::default()));
    for outcome in ["attributed", "known"] {
        let series = format!("k3s_daas_gate_events_total{{outcome=\"{outcome}\"}}");
        assert!(text.contains(&series), "{text}");
    }
}

#[test]
fn an_event_must_come_of_a_watch_through_the_gate() {
    let at = |told, events| Counts {
        connections: 1,
        told,
        events,
    };
    for (before, after, state, says) in [
        (at(0, 0), at(1, 1), State::Ok, "heard of a watch"),
        (at(0, 0), at(0, 0), State::Fail, "no event ever came"),
        (at(7, 9), at(7, 9), State::Fail, "no event came of"),
        (at(7, 9), at(7, 11), State::Fail, "none told of a watch"),
        // The server was started anew meanwhile.
        (at(7, 9), at(0, 0), State::Fail, "no event ever came"),
    ] {
        let check = watched(before, after);
        assert_eq!(check.state, state, "{check:?}");
        assert!(check.found.contains(says), "{check:?}");
    }
}

#[test]
fn without_a_watch_only_what_came_counts() {
    for (connections, told, events, state, says) in [
        (3, 2, 5, State::Ok, "2 told of the gate's connections"),
        (3, 0, 5, State::Warn, "none told of a connection"),
        (3, 0, 0, State::Warn, "3 connections are open, and no event"),
        (0, 0, 0, State::Warn, "no connection is open"),
    ] {
        let counts = Counts {
            connections,
            told,
            events,
        };
        let check = unwatched(counts, "no kubeconfig");
        assert_eq!(check.state, state, "{check:?}");
        assert!(check.found.contains(says), "{check:?}");
    }
}
