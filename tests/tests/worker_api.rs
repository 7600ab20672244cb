//! The worker's REST API, end to end: the built program with a key of its own, the embedded ledger,
//! and, where machines join, a real API server with the built program as its server. No containerd
//! is needed: the worker observes, and finds none.

mod worker_api {
    mod joins;
    mod kills;
    mod machine;
    mod orders;
}

use std::time::Duration;

/// What a whole test may take on a busy machine.
const ALL_WITHIN: Duration = Duration::from_mins(8);

async fn passes(test: impl Future<Output = anyhow::Result<()>>) {
    let passed = tokio::time::timeout(ALL_WITHIN, test).await;
    if let Err(failure) = passed.unwrap_or_else(|_| Err(anyhow::anyhow!("took too long"))) {
        panic!("{failure:#}");
    }
}
