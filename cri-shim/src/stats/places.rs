//! Where the processes of sandboxes and containers are, and what the kernel counts there.
//!
//! Shape:  [`Places`] asks the runtime once for each id, then reads files only. A process number is
//!         believed while its control group names the container: it may be another's by then.
//! Limits: [`MOST_QUESTIONS`] a poll, so that a machine full of pods does not hold a poll up.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use tonic::{Code, Status};

use super::Source;
use super::cgroup::{Cgroups, Groups, read};
use super::cri::{Cri, SandboxPlace};
use super::facts::Facts;
use super::node::sandbox_network;
use super::snapshot::{Io, Traffic};

/// New ids that one poll asks for.
const MOST_QUESTIONS: usize = 200;

/// What the kernel counted at one poll.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Readings {
    /// By sandbox or container; a sandbox's is of the whole pod.
    pub(crate) io: HashMap<String, Io>,
    /// By sandbox, for those the runtime gave none.
    pub(crate) network: HashMap<String, Traffic>,
    /// Sandboxes in the machine's own network.
    pub(crate) host_network: HashSet<String>,
}

#[derive(Debug, Default)]
struct Place {
    sandbox: Option<SandboxPlace>,
    pid: u32,
    groups: Option<Groups>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Places {
    proc_root: PathBuf,
    cgroups: Cgroups,
    known: HashMap<String, Place>,
}

impl Places {
    pub(crate) fn new(proc_root: PathBuf, cgroup_root: PathBuf) -> Self {
        Self {
            proc_root,
            cgroups: Cgroups { root: cgroup_root },
            known: HashMap::new(),
        }
    }

    /// Forgets what is gone and asks for what is new. `pids` are known without asking.
    pub(crate) async fn learn(
        &mut self,
        cri: &mut Cri,
        facts: &Facts,
        pids: &HashMap<String, u32>,
        failed: &mut impl FnMut(Source, &Status),
    ) {
        let kept: HashSet<&str> = facts.sandboxes.iter().map(|one| one.id.as_str()).collect();
        let running: HashSet<&str> = facts
            .containers
            .iter()
            .filter(|one| one.running && kept.contains(one.sandbox.as_str()))
            .map(|one| one.id.as_str())
            .collect();
        self.known
            .retain(|id, _| kept.contains(id.as_str()) || running.contains(id.as_str()));
        let mut questions = MOST_QUESTIONS;
        for (id, is_sandbox) in kept
            .iter()
            .map(|id| (*id, true))
            .chain(running.iter().map(|id| (*id, false)))
        {
            if self.known.contains_key(id) || questions == 0 {
                continue;
            }
            let asked = match (is_sandbox, pids.get(id)) {
                (false, Some(pid)) => Ok(Place {
                    pid: *pid,
                    ..Place::default()
                }),
                (false, None) => {
                    questions -= 1;
                    cri.container(id).await.map(|pid| Place {
                        pid,
                        ..Place::default()
                    })
                }
                (true, _) => {
                    questions -= 1;
                    cri.sandbox(id).await.map(|place| Place {
                        pid: place.pid,
                        sandbox: Some(place),
                        groups: None,
                    })
                }
            };
            match asked {
                // Not every runtime tells a sandbox's process; a container may have none yet.
                Ok(place) if is_sandbox || place.pid > 0 => {
                    self.known.insert(id.to_owned(), place);
                }
                Ok(_) => {}
                Err(status) if status.code() == Code::NotFound => {}
                Err(status) => {
                    // The next poll asks again; a runtime that hangs is not asked 200 times.
                    failed(Source::Status, &status);
                    if hangs(status.code()) {
                        return;
                    }
                }
            }
        }
    }

    /// Reads the kernel's files: blocks, for as long as that takes.
    pub(crate) fn read(&mut self, facts: &Facts) -> Readings {
        let mut readings = Readings::default();
        for (id, place) in &mut self.known {
            if place.sandbox.as_ref().is_some_and(|one| one.host_network) {
                readings.host_network.insert(id.clone());
            }
            if place.groups.is_none() {
                place.groups = groups(&self.proc_root, place.pid).and_then(|all| all.of(id));
            }
            let Some(found) = &place.groups else { continue };
            let io = match &place.sandbox {
                None => self.cgroups.io(found),
                Some(sandbox) => {
                    let told = facts.pods.get(id).is_some_and(|pod| pod.network.is_some());
                    if !sandbox.host_network && !told {
                        let network = network(&self.proc_root, place.pid, id);
                        readings
                            .network
                            .extend(network.map(|network| (id.clone(), network)));
                    }
                    found
                        .parent(&sandbox.group)
                        .and_then(|group| self.cgroups.v2(&group))
                }
            };
            readings.io.extend(io.map(|io| (id.clone(), io)));
        }
        readings
    }
}

fn hangs(code: Code) -> bool {
    matches!(
        code,
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled
    )
}

fn groups(root: &Path, pid: u32) -> Option<Groups> {
    Some(Groups::parse(&read(
        &root.join(pid.to_string()).join("cgroup"),
    )?))
}

/// The interfaces that a process sees, while it is still the container's.
fn network(root: &Path, pid: u32, id: &str) -> Option<Traffic> {
    groups(root, pid)?.of(id)?;
    sandbox_network(&read(&root.join(pid.to_string()).join("net/dev"))?)
}

#[cfg(test)]
mod tests {
    use super::super::facts::PodFigures;
    use super::*;

    fn put(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    #[test]
    fn reads_a_pod_and_its_container() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let mut places = Places::new(root.join("proc"), root.join("cgroup"));
        let dev = include_str!("../../tests/fixtures/proc/net/dev");
        for (pid, id) in [(7, "aaaa"), (8, "bbbb"), (9, "cccc")] {
            put(
                root,
                &format!("proc/{pid}/cgroup"),
                &format!("0::/pods/pod1/{id}\n"),
            );
            put(root, &format!("proc/{pid}/net/dev"), dev);
            put(
                root,
                &format!("cgroup/pods/pod1/{id}/io.stat"),
                "8:0 rbytes=1 wbytes=2\n",
            );
        }
        put(
            root,
            "cgroup/pods/pod1/io.stat",
            "8:0 rbytes=10 wbytes=20\n",
        );
        let sandbox = |pid, host_network| Place {
            sandbox: Some(SandboxPlace {
                pid,
                host_network,
                group: "/pods/pod1".into(),
            }),
            pid,
            groups: None,
        };
        places.known.insert("aaaa".into(), sandbox(7, false));
        places.known.insert("cccc".into(), sandbox(9, true));
        places.known.insert(
            "bbbb".into(),
            Place {
                pid: 8,
                ..Place::default()
            },
        );
        // A number that is another's now.
        places.known.insert(
            "dddd".into(),
            Place {
                pid: 8,
                ..Place::default()
            },
        );

        let readings = places.read(&Facts::default());
        assert_eq!(
            readings.io["aaaa"],
            Io {
                read: 10,
                written: 20
            }
        );
        assert_eq!(
            readings.io["bbbb"],
            Io {
                read: 1,
                written: 2
            }
        );
        assert!(!readings.io.contains_key("dddd"));
        assert_eq!(readings.network["aaaa"].received, 934_705_047);
        assert_eq!(readings.network.len(), 1);
        assert_eq!(readings.host_network, HashSet::from(["cccc".to_owned()]));

        // What the runtime gave is not read again.
        let network = Some(Traffic::default());
        let mut facts = Facts::default();
        facts.pods.insert(
            "aaaa".into(),
            PodFigures {
                network,
                ..PodFigures::default()
            },
        );
        assert!(places.read(&facts).network.is_empty());
    }
}
