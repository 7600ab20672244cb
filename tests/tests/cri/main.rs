//! The shim in front of a real containerd: every method as without it, and what happens when one of
//! the two dies.

mod alike;
mod deaths;
mod guarded;
mod pull;

use std::time::Duration;

use k3s_daas_tests::cri::{Containerd, Shim};

/// A containerd with a running shim in front of it; nothing where that can't be.
pub async fn both(test: &str) -> anyhow::Result<Option<(Containerd, Shim)>> {
    let Some(containerd) = Containerd::start(test).await? else {
        return Ok(None);
    };
    let mut shim = Shim::hold(&containerd.path("shim"), &containerd.socket())?;
    if !shim.start()? {
        return Ok(None);
    }
    shim.answers().await?;
    Ok(Some((containerd, shim)))
}

/// The pause between two looks.
pub const LOOK: Duration = Duration::from_millis(100);
