//! When to stop: Ctrl-C and SIGTERM; when to read the configuration again: SIGHUP.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::failure::{Kind, OrFail, Outcome};

/// A token that is cancelled by the first SIGINT or SIGTERM; the second ends the process at once.
pub fn on_signal() -> Outcome<CancellationToken> {
    let mut interrupt =
        signal(SignalKind::interrupt()).or_fail(Kind::Failed, "can't listen for signals")?;
    let mut terminate =
        signal(SignalKind::terminate()).or_fail(Kind::Failed, "can't listen for signals")?;
    let token = CancellationToken::new();
    let cancel = token.clone();
    tokio::spawn(async move {
        for turn in 0.. {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            cancel.cancel();
            if turn > 0 {
                std::process::exit(i32::from(Kind::Interrupted.exit_code()));
            }
        }
    });
    Ok(token)
}

/// Tells of each SIGHUP, which from now on does not end the process.
pub fn on_hangup() -> Outcome<Signal> {
    signal(SignalKind::hangup()).or_fail(Kind::Failed, "can't listen for SIGHUP")
}
