//! A node's way in: what has to stand in the cluster before K3s signs for it.
//!
//! Shape:  K3s signs a kubelet's certificate for the node identity that the token webhook
//!         answered, if the Node exists. So while the first review is answered, the SealedNode is
//!         made, then the Node ([`placeholder`]), which the kubelet adopts. One attempt for a node
//!         at a time however many ask, [`AT_ONCE`] nodes at a time, [`ATTEMPT`] each.
//! Errors: an attempt that broke off anywhere is completed by the next. After a failure there is
//!         a short pause in which the same answer is given without a call.
//! Source: K3s v1.36 `pkg/server/auth`, `verifyNode`; seen live.

mod error;
pub mod node_args;
mod placeholder;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, Shared as Coalesced};
use moka::sync::Cache;
use seal::{CredentialHash, NodeName, SealRecord};
use tokio::sync::Semaphore;

pub use error::JoinError;
pub(crate) use placeholder::{Whose, annotations, is_there, node, whose};

use crate::nodes::{NodeDirectory, Shared};
use crate::records;

/// Nodes made at once: a thousand machines that start together must leave the API server room
/// for everybody else.
const AT_ONCE: usize = 16;
/// One attempt may take this long in all, its place in line included. Agents ask again every 5 to
/// 9 s.
const ATTEMPT: Duration = Duration::from_secs(10);
/// Attempts at once, waiting and running.
const MOST_ATTEMPTS: usize = 4_096;
/// After a failure, nothing is tried for this node for so long: shorter than an agent's pause.
const PAUSE: Duration = Duration::from_secs(2);
/// Nodes that pause, at most.
const MOST_PAUSED: u64 = 10_000;

type Key = (NodeName, CredentialHash);
type Outcome = Result<(), JoinError>;

/// Attempts that run, and failures that are not repeated yet.
#[derive(Debug)]
pub(crate) struct Joins {
    making: Semaphore,
    running: Mutex<HashMap<Key, Coalesced<BoxFuture<'static, Outcome>>>>,
    failed: Cache<Key, JoinError>,
}

impl Joins {
    pub(crate) fn new() -> Self {
        Self {
            making: Semaphore::new(AT_ONCE),
            running: Mutex::default(),
            failed: Cache::builder()
                .max_capacity(MOST_PAUSED)
                .time_to_live(PAUSE)
                .build(),
        }
    }

    fn running(
        &self,
    ) -> std::sync::MutexGuard<'_, HashMap<Key, Coalesced<BoxFuture<'static, Outcome>>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes the attempt off the list, however it ended.
struct Running<D> {
    shared: Arc<Shared<D>>,
    key: Key,
}

impl<D> Drop for Running<D> {
    fn drop(&mut self) {
        self.shared.joins.running().remove(&self.key);
    }
}

/// One attempt for each node at a time.
pub(crate) async fn admit<D: NodeDirectory>(
    shared: &Arc<Shared<D>>,
    client: &kube::Client,
    name: &NodeName,
    hash: CredentialHash,
    record: &SealRecord,
) -> Outcome {
    if shared.settings.load().is_reserved(name.as_str()) {
        return Err(JoinError::Reserved);
    }
    let key = (name.clone(), hash);
    if let Some(error) = shared.joins.failed.get(&key) {
        return Err(error);
    }
    let attempt = {
        let mut running = shared.joins.running();
        match running.get(&key) {
            Some(attempt) => attempt.clone(),
            None if running.len() >= MOST_ATTEMPTS => return Err(JoinError::Overloaded),
            None => {
                let attempt = start(shared, client, &key, record);
                running.insert(key, attempt.clone());
                attempt
            }
        }
    };
    attempt.await
}

/// Begins an attempt, as a task of its own: who asked may give up before it ends.
fn start<D: NodeDirectory>(
    shared: &Arc<Shared<D>>,
    client: &kube::Client,
    key: &Key,
    record: &SealRecord,
) -> Coalesced<BoxFuture<'static, Outcome>> {
    let (shared, key) = (Arc::clone(shared), key.clone());
    let (client, record) = (client.clone(), record.clone());
    let task = tokio::spawn(async move {
        // Not before the task runs: who starts it holds the list.
        let running = Running { shared, key };
        let shared = &running.shared;
        let (name, hash) = &running.key;
        let begun = tokio::time::Instant::now();
        let made = tokio::time::timeout(ATTEMPT, make(shared, &client, name, *hash, &record));
        let made = made.await.unwrap_or(Err(JoinError::Late {
            what: "let a node join",
        }));
        shared.metrics.attempt(begun.elapsed());
        if let Err(error) = &made {
            shared
                .joins
                .failed
                .insert(running.key.clone(), error.clone());
            tracing::info!(
                node = %name,
                reason = error.label(),
                error = error as &(dyn std::error::Error + 'static),
                "a node can't join now"
            );
        }
        made
    });
    async move { task.await.unwrap_or(Err(JoinError::Overloaded)) }
        .boxed()
        .shared()
}

async fn make<D: NodeDirectory>(
    shared: &Shared<D>,
    client: &kube::Client,
    name: &NodeName,
    hash: CredentialHash,
    record: &SealRecord,
) -> Outcome {
    // Never closed.
    let _place = shared.joins.making.acquire().await;
    // Before anything is written: what is said of a name that is taken would be said of another's
    // Node.
    let is_there = placeholder::is_there(client, name, &record.owner).await?;
    let sealed = records::ensure(client, name, hash, record).await?;
    let tier = shared.directory.thresholds().tier(record.stake);
    let taints = sealed
        .status
        .as_ref()
        .map(|status| status.agent_taints.as_slice())
        .unwrap_or_default();
    let wanted = node(name, record, tier, taints, &shared.settings.load());
    // That its agent has asked is written before its Node is made: so the Node that is missing
    // after a crash in between is made by whoever keeps the nodes.
    records::asked(client, name, record, tier, sealed).await?;
    if is_there {
        return Ok(());
    }
    let made = placeholder::make(client, &wanted).await?;
    // Somebody else made it in between: whose it is has to be seen.
    if !made && !placeholder::is_there(client, name, &record.owner).await? {
        return Err(JoinError::Ending);
    }
    if made {
        shared.metrics.made_node();
        tracing::info!(node = %name, seal = %record.seal_id, "a node joins");
    }
    Ok(())
}

#[cfg(test)]
mod tests;
