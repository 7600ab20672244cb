//! Figures and events from a runtime that answers what a test tells it to, over a real socket.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod fake;

use std::path::Path;
use std::time::Duration;

use cri_shim::observe::{self, ObserveMetrics, Topic};
use cri_shim::stats::{Io, Source, Stats, StatsSettings, Traffic};
use fake::{Fake, Pod};
use prometheus_client::registry::Registry;

const SOON: Duration = Duration::from_secs(10);

fn settings(fake: &Fake, every: u64) -> StatsSettings {
    let mut settings = StatsSettings::new(fake.socket());
    settings.every = Duration::from_millis(every);
    settings.proc_root = fake.folder().join("proc");
    settings.cgroup_root = fake.folder().join("cgroup");
    settings
}

fn put(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn page(stats: &Stats) -> String {
    let mut registry = Registry::default();
    stats.register(&mut registry);
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    text
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let waited = tokio::time::timeout(SOON, async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(waited.await.is_ok(), "not within {SOON:?}: {what}");
}

/// One more poll that began after this.
async fn next(stats: &Stats) {
    let before = stats.polls();
    until("two more polls", || stats.polls() >= before + 2).await;
}

#[tokio::test]
async fn figures_of_a_pod_come_and_go_with_it() {
    let fake = Fake::start();
    put(
        fake.folder(),
        "proc/41/cgroup",
        "0::/pods/web/web-sandbox\n",
    );
    put(fake.folder(), "proc/42/cgroup", "0::/pods/web/web-app\n");
    put(
        fake.folder(),
        "cgroup/pods/web/io.stat",
        "8:0 rbytes=100 wbytes=200\n",
    );
    put(
        fake.folder(),
        "cgroup/pods/web/web-app/io.stat",
        "8:0 rbytes=10 wbytes=20\n",
    );
    fake.set(vec![
        Pod::new("web", 41, 42),
        Pod::new("in-host-network", 51, 52).host_network(),
    ]);
    let stats = Stats::new(settings(&fake, 50));
    let polling = tokio::spawn(stats.clone().run());
    next(&stats).await;

    let snapshot = stats.latest().unwrap();
    assert_eq!(
        (snapshot.pod_count, snapshot.container_count),
        (Some(2), Some(2))
    );
    assert_eq!(snapshot.node.images, Some(77));
    let web = snapshot.pods.iter().find(|pod| pod.pod == "web").unwrap();
    assert_eq!(web.usage.cpu, Some(2_000_000_000));
    assert_eq!(web.usage.memory, Some(2048));
    assert_eq!(web.usage.layer, Some(4096));
    assert_eq!(
        web.usage.io,
        Some(Io {
            read: 100,
            written: 200
        })
    );
    assert_eq!(
        web.network,
        Some(Traffic {
            received: 11,
            sent: 22
        })
    );
    assert_eq!(web.containers[0].name, "app");
    assert_eq!(
        web.containers[0].usage.io,
        Some(Io {
            read: 10,
            written: 20
        })
    );
    let other = snapshot
        .pods
        .iter()
        .find(|pod| pod.pod == "in-host-network")
        .unwrap();
    assert_eq!((other.network, other.usage.io), (None, None));
    assert!(page(&stats).contains(r#"pod="web""#));
    // Each id was asked for once, whatever the number of polls.
    assert_eq!(fake.asked("PodSandboxStatus"), 2);
    assert_eq!(fake.asked("ContainerStatus"), 2);

    fake.set(vec![Pod::new("in-host-network", 51, 52).host_network()]);
    next(&stats).await;
    let text = page(&stats);
    assert!(!text.contains(r#"pod="web""#), "{text}");
    assert!(text.contains(r#"pod="in-host-network""#), "{text}");
    polling.abort();
}

#[tokio::test]
async fn a_runtime_without_pod_stats_is_asked_for_containers() {
    let fake = Fake::start();
    fake.set(vec![Pod::new("web", 41, 42)]);
    put(
        fake.folder(),
        "proc/41/cgroup",
        "0::/pods/web/web-sandbox\n",
    );
    put(
        fake.folder(),
        "proc/41/net/dev",
        include_str!("../fixtures/proc/net/dev"),
    );
    for refusal in [12, 2] {
        fake.refuse("ListPodSandboxStats", refusal);
        let stats = Stats::new(settings(&fake, 50));
        let polling = tokio::spawn(stats.clone().run());
        next(&stats).await;
        let snapshot = stats.latest().unwrap();
        let [web] = &snapshot.pods[..] else {
            panic!("{snapshot:?}")
        };
        assert_eq!(web.usage.cpu, Some(1_000_000_000));
        assert_eq!(web.usage.memory, Some(1024));
        assert_eq!(
            web.network,
            Some(Traffic {
                received: 934_705_047,
                sent: 4_528_741
            })
        );
        // Not having it is no failure; failing at it is.
        assert_eq!(stats.failures(Source::PodStats) > 0, refusal != 12);
        polling.abort();
    }
}

#[tokio::test]
async fn a_sandbox_that_tells_nothing_does_not_hide_the_others_figures() {
    let fake = Fake::start();
    put(fake.folder(), "proc/42/cgroup", "0::/pods/web/web-app\n");
    put(
        fake.folder(),
        "cgroup/pods/web/web-app/io.stat",
        "8:0 rbytes=10 wbytes=20\n",
    );
    fake.set(vec![Pod::new("web", 41, 42), Pod::new("db", 51, 52)]);
    fake.refuse("PodSandboxStatus", 2);
    let stats = Stats::new(settings(&fake, 50));
    let polling = tokio::spawn(stats.clone().run());
    next(&stats).await;
    let snapshot = stats.latest().unwrap();
    let web = snapshot.pods.iter().find(|pod| pod.pod == "web").unwrap();
    let io = Some(Io {
        read: 10,
        written: 20,
    });
    assert_eq!((web.containers[0].usage.io, web.usage.io), (io, io));
    assert_eq!(web.usage.cpu, Some(2_000_000_000));
    assert!(stats.failures(Source::Status) >= 2);
    polling.abort();
}

#[tokio::test]
async fn while_the_runtime_is_away_its_figures_are_absent_and_the_machines_are_not() {
    let fake = Fake::start();
    fake.set(vec![Pod::new("web", 41, 42)]);
    put(
        fake.folder(),
        "proc/meminfo",
        "MemTotal: 100 kB\nMemAvailable: 25 kB\n",
    );
    let stats = Stats::new(settings(&fake, 50));
    assert_eq!(stats.latest(), None);
    let polling = tokio::spawn(stats.clone().run());
    next(&stats).await;
    assert_eq!(stats.latest().unwrap().pod_count, Some(1));

    fake.stop().await;
    until("the lists fail", || stats.failures(Source::Lists) > 0).await;
    next(&stats).await;
    let summary = stats.latest().unwrap().summary();
    assert_eq!((summary.pod_count, summary.container_count), (None, None));
    assert_eq!(summary.memory_usage, Some(75.0));
    assert!(stats.latest().unwrap().pods.is_empty());

    fake.again();
    until("the pod is back", || {
        stats.latest().unwrap().pod_count == Some(1)
    })
    .await;
    assert!(stats.age().unwrap() < SOON);
    polling.abort();
}

#[tokio::test]
async fn above_the_bound_pods_are_counted() {
    let fake = Fake::start();
    fake.set(
        (0..520)
            .map(|n| Pod::new(&format!("pod-{n}"), 1000 + n, 2000 + n))
            .collect(),
    );
    let stats = Stats::new(settings(&fake, 50));
    let polling = tokio::spawn(stats.clone().run());
    next(&stats).await;
    let snapshot = stats.latest().unwrap();
    assert_eq!((snapshot.pods.len(), snapshot.left_out), (500, 20));
    assert_eq!(snapshot.pod_count, Some(520));
    assert_eq!(
        page(&stats)
            .matches("pod_memory_working_set_bytes{")
            .count(),
        500
    );
    polling.abort();
}

#[tokio::test]
async fn observing_counts_events_asks_for_polls_and_comes_back() {
    let fake = Fake::start();
    fake.set(vec![Pod::new("web", 41, 42)]);
    let mut settings = settings(&fake, 600_000);
    settings.tasks = true;
    let stats = Stats::new(settings);
    let polling = tokio::spawn(stats.clone().run());
    until("the first poll", || stats.polls() == 1).await;
    // The tasks' numbers spare a question for each container, and tell of disks.
    assert_eq!(fake.asked("ContainerStatus"), 0);
    let io = stats.latest().unwrap().pods[0].containers[0].usage.io;
    assert_eq!(
        io,
        Some(Io {
            read: 5,
            written: 6
        })
    );

    let metrics = ObserveMetrics::register(&mut Registry::default());
    let observing =
        observe::spawn(fake.socket().to_owned(), stats.clone(), metrics.clone()).unwrap();
    until("a subscription", || metrics.subscribed()).await;
    fake.event("/tasks/exec-started");
    fake.event("/tasks/of-the-future");
    until("both events", || {
        metrics.events(Topic::TaskExecStarted) == 1 && metrics.events(Topic::Other) == 1
    })
    .await;
    assert_eq!(stats.polls(), 1);
    // A burst is one poll, or two.
    for _ in 0..1000 {
        fake.event("/tasks/start");
    }
    until("the burst", || metrics.events(Topic::TaskStart) == 1000).await;
    until("a poll out of turn", || stats.polls() > 1).await;
    assert!(stats.polls() < 4, "{}", stats.polls());

    let before = metrics.connections();
    fake.stop().await;
    until("the end of the stream", || !metrics.subscribed()).await;
    fake.again();
    until("another subscription", || {
        metrics.subscribed() && metrics.connections() > before
    })
    .await;
    until("an event of the new stream", || {
        fake.event("/tasks/oom");
        metrics.events(Topic::TaskOom) > 0
    })
    .await;
    observing.stop().await;
    assert!(!metrics.subscribed());
    polling.abort();
}
