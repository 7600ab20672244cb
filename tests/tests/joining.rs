//! Nodes that join by stake, at a real API server: from the review of the supervisor to the Node,
//! and through every end of a seal. The kubelets are certificates without machines; what a stock
//! agent makes of it is `joining_k3s`.

mod joining {
    pub mod certificates;
    pub mod drains;
    pub mod ends;
    pub mod names;
}

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use k3s_daas_tests::e2e::{Cluster, skipped};

/// Every 20 ms a checkpoint: what is tried here is the way, not the chain.
const INTERVAL: Duration = Duration::from_millis(20);
/// What a whole test may take on a busy machine; most of it waits for a minute of the contract's.
const ALL_WITHIN: Duration = Duration::from_mins(8);

/// A cluster with a namespace for pods; nothing where there is no control plane.
async fn cluster(test: &str, settings: &[(&str, &str)]) -> anyhow::Result<Option<Cluster>> {
    let Some(cluster) = Cluster::start(INTERVAL, settings).await? else {
        skipped(
            test,
            "no control plane: set K3S_BIN or run `make control-plane`",
        );
        return Ok(None);
    };
    cluster.machines().await?;
    Ok(Some(cluster))
}

/// An address that no other node of this process has (RFC 2544, for benchmarks).
fn address() -> Ipv4Addr {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    Ipv4Addr::from_bits(0xC612_0000 + NEXT.fetch_add(1, Ordering::Relaxed))
}

async fn passes(test: impl Future<Output = anyhow::Result<()>>) {
    let passed = tokio::time::timeout(ALL_WITHIN, test).await;
    if let Err(failure) = passed.unwrap_or_else(|_| Err(anyhow::anyhow!("took too long"))) {
        panic!("{failure:#}");
    }
}
