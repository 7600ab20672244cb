//! The `sui` command line's own configuration, `client.yaml`.

use std::path::{Path, PathBuf};

use seal::Address;

use super::{KeystoreError, read_bounded};

/// What the `sui` command line's `client.yaml` says of the wallet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientConfig {
    /// The keystore it uses.
    pub keystore: PathBuf,
    /// The address it acts for.
    pub active_address: Address,
}

impl ClientConfig {
    /// Reads the two fields that concern us; everything else in the file is ignored.
    pub fn load(path: &Path) -> Result<Self, KeystoreError> {
        #[derive(serde::Deserialize)]
        struct File {
            keystore: Option<Store>,
            active_address: Option<String>,
        }
        #[derive(serde::Deserialize)]
        struct Store {
            #[serde(rename = "File")]
            file: Option<PathBuf>,
        }
        let missing = |field| KeystoreError::ClientConfig {
            path: path.to_owned(),
            field,
        };
        let text = read_bounded(path)?;
        let file: File = serde_yaml_ng::from_str(&text).map_err(|_| missing("keystore"))?;
        Ok(Self {
            keystore: file
                .keystore
                .and_then(|store| store.file)
                .ok_or_else(|| missing("keystore.File"))?,
            active_address: file
                .active_address
                .and_then(|text| text.parse().ok())
                .ok_or_else(|| missing("active_address"))?,
        })
    }
}
