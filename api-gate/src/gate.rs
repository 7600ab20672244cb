//! The gate: one for a process, shared by the relay, the audit receiver, the endings and whoever
//! looks at it.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::Router;
use seal::UnixMillis;
use tokio::sync::mpsc;

use crate::audit::{self, Event, Heard};
use crate::endings::{self, Losses, Seen};
use crate::error::GateError;
use crate::metrics::GateMetrics;
use crate::relay::{self, Relaying};
use crate::settings::{Door, GateSettings, Limits};
use crate::standings::Standings;
use crate::table::{Attributed, Cause, ConnectionView, Disconnected, Ended, Table, time_of_day};
use crate::target::Target;
use crate::who::Who;

/// Users newly seen that wait to be looked at. More make the audit receiver wait.
const WAITING: usize = 4_096;

/// The gate. Clones are handles of the same one.
#[derive(Debug, Clone)]
pub struct Gate {
    pub(crate) shared: Arc<Shared>,
}

/// What the parts share.
pub(crate) struct Shared {
    pub(crate) standings: Arc<dyn Standings>,
    pub(crate) settings: ArcSwap<GateSettings>,
    pub(crate) metrics: GateMetrics,
    pub(crate) table: Table,
    pub(crate) losses: Losses,
    /// Connections that this process has files for.
    pub(crate) most: AtomicUsize,
    /// The relay runs.
    pub(crate) is_open: AtomicBool,
    seen: mpsc::Sender<Seen>,
    /// For the one who runs the endings.
    pub(crate) to_look_at: Mutex<Option<mpsc::Receiver<Seen>>>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl Gate {
    /// Opens nothing yet.
    #[must_use]
    pub fn new(
        standings: Arc<dyn Standings>,
        settings: GateSettings,
        metrics: GateMetrics,
    ) -> Self {
        let (seen, to_look_at) = mpsc::channel(WAITING);
        Self {
            shared: Arc::new(Shared {
                standings,
                settings: ArcSwap::from_pointee(settings),
                table: Table::new(metrics.clone()),
                losses: Losses::default(),
                most: AtomicUsize::new(usize::MAX),
                is_open: AtomicBool::new(false),
                metrics,
                seen,
                to_look_at: Mutex::new(Some(to_look_at)),
            }),
        }
    }

    /// Opens the doors. They close when what is given is dropped, or in order with its `stop`.
    pub fn open(&self, doors: &[Door]) -> Result<Relaying, GateError> {
        relay::open(self, doors)
    }

    /// Ends what has ended, for ever. Once for a gate.
    pub async fn run(&self) {
        endings::run(&self.shared).await;
    }

    /// Replaces the limits. They count for whoever comes next.
    pub fn replace_settings(&self, settings: GateSettings) {
        self.shared.settings.store(Arc::new(settings));
    }

    /// The routes of the audit receiver: `POST /audit`.
    pub fn router(&self) -> Router {
        audit::router(self.clone())
    }

    /// All open connections, the oldest first.
    #[must_use]
    pub fn connections(&self) -> Vec<ConnectionView> {
        self.shared.table.connections()
    }

    /// Ends connections by hand, as the end of a seal or the cut of a node would.
    pub fn disconnect(&self, target: &Target) -> Disconnected {
        let ended = match target {
            Target::Hash(hash) => Ended::Seal(*hash),
            Target::Owner(owner) => Ended::Owner(*owner),
            Target::Node(name) => Ended::Node(name.as_str().into()),
        };
        let mut done = self.shared.table.end(&ended, Cause::ByHand);
        if let Target::Owner(owner) = target {
            done += endings::end_accounts(&self.shared, *owner, Cause::ByHand);
        }
        tracing::info!(%target, closed = done.closed, "disconnected by hand");
        done
    }

    /// Who had this loopback address at that time. Known while it is open and for ten minutes
    /// afterwards.
    #[must_use]
    pub fn peer_at(&self, source: IpAddr, at: UnixMillis) -> Option<SocketAddr> {
        self.shared.table.peer_at(source, at)
    }

    /// Whether nobody else can come in.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.shared.table.seated() >= self.limits().max_connections
    }

    /// Whether the doors are open. That they are not though nobody has closed them is a bug.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.shared.is_open.load(Ordering::Relaxed)
    }

    /// Whether what ends is still acted on. That it is not though nobody has stopped it is a bug.
    #[must_use]
    pub fn ends_connections(&self) -> bool {
        !self.shared.seen.is_closed()
    }

    /// The limits, as far as this process has files for them.
    pub(crate) fn limits(&self) -> Limits {
        let limits = &self.shared.settings.load().limits;
        let most = self.shared.most.load(Ordering::Relaxed);
        Limits {
            max_connections: limits.max_connections.min(most),
            ..limits.clone()
        }
    }

    /// Takes an event. Waits where too many wait to be looked at: only for a thread of its own.
    pub(crate) fn hear(&self, event: Event) {
        let heard = self.note(event);
        self.shared.metrics.event(heard);
    }

    fn note(&self, event: Event) -> Heard {
        let Some(source) = event.source else {
            return Heard::Unknown;
        };
        if event.denied {
            return Heard::Denied;
        }
        let Some(who) = event.who.map(Arc::new) else {
            return Heard::Shared;
        };
        let attributed = self.shared.table.attribute(source, &who);
        if let Some(told) = event.told
            && attributed == Attributed::New
        {
            let late = time_of_day().0.saturating_sub(told.0);
            self.shared.metrics.delay(Duration::from_millis(late));
        }
        let heard = match attributed {
            Attributed::New => Heard::Attributed,
            Attributed::Known => Heard::Known,
            Attributed::Gone => Heard::Gone,
            Attributed::Unknown => Heard::Unknown,
            Attributed::Crowded => Heard::Crowded,
        };
        // On a connection that is gone it was seen all the same: others of it may be open there.
        let worth_a_look = matches!(attributed, Attributed::New | Attributed::Known)
            || attributed == Attributed::Gone;
        if worth_a_look && !matches!(*who, Who::Other(_)) {
            let seen = Seen {
                source,
                who,
                received: event.received,
            };
            // Nobody looks any more: the process ends.
            let _ = self.shared.seen.blocking_send(seen);
        }
        heard
    }
}
