//! The gate in front of K3s, where one is configured: what it knows of seals, owners and nodes,
//! and its doors.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use api_gate::{
    Door, Gate, GateMetrics, GateSettings, Limits, OwnerNow, Relaying, SealNow, Standings,
};
use arc_swap::ArcSwap;
use authz_webhook::{NamespaceOwners, NamespaceWatch};
use futures::future::BoxFuture;
use k3s_configs::launch;
use node_admission::Nodes;
use prometheus_client::registry::Registry;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use seal::access::Ownership;
use seal::{Address, CredentialHash, ElevatedOwners, NodeStanding};
use sui_ledger::directory::{Change, Directory, SealDirectory};
use tenancy::namespaces::{OwnerStanding, owner_standing};
use tokio::sync::broadcast;
use tokio_util::task::AbortOnDropHandle;
use webhook_server::GroupLimits;

use super::work::Work;
use crate::config::List;
use crate::config::keys::ServerConfig;
use crate::failure::{Kind, OrFail, Outcome};

/// What the gate asks, out of what the server knows.
#[derive(Debug, Clone)]
struct Known {
    directory: Arc<Directory>,
    nodes: Nodes<Directory>,
    watch: Arc<NamespaceWatch>,
    elevated: Arc<ArcSwap<ElevatedOwners>>,
}

impl Standings for Known {
    fn changes(&self) -> broadcast::Receiver<Change> {
        self.directory.subscribe()
    }

    fn cuts(&self) -> broadcast::Receiver<Box<str>> {
        self.nodes.cuts()
    }

    fn hold(&self, hash: CredentialHash) -> Option<api_gate::Hold> {
        match self.directory.watch(hash) {
            Ok(watch) => Some(Box::new(watch)),
            // The look at all stands in for it.
            Err(error) => {
                tracing::debug!(%error, "a connected seal can't be kept in view");
                None
            }
        }
    }

    fn seal(&self, hash: CredentialHash) -> BoxFuture<'_, SealNow> {
        Box::pin(async move {
            let record = self.directory.seal(hash).await;
            let (now, thresholds) = (self.directory.now(), self.directory.thresholds());
            match record {
                Ok(Some(record)) if record.usable(now, &thresholds).is_ok() => SealNow::Usable,
                Ok(_) => SealNow::Ended,
                Err(_) if self.directory.last_known_end(&hash).is_some() => SealNow::Ended,
                Err(_) => SealNow::Unknown,
            }
        })
    }

    fn owner_of(&self, namespace: &str) -> Option<Address> {
        match self.watch.view(namespace).ownership {
            Ownership::Owned(owner) => Some(owner),
            _ => None,
        }
    }

    fn owner(&self, owner: Address) -> BoxFuture<'_, OwnerNow> {
        Box::pin(async move {
            let elevated = self.elevated.load_full();
            match owner_standing(&*self.directory, &elevated, &owner).await {
                OwnerStanding::Usable(_) => OwnerNow::Usable,
                OwnerStanding::None => OwnerNow::Ended,
                OwnerStanding::Unknown => OwnerNow::Unknown,
            }
        })
    }

    fn node(&self, name: &str) -> NodeStanding {
        self.nodes.standing(name)
    }
}

/// The gate with its doors. Dropping it closes them at once.
#[derive(Debug)]
pub(super) struct TheGate {
    pub(super) gate: Gate,
    elevated: Arc<ArcSwap<ElevatedOwners>>,
    relaying: Option<Relaying>,
    /// Where it listens.
    pub(super) addresses: Vec<SocketAddr>,
    _endings: AbortOnDropHandle<()>,
}

impl TheGate {
    /// Opens it, where one is configured.
    pub(super) fn open(
        config: &ServerConfig,
        elevated: ElevatedOwners,
        directory: &Arc<Directory>,
        work: &Work,
        registry: &mut Registry,
    ) -> Outcome<Option<Self>> {
        let doors = doors(config);
        if doors.is_empty() {
            return Ok(None);
        }
        let elevated = Arc::new(ArcSwap::from_pointee(elevated));
        let known = Known {
            directory: Arc::clone(directory),
            nodes: work.nodes.clone(),
            watch: Arc::clone(&work.watch),
            elevated: Arc::clone(&elevated),
        };
        raise_file_limit();
        let metrics = GateMetrics::register(registry);
        let gate = Gate::new(Arc::new(known), settings(config), metrics);
        let relaying = gate
            .open(&doors)
            .or_fail(Kind::Failed, "the gate did not open")
            .map_err(|failure| {
                failure.next("end what listens there, or give another --gate-listen")
            })?;
        let endings = {
            let gate = gate.clone();
            tokio::spawn(async move { gate.run().await })
        };
        Ok(Some(Self {
            addresses: relaying.addresses.clone(),
            gate,
            elevated,
            relaying: Some(relaying),
            _endings: AbortOnDropHandle::new(endings),
        }))
    }

    /// Takes new limits and a new choice of owners; nobody who is in is sent away by that.
    pub(super) fn replace(&self, config: &ServerConfig, elevated: ElevatedOwners) {
        self.elevated.store(Arc::new(elevated));
        self.gate.replace_settings(settings(config));
    }

    /// Closes the doors in order.
    pub(super) async fn stop(mut self) {
        if let Some(relaying) = self.relaying.take() {
            relaying.stop().await;
        }
    }
}

/// Each connection takes two files, and shells and units often give few at first: as many as this
/// process may have.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    // The gate says how many connections that is enough for.
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::debug!(%error, "the limit of open files can't be raised");
    }
}

/// The budget of audit events. A batch of the rendered configuration has 64 events, each of which
/// may repeat a request's head of 1 MiB several times; it is read as a stream, one event at a time.
pub(super) const fn events() -> GroupLimits {
    GroupLimits {
        max_in_flight: 16,
        deadline: Duration::from_secs(30),
        max_body: 1024 * 1024 * 1024,
    }
}

/// The doors of a configuration; none without a gate.
pub fn doors(config: &ServerConfig) -> Vec<Door> {
    let door = |listen: &SocketAddr| Door {
        listen: *listen,
        upstream: config
            .gate_upstream
            .unwrap_or_else(|| (Ipv4Addr::LOCALHOST, listen.port()).into()),
    };
    config.gate_listen.0.iter().map(door).collect()
}

/// The configuration with a gate of these doors.
pub fn with_doors(config: ServerConfig, doors: &[launch::Door]) -> ServerConfig {
    let moved = doors
        .iter()
        .find(|door| door.listen.port() != door.upstream.port());
    ServerConfig {
        gate_listen: List(doors.iter().map(|door| door.listen).collect()),
        gate_upstream: moved.map(|door| door.upstream),
        ..config
    }
}

fn settings(config: &ServerConfig) -> GateSettings {
    let whole = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    GateSettings {
        limits: Limits {
            max_connections: whole(config.gate_max_connections.get()),
            max_per_peer: whole(config.gate_max_per_peer.get()),
            new_per_second: config.gate_new_per_second.get(),
            hello_timeout: config.gate_hello_seconds.0,
        },
    }
}
