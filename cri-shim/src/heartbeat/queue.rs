//! Heartbeats that wait to be sent.

use std::collections::VecDeque;
use std::time::Duration;

use seal::{NodeName, UnixMillis};
use serde_json::{Value, json};

use crate::stats::Summary;

/// One heartbeat: what the machine used at one time.
#[derive(Debug, Clone, PartialEq)]
pub struct Beat {
    node: NodeName,
    figures: Summary,
}

impl Beat {
    /// A heartbeat of these figures.
    #[must_use]
    pub fn new(node: &NodeName, figures: Summary) -> Self {
        Self {
            node: node.clone(),
            figures,
        }
    }

    /// When the machine was looked at.
    #[must_use]
    pub fn at(&self) -> UnixMillis {
        UnixMillis(self.figures.timestamp.saturating_mul(1_000))
    }

    /// As the cluster's API takes it. A figure that is not known is absent.
    #[must_use]
    pub fn body(&self) -> Value {
        let mut usage = serde_json::to_value(&self.figures).unwrap_or_default();
        if let Some(usage) = usage.as_object_mut() {
            usage.remove("timestamp");
        }
        json!({ "node_id": self.node.as_str(), "timestamp": self.at().0, "usage": usage })
    }
}

/// The newest heartbeats that nobody took yet.
#[derive(Debug)]
pub struct Queue {
    /// By their time, oldest first.
    waiting: VecDeque<Beat>,
    most: usize,
    oldest: Duration,
    /// The time of the newest that ever came in.
    newest: Option<UnixMillis>,
}

impl Queue {
    /// Keeps at most so many, none older than this.
    #[must_use]
    pub fn new(most: usize, oldest: Duration) -> Self {
        Self {
            waiting: VecDeque::new(),
            most,
            oldest,
            newest: None,
        }
    }

    /// Takes one in; says how many were dropped for it. The same figures are not taken twice.
    pub fn push(&mut self, beat: Beat, now: UnixMillis) -> u64 {
        if self.newest == Some(beat.at()) {
            return 0;
        }
        self.newest = Some(beat.at());
        self.waiting.push_back(beat);
        let over = self.waiting.len().saturating_sub(self.most);
        self.waiting.drain(..over);
        count(over).saturating_add(self.prune(now))
    }

    /// Drops what the cluster would call too old; says how many.
    pub fn prune(&mut self, now: UnixMillis) -> u64 {
        let before = self.waiting.len();
        let oldest = u64::try_from(self.oldest.as_millis()).unwrap_or(u64::MAX);
        self.waiting
            .retain(|beat| beat.at().0.abs_diff(now.0) <= oldest);
        count(before.saturating_sub(self.waiting.len()))
    }

    /// The next to be sent.
    #[must_use]
    pub fn newest(&self) -> Option<&Beat> {
        self.waiting.back()
    }

    /// It was sent.
    pub fn pop(&mut self) {
        self.waiting.pop_back();
    }

    /// Drops all that wait; says how many.
    pub fn clear(&mut self) -> u64 {
        let dropped = count(self.waiting.len());
        self.waiting.clear();
        dropped
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn beat(second: u64) -> Beat {
        let figures = Summary {
            cpu_usage: None,
            memory_usage: Some(40.0),
            pod_count: Some(2),
            container_count: None,
            network_rx: Some(1),
            network_tx: None,
            timestamp: second,
        };
        Beat::new(&"worker-001".parse().unwrap(), figures)
    }

    #[test]
    fn a_body_has_no_figure_that_is_not_known() {
        assert_eq!(
            beat(7).body(),
            json!({
                "node_id": "worker-001", "timestamp": 7_000,
                "usage": { "memory_usage": 40.0, "pod_count": 2, "network_rx": 1 },
            })
        );
    }

    #[test]
    fn the_newest_are_kept_and_go_first() {
        let mut queue = Queue::new(3, Duration::from_secs(1_000));
        let dropped: u64 = (1..=5)
            .map(|at| queue.push(beat(at), UnixMillis(5_000)))
            .sum();
        assert_eq!((dropped, queue.len()), (2, 3));
        for at in [5, 4, 3] {
            assert_eq!(queue.newest(), Some(&beat(at)));
            queue.pop();
        }
        assert!(queue.is_empty());
        assert_eq!(queue.clear(), 0);
        // A poll that hangs gives the same figures again.
        assert_eq!(queue.push(beat(5), UnixMillis(5_000)), 0);
        assert!(queue.is_empty());
    }

    #[test]
    fn all_that_wait_are_dropped_at_once() {
        let mut queue = Queue::new(3, Duration::from_secs(1_000));
        for at in [1, 2] {
            queue.push(beat(at), UnixMillis(2_000));
        }
        assert_eq!(queue.clear(), 2);
        assert!(queue.is_empty());
    }

    #[test]
    fn what_is_too_old_goes() {
        let mut queue = Queue::new(20, Duration::from_secs(270));
        for at in [100, 200, 300] {
            queue.push(beat(at), UnixMillis(300_000));
        }
        assert_eq!(queue.prune(UnixMillis(470_000)), 1);
        assert_eq!(queue.prune(UnixMillis(471_000)), 1);
        assert_eq!(queue.len(), 1);
        // A clock that was set back by an hour.
        assert_eq!(queue.prune(UnixMillis(0)), 1);
    }

    proptest! {
        #[test]
        fn never_more_than_the_bound(times in proptest::collection::vec(0u64..1_000, 0..100)) {
            let mut queue = Queue::new(20, Duration::from_secs(270));
            let (mut dropped, mut taken) = (0, 0);
            let mut last = None;
            for at in times {
                taken += u64::from(last != Some(at));
                last = Some(at);
                dropped += queue.push(beat(at), UnixMillis(at * 1_000));
                prop_assert!(queue.len() <= 20);
                prop_assert_eq!(taken - dropped, queue.len() as u64);
            }
        }
    }
}
