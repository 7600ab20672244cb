//! Keeps the guards in place and says whether they are.
//!
//! Shape:  one loop of rounds. A round lists what the API server has, puts right what differs,
//!         probes each guard, and only then speaks. A change of one of the objects begins a round
//!         at once; so does a change of the settings; else one begins every 30 s.
//! Law:    `GuardState` is true only after every required guard was seen as meant and refused its
//!         probe in the same round. It turns false as soon as a difference is seen, before the
//!         repair. What the API server does not answer changes nothing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use futures::future::FutureExt;
use futures::stream::{SelectAll, Stream, StreamExt};
use kube::api::DynamicObject;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client};
use seal::access::GuardState;
use tokio::sync::Notify;
use tracing::{debug, info, warn};

use super::compose::Composed;
use super::live::{self, LiveError, compare, kind_of};
use super::probe::{Outcome, probe};
use super::status::{GuardReport, GuardStatus, Standing};
use super::{GuardMetrics, GuardSettings, all};

/// Between two rounds while all is well.
const REPROBE: Duration = Duration::from_secs(30);
/// Between two rounds while not all is well: the first, and the longest after doublings. A policy
/// that was just made is in force after at most a second.
const FIRST_RETRY: Duration = Duration::from_millis(200);
const LONGEST_RETRY: Duration = Duration::from_secs(5);
/// After a repair the API server may go on for its refresh interval (1 s, Kubernetes 1.36
/// `policy_source.go`) by a state from before the repair, good or bad. A probe counts only when
/// two of these have passed, and what its watch may lag behind.
const SETTLE: Duration = Duration::from_secs(3);
/// Rounds are never closer than this, whatever happens to the objects.
const SHORTEST_GAP: Duration = Duration::from_millis(100);

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
    /// Rounds in a row that did not end well.
    attempts: u32,
    /// The last complaint, so that a lasting one is not repeated.
    complaint: String,
}

/// What a round found of one guard, and what the API server said.
type Found = (Standing, String);

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
        let mut changes = changes(&client);
        loop {
            let pause = self.round(&client, &mut memory).await;
            tokio::time::sleep(SHORTEST_GAP).await;
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
        let composed: Vec<_> = all(&settings).into_iter().map(Composed::new).collect();
        match self.visit(client, memory, &composed).await {
            Ok(found) => self.conclude(memory, &composed, found),
            Err(error) => {
                let complaint = format!("unreadable: {error}");
                if memory.complaint != complaint {
                    warn!(%error, in_place = self.0.state.in_place(),
                        "the guards can't be read; what was known of them stays");
                    memory.complaint = complaint;
                }
                memory.retry()
            }
        }
    }

    /// Looks at everything, repairs, probes. An error means that not all could be seen.
    async fn visit(
        &self,
        client: &Client,
        memory: &mut Memory,
        composed: &[Composed],
    ) -> Result<Vec<Found>, LiveError> {
        let mut found = Vec::new();
        for kind in live::KINDS {
            match live::ours(client, kind).await {
                Ok(objects) => found.push((kind, objects)),
                Err(error) if error.is_not_served() => {}
                Err(error) => return Err(error),
            }
        }
        let objects = |kind: &str| found.iter().find(|(of, _)| *of == kind).map(|(_, all)| all);
        let mut standings = Vec::new();
        for one in composed {
            let mut standing = (Standing::Unknown, String::new());
            for wanted in [&one.policy, &one.binding] {
                let Some(there) = objects(kind_of(wanted)) else {
                    standing.0 = Standing::NotServed;
                    break;
                };
                let live = there.get(one.guard.name);
                let Some(difference) = compare(wanted, live) else {
                    continue;
                };
                if one.guard.required() {
                    self.tell(false);
                }
                if memory.began {
                    warn!(
                        guard = one.guard.name,
                        kind = kind_of(wanted),
                        difference = difference.label(),
                        "a guard was tampered with; putting it right"
                    );
                } else {
                    info!(
                        guard = one.guard.name,
                        kind = kind_of(wanted),
                        difference = difference.label(),
                        "installing a guard"
                    );
                }
                match live::repair(client, wanted).await {
                    Ok(()) => {
                        self.0.metrics.repaired(one.guard.name);
                        if memory.began || live.is_some() {
                            memory.settled_at = Some(Instant::now() + SETTLE);
                        }
                    }
                    Err(error) => {
                        warn!(guard = one.guard.name, %error, "a guard can't be put right");
                        standing = (Standing::NotApplied, error.to_string());
                        break;
                    }
                }
            }
            standings.push(standing);
        }
        if !memory.began {
            for (kind, objects) in &found {
                remove_strangers(client, kind, objects.keys(), composed).await;
            }
            memory.began = true;
        }
        let settling = memory.settled_at.is_some_and(|at| Instant::now() < at);
        for (one, (standing, words)) in composed.iter().zip(&mut standings) {
            if *standing != Standing::Unknown {
                continue;
            }
            if settling && one.guard.required() {
                *standing = Standing::Settling;
                continue;
            }
            let (outcome, said) = probe(client, one).await;
            self.0.metrics.probed(outcome);
            debug!(
                guard = one.guard.name,
                outcome = outcome.label(),
                said,
                "probed a guard"
            );
            *standing = match outcome {
                Outcome::Refused => {
                    *standing = Standing::InForce;
                    continue;
                }
                Outcome::LetThrough => Standing::LetThrough,
                Outcome::RefusedOtherwise => {
                    let complaint = format!("probe: {said}");
                    if memory.complaint != complaint {
                        warn!(
                            guard = one.guard.name,
                            said, "the probe of a guard was refused by something else"
                        );
                        memory.complaint = complaint;
                    }
                    Standing::RefusedOtherwise
                }
                Outcome::Unanswered => Standing::Unanswered,
            };
            *words = said;
        }
        Ok(standings)
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
    fn retry(&mut self) -> Duration {
        let doubled = FIRST_RETRY.saturating_mul(2_u32.saturating_pow(self.attempts));
        self.attempts = self.attempts.saturating_add(1);
        doubled.min(LONGEST_RETRY)
    }
}

/// Whether the guards are in place. `None`: not all was answered, and what was answered is well.
fn verdict(guards: &[GuardReport]) -> Option<bool> {
    let mut required = guards.iter().filter(|one| one.required);
    let mut answered = true;
    let all = required.all(|one| match one.standing {
        Standing::InForce => true,
        Standing::Unanswered => {
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

/// Deletes what bears our label and is no guard of this version. Once, at the start: two servers of
/// different versions side by side would else delete each other's for as long as both run.
async fn remove_strangers(
    client: &Client,
    kind: &str,
    names: impl Iterator<Item = &String>,
    composed: &[Composed],
) {
    for name in names {
        let known = composed.iter().any(|one| {
            one.guard.name == name
                && [&one.policy, &one.binding]
                    .iter()
                    .any(|doc| kind_of(doc) == kind)
        });
        if known {
            continue;
        }
        match live::remove(client, kind, name).await {
            Ok(()) => info!(kind, name, "removed a guard of another version"),
            Err(error) => warn!(kind, name, %error, "a guard of another version can't be removed"),
        }
    }
}

type Changes = SelectAll<std::pin::Pin<Box<dyn Stream<Item = ()> + Send>>>;

/// An item whenever one of our objects changes, or a watch begins anew and may have missed one.
fn changes(client: &Client) -> Changes {
    let watches = live::KINDS.map(|kind| {
        let api: Api<DynamicObject> = live::api(client, kind);
        let ours = watcher::Config::default().labels(&live::label());
        // Backs off from 0.8 s to 30 s while the API server does not answer or serve the kind.
        watcher(api, ours)
            .default_backoff()
            .filter_map(|event| async move {
                match event {
                    Ok(Event::Apply(_) | Event::Delete(_) | Event::InitDone) => Some(()),
                    Ok(Event::Init | Event::InitApply(_)) | Err(_) => None,
                }
            })
            .boxed()
    });
    futures::stream::select_all(watches)
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
                Standing::Unanswered => None,
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
    fn retries_slow_down_and_never_stop() {
        let mut memory = Memory::default();
        let pauses: Vec<_> = (0..40).map(|_| memory.retry()).collect();
        assert_eq!(pauses.first(), Some(&FIRST_RETRY));
        assert_eq!(pauses.last(), Some(&LONGEST_RETRY));
        assert!(pauses.is_sorted());
    }
}
