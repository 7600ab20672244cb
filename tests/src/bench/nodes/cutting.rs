//! Many seals slashed at once, and when each of their nodes is cut off.
//!
//! Shape:  several holders of a SlashCap send at once, since one account sends one transaction
//!         after the other. A node is cut off when its kubelet was first refused, its SealedNode
//!         says Cut, and its Node is gone; each is timed from the sending of its own slash.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use futures::{StreamExt as _, stream};
use seal::ObjectId;
use serde_json::Value;
use sui_ledger::client::Owner;
use sui_ledger::tx::{Call, Wallet};

use super::fleet::{Fleet, at, look, milliseconds, progress, sorted};
use crate::bench::report::Report;
use crate::e2e::{Caller, Cluster};
use crate::worker::text;

/// Who slashes.
const SLASHERS: usize = 8;
/// Probes of kubelets that are under way at a time: what is measured is not to be the probing.
const PROBES: usize = 4;
const WITHIN: Duration = Duration::from_mins(5);

/// When it happened to each, from the sending of its slash.
pub(super) struct Cut {
    refused: Vec<f64>,
    cut: Vec<f64>,
    gone: Vec<f64>,
    /// From the first sending to the last of all.
    whole: Duration,
    /// From the first sending to the last transaction's answer.
    sending: Duration,
}

impl Cut {
    pub(super) fn tell(&self, report: &mut Report, slashed: usize) {
        let mut plain = |name, value, unit| report.plain(name, value, unit, "told", true);
        plain(
            "nodes_slashed",
            slashed as f64,
            "seals at once, by 8 accounts",
        );
        plain(
            "nodes_slash_sending",
            milliseconds(self.sending),
            "ms until the last slash was executed, checkpoints every 250 ms",
        );
        for (name, times) in [
            ("nodes_slash_to_403_p50", (&self.refused, 0.5)),
            ("nodes_slash_to_403_max", (&self.refused, 1.0)),
            ("nodes_slash_to_cut_max", (&self.cut, 1.0)),
            ("nodes_slash_to_node_gone_max", (&self.gone, 1.0)),
        ] {
            plain(name, at(times.0, times.1), "ms from sending its slash");
        }
        plain(
            "nodes_slash_to_last_cut_off",
            milliseconds(self.whole),
            "ms from sending the first slash: refused, Cut and gone",
        );
    }
}

#[derive(Default)]
struct Times(Mutex<BTreeMap<String, Instant>>);

impl Times {
    fn note(&self, name: &str) {
        let mut times = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        times.entry(name.to_owned()).or_insert_with(Instant::now);
    }

    fn get(&self, name: &str) -> Option<Instant> {
        let times = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        times.get(name).copied()
    }

    fn since(&self, sent: &Self) -> Vec<f64> {
        let times = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sorted(times.iter().filter_map(|(name, at)| {
            let sent = sent.get(name)?;
            Some(milliseconds(at.saturating_duration_since(sent)))
        }))
    }

    fn last(&self) -> Option<Instant> {
        let times = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        times.values().max().copied()
    }

    fn len(&self) -> usize {
        let times = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        times.len()
    }
}

/// Slashes the first ones.
pub(super) async fn slash(cluster: &Cluster, fleet: &Fleet, count: usize) -> anyhow::Result<Cut> {
    let slashers = slashers(cluster).await?;
    let names: BTreeSet<String> = fleet
        .workers
        .iter()
        .take(count)
        .map(|worker| worker.name.to_string())
        .collect();
    let (sent, refused, cut, gone) = (
        Times::default(),
        Times::default(),
        Times::default(),
        Times::default(),
    );
    let began = Instant::now();
    let sending = async {
        let by = slashers
            .iter()
            .enumerate()
            .map(async |(number, (wallet, cap))| {
                for worker in fleet
                    .workers
                    .iter()
                    .take(count)
                    .skip(number)
                    .step_by(SLASHERS)
                {
                    let call = Call::Slash {
                        cap: *cap,
                        hash: worker.token.credential_hash(),
                        reason: "measured".to_owned(),
                    };
                    sent.note(worker.name.as_str());
                    wallet.call(&cluster.devnet.ids, &call).await?;
                }
                anyhow::Ok(())
            });
        futures::future::try_join_all(by).await?;
        anyhow::Ok(began.elapsed())
    };
    let probing = async {
        while refused.len() < count {
            let waiting = fleet
                .kubelets
                .iter()
                .take(count)
                .filter(|kubelet| refused.get(kubelet.name()).is_none());
            stream::iter(waiting)
                .for_each_concurrent(PROBES, async |kubelet| {
                    let said = kubelet.renew().await;
                    if said.is_ok_and(|said| said.status == 403) {
                        refused.note(kubelet.name());
                    }
                })
                .await;
            ensure!(began.elapsed() < WITHIN, "only {} refused", refused.len());
            look().await;
        }
        progress("all refused", began);
        anyhow::Ok(())
    };
    let seeing = async {
        while cut.len() < count || gone.len() < count {
            let sealed = list(cluster, "/apis/k3s-daas.io/v1/sealednodes").await?;
            for one in &sealed {
                let name = text(one, "/metadata/name");
                if names.contains(name) && text(one, "/status/state") == "Cut" {
                    cut.note(name);
                }
            }
            let nodes = list(cluster, "/api/v1/nodes").await?;
            let there: BTreeSet<&str> = nodes
                .iter()
                .map(|node| text(node, "/metadata/name"))
                .collect();
            for name in names.iter().filter(|name| !there.contains(name.as_str())) {
                gone.note(name);
            }
            ensure!(
                began.elapsed() < WITHIN,
                "only {} cut, {} gone",
                cut.len(),
                gone.len()
            );
            look().await;
        }
        progress("all cut and gone", began);
        anyhow::Ok(())
    };
    let (sending, (), ()) = tokio::try_join!(sending, probing, seeing)?;
    let last = [refused.last(), cut.last(), gone.last()];
    let last = last
        .into_iter()
        .flatten()
        .max()
        .context("nothing was slashed")?;
    for kubelet in fleet.kubelets.iter().skip(count) {
        let said = kubelet.renew().await?;
        ensure!(said.ok(), "{} is refused too: {said:?}", kubelet.name());
    }
    Ok(Cut {
        refused: refused.since(&sent),
        cut: cut.since(&sent),
        gone: gone.since(&sent),
        whole: last.saturating_duration_since(began),
        sending,
    })
}

async fn list(cluster: &Cluster, path: &str) -> anyhow::Result<Vec<Value>> {
    // What the API server's cache holds: a thousand objects each moment are no load for etcd.
    let path = format!("{path}?resourceVersion=0");
    let mut listed = cluster.read(&Caller::Operator, &path).await?.done()?;
    let items = listed.pointer_mut("/items").map(Value::take);
    match items {
        Some(Value::Array(items)) => Ok(items),
        _ => anyhow::bail!("no items in {path}"),
    }
}

/// Accounts with a SlashCap of their own.
async fn slashers(cluster: &Cluster) -> anyhow::Result<Vec<(Wallet, ObjectId)>> {
    let ids = &cluster.devnet.ids;
    let cap = ids.caps.admin.context("an AdminCap")?;
    let mut slashers = Vec::new();
    for _ in 0..SLASHERS {
        let wallet = cluster.wallet().await?;
        let call = Call::AddSlashCap {
            cap,
            holder: wallet.address(),
        };
        let receipt = cluster.operator.call(ids, &call).await?;
        let holder = Owner::Address(wallet.address());
        let mut made = receipt.executed.changed.iter();
        let made = made.find(|object| object.created && object.owner == Some(holder));
        slashers.push((wallet, made.context("the new SlashCap")?.id));
    }
    Ok(slashers)
}
