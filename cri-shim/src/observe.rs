//! Observing: the worker beside the path of kubelet's calls, not in it.
//!
//! Shape:  [`spawn`] reads containerd's events on a thread and a single-threaded runtime of its own,
//!         counts them by topic, and asks [`Stats`] for a poll where containers come or go. The
//!         figures themselves come from the same polls as in front of containerd, with
//!         [`StatsSettings::tasks`](crate::stats::StatsSettings) set.
//! Bounds: an event is counted and dropped before the next is read; nothing waits on anything but
//!         containerd. A reader that stops reading would hold its sender up.
//! Errors: containerd gone: connected to again, at first after [`SOONEST`], at last every
//!         [`LATEST`]. What happened meanwhile is in no event; the polls see what it came to.

mod topics;

use std::path::{Path, PathBuf};
use std::time::Duration;

use containerd_client::services::v1::SubscribeRequest;
use containerd_client::services::v1::events_client::EventsClient;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;

use crate::stats::Stats;
use crate::stats::cri::{MOST_ANSWER, connector, endpoint};
use crate::stats::tasks::NAMESPACE;

pub use topics::Topic;

const SOONEST: Duration = Duration::from_millis(500);
const LATEST: Duration = Duration::from_secs(15);

/// What the reading of events counts.
#[derive(Debug, Clone, Default)]
pub struct ObserveMetrics {
    events: Family<TopicLabels, Counter>,
    connections: Family<ResultLabels, Counter>,
    subscribed: Gauge,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TopicLabels {
    topic: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabels {
    result: &'static str,
}

impl ObserveMetrics {
    /// Every topic is there from the start, at 0.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        for topic in Topic::ALL {
            let topic = topic.label();
            drop(metrics.events.get_or_create(&TopicLabels { topic }));
        }
        for result in ["connected", "failed"] {
            drop(metrics.connections.get_or_create(&ResultLabels { result }));
        }
        registry.register(
            "k3s_daas_worker_containerd_events",
            "Events of containerd, by topic",
            metrics.events.clone(),
        );
        registry.register(
            "k3s_daas_worker_containerd_connections",
            "Connections made to containerd's events, by result",
            metrics.connections.clone(),
        );
        registry.register(
            "k3s_daas_worker_containerd_subscribed",
            "Whether containerd's events are being read",
            metrics.subscribed.clone(),
        );
        metrics
    }

    /// Events of a topic so far.
    #[must_use]
    pub fn events(&self, topic: Topic) -> u64 {
        self.events
            .get_or_create(&TopicLabels {
                topic: topic.label(),
            })
            .get()
    }

    /// Connections made so far.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.connections
            .get_or_create(&ResultLabels {
                result: "connected",
            })
            .get()
    }

    /// Whether events are being read now.
    #[must_use]
    pub fn subscribed(&self) -> bool {
        self.subscribed.get() == 1
    }

    fn connected(&self, result: &'static str) {
        self.connections
            .get_or_create(&ResultLabels { result })
            .inc();
    }

    fn event(&self, topic: Topic) {
        self.events
            .get_or_create(&TopicLabels {
                topic: topic.label(),
            })
            .inc();
    }
}

/// Why observing did not start.
#[derive(Debug, thiserror::Error)]
pub enum ObserveError {
    /// No thread or runtime.
    #[error("cannot start reading containerd's events")]
    Start(#[source] std::io::Error),
}

/// Events are read until this is stopped or dropped.
#[derive(Debug)]
pub struct Observing {
    stop: CancellationToken,
    ended: tokio::sync::oneshot::Receiver<()>,
}

impl Observing {
    /// Ends the reading, and waits for that.
    pub async fn stop(mut self) {
        self.stop.cancel();
        let _ = (&mut self.ended).await;
    }
}

impl Drop for Observing {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Starts reading containerd's events on a thread of its own.
pub fn spawn(
    socket: PathBuf,
    stats: Stats,
    metrics: ObserveMetrics,
) -> Result<Observing, ObserveError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(ObserveError::Start)?;
    let stop = CancellationToken::new();
    let (done, ended) = tokio::sync::oneshot::channel();
    let stopped = stop.clone();
    std::thread::Builder::new()
        .name("containerd-events".into())
        .spawn(move || {
            runtime.block_on(stopped.run_until_cancelled(follow(&socket, &stats, &metrics)));
            metrics.subscribed.set(0);
            let _ = done.send(());
        })
        .map_err(ObserveError::Start)?;
    Ok(Observing { stop, ended })
}

/// For ever.
async fn follow(socket: &Path, stats: &Stats, metrics: &ObserveMetrics) {
    let mut pause = SOONEST;
    loop {
        let before = metrics.connections();
        let cause = read(socket, stats, metrics).await;
        metrics.subscribed.set(0);
        if metrics.connections() == before {
            metrics.connected("failed");
            pause = (pause * 2).min(LATEST);
        } else {
            pause = SOONEST;
        }
        tracing::debug!(cause, "containerd's events are not read");
        tokio::time::sleep(pause).await;
    }
}

/// Until the stream ends; why it did.
async fn read(socket: &Path, figures: &Stats, metrics: &ObserveMetrics) -> String {
    let channel = match endpoint()
        .connect_with_connector(connector(socket.to_owned()))
        .await
    {
        Ok(channel) => channel,
        Err(cause) => return cause.to_string(),
    };
    metrics.connected("connected");
    // containerd answers a subscription with its first event, no sooner.
    metrics.subscribed.set(1);
    let request = SubscribeRequest {
        filters: vec![format!("namespace=={NAMESPACE}")],
    };
    let mut client = EventsClient::new(channel).max_decoding_message_size(MOST_ANSWER);
    let mut stream = match client.subscribe(request).await {
        Ok(answer) => answer.into_inner(),
        Err(status) => return status.to_string(),
    };
    loop {
        match stream.message().await {
            Ok(Some(envelope)) => {
                let topic = Topic::of(&envelope.topic);
                metrics.event(topic);
                if topic.is_change() {
                    figures.nudge();
                }
            }
            Ok(None) => return "the stream has ended".to_owned(),
            Err(status) => return status.to_string(),
        }
    }
}
