//! Where things lie in the state folder.

use std::fs::File;
use std::path::{Path, PathBuf};

use seal::Tier;

use crate::failure::{Failure, Kind, OrFail, Outcome};
use crate::secrets::make_private_folder;

/// The state folder of `up` and `devnet`.
#[derive(Debug, Clone)]
pub struct Layout(PathBuf);

impl Layout {
    /// The state folder, made if missing.
    pub fn new(folder: &Path) -> Outcome<Self> {
        let folder = std::path::absolute(folder)?;
        let doing = format!("can't make the state folder {}", folder.display());
        make_private_folder(&folder).or_fail(Kind::Usage, doing)?;
        Ok(Self(folder))
    }

    /// Whether the control plane's sockets fit below the folder, or below one in it whose name has
    /// `deeper` bytes. Linux allows 107 bytes for a socket's path.
    pub fn fits_sockets(&self, deeper: usize) -> bool {
        const LONGEST: usize = 107;
        const BELOW: &str = "/control-plane/etcd/client.sock.lock";
        self.0.as_os_str().len() + 1 + deeper + BELOW.len() <= LONGEST
    }

    /// The folder itself.
    pub fn folder(&self) -> &Path {
        &self.0
    }

    /// Holds the folder for this process; it is free again when the file is dropped.
    pub fn lock(&self) -> Outcome<File> {
        let path = self.0.join("lock");
        let doing = || format!("can't use the state folder {}", self.0.display());
        let file = File::create(&path).or_fail(Kind::Failed, doing())?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(std::fs::TryLockError::WouldBlock) => Err(Failure::message(
                Kind::Failed,
                format!("another process uses the state folder {}", self.0.display()),
            )
            .next("end it, or give another --state-dir")),
            Err(std::fs::TryLockError::Error(error)) => {
                Err(Failure::new(Kind::Failed, error).context(doing()))
            }
        }
    }

    /// The contract's ids.
    pub fn contract(&self) -> PathBuf {
        self.0.join("contract.toml")
    }

    /// The chain of the embedded ledger.
    pub fn devnet(&self) -> PathBuf {
        self.0.join("devnet")
    }

    /// The operator's wallet: publisher of the contract, holder of its caps.
    pub fn operator_wallet(&self) -> PathBuf {
        self.0.join("operator.keystore")
    }

    /// The files of a demo tenant.
    pub fn tenant(&self, tier: Tier) -> PathBuf {
        self.0.join("tenants").join(tier.label())
    }

    /// The wallet of the workers' operator.
    pub fn workers_wallet(&self) -> PathBuf {
        self.0.join("workers").join("operator.keystore")
    }

    /// The files of a worker.
    pub fn worker(&self, name: &str) -> PathBuf {
        self.0.join("workers").join(name)
    }

    /// A demo tenant's kubeconfig.
    pub fn kubeconfig(&self, tier: Tier) -> PathBuf {
        self.0
            .join("kubeconfigs")
            .join(format!("{tier}.kubeconfig"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_has_the_folder_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path()).unwrap();
        let lock = layout.lock().unwrap();
        assert!(layout.lock().is_err());
        drop(lock);
        assert!(layout.lock().is_ok());
    }
}
