//! What goes wrong with every client is said now and then, not with every client.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Between two lines.
const PAUSE: Duration = Duration::from_secs(5);

/// When something was last said.
#[derive(Debug, Default)]
pub(super) struct Told(Mutex<Option<Instant>>);

impl Told {
    /// Whether it is to be said again; then it counts as said.
    pub(super) fn is_due(&self) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let due = last.is_none_or(|at| now.duration_since(at) >= PAUSE);
        if due {
            *last = Some(now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn once_in_a_while() {
        let told = Told::default();
        assert!(told.is_due() && !told.is_due());
        tokio::time::advance(PAUSE).await;
        assert!(told.is_due() && !told.is_due());
    }
}
