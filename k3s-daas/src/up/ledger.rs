//! The embedded ledger with what belongs to it in the state folder: contract file and operator's
//! wallet.

use std::time::Duration;

use seal::Mist;
use sui_devnet::{Devnet, DevnetConfig, RunningDevnet};
use sui_ledger::keystore::{self, WalletKey};
use sui_ledger::manifest::ContractIds;

use super::{Layout, tenants};
use crate::chain::{Chain, faucet};
use crate::config::keys;
use crate::failure::{Kind, OrFail, Outcome};

/// Gas for many slashes.
const OPERATOR_FUNDS: Mist = Mist(20 * Mist::PER_SUI);

/// The running ledger.
#[derive(Debug)]
pub struct Ledger {
    /// Where the contract is.
    pub ids: ContractIds,
    /// The faucet's address.
    pub faucet: String,
    devnet: RunningDevnet,
}

/// Takes up the ledger of the state folder, or makes a new one.
pub async fn start(layout: &Layout, config: &keys::DevnetConfig) -> Outcome<Ledger> {
    let devnet = Devnet::start(DevnetConfig {
        listen: config.devnet_listen,
        faucet_listen: config.faucet_listen,
        data_dir: Some(layout.devnet()),
        checkpoint_interval: Duration::from_millis(config.checkpoint_interval_ms),
        ..DevnetConfig::default()
    })
    .await
    .or_fail(Kind::Failed, "the embedded ledger did not start")
    .map_err(|failure| {
        failure.next("see devnet_listen and faucet_listen, or another --state-dir")
    })?;
    keep_operator(layout, &devnet.operator)?;
    devnet
        .ids
        .save(&layout.contract())
        .or_fail(Kind::Failed, "the contract's ids can't be kept")?;
    let chain = Chain::open_at(&layout.contract())?;
    let operator = devnet.operator.address();
    faucet::fund(&devnet.faucet_url, &operator, OPERATOR_FUNDS, &chain).await?;
    Ok(Ledger {
        ids: devnet.ids.clone(),
        faucet: devnet.faucet_url.clone(),
        devnet,
    })
}

/// The operator's key as a wallet that the other commands can use. A new ledger has a new operator.
fn keep_operator(layout: &Layout, key: &WalletKey) -> Outcome {
    let path = layout.operator_wallet();
    if path.exists() {
        if tenants::wallet(&path)?.address() == key.address() {
            return Ok(());
        }
        std::fs::remove_file(&path)?;
    }
    keystore::create(&path, key).or_fail(Kind::Failed, "the operator's wallet can't be kept")
}

impl Ledger {
    /// Ends it; what was executed is on the disk.
    pub async fn stop(self) {
        self.devnet.shutdown().await;
    }
}
