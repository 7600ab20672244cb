//! The contract, found by its package alone.

#![allow(
    clippy::unwrap_used,
    reason = "a test panics when something is not as it should be"
)]

use prometheus_client::registry::Registry;
use sui_devnet::{Devnet, DevnetConfig, RunningDevnet};
use sui_ledger::client::{ClientSettings, LedgerClient};
use sui_ledger::manifest::{CapIds, ContractIds};
use sui_ledger::metrics::LedgerMetrics;
use sui_ledger::publication::locate;
use sui_ledger::tx::{PublishError, TxError};

fn client(devnet: &RunningDevnet) -> LedgerClient {
    let metrics = LedgerMetrics::register(&mut Registry::default());
    LedgerClient::new(&devnet.rpc_url, ClientSettings::default(), metrics).unwrap()
}

#[tokio::test]
async fn a_package_leads_to_its_pool_and_tables() {
    let devnet = Devnet::start(DevnetConfig::for_tests()).await.unwrap();
    let wanted = ContractIds {
        caps: CapIds::default(),
        ..devnet.ids.clone()
    };
    let found = locate(
        &client(&devnet),
        &devnet.ids.original_package,
        &devnet.ids.endpoint,
    )
    .await
    .unwrap();
    assert_eq!(found, wanted);
    devnet.shutdown().await;
}

#[tokio::test]
async fn what_is_no_package_of_ours_is_told_apart() {
    let devnet = Devnet::start(DevnetConfig::for_tests()).await.unwrap();
    let client = client(&devnet);
    let look = async |id| {
        locate(&client, &id, &devnet.ids.endpoint)
            .await
            .unwrap_err()
    };
    let nothing = look(seal::ObjectId::from_bytes([7; 32])).await;
    assert!(
        matches!(
            nothing,
            TxError::Publish(PublishError::NoPackage {
                found: "nothing",
                ..
            })
        ),
        "{nothing:?}"
    );
    let pool = look(devnet.ids.pool).await;
    assert!(
        matches!(pool, TxError::Publish(PublishError::NoPackage { .. })),
        "{pool:?}"
    );
    // The framework: a package, and none that staked anything.
    let mut framework = [0; 32];
    framework[31] = 2;
    let framework = look(seal::ObjectId::from_bytes(framework)).await;
    assert!(
        matches!(
            framework,
            TxError::Publish(PublishError::Missing { what: "Pool" })
        ),
        "{framework:?}"
    );
    devnet.shutdown().await;
}
