//! The endings over a scripted chain, with a table of connections that nobody relays.

use std::net::SocketAddr;
use std::sync::Mutex;

use futures::future::BoxFuture;
use prometheus_client::registry::Registry;
use seal::SealRecord;
use seal::testing::active_record;
use seal::{Tier, Unusable};
use sui_ledger::contract::Cause as ChainCause;
use sui_ledger::directory::Why;
use tokio::sync::broadcast;
use tokio_util::task::AbortOnDropHandle;

use super::*;
use crate::audit::Event;
use crate::gate::Gate;
use crate::metrics::GateMetrics;
use crate::settings::{GateSettings, Limits};
use crate::standings::Standings;
use crate::table::{Opened, time_of_day};

const SOON: Duration = Duration::from_secs(20);

/// What a test says of the world.
#[derive(Debug)]
struct World {
    changes: broadcast::Sender<Change>,
    cuts: broadcast::Sender<Box<str>>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    seals: HashMap<CredentialHash, SealNow>,
    owners: HashMap<Address, OwnerNow>,
    nodes: HashMap<String, NodeStanding>,
    held: Vec<CredentialHash>,
}

impl World {
    fn state<T>(&self, of: impl FnOnce(&mut State) -> T) -> T {
        of(&mut self.state.lock().unwrap())
    }
}

impl Standings for World {
    fn changes(&self) -> broadcast::Receiver<Change> {
        self.changes.subscribe()
    }

    fn cuts(&self) -> broadcast::Receiver<Box<str>> {
        self.cuts.subscribe()
    }

    fn hold(&self, hash: CredentialHash) -> Option<Hold> {
        self.state(|state| state.held.push(hash));
        Some(Box::new(()))
    }

    fn seal(&self, hash: CredentialHash) -> BoxFuture<'_, SealNow> {
        let now = self.state(|state| state.seals.get(&hash).copied());
        Box::pin(std::future::ready(now.unwrap_or(SealNow::Usable)))
    }

    fn owner_of(&self, namespace: &str) -> Option<Address> {
        let number = namespace.strip_prefix("seal-")?.parse().ok()?;
        Some(Address::from_bytes([number; 32]))
    }

    fn owner(&self, owner: Address) -> BoxFuture<'_, OwnerNow> {
        let now = self.state(|state| state.owners.get(&owner).copied());
        Box::pin(std::future::ready(now.unwrap_or(OwnerNow::Usable)))
    }

    fn node(&self, name: &str) -> NodeStanding {
        let standing = self.state(|state| state.nodes.get(name).copied());
        standing.unwrap_or(NodeStanding::Active)
    }
}

struct Stage {
    world: Arc<World>,
    gate: Gate,
    _run: AbortOnDropHandle<()>,
}

impl Stage {
    async fn new() -> Self {
        let world = Arc::new(World {
            changes: broadcast::Sender::new(16),
            cuts: broadcast::Sender::new(16),
            state: Mutex::default(),
        });
        let metrics = GateMetrics::register(&mut Registry::default());
        let standings: Arc<dyn Standings> = Arc::clone(&world) as _;
        let gate = Gate::new(standings, GateSettings::default(), metrics);
        let run = tokio::spawn({
            let gate = gate.clone();
            async move { gate.run().await }
        });
        while world.changes.receiver_count() == 0 || world.cuts.receiver_count() == 0 {
            tokio::task::yield_now().await;
        }
        Self {
            world,
            gate,
            _run: AbortOnDropHandle::new(run),
        }
    }

    fn open(&self, ip: &str) -> Opened {
        let peer = SocketAddr::new(ip.parse().unwrap(), 1);
        let table = &self.gate.shared.table;
        let seat = table.admit(peer, &Limits::default()).unwrap();
        table.open(seat, peer, peer)
    }

    /// An audit event of a request that came so many ms before now.
    async fn hear(&self, source: Ipv4Addr, who: Who, ms_ago: u64) {
        let received = Some(UnixMillis(time_of_day().0 - ms_ago));
        let event = Event {
            source: Some(source),
            who: Some(who),
            denied: false,
            received,
            told: received,
        };
        let gate = self.gate.clone();
        let heard = tokio::task::spawn_blocking(move || gate.hear(event));
        heard.await.unwrap();
    }

    fn lose(&self, number: u8, after: Result<Tier, Unusable>) {
        let change = Change {
            hash: hash(number),
            record: Arc::new(SealRecord {
                owner: owner(number),
                ..active_record()
            }),
            why: Why::Event(ChainCause::Slash),
            before: Some(Tier::Super),
            after,
        };
        self.world.changes.send(change).unwrap();
    }
}

fn hash(number: u8) -> CredentialHash {
    CredentialHash::from_bytes([number; 32])
}

fn owner(number: u8) -> Address {
    Address::from_bytes([number; 32])
}

fn seal_of(number: u8) -> Who {
    Who::Seal {
        owner: owner(number),
        hash: hash(number),
    }
}

fn account_of(number: u8) -> Who {
    Who::Account {
        namespace: format!("seal-{number}").into(),
        name: "default".into(),
        node: Some("w-1".into()),
    }
}

async fn ends(opened: &mut Opened) {
    let told = tokio::time::timeout(SOON, &mut opened.ended).await;
    assert_eq!(told.expect("it ends").unwrap(), Cause::Revoked);
}

/// Everything that was said has been acted on by then.
async fn settled() {
    tokio::time::sleep(Duration::from_millis(100)).await;
}

fn is_open(opened: &mut Opened) -> bool {
    opened.ended.try_recv().is_err()
}

#[tokio::test]
async fn a_loss_that_is_told_ends_the_seal_s_connections() {
    let stage = Stage::new().await;
    let (mut mine, mut other) = (stage.open("10.0.0.1"), stage.open("10.0.0.2"));
    stage.hear(mine.source, seal_of(1), 0).await;
    stage.hear(other.source, seal_of(2), 0).await;
    stage.lose(1, Err(Unusable::Slashed));
    ends(&mut mine).await;
    assert!(is_open(&mut other));
}

#[tokio::test]
async fn a_lower_tier_is_a_loss_and_a_higher_one_is_none() {
    let stage = Stage::new().await;
    let (mut lower, mut higher) = (stage.open("10.0.0.1"), stage.open("10.0.0.2"));
    stage.hear(lower.source, seal_of(1), 0).await;
    stage.hear(higher.source, seal_of(2), 0).await;
    stage.lose(2, Ok(Tier::Super));
    stage.lose(1, Ok(Tier::Viewer));
    ends(&mut lower).await;
    settled().await;
    assert!(is_open(&mut higher));
}

#[tokio::test]
async fn a_seal_that_is_seen_is_held_and_one_that_has_ended_is_closed_at_once() {
    let stage = Stage::new().await;
    let ended = |state: &mut State| state.seals.insert(hash(1), SealNow::Ended);
    stage.world.state(ended);
    let mut late = stage.open("10.0.0.1");
    stage.hear(late.source, seal_of(1), 0).await;
    ends(&mut late).await;
    assert_eq!(stage.world.state(|state| state.held.clone()), [hash(1)]);
}

#[tokio::test]
async fn a_request_from_before_a_loss_ends_though_the_seal_is_back() {
    let stage = Stage::new().await;
    stage.lose(1, Err(Unusable::Slashed));
    settled().await;
    // By now it has restaked: it stands. An event from before comes late.
    let (mut before, mut idle, mut after) = (
        stage.open("10.0.0.1"),
        stage.open("10.0.0.1"),
        stage.open("10.0.0.3"),
    );
    stage.hear(before.source, seal_of(1), 5_000).await;
    ends(&mut before).await;
    assert!(is_open(&mut idle), "it was opened after the loss");
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    stage.hear(after.source, seal_of(1), 0).await;
    settled().await;
    assert!(is_open(&mut after));
}

#[tokio::test]
async fn pods_end_once_their_owner_has_no_seal_left() {
    let stage = Stage::new().await;
    let (mut pod, mut other) = (stage.open("10.0.0.1"), stage.open("10.0.0.1"));
    stage.hear(pod.source, account_of(1), 0).await;
    stage.hear(other.source, account_of(2), 0).await;
    stage.lose(1, Err(Unusable::Slashed));
    settled().await;
    assert!(is_open(&mut pod), "the owner has another seal");
    let ended = |state: &mut State| state.owners.insert(owner(1), OwnerNow::Ended);
    stage.world.state(ended);
    stage.lose(1, Err(Unusable::Slashed));
    ends(&mut pod).await;
    assert!(is_open(&mut other));
}

#[tokio::test]
async fn a_cut_ends_a_node_s_connections_and_a_drain_does_not() {
    let stage = Stage::new().await;
    let (mut kubelet, mut pod, mut draining) = (
        stage.open("10.0.0.1"),
        stage.open("10.0.0.1"),
        stage.open("10.0.0.2"),
    );
    let drains = NodeStanding::Draining {
        until: UnixMillis(u64::MAX),
    };
    stage
        .world
        .state(|state| state.nodes.insert("w-2".to_owned(), drains));
    stage.hear(kubelet.source, Who::Node("w-1".into()), 0).await;
    stage.hear(pod.source, account_of(1), 0).await;
    stage
        .hear(draining.source, Who::Node("w-2".into()), 0)
        .await;
    stage.world.cuts.send("w-1".into()).unwrap();
    ends(&mut kubelet).await;
    ends(&mut pod).await;
    assert!(is_open(&mut draining));
}

#[tokio::test]
async fn a_cut_node_that_is_seen_again_is_closed_at_once() {
    let stage = Stage::new().await;
    stage
        .world
        .state(|state| state.nodes.insert("w-1".to_owned(), NodeStanding::Cut));
    let mut again = stage.open("10.0.0.1");
    stage.hear(again.source, Who::Node("w-1".into()), 0).await;
    ends(&mut again).await;
}

#[tokio::test]
async fn what_was_missed_is_found_by_looking_at_all() {
    let stage = Stage::new().await;
    let mut missed = stage.open("10.0.0.1");
    stage.hear(missed.source, seal_of(1), 0).await;
    settled().await;
    let ended = |state: &mut State| state.seals.insert(hash(1), SealNow::Ended);
    stage.world.state(ended);
    // More than the channel holds: the listener is told that it lags.
    for _ in 0..100 {
        stage.lose(9, Ok(Tier::Super));
    }
    ends(&mut missed).await;
}
