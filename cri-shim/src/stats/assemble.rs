//! Makes pods of what the runtime told and the kernel counted.
//!
//! Shape:  one function without IO; the [`Ledger`] is the only state.

use std::collections::HashMap;

use super::facts::{Container, Facts};
use super::ledger::{Counters, Ledger};
use super::places::Readings;
use super::snapshot::{ContainerUsage, MOST_CONTAINERS, PodUsage, Usage};

/// The pods, in the order of their sandboxes.
pub(crate) fn pods(facts: &Facts, readings: &Readings, ledger: &mut Ledger) -> Vec<PodUsage> {
    ledger.keep(facts);
    let mut inside: HashMap<&str, Vec<&Container>> = HashMap::new();
    for container in &facts.containers {
        inside
            .entry(container.sandbox.as_str())
            .or_default()
            .push(container);
    }
    facts
        .sandboxes
        .iter()
        .map(|sandbox| {
            let containers = inside.remove(sandbox.id.as_str()).unwrap_or_default();
            let usages: Vec<(&Container, Usage)> = containers
                .into_iter()
                .map(|one| (one, usage(one, facts, readings, ledger)))
                .collect();
            let figures = facts.pods.get(&sandbox.id).copied().unwrap_or_default();
            let own_network = !readings.host_network.contains(&sandbox.id);
            let network = figures
                .network
                .or_else(|| readings.network.get(&sandbox.id).copied())
                .filter(|_| own_network);
            let counters = ledger.pod(
                &sandbox.id,
                Counters {
                    cpu: figures.cpu,
                    network,
                    io: readings.io.get(&sandbox.id).copied(),
                },
            );
            PodUsage {
                namespace: sandbox.namespace.clone(),
                pod: sandbox.pod.clone(),
                usage: Usage {
                    cpu: counters.cpu,
                    memory: figures.memory.or_else(|| sum(&usages, |one| one.memory)),
                    layer: sum(&usages, |one| one.layer),
                    io: counters.io,
                },
                network: counters.network,
                containers: latest(usages),
            }
        })
        .collect()
}

fn usage(one: &Container, facts: &Facts, readings: &Readings, ledger: &mut Ledger) -> Usage {
    let figures = facts.figures.get(&one.id).copied().unwrap_or_default();
    let read = Counters {
        cpu: figures.cpu,
        network: None,
        io: readings.io.get(&one.id).copied().or(figures.io),
    };
    let counters = ledger.container(&one.sandbox, &one.id, read);
    Usage {
        cpu: counters.cpu,
        memory: figures.memory,
        layer: figures.layer,
        io: counters.io,
    }
}

fn sum(usages: &[(&Container, Usage)], of: impl Fn(&Usage) -> Option<u64>) -> Option<u64> {
    usages
        .iter()
        .filter_map(|(_, usage)| of(usage))
        .reduce(u64::saturating_add)
}

/// Each name once: the one that runs, else the newest.
fn latest(mut usages: Vec<(&Container, Usage)>) -> Vec<ContainerUsage> {
    usages.sort_by(|(a, _), (b, _)| {
        (&a.name, b.running, b.created).cmp(&(&b.name, a.running, a.created))
    });
    usages.dedup_by(|(a, _), (b, _)| a.name == b.name);
    usages
        .into_iter()
        .take(MOST_CONTAINERS)
        .map(|(one, usage)| ContainerUsage {
            name: one.name.clone(),
            usage,
        })
        .collect()
}

#[cfg(test)]
mod tests;
