use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use prometheus_client::registry::Registry;
use tokio::sync::Semaphore;

use super::*;

/// Makes a namespace for each permit; counts how often it was asked.
#[derive(Debug, Clone)]
struct Maker {
    asked: Arc<AtomicUsize>,
    there: Arc<Mutex<HashSet<Key>>>,
    gate: Arc<Semaphore>,
    fails: bool,
    /// Fails so often for the API server's sake before it does not.
    falters: Arc<AtomicUsize>,
}

impl Maker {
    fn new(fails: bool) -> Self {
        Self {
            asked: Arc::default(),
            there: Arc::default(),
            gate: Arc::new(Semaphore::new(0)),
            fails,
            falters: Arc::default(),
        }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl HomeNamespace for Maker {
    fn is_there(&self, owner: &Address, tier: Tier) -> bool {
        self.there.lock().unwrap().contains(&(*owner, tier))
    }

    async fn ensure(&self, owner: &Address, tier: Tier) -> Result<(), HomeNamespaceError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.gate.acquire().await.unwrap().forget();
        let falters = |left: usize| left.checked_sub(1);
        if self
            .falters
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, falters)
            .is_ok()
        {
            Err(HomeNamespaceError::Api("not now".into()))
        } else if self.fails {
            Err(HomeNamespaceError::Taken)
        } else {
            self.there.lock().unwrap().insert((*owner, tier));
            Ok(())
        }
    }
}

const PATIENCE: Duration = Duration::from_secs(10);

fn owner(n: u16) -> Address {
    let mut bytes = [0; 32];
    bytes[..2].copy_from_slice(&n.to_be_bytes());
    Address::from_bytes(bytes)
}

fn homes(maker: &Maker) -> (HomeNamespaces<Maker>, Registry) {
    let mut registry = Registry::default();
    let metrics = AuthnMetrics::register(&mut registry);
    (HomeNamespaces::new(maker.clone(), metrics), registry)
}

fn text(registry: &Registry) -> String {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, registry).unwrap();
    text
}

#[tokio::test]
async fn is_made_once_for_all_who_ask_and_never_while_it_is_there() {
    let maker = Maker::new(false);
    let (homes, registry) = homes(&maker);
    let asking = futures::future::join_all(
        (0..100).map(|_| homes.ensure(owner(1), Tier::Developer, PATIENCE)),
    );
    let opening = async {
        while maker.asked() == 0 {
            tokio::task::yield_now().await;
        }
        maker.gate.add_permits(1);
    };
    tokio::join!(asking, opening);
    assert!(homes.is_there(&owner(1), Tier::Developer));
    assert!(!homes.is_there(&owner(1), Tier::Admin));
    assert_eq!(maker.asked(), 1);
    maker.gate.add_permits(2);
    homes.ensure(owner(1), Tier::Admin, PATIENCE).await;
    homes.ensure(owner(2), Tier::Developer, PATIENCE).await;
    assert_eq!(
        maker.asked(),
        3,
        "another tier and another owner are asked for"
    );
    assert!(text(&registry).contains("k3s_daas_authn_home_namespaces_total{outcome=\"ready\"} 3"));
    assert!(homes.shared.running().is_empty());
}

#[tokio::test]
async fn one_that_is_deleted_is_made_anew() {
    let maker = Maker::new(false);
    maker.gate.add_permits(2);
    let (homes, _registry) = homes(&maker);
    homes.ensure(owner(1), Tier::Developer, PATIENCE).await;
    maker.there.lock().unwrap().clear();
    homes.ensure(owner(1), Tier::Developer, PATIENCE).await;
    assert_eq!(
        maker.asked(),
        1,
        "not at once: the maker may learn of a success late"
    );
    homes.shared.paused.invalidate_all();
    homes.ensure(owner(1), Tier::Developer, PATIENCE).await;
    assert_eq!(maker.asked(), 2);
    assert!(maker.is_there(&owner(1), Tier::Developer));
}

#[tokio::test]
async fn two_hundred_who_come_at_once_all_get_theirs_after_one_review_each() {
    let maker = Maker::new(false);
    let (homes, _registry) = homes(&maker);
    let asking = (0..200).map(|n| homes.ensure(owner(n), Tier::Developer, Duration::ZERO));
    futures::future::join_all(asking).await;
    assert_eq!(homes.shared.running().len(), 200, "they wait in line");
    maker.gate.add_permits(200);
    let began = std::time::Instant::now();
    while maker.there.lock().unwrap().len() < 200 {
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert!(began.elapsed() < Duration::from_secs(10));
    }
}

#[tokio::test]
async fn a_slow_one_holds_a_review_up_no_longer_than_its_patience_and_only_once() {
    let maker = Maker::new(false);
    let (homes, _registry) = homes(&maker);
    let began = std::time::Instant::now();
    homes
        .ensure(owner(1), Tier::Developer, Duration::from_millis(30))
        .await;
    assert!(began.elapsed() < Duration::from_secs(5));
    homes
        .ensure(owner(1), Tier::Developer, Duration::from_mins(1))
        .await;
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "the second did not wait"
    );
    assert_eq!(maker.asked(), 1, "it goes on in the background");
    maker.gate.add_permits(1);
    while !maker.is_there(&owner(1), Tier::Developer) {
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert!(began.elapsed() < Duration::from_secs(5));
    }
}

#[tokio::test]
async fn a_failure_is_counted_and_not_tried_again_at_once() {
    let maker = Maker::new(true);
    maker.gate.add_permits(10);
    let (homes, registry) = homes(&maker);
    for _ in 0..3 {
        homes.ensure(owner(1), Tier::Developer, PATIENCE).await;
    }
    assert_eq!(maker.asked(), 1);
    assert!(text(&registry).contains("{outcome=\"taken\"} 1"));
    homes.shared.paused.invalidate_all();
    homes.ensure(owner(1), Tier::Developer, PATIENCE).await;
    assert_eq!(maker.asked(), 2, "but later");
}

#[tokio::test]
async fn no_more_attempts_wait_than_allowed() {
    let maker = Maker::new(false);
    let (homes, registry) = homes(&maker);
    for n in 0..=u16::try_from(MAX_ATTEMPTS).unwrap() {
        homes
            .ensure(owner(n), Tier::Developer, Duration::ZERO)
            .await;
    }
    assert_eq!(homes.shared.running().len(), MAX_ATTEMPTS);
    assert!(text(&registry).contains("{outcome=\"busy\"} 1"));
}

#[tokio::test]
async fn attempts_end_together_with_the_service() {
    let maker = Maker::new(false);
    let (homes, _registry) = homes(&maker);
    homes
        .ensure(owner(1), Tier::Developer, Duration::ZERO)
        .await;
    let shared = Arc::clone(&homes.shared);
    drop(homes);
    let began = std::time::Instant::now();
    while !shared.running().is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert!(began.elapsed() < Duration::from_secs(5));
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_api_server_failed_at_is_tried_again_and_waited_for_once() {
    let maker = Maker::new(false);
    maker.gate.add_permits(100);
    maker.falters.store(3, Ordering::SeqCst);
    let (homes, registry) = homes(&maker);
    let began = tokio::time::Instant::now();
    homes.ensure(owner(1), Tier::Developer, PATIENCE).await;
    assert_eq!(maker.asked(), 1);
    homes.ensure(owner(1), Tier::Developer, PATIENCE).await;
    assert!(
        began.elapsed() < FIRST_RETRY,
        "no review waits for the second try"
    );
    while !maker.is_there(&owner(1), Tier::Developer) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
    assert!(text(&registry).contains("{outcome=\"failed\"} 3"));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_has_an_end() {
    let maker = Maker::new(false);
    maker.gate.add_permits(100);
    maker.falters.store(usize::MAX, Ordering::SeqCst);
    let (homes, _registry) = homes(&maker);
    homes.ensure(owner(1), Tier::Developer, PATIENCE).await;
    tokio::time::sleep(ATTEMPT).await;
    assert!(homes.shared.running().is_empty());
    assert!((4..=8).contains(&maker.asked()), "{}", maker.asked());
}
