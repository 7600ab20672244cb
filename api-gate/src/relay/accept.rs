//! Newcomers: counted, limited, and given a task of their own.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connection::{self, Abrupt};
use super::files;
use super::told::Told;
use crate::gate::Gate;
use crate::settings::Door;

/// After a failed accept (no files left, mostly) it waits this long, so that it does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What all connections share.
#[derive(Debug)]
pub(super) struct Relay {
    pub(super) gate: Gate,
    /// Those that have not spoken yet end too.
    pub(super) closed: CancellationToken,
    pub(super) dial_failed: Told,
}

impl Relay {
    pub(super) fn new(gate: Gate) -> Arc<Self> {
        let most = files::connections();
        gate.shared.most.store(most, Ordering::Relaxed);
        let wanted = gate.shared.settings.load().limits.max_connections;
        if most < wanted {
            tracing::warn!(
                wanted,
                possible = most,
                "this process may not open files enough for gate_max_connections: raise LimitNOFILE"
            );
        }
        Arc::new(Self {
            gate,
            closed: CancellationToken::new(),
            dial_failed: Told::default(),
        })
    }
}

/// Accepts, for ever.
pub(super) async fn accept(
    relay: &Arc<Relay>,
    door: Door,
    listener: TcpListener,
    connections: &TaskTracker,
) {
    tracing::info!(address = %door.listen, upstream = %door.upstream, "the gate is open");
    let told = Told::default();
    loop {
        match listener.accept().await {
            Ok((client, peer)) => {
                // Who is sent away is reset: nothing is left of it here, not even a port that waits.
                let client = Abrupt::new(client);
                let peer = std::net::SocketAddr::new(peer.ip().to_canonical(), peer.port());
                let shared = &relay.gate.shared;
                let limits = relay.gate.limits();
                match shared.table.admit(peer, &limits) {
                    Ok(seat) => {
                        shared.metrics.accepted();
                        let relay = Arc::clone(relay);
                        let hello = limits.hello_timeout;
                        connections.spawn(async move {
                            connection::serve(&relay, client, peer, door, seat, hello).await;
                        });
                    }
                    Err(refused) => {
                        shared.metrics.refused(refused.into());
                        drop(client);
                    }
                }
            }
            Err(error) => {
                if told.is_due() {
                    tracing::warn!(%error, "accept failed");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
