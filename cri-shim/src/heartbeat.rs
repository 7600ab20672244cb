//! Tells the cluster what the machine uses, every 30 s.
//!
//! Shape:  [`Beats::run`] takes the newest figures, puts them in a [`queue`] and sends what is in it,
//!         newest first: the cluster shows the first that comes and needs the rest for nothing but a
//!         count. While the cluster does not answer the queue keeps the newest [`KEPT`].
//! Units:  times in ms; the figures' own time, in seconds, is when the machine was looked at.
//! Errors: a cluster that does not answer is tried again after a growing, random pause. What it
//!         refuses is dropped: the same would be refused again.
//! Trust:  self-reported. Nothing is decided by it; that the machine is there its Lease says.

mod backoff;
mod client;
mod metrics;
mod queue;

use std::fmt;
use std::time::Duration;

use rand::Rng;
use seal::{NodeName, SealToken};
use tokio::time::Instant;

pub use backoff::Backoff;
pub use client::{Answer, ClientError, ClusterClient, ClusterTrust};
pub use metrics::{BeatMetrics, BeatResult};
pub use queue::{Beat, Queue};

use crate::standing::now;
use crate::stats::Summary;

/// How many heartbeats wait while the cluster does not answer; ten minutes' worth, of which those of
/// the last [`OLDEST`] are sent.
pub const KEPT: usize = 20;
/// The cluster refuses times that are more than 5 minutes off; half a minute is for clocks.
pub const OLDEST: Duration = Duration::from_secs(270);
/// Between two heartbeats, unless the cluster says otherwise.
pub const EVERY: Duration = Duration::from_secs(30);
/// What the cluster may ask for.
const BOUNDS: (Duration, Duration) = (Duration::from_secs(5), Duration::from_mins(10));
/// What waits is tried again so soon after the token was not there.
const NO_TOKEN: Duration = Duration::from_secs(5);
/// The path of the cluster's API.
const PATH: &str = "/api/v1/nodes/heartbeat";

/// Where to and how often.
#[derive(Debug, Clone)]
pub struct HeartbeatSettings {
    /// The node that the seal names.
    pub node: NodeName,
    /// Between two heartbeats, until the cluster names another time. Default: [`EVERY`].
    pub every: Duration,
    /// How many wait at most. Default: [`KEPT`].
    pub kept: usize,
}

impl HeartbeatSettings {
    /// The defaults for a node.
    #[must_use]
    pub fn new(node: NodeName) -> Self {
        Self {
            node,
            every: EVERY,
            kept: KEPT,
        }
    }
}

/// The heartbeats of a machine.
pub struct Beats<F, T> {
    settings: HeartbeatSettings,
    client: ClusterClient,
    metrics: BeatMetrics,
    figures: F,
    token: T,
    queue: Queue,
    backoff: Backoff,
}

impl<F, T> fmt::Debug for Beats<F, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Beats")
            .field("settings", &self.settings)
            .field("queue", &self.queue)
            .finish_non_exhaustive()
    }
}

impl<F, T> Beats<F, T>
where
    F: Fn() -> Option<Summary> + Send,
    T: Fn() -> Option<SealToken> + Send,
{
    /// Heartbeats of these figures, sent with this token.
    pub fn new(
        settings: HeartbeatSettings,
        client: ClusterClient,
        metrics: BeatMetrics,
        figures: F,
        token: T,
    ) -> Self {
        Self {
            queue: Queue::new(settings.kept, OLDEST),
            backoff: Backoff::new(Duration::from_secs(1), EVERY * 2),
            settings,
            client,
            metrics,
            figures,
            token,
        }
    }

    /// Sends for ever.
    pub async fn run(mut self) {
        let mut every = self.settings.every;
        let mut next_look = Instant::now();
        let mut next_try = Instant::now();
        loop {
            if Instant::now() >= next_look {
                self.look();
                // Machines that started together do not stay together.
                next_look = Instant::now() + every.mul_f64(rand::rng().random_range(0.95..=1.05));
            }
            if Instant::now() >= next_try {
                match self.send().await {
                    Ok(None) => {}
                    Ok(Some(asked)) => every = asked.clamp(BOUNDS.0, BOUNDS.1),
                    Err(pause) => next_try = Instant::now() + pause,
                }
            }
            let wake = if self.queue.is_empty() {
                next_look
            } else {
                next_look.min(next_try)
            };
            tokio::time::sleep_until(wake.max(Instant::now() + Duration::from_millis(10))).await;
        }
    }

    /// Takes the newest figures, where there are newer ones.
    fn look(&mut self) {
        let Some(figures) = (self.figures)() else {
            self.metrics.count(BeatResult::Skipped, 1);
            return;
        };
        if (self.token)().is_none() {
            // Nothing could send it before it is too old, as far as anybody knows.
            self.metrics.count(BeatResult::Skipped, 1);
            return;
        }
        let beat = Beat::new(&self.settings.node, figures);
        let dropped = self.queue.push(beat, now());
        self.metrics.count(BeatResult::Dropped, dropped);
    }

    /// Sends what waits; the pause after which the next try makes sense where that failed.
    async fn send(&mut self) -> Result<Option<Duration>, Duration> {
        let mut asked = None;
        loop {
            let dropped = self.queue.prune(now());
            self.metrics.count(BeatResult::Dropped, dropped);
            let Some(beat) = self.queue.newest() else {
                return Ok(asked);
            };
            let Some(token) = (self.token)() else {
                // Its file went away, or is being replaced; what waits is looked at again later.
                return Err(NO_TOKEN);
            };
            match self.client.post(PATH, &token, &beat.body()).await {
                Ok(answer) if answer.status.is_success() => {
                    asked = asked.or(next_in(&answer));
                    self.sent(BeatResult::Sent);
                }
                Ok(answer) if is_later(answer.status) => {
                    tracing::debug!(
                        status = answer.status.as_u16(),
                        "the cluster takes no heartbeat now"
                    );
                    self.metrics.count(BeatResult::Unreachable, 1);
                    let own = self.backoff.next(rand::rng().random_range(0.0..=1.0));
                    return Err(pause(answer.retry_after, own));
                }
                Ok(answer) => {
                    tracing::warn!(
                        status = answer.status.as_u16(),
                        problem = answer.problem(),
                        "the cluster refused a heartbeat"
                    );
                    self.sent(BeatResult::Refused);
                    // The others are of the same seal and the same node.
                    let dropped = self.queue.clear();
                    self.metrics.count(BeatResult::Dropped, dropped);
                    return Ok(asked);
                }
                Err(error) => {
                    tracing::debug!(error = %error, "the cluster takes no heartbeat");
                    self.metrics.count(BeatResult::Unreachable, 1);
                    return Err(self.backoff.next(rand::rng().random_range(0.0..=1.0)));
                }
            }
        }
    }

    fn sent(&mut self, result: BeatResult) {
        self.queue.pop();
        self.backoff.reset();
        self.metrics.count(result, 1);
    }
}

/// What the cluster may take later as it is.
fn is_later(status: http::StatusCode) -> bool {
    status.is_server_error()
        || status == http::StatusCode::TOO_MANY_REQUESTS
        || status == http::StatusCode::REQUEST_TIMEOUT
}

/// The longer of the pause that the cluster asks for and our own. It is tried again in the end,
/// whatever it asks.
fn pause(asked: Option<Duration>, own: Duration) -> Duration {
    asked.unwrap_or_default().min(BOUNDS.1).max(own)
}

/// When the cluster expects the next one.
fn next_in(answer: &Answer) -> Option<Duration> {
    #[derive(serde::Deserialize)]
    struct Kept {
        next_in_seconds: u32,
    }
    let kept: Kept = serde_json::from_slice(&answer.body).ok()?;
    Some(Duration::from_secs(kept.next_in_seconds.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_pause_is_for_ever() {
        let second = Duration::from_secs(1);
        for (asked, made) in [
            (None, second),
            (Some(Duration::ZERO), second),
            (Some(second * 7), second * 7),
            (Some(Duration::from_secs(u64::MAX)), BOUNDS.1),
        ] {
            assert_eq!(pause(asked, second), made, "{asked:?}");
        }
    }
}
