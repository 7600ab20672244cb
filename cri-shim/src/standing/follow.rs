//! Asks the chain for the machine's seal, again and again.

use std::sync::Arc;
use std::time::Duration;

use seal::CredentialHash;
use tokio::sync::{Notify, watch};

use super::metrics::StandingMetrics;
use super::{Seen, Standing, Standings, Store, now};

/// Where seals are read.
pub trait SealReader: Send + Sync {
    /// What the chain says of a hash; the text of an error is for the log.
    fn read(&self, hash: CredentialHash) -> impl Future<Output = Result<Seen, String>> + Send;
}

/// How a seal is followed.
#[derive(Debug, Clone)]
pub struct FollowerSettings {
    /// Between two looks.
    pub every: Duration,
    /// What a look may take.
    pub within: Duration,
    /// What was known, for the next start.
    pub store: Store,
    /// Looks at once: the machine itself has just changed its seal.
    pub wake: Arc<Notify>,
}

/// Follows the seal of the machine.
#[derive(Debug)]
pub struct Follower {
    settings: FollowerSettings,
    metrics: StandingMetrics,
    latest: watch::Sender<Option<Arc<Standing>>>,
}

impl Follower {
    /// Begins with what was known at the last end. It is looked up at what this gives.
    pub fn new(settings: FollowerSettings, metrics: StandingMetrics) -> (Self, Standings) {
        let known = settings.store.load().map(Arc::new);
        let (latest, receiver) = watch::channel(known);
        let standings = Standings(receiver);
        metrics.follow(standings.clone());
        let follower = Self {
            settings,
            metrics,
            latest,
        };
        (follower, standings)
    }

    /// Asks for ever. `hash` tells each time whose standing is asked for: the machine's seal token
    /// may be another one by then, or not be there yet.
    pub async fn run<R: SealReader>(
        self,
        reader: R,
        hash: impl Fn() -> Result<CredentialHash, String> + Send,
    ) {
        let mut ticks = tokio::time::interval(self.settings.every);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut failing = false;
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = self.settings.wake.notified() => {}
            }
            let looked = self.look(&reader, &hash).await;
            self.metrics.read(looked.is_ok());
            let failed = looked.is_err();
            match looked {
                Ok(()) if failing => tracing::info!("the machine's seal is read again"),
                Ok(()) => {}
                Err(why) if failing => tracing::debug!(%why, "the machine's seal can't be read"),
                Err(why) => {
                    tracing::warn!(%why, "the machine's seal can't be read; what was last known counts");
                }
            }
            failing = failed;
        }
    }

    async fn look<R: SealReader>(
        &self,
        reader: &R,
        hash: &(impl Fn() -> Result<CredentialHash, String> + Send),
    ) -> Result<(), String> {
        let hash = hash()?;
        let seen = tokio::time::timeout(self.settings.within, reader.read(hash)).await;
        let seen = seen.map_err(|_| "the chain did not answer in time".to_owned())??;
        let before = self.latest.borrow().clone();
        let now = now();
        let standing = Standing::next(before.as_deref(), hash, seen, now);
        if before
            .as_deref()
            .is_none_or(|before| differ(before, &standing))
        {
            tell(&standing, now);
            // Unsaved, it is known all the same until this process ends.
            if let Err(error) = self.settings.store.keep(&standing) {
                tracing::warn!(%error, "what is known of the seal can't be kept");
            }
        }
        self.latest.send_replace(Some(Arc::new(standing)));
        Ok(())
    }
}

/// Whether more changed than when it was seen.
fn differ(before: &Standing, after: &Standing) -> bool {
    let at = |standing: &Standing| Standing {
        seen_at: after.seen_at,
        ..standing.clone()
    };
    at(before) != *after
}

fn tell(standing: &Standing, now: seal::UnixMillis) {
    match standing.usable(now) {
        Ok(tier) => tracing::info!(hash = %standing.hash, %tier, "the machine's seal is usable"),
        Err(why) => {
            tracing::warn!(hash = %standing.hash, reason = why.label(), "the machine's seal {why}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use prometheus_client::registry::Registry;
    use seal::testing::active_record;
    use seal::{SealRecord, SealStatus, Thresholds};

    use super::*;

    /// Says each of these once, and the last one for ever.
    struct Script(Vec<Result<Seen, String>>, AtomicUsize);

    impl SealReader for &Script {
        async fn read(&self, _: CredentialHash) -> Result<Seen, String> {
            let turn = self.1.fetch_add(1, Ordering::Relaxed);
            self.0[turn.min(self.0.len() - 1)].clone()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_known_state_counts_while_the_chain_is_away_and_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::in_folder(folder.path());
        let start = |store: Store| {
            let settings = FollowerSettings {
                every: Duration::from_secs(10),
                within: Duration::from_secs(5),
                store,
                wake: Arc::default(),
            };
            let metrics = StandingMetrics::register(&mut Registry::default());
            Follower::new(settings, metrics)
        };
        let seen = |seq, status| {
            let record = SealRecord {
                seq,
                status,
                expires_at: seal::UnixMillis(u64::MAX),
                ..active_record()
            };
            Ok(Seen {
                record: Some(record),
                thresholds: Thresholds::default(),
            })
        };
        let script = Script(
            vec![
                seen(1, SealStatus::Active),
                seen(2, SealStatus::Unbonding),
                Err("away".to_owned()),
            ],
            AtomicUsize::new(0),
        );
        let hash = CredentialHash::from_bytes([3; 32]);
        let (follower, standings) = start(store.clone());
        assert!(standings.latest().is_none());
        let run = follower.run(&script, move || Ok(hash));
        let stopped = tokio::time::timeout(Duration::from_secs(35), run).await;
        assert!(stopped.is_err());
        assert!(script.1.load(Ordering::Relaxed) >= 3);
        let known = standings.latest().unwrap();
        assert_eq!(known.end(now()).unwrap().why.label(), "unbonding");
        let (_, standings) = start(store);
        assert_eq!(standings.latest().unwrap().end(now()), known.end(now()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_of_the_machines_own_is_looked_at_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let wake = Arc::new(Notify::new());
        let settings = FollowerSettings {
            every: Duration::from_hours(1),
            within: Duration::from_secs(5),
            store: Store::in_folder(folder.path()),
            wake: Arc::clone(&wake),
        };
        let metrics = StandingMetrics::register(&mut Registry::default());
        let (follower, standings) = Follower::new(settings, metrics);
        let seen = Seen {
            record: Some(active_record()),
            thresholds: Thresholds::default(),
        };
        let script = Script(vec![Err("away".to_owned()), Ok(seen)], AtomicUsize::new(0));
        let hash = CredentialHash::from_bytes([3; 32]);
        let run = follower.run(&script, move || Ok(hash));
        let waking = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert!(standings.latest().is_none());
            wake.notify_one();
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert!(standings.latest().is_some());
        };
        tokio::select! {
            () = run => {}
            () = waking => {}
        }
        assert_eq!(script.1.load(Ordering::Relaxed), 2);
    }
}
