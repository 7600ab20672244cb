use proptest::prelude::*;

use super::*;

const DEVICES: &str = include_str!("../../../tests/fixtures/proc/net/dev");
const ROUTE: &str = include_str!("../../../tests/fixtures/proc/net/route");
const ROUTE6: &str = include_str!("../../../tests/fixtures/proc/net/ipv6_route");
const STAT: &str = include_str!("../../../tests/fixtures/proc/stat");
const DISKS: &str = include_str!("../../../tests/fixtures/proc/diskstats");

fn near(found: Option<f64>, expected: f64) -> bool {
    found.is_some_and(|found| (found - expected).abs() < 1e-6)
}

#[test]
fn cpu_is_what_is_neither_idle_nor_waiting() {
    // user nice system idle iowait irq softirq steal guest guest_nice
    let before = CpuTimes::parse("cpu  1000 0 500 8000 500 0 0 0 200 0\ncpu0 1 2 3 4\n").unwrap();
    let after = CpuTimes::parse("cpu  1100 20 560 8700 600 5 5 10 250 0\n").unwrap();
    // 200 busy (the guest's 50 are within user's 100), 800 idle or waiting.
    assert!(near(after.busy_since(before), 20.0));
    // No time has passed, or the counters went back.
    assert_eq!(before.busy_since(before), None);
    assert_eq!(before.busy_since(after), None);
}

#[test]
fn old_kernels_have_four_figures() {
    let before = CpuTimes::parse("cpu  0 0 0 0\n").unwrap();
    assert!(near(
        CpuTimes::parse("cpu  1 0 0 3\n")
            .unwrap()
            .busy_since(before),
        25.0
    ));
    assert_eq!(CpuTimes::parse("cpu  1 0 0\n"), None);
    assert_eq!(CpuTimes::parse("cpu0 1 0 0 3\n"), None);
}

#[test]
fn memory_is_what_is_not_available() {
    assert!(near(
        memory("MemTotal: 1000 kB\nMemFree: 1 kB\nMemAvailable: 250 kB\n"),
        75.0
    ));
    assert_eq!(memory("MemTotal: 1000 kB\nMemFree: 1 kB\n"), None);
    assert_eq!(memory("MemTotal: 0 kB\nMemAvailable: 0 kB\n"), None);
    assert_eq!(memory("MemTotal: 1 kB\nMemAvailable: 2 kB\n"), None);
}

#[test]
fn default_routes_of_both_families_count_once() {
    let eth0 = BTreeSet::from(["eth0".to_owned()]);
    assert_eq!(with_default_route(ROUTE, ROUTE6), eth0);
    assert_eq!(with_default_route(ROUTE, ""), eth0);
    assert_eq!(with_default_route("", ROUTE6), eth0);
    assert_eq!(with_default_route("", ""), BTreeSet::new());
    // An unreachable default route of `lo` and one that rejects lead nowhere.
    let rejects = ROUTE.replace("\t0003\t", "\t0203\t");
    assert_eq!(with_default_route(&rejects, ""), BTreeSet::new());
}

#[test]
fn network_is_of_the_interfaces_with_a_default_route() {
    let eth0 = Traffic {
        received: 934_705_047,
        sent: 4_528_741,
    };
    assert_eq!(
        network(DEVICES, &with_default_route(ROUTE, ROUTE6)),
        Some(eth0)
    );
    assert_eq!(network(DEVICES, &BTreeSet::new()), None);
    // A pod's are all of its interfaces but the loopback.
    assert_eq!(sandbox_network(DEVICES), Some(eth0));
    let loopback: Vec<&str> = DEVICES.lines().take(3).collect();
    assert_eq!(sandbox_network(&loopback.join("\n")), None);
}

#[test]
fn disks_are_counted_once() {
    let vda = Io {
        read: 162_426_290 * 512,
        written: 243_149_184 * 512,
    };
    assert_eq!(disks(DISKS), Some(vda));
    let parts = "
        8 0 sda 1 0 100 0 1 0 200 0 0 0 0
        8 1 sda1 1 0 90 0 1 0 190 0 0 0 0
        8 16 sdaa 1 0 1 0 1 0 2 0 0 0 0
        259 0 nvme0n1 1 0 1000 0 1 0 2000 0 0 0 0
        259 1 nvme0n1p1 1 0 1000 0 1 0 2000 0 0 0 0
        253 0 dm-0 1 0 7 0 1 0 7 0 0 0 0
        9 0 md0 1 0 7 0 1 0 7 0 0 0 0";
    assert_eq!(
        disks(parts),
        Some(Io {
            read: 1101 * 512,
            written: 2202 * 512
        })
    );
    assert_eq!(disks(""), None);
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn reads_below_a_root() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/proc");
    let mut node = Node::new(root.into(), SECOND);
    let first = node.read(Instant::now());
    assert_eq!(first.cpu, None);
    assert!(
        first
            .memory
            .is_some_and(|percent| percent > 0.0 && percent < 100.0)
    );
    assert!(first.network.is_some() && first.disk.is_some());
    // The same text again: no time has passed.
    assert_eq!(node.read(Instant::now() + SECOND), first);
    let mut nothing = Node::new("/nonexistent".into(), SECOND);
    assert_eq!(nothing.read(Instant::now()), NodeUsage::default());
    assert!(CpuTimes::parse(STAT).is_some());
}

#[test]
fn the_cpu_share_is_of_a_whole_window() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = Node::new(folder.path().into(), SECOND);
    let start = Instant::now();
    let mut at = |tenths: u32, stat: &str| {
        std::fs::write(folder.path().join("stat"), stat).unwrap();
        node.read(start + SECOND / 10 * tenths).cpu
    };
    assert_eq!(at(0, "cpu  0 0 0 0\n"), None);
    assert_eq!(at(2, "cpu  10 0 0 0\n"), None);
    assert!(near(at(10, "cpu  50 0 0 50\n"), 50.0));
    // A poll out of turn shows what was.
    assert!(near(at(12, "cpu  60 0 0 50\n"), 50.0));
    assert!(near(at(20, "cpu  150 0 0 50\n"), 100.0));
    // Without the file there is no share, and none to go on from.
    assert_eq!(at(30, ""), None);
    assert_eq!(at(40, "cpu  200 0 0 100\n"), None);
}

#[test]
fn reads_this_machine() {
    let mut node = Node::new("/proc".into(), SECOND / 10);
    node.read(Instant::now());
    std::thread::sleep(SECOND / 3);
    let usage = node.read(Instant::now());
    assert!(usage.cpu.is_some() && usage.memory.is_some(), "{usage:?}");
}

proptest! {
    #[test]
    fn no_text_panics(
        text in "(\\PC|\\s){0,400}",
        lines in "([a-z]{1,4}:?[ \t]|[0-9]{1,22}[ \t]|[ \t\n]){0,80}",
        cpu in "cpu  ([0-9]{1,21} ){0,12}",
    ) {
        let which = BTreeSet::from(["eth0".to_owned()]);
        for text in [text, lines, cpu] {
            if let Some(times) = CpuTimes::parse(&text) {
                let _ = times.busy_since(times);
            }
            let _ = memory(&text);
            let _ = network(&text, &which);
            let _ = sandbox_network(&text);
            let _ = with_default_route(&text, &text);
            let _ = disks(&text);
        }
    }

    #[test]
    fn shares_are_percents(a: u64, b: u64, c: u64, d: u64) {
        if let Some(percent) = (CpuTimes { busy: a, idle: b }).busy_since(CpuTimes { busy: c, idle: d }) {
            prop_assert!((0.0..=100.0).contains(&percent));
        }
        if let Some(percent) = memory(&format!("MemTotal: {a} kB\nMemAvailable: {b} kB\n")) {
            prop_assert!((0.0..=100.0).contains(&percent));
        }
    }
}
