//! The four demo tenants, one for each tier: a wallet from the faucet, a stake, a token, a
//! kubeconfig. What is there from an earlier run is used again.

use std::path::{Path, PathBuf};

use seal::{Address, CredentialHash, Mist, Thresholds, Tier, identity};
use serde::Serialize;
use sui_ledger::keystore::{self, Keystore, WalletKey};

use super::Layout;
use crate::chain::{Chain, faucet};
use crate::commands::stake::{self, Order, TokenPlace, read_token};
use crate::failure::{Failure, Kind, OrFail, Outcome};
use crate::kubeconfig::{Cluster, Credential};
use crate::seals::{Seals, now};
use crate::secrets::make_private_folder;

/// A stake of each tier, with something for gas and for the tour's restake.
const FUNDS: Mist = Mist(20 * Mist::PER_SUI);

/// A demo tenant.
#[derive(Debug, Clone, Serialize)]
pub struct Tenant {
    /// Its name: that of its tier at the start.
    pub name: String,
    /// Its tier at the start.
    pub tier: Tier,
    /// Its wallet's address.
    pub address: Address,
    /// Its first namespace.
    pub namespace: String,
    /// Its token's file.
    pub token_file: PathBuf,
    /// Its kubeconfig.
    pub kubeconfig: PathBuf,
}

impl Tenant {
    /// The hash of the token that its file holds now.
    pub fn hash(&self) -> Outcome<CredentialHash> {
        Ok(read_token(&self.token_file)?.credential_hash())
    }
}

/// The stake of a demo tenant.
pub fn stake_of(tier: Tier) -> Mist {
    let thresholds = Thresholds::default();
    match tier {
        Tier::Viewer => thresholds.viewer,
        Tier::Developer => thresholds.developer,
        Tier::Admin => thresholds.admin,
        Tier::Super => thresholds.super_,
    }
}

/// A wallet of the state folder: read, or made.
pub fn wallet(path: &Path) -> Outcome<WalletKey> {
    let doing = || format!("can't use the wallet {}", path.display());
    if !path.exists() {
        if let Some(folder) = path.parent() {
            make_private_folder(folder).or_fail(Kind::Failed, doing())?;
        }
        let key = WalletKey::generate().or_fail(Kind::Failed, doing())?;
        keystore::create(path, &key).or_fail(Kind::Failed, doing())?;
    }
    let keystore = Keystore::load(path).or_fail(Kind::Failed, doing())?;
    keystore.only_key().cloned().or_fail(Kind::Failed, doing())
}

/// Gives a tier's tenant a wallet, a stake and a token, unless it has them.
pub async fn prepare(
    layout: &Layout,
    chain: &Chain,
    faucet_url: &str,
    tier: Tier,
) -> Outcome<Tenant> {
    let name = tier.label().to_owned();
    let folder = layout.tenant(tier);
    let key = wallet(&folder.join("wallet.keystore"))?;
    let address = key.address();
    let chain = chain.with_wallet(key);
    let seals = Seals::new(&folder);
    let token_file = folder.join(format!("{name}.token"));
    let tenant = Tenant {
        namespace: identity::home_namespace(&address),
        kubeconfig: layout.kubeconfig(tier),
        name,
        tier,
        address,
        token_file,
    };
    if usable(&chain, &tenant).await? {
        return Ok(tenant);
    }
    // Slashed, expired or of a ledger that is gone: the token is of no more use.
    remove(&tenant.token_file)?;
    for (_, pending) in seals.pending()? {
        seals.forget_pending(&pending.hash)?;
    }
    faucet::fund(faucet_url, &address, FUNDS, &chain).await?;
    let order = Order {
        amount: stake_of(tier),
        node_id: None,
        namespace: None,
        validity_ms: 0,
    };
    let place = TokenPlace {
        token_file: Some(tenant.token_file.clone()),
        ..TokenPlace::default()
    };
    let minted = stake::mint(&chain, &seals, &order, &place).await?;
    seals.settle(&minted.token, &minted.pending)?;
    Ok(tenant)
}

/// Whether the tenant's token still has its tier.
async fn usable(chain: &Chain, tenant: &Tenant) -> Outcome<bool> {
    if !tenant.token_file.exists() {
        return Ok(false);
    }
    let record = chain.record(&tenant.hash()?).await?;
    let thresholds = chain.pool().await?.thresholds;
    Ok(record.is_some_and(|record| {
        record.owner == tenant.address && record.usable(now(), &thresholds) == Ok(tenant.tier)
    }))
}

/// Removes a file that may not be there.
pub(super) fn remove(path: &Path) -> Outcome {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Failure::new(Kind::Failed, error)
                .context(format!("can't remove {}", path.display())))
        }
        _ => Ok(()),
    }
}

/// Writes the tenant's kubeconfig; it names the token's file, so a refresh needs no new one.
pub fn write_kubeconfig(tenant: &Tenant, cluster: &Cluster) -> Outcome {
    let token_file = std::path::absolute(&tenant.token_file)?;
    let namespace = match tenant.tier {
        Tier::Viewer => "default",
        Tier::Developer | Tier::Admin | Tier::Super => &tenant.namespace,
    };
    crate::kubeconfig::write(
        &tenant.kubeconfig,
        cluster,
        &Credential::File(&token_file),
        namespace,
    )
}

/// Two commands worth trying.
pub fn commands_to_try(tenant: &Tenant) -> [String; 2] {
    let own = &tenant.namespace;
    match tenant.tier {
        Tier::Viewer => ["get namespaces".into(), "auth whoami".into()],
        Tier::Developer => [
            format!("create configmap settings --from-literal=a=b -n {own}"),
            "get secrets -n kube-system".into(),
        ],
        Tier::Admin => ["create namespace team".into(), "get pods -A".into()],
        Tier::Super => [
            "get secrets -n kube-system".into(),
            "get clusterrolebindings".into(),
        ],
    }
}
