//! What an API server is asked, and how often, by one that is scripted.

use futures::future::join_all;
use seal::testing::active_record;
use seal::{Address, NodeClaim, Thresholds, UnixMillis, identity};
use serde_json::{Value, json};
use sui_ledger::directory::{Change, End, SealDirectory, Unavailable};
use tokio::sync::broadcast;

use super::*;
use crate::scripted::{self, Answer, Asked};
use crate::{NodeMetrics, NodeSettings, Nodes};

struct Chain;

impl SealDirectory for Chain {
    async fn seal(&self, _hash: CredentialHash) -> Result<Option<Arc<SealRecord>>, Unavailable> {
        Ok(None)
    }

    async fn claim(&self, _name: &NodeName) -> Result<Option<NodeClaim>, Unavailable> {
        Ok(None)
    }

    async fn owner_seals(&self, _owner: Address) -> Result<Arc<[CredentialHash]>, Unavailable> {
        Ok(Arc::from([]))
    }

    fn now(&self) -> UnixMillis {
        UnixMillis(0)
    }

    fn thresholds(&self) -> Thresholds {
        Thresholds::default()
    }

    fn last_known_end(&self, _hash: &CredentialHash) -> Option<End> {
        None
    }
}

impl NodeDirectory for Chain {
    type Hold = ();

    fn changes(&self) -> broadcast::Receiver<Change> {
        broadcast::Sender::new(1).subscribe()
    }

    fn hold(&self, _hash: CredentialHash) -> Result<(), Unavailable> {
        Ok(())
    }
}

fn nodes() -> Nodes<Chain> {
    let metrics = NodeMetrics::default();
    Nodes::new(Arc::new(Chain), NodeSettings::default(), metrics)
}

fn name(number: usize) -> NodeName {
    format!("worker-{number}").parse().unwrap()
}

fn hash() -> CredentialHash {
    CredentialHash::from_bytes([3; 32])
}

fn record() -> SealRecord {
    SealRecord {
        seq: 7,
        ..active_record()
    }
}

/// An API server without anything, which takes all that is made and forgets it.
fn empty(asked: &Asked) -> Answer {
    if asked.method == "GET" {
        return Answer::Status(404);
    }
    let name = asked.path.rsplit('/').next().unwrap_or_default();
    if asked.path.contains("sealednodes") {
        return Answer::Is(sealed(name));
    }
    Answer::Is(json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": name } }))
}

fn sealed(name: &str) -> Value {
    json!({
        "apiVersion": "k3s-daas.io/v1", "kind": "SealedNode",
        "metadata": { "name": name, "resourceVersion": "1" },
        "spec": {
            "owner": record().owner.to_string(),
            "sealId": record().seal_id.to_string(),
            "credentialHash": hash().to_string(),
        },
    })
}

#[tokio::test(start_paused = true)]
async fn the_record_is_marked_before_the_node_is_made() {
    let (client, log) = scripted::client(empty);
    let nodes = nodes();
    let admitted = nodes.admit(&client, &name(1), hash(), &record()).await;
    admitted.unwrap();
    let asked = log.all();
    let steps = [
        ("GET", "/nodes/worker-1"),
        ("GET", "/sealednodes/worker-1"),
        ("POST", "/sealednodes"),
        ("PATCH", "/sealednodes/worker-1/status"),
        ("POST", "/nodes"),
    ];
    assert_eq!(asked.len(), steps.len(), "{asked:?}");
    for (asked, (method, path)) in asked.iter().zip(steps) {
        assert!(asked.is(method, path), "{asked:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_written_of_a_name_that_is_taken_or_reserved() {
    let (client, log) = scripted::client(|_| {
        Answer::Is(json!({
            "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata",
            "metadata": { "name": "worker-1", "annotations": {
                identity::ANNOTATION_SEAL: record().seal_id.to_string(),
                identity::ANNOTATION_OWNER: Address::from_bytes([9; 32]).to_string(),
            } },
        }))
    });
    let nodes = nodes();
    let refused = nodes.admit(&client, &name(1), hash(), &record()).await;
    assert!(matches!(refused, Err(JoinError::Taken)));
    assert_eq!(log.all().len(), log.count("GET"));
    let asked = log.all().len();
    let reserved = "localhost".parse().unwrap();
    let refused = nodes.admit(&client, &reserved, hash(), &record()).await;
    assert!(matches!(refused, Err(JoinError::Reserved)));
    assert_eq!(log.all().len(), asked);
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_not_repeated_at_once() {
    let (client, log) = scripted::client(|_| Answer::Status(500));
    let nodes = nodes();
    for _ in 0..10 {
        let refused = nodes.admit(&client, &name(1), hash(), &record()).await;
        assert!(matches!(refused, Err(JoinError::Api { .. })));
    }
    assert_eq!(log.all().len(), 1);
    // Another node does not wait for it.
    drop(nodes.admit(&client, &name(2), hash(), &record()).await);
    assert_eq!(log.all().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_never_answers_is_not_waited_for() {
    let (client, _) = scripted::client(|_| Answer::Silence);
    let begun = tokio::time::Instant::now();
    let nodes = nodes();
    let refused = nodes.admit(&client, &name(1), hash(), &record()).await;
    assert!(matches!(refused, Err(JoinError::Late { .. })));
    assert!(begun.elapsed() <= ATTEMPT, "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_node_that_goes_on_being_deleted_is_not_waited_for_without_end() {
    let (client, _) = scripted::client(|_| {
        Answer::Is(json!({
            "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata",
            "metadata": {
                "name": "worker-1", "deletionTimestamp": "2026-01-01T00:00:00Z",
                "annotations": {
                    identity::ANNOTATION_SEAL: record().seal_id.to_string(),
                    identity::ANNOTATION_OWNER: record().owner.to_string(),
                },
            },
        }))
    });
    let begun = tokio::time::Instant::now();
    let nodes = nodes();
    let refused = nodes.admit(&client, &name(1), hash(), &record()).await;
    assert!(matches!(refused, Err(JoinError::Ending)));
    assert_eq!(begun.elapsed(), BETWEEN * MOST);
}

const BETWEEN: Duration = Duration::from_millis(250);
const MOST: u32 = 12;

#[tokio::test(start_paused = true)]
async fn only_so_many_nodes_are_made_at_once() {
    let (client, log) = scripted::client(|_| Answer::Silence);
    let nodes = nodes();
    let names: Vec<NodeName> = (0..40).map(name).collect();
    let record = record();
    let crowd = join_all(
        names
            .iter()
            .map(|name| nodes.admit(&client, name, hash(), &record)),
    );
    // None is answered: only the first ones have asked, each once.
    let gone = tokio::time::timeout(Duration::from_secs(1), crowd).await;
    assert!(gone.is_err());
    assert_eq!(log.all().len(), AT_ONCE);
}

#[tokio::test(start_paused = true)]
async fn who_gives_up_does_not_end_the_attempt() {
    let (client, log) = scripted::client(empty);
    let nodes = nodes();
    let (name, record) = (name(1), record());
    {
        let admit = nodes.admit(&client, &name, hash(), &record);
        assert!(admit.now_or_never().is_none(), "it has to ask");
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(log.count("POST"), 2, "the record and the Node");
    assert!(nodes.shared.joins.running().is_empty(), "and is forgotten");
}
