//! Keeps the guards in place and says whether they are.
//!
//! Shape:  one loop of rounds. A round lists what the API server has, puts right what differs,
//!         probes each guard (`visit`), and only then speaks. A change of one of the objects begins
//!         a round at once (`changes`); so does a change of the settings; else one begins every
//!         30 s.
//! Law:    `GuardState` is true only after every required guard was seen as meant and refused its
//!         probe in the same round. It turns false as soon as a difference is seen, before the
//!         repair. What the API server does not answer changes nothing, and neither does a change
//!         of the settings, during which the former text stays in force.

mod changes;
mod visit;

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use futures::future::FutureExt;
use futures::stream::StreamExt;
use kube::Client;
use seal::access::GuardState;
use tokio::sync::Notify;
use tracing::{info, warn};

use super::compose::Composed;
use super::status::{GuardReport, GuardStatus, Standing};
use super::{GuardMetrics, GuardSettings, all};
use visit::Found;

/// Between two rounds while all is well.
const REPROBE: Duration = Duration::from_secs(30);
/// Between two rounds while not all is well: the first, which grows by itself each time, and the
/// longest. A policy that was just made is in force after some two seconds, so nothing is gained by
/// slowing down faster.
const FIRST_RETRY: Duration = Duration::from_millis(200);
const LONGEST_RETRY: Duration = Duration::from_secs(5);
/// After a repair the API server may go on for its refresh interval (1 s, Kubernetes 1.36
/// `policy_source.go`) by a state from before the repair, good or bad. A probe counts only when
/// two of these have passed, and what its watch may lag behind.
const SETTLE: Duration = Duration::from_secs(3);
/// Rounds are never closer than this, whatever happens to the objects. Doubled with each drift up
/// to the longest: a server of another version, which repairs what we repair, costs a round a
/// second; whoever hopes to be noticed late gains no more.
const SHORTEST_GAP: Duration = Duration::from_millis(100);
const LONGEST_GAP: Duration = Duration::from_secs(1);
/// Drifts are forgotten after as long without one.
const CALM: Duration = Duration::from_secs(30);

/// The keeper of the guards. Clones share everything.
#[derive(Debug, Clone)]
pub struct Guards(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    state: GuardState,
    settings: ArcSwap<GuardSettings>,
    status: ArcSwap<GuardStatus>,
    metrics: GuardMetrics,
    changed: Notify,
}

/// What one keeper remembers from round to round.
#[derive(Debug, Default)]
struct Memory {
    /// Probes count from here on.
    settled_at: Option<Instant>,
    /// Whether a round has seen all objects: from then on a repair is one of drift.
    began: bool,
    /// Drifts since the last calm, and the last of them.
    drifts: u32,
    drifted_at: Option<Instant>,
    /// Rounds in a row that did not end well.
    attempts: u32,
    /// The settings of the last round.
    settings: Option<Arc<GuardSettings>>,
    /// The last complaint, so that a lasting one is not repeated.
    complaint: String,
}

impl Guards {
    /// A keeper that has done nothing yet; `state` says "not in place" until it has.
    #[must_use]
    pub fn new(state: GuardState, settings: GuardSettings, metrics: GuardMetrics) -> Self {
        Self(Arc::new(Inner {
            state,
            settings: ArcSwap::from_pointee(settings),
            status: ArcSwap::default(),
            metrics,
            changed: Notify::new(),
        }))
    }

    /// Takes new settings; the guards follow at once.
    pub fn replace_settings(&self, settings: GuardSettings) {
        self.0.settings.store(Arc::new(settings));
        self.0.changed.notify_one();
    }

    /// What the last round found.
    #[must_use]
    pub fn status(&self) -> GuardStatus {
        GuardStatus {
            in_place: self.0.state.in_place(),
            ..GuardStatus::clone(&self.0.status.load())
        }
    }

    /// Keeps the guards for ever; drop it to stop. The guards stay as they are then.
    pub async fn run(&self, client: Client) {
        let mut memory = Memory::default();
        let mut changes = changes::changes(&client);
        loop {
            let pause = self.round(&client, &mut memory).await;
            tokio::time::sleep(memory.gap(Instant::now())).await;
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.0.changed.notified() => {}
                _ = changes.next() => {}
            }
            // One round sees all changes so far.
            while let Some(Some(())) = changes.next().now_or_never() {}
        }
    }

    /// One round; gives the time until the next.
    async fn round(&self, client: &Client, memory: &mut Memory) -> Duration {
        let settings = self.0.settings.load_full();
        let compose = |settings| all(settings).into_iter().map(Composed::new).collect();
        let composed: Vec<_> = compose(&settings);
        let former: Vec<_> = match &memory.settings {
            Some(former) if *former != settings => compose(former),
            Some(_) | None => Vec::new(),
        };
        match self.visit(client, memory, &composed, &former).await {
            Ok(found) => {
                memory.settings = Some(settings);
                self.conclude(memory, &composed, found)
            }
            Err(error) => {
                if memory.complains(&error.to_string()) {
                    let in_place = self.0.state.in_place();
                    warn!(%error, in_place, "the guards can't be read; what was known of them stays");
                }
                memory.retry()
            }
        }
    }

    /// Says what the round found.
    fn conclude(&self, memory: &mut Memory, composed: &[Composed], found: Vec<Found>) -> Duration {
        let guards: Vec<_> = composed
            .iter()
            .zip(found)
            .map(|(one, (standing, said))| GuardReport {
                name: one.guard.name,
                refuses: one.guard.refuses,
                required: one.guard.required(),
                standing,
                said,
            })
            .collect();
        let verdict = verdict(&guards);
        if let Some(in_place) = verdict {
            self.tell(in_place);
        }
        let all_well = guards
            .iter()
            .all(|one| matches!(one.standing, Standing::InForce | Standing::NotServed));
        self.0.status.store(Arc::new(GuardStatus {
            in_place: self.0.state.in_place(),
            guards,
        }));
        if verdict == Some(true) && all_well {
            memory.attempts = 0;
            memory.settled_at = None;
            memory.complaint.clear();
            return REPROBE;
        }
        match memory.settled_at {
            Some(at) if Instant::now() < at => at - Instant::now(),
            _ => memory.retry(),
        }
    }

    fn tell(&self, in_place: bool) {
        let was = self.0.state.in_place();
        self.0.state.set(in_place);
        self.0.metrics.in_place(in_place);
        match (was, in_place) {
            (false, true) => info!("every guard inside the API server is in force"),
            (true, false) => {
                warn!(
                    "the guards are not all in force; no seal counts above viewer until they are"
                );
            }
            (true, true) | (false, false) => {}
        }
    }
}

impl Memory {
    /// True for what was not said last: a lasting trouble is told once.
    fn complains(&mut self, of: &str) -> bool {
        let news = self.complaint != of;
        of.clone_into(&mut self.complaint);
        news
    }

    fn drifted(&mut self, now: Instant) {
        self.drifts = self.drifts.saturating_add(1);
        self.drifted_at = Some(now);
    }

    /// What passes at least before the next round.
    fn gap(&mut self, now: Instant) -> Duration {
        if self
            .drifted_at
            .is_some_and(|at| now.duration_since(at) >= CALM)
        {
            self.drifts = 0;
        }
        let factor = 2_u32.saturating_pow(self.drifts);
        SHORTEST_GAP.saturating_mul(factor).min(LONGEST_GAP)
    }

    fn retry(&mut self) -> Duration {
        self.attempts = self.attempts.saturating_add(1);
        let longer = FIRST_RETRY.saturating_mul(self.attempts);
        longer.min(LONGEST_RETRY)
    }
}

/// Whether the guards are in place. `None`: not all is known, and what is known is well.
fn verdict(guards: &[GuardReport]) -> Option<bool> {
    let mut required = guards.iter().filter(|one| one.required);
    let mut answered = true;
    let all = required.all(|one| match one.standing {
        Standing::InForce => true,
        Standing::Unanswered | Standing::Renewing => {
            answered = false;
            true
        }
        Standing::Unknown
        | Standing::NotApplied
        | Standing::Settling
        | Standing::LetThrough
        | Standing::RefusedOtherwise
        | Standing::NotServed => false,
    });
    match (all, answered) {
        (false, _) => Some(false),
        (true, true) => Some(!guards.is_empty()),
        (true, false) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(required: bool, standing: Standing) -> GuardReport {
        GuardReport {
            name: "k3s-daas-test",
            refuses: "nothing",
            required,
            standing,
            said: String::new(),
        }
    }

    #[test]
    fn only_guards_seen_in_force_count_and_silence_changes_nothing() {
        let of = |standings: &[Standing]| {
            let reports: Vec<_> = standings
                .iter()
                .map(|&standing| report(true, standing))
                .collect();
            verdict(&reports)
        };
        assert_eq!(of(&[]), Some(false));
        assert_eq!(of(&[Standing::InForce, Standing::InForce]), Some(true));
        assert_eq!(of(&[Standing::InForce, Standing::Unanswered]), None);
        for standing in Standing::ALL {
            let expected = match standing {
                Standing::InForce => Some(true),
                Standing::Unanswered | Standing::Renewing => None,
                _ => Some(false),
            };
            assert_eq!(of(&[Standing::InForce, standing]), expected, "{standing:?}");
        }
        // Silence about one does not hide that another is missing.
        assert_eq!(
            of(&[Standing::Unanswered, Standing::LetThrough]),
            Some(false)
        );
    }

    #[test]
    fn what_only_mends_is_not_waited_for() {
        let reports = [
            report(true, Standing::InForce),
            report(false, Standing::NotServed),
        ];
        assert_eq!(verdict(&reports), Some(true));
    }

    #[test]
    fn a_quarrel_costs_a_round_a_second_and_is_forgotten() {
        let mut memory = Memory::default();
        let now = Instant::now();
        assert_eq!(memory.gap(now), SHORTEST_GAP);
        for _ in 0..100 {
            memory.drifted(now);
        }
        assert_eq!(memory.gap(now), LONGEST_GAP);
        assert_eq!(memory.gap(now + CALM), SHORTEST_GAP);
    }

    #[test]
    fn retries_slow_down_and_never_stop() {
        let mut memory = Memory::default();
        let pauses: Vec<_> = (0..40).map(|_| memory.retry()).collect();
        assert_eq!(pauses.first(), Some(&FIRST_RETRY));
        assert_eq!(pauses.last(), Some(&LONGEST_RETRY));
        assert!(pauses.is_sorted());
    }
}
