//! The thread on which everything of the relay happens.

use std::net::TcpListener;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::accept::{Relay, accept};
use crate::error::GateError;
use crate::gate::Gate;
use crate::settings::Door;
use crate::table::Cause;

/// How long connections may take to end by themselves. Short: tunnels and watches never do.
const DRAIN: Duration = Duration::from_secs(2);

/// Says that the doors are open for as long as the thread lives, however it ends.
struct Open(Gate);

impl Open {
    fn new(gate: &Gate) -> Self {
        gate.shared.is_open.store(true, Ordering::Relaxed);
        Self(gate.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.shared.is_open.store(false, Ordering::Relaxed);
        if std::thread::panicking() {
            tracing::error!(
                "the gate is gone by a bug: nobody gets in until the server is restarted"
            );
        }
    }
}

/// A running relay; dropping it ends it at once.
#[derive(Debug)]
pub(super) struct Thread {
    /// Everything ends now.
    kill: CancellationToken,
    done: Option<oneshot::Receiver<()>>,
    handle: Option<JoinHandle<()>>,
}

impl Thread {
    pub(super) fn start(
        gate: Gate,
        listeners: Vec<(Door, TcpListener)>,
        closing: CancellationToken,
    ) -> Result<Self, GateError> {
        let kill = CancellationToken::new();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(GateError::Thread)?;
        let listeners = {
            let _inside = runtime.enter();
            listeners
                .into_iter()
                .map(|(door, listener)| Ok((door, tokio::net::TcpListener::from_std(listener)?)))
                .collect::<std::io::Result<Vec<_>>>()
                .map_err(GateError::Thread)?
        };
        let (tell, done) = oneshot::channel();
        let killed = kill.clone();
        let work = move || {
            let _open = Open::new(&gate);
            runtime.block_on(async {
                tokio::select! {
                    () = killed.cancelled() => {}
                    () = run(gate, listeners, closing) => {}
                }
            });
            // All that is left is dropped, and with it closed.
            drop(runtime);
            // Nobody may wait for it.
            let _ = tell.send(());
        };
        let handle = std::thread::Builder::new()
            .name("gate".to_owned())
            .spawn(work)
            .map_err(GateError::Thread)?;
        Ok(Self {
            kill,
            done: Some(done),
            handle: Some(handle),
        })
    }

    /// Waits until it has ended.
    pub(super) async fn ended(&mut self) {
        if let Some(done) = self.done.take() {
            // An error says that it is gone too.
            let _ = done.await;
        }
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.kill.cancel();
        if let Some(handle) = self.handle.take() {
            // It sees the token with its next turn; a panic in it was told already.
            let _ = handle.join();
        }
    }
}

async fn run(
    gate: Gate,
    listeners: Vec<(Door, tokio::net::TcpListener)>,
    closing: CancellationToken,
) {
    let relay = Relay::new(gate);
    let connections = TaskTracker::new();
    let doors = listeners
        .into_iter()
        .map(|(door, listener)| accept(&relay, door, listener, &connections));
    let doors = futures::future::join_all(doors);
    // With the doors the listeners are dropped: from here on newcomers are refused by the kernel.
    tokio::select! {
        () = closing.cancelled() => {}
        _ = doors => {}
    }
    connections.close();
    if tokio::time::timeout(DRAIN, connections.wait())
        .await
        .is_ok()
    {
        return;
    }
    relay.closed.cancel();
    let cut = relay.gate.shared.table.end_all(Cause::Shutdown);
    tracing::info!(
        connections = cut,
        "connections were cut off as the gate closed"
    );
    // None of them waits for anything else; should one, it ends with the runtime.
    let _ = tokio::time::timeout(DRAIN, connections.wait()).await;
}
