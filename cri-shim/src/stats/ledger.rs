//! Keeps counters from going back.
//!
//! Shape:  [`Ledger`] holds the highest reading of each sandbox and container for as long as the
//!         pod's sandbox is there. A pod's sum keeps what its ended containers did.
//! Limits: one entry for each sandbox and container that the runtime lists; an ended container is
//!         folded into its pod's.

use std::collections::{HashMap, HashSet};

use super::facts::Facts;
use super::snapshot::{Io, Traffic};

/// Counters of one sandbox or container.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    pub(crate) cpu: Option<u64>,
    pub(crate) network: Option<Traffic>,
    pub(crate) io: Option<Io>,
}

impl Counters {
    fn at_least(self, other: Self) -> Self {
        Self {
            cpu: both(self.cpu, other.cpu, u64::max),
            network: both(self.network, other.network, Traffic::at_least),
            io: both(self.io, other.io, Io::at_least),
        }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            cpu: both(self.cpu, other.cpu, u64::saturating_add),
            network: both(self.network, other.network, Traffic::plus),
            io: both(self.io, other.io, Io::plus),
        }
    }
}

fn both<T>(one: Option<T>, other: Option<T>, join: impl FnOnce(T, T) -> T) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(join(one, other)),
        (one, other) => one.or(other),
    }
}

#[derive(Debug, Default)]
struct Pod {
    own: Counters,
    /// Of containers that are no longer listed.
    ended: Counters,
    containers: HashMap<String, Counters>,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pods: HashMap<String, Pod>,
}

impl Ledger {
    /// A container's reading; what it shows. A figure that is missing stays missing.
    pub(crate) fn container(&mut self, sandbox: &str, id: &str, read: Counters) -> Counters {
        let pod = self.pods.entry(sandbox.to_owned()).or_default();
        let mark = pod.containers.entry(id.to_owned()).or_default();
        *mark = mark.at_least(read);
        Counters {
            cpu: read.cpu.and(mark.cpu),
            network: read.network.and(mark.network),
            io: read.io.and(mark.io),
        }
    }

    /// A pod's reading; what it shows. Where the pod has no reading of its own, the sum of what its
    /// containers did. After its containers.
    pub(crate) fn pod(&mut self, sandbox: &str, read: Counters) -> Counters {
        let pod = self.pods.entry(sandbox.to_owned()).or_default();
        let sum = pod
            .containers
            .values()
            .fold(pod.ended, |sum, one| sum.plus(*one));
        let read = Counters {
            cpu: read.cpu.or(sum.cpu),
            network: read.network,
            io: read.io.or(sum.io),
        };
        pod.own = pod.own.at_least(read);
        Counters {
            network: read.network.and(pod.own.network),
            ..pod.own
        }
    }

    /// Forgets sandboxes that are gone, and folds containers that are.
    pub(crate) fn keep(&mut self, facts: &Facts) {
        let sandboxes: HashSet<&str> = facts.sandboxes.iter().map(|one| one.id.as_str()).collect();
        let containers: HashSet<&str> =
            facts.containers.iter().map(|one| one.id.as_str()).collect();
        self.pods.retain(|id, _| sandboxes.contains(id.as_str()));
        for pod in self.pods.values_mut() {
            let Pod {
                ended,
                containers: marks,
                ..
            } = pod;
            marks.retain(|id, mark| {
                let listed = containers.contains(id.as_str());
                if !listed {
                    *ended = ended.plus(*mark);
                }
                listed
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::facts::{Container, Sandbox};
    use super::*;

    fn cpu(nanoseconds: u64) -> Counters {
        Counters {
            cpu: Some(nanoseconds),
            ..Counters::default()
        }
    }

    fn facts(containers: &[&str]) -> Facts {
        Facts {
            sandboxes: vec![Sandbox {
                id: "s".into(),
                ..Sandbox::default()
            }],
            containers: containers
                .iter()
                .map(|id| Container {
                    id: (*id).into(),
                    ..Container::default()
                })
                .collect(),
            ..Facts::default()
        }
    }

    #[test]
    fn a_counter_does_not_go_back() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.container("s", "a", cpu(10)).cpu, Some(10));
        assert_eq!(ledger.container("s", "a", cpu(7)).cpu, Some(10));
        assert_eq!(ledger.container("s", "a", Counters::default()).cpu, None);
        assert_eq!(ledger.container("s", "a", cpu(11)).cpu, Some(11));
        assert_eq!(ledger.pod("s", cpu(30)).cpu, Some(30));
        assert_eq!(ledger.pod("s", cpu(20)).cpu, Some(30));
    }

    #[test]
    fn a_pods_sum_keeps_what_its_ended_containers_did() {
        let mut ledger = Ledger::default();
        ledger.container("s", "a", cpu(10));
        ledger.container("s", "b", cpu(5));
        assert_eq!(ledger.pod("s", Counters::default()).cpu, Some(15));
        // b has ended, and is missing before it is gone.
        ledger.container("s", "b", Counters::default());
        assert_eq!(ledger.pod("s", Counters::default()).cpu, Some(15));
        ledger.keep(&facts(&["a", "c"]));
        ledger.container("s", "c", cpu(1));
        assert_eq!(ledger.pod("s", Counters::default()).cpu, Some(16));
        // A container that starts anew under another id starts at its own 0.
        assert_eq!(ledger.container("s", "c", cpu(2)).cpu, Some(2));
        ledger.keep(&Facts::default());
        assert!(ledger.pods.is_empty());
    }

    #[test]
    fn network_is_never_a_sum_and_missing_stays_missing() {
        let mut ledger = Ledger::default();
        let traffic = Traffic {
            received: 5,
            sent: 9,
        };
        let read = Counters {
            network: Some(traffic),
            ..Counters::default()
        };
        assert_eq!(ledger.pod("s", read).network, Some(traffic));
        assert_eq!(ledger.pod("s", Counters::default()).network, None);
        assert_eq!(ledger.pod("s", Counters::default()), Counters::default());
    }
}
