//! The one small file that says where the contract is: `contract.toml`.
//!
//! Shape:  TOML; `contract publish` and the embedded ledger write it, everything else reads it.
//!
//! ```text
//! endpoint = "https://fullnode.testnet.sui.io:443"
//! chain_id = "BC3xSQ5SPrNFFgzWatmABviNR3HGP6eMobc9zgjXNefG"
//! original_package = "0x…"   # as first published: types carry it
//! latest_package = "0x…"     # what is called; changes with upgrades
//! pool = "0x…"
//! pool_initial_version = 5
//! seals_table = "0x…"
//! nodes_table = "0x…"
//! owners_table = "0x…"
//!
//! [caps]                     # optional, for the operator's convenience; no secrets
//! admin = "0x…"
//! slash = "0x…"
//! upgrade = "0x…"
//! ```
//!
//! Errors: each names the file and the field; the operator is to blame.

use std::io::Write;
use std::path::{Path, PathBuf};

use seal::ObjectId;
use serde::{Deserialize, Serialize};

use crate::chain_id::ChainId;
use crate::frame::FrameDecoder;

/// A manifest is some 700 bytes; a longer file is something else.
const MAX_FILE_BYTES: u64 = 64 * 1024;

/// Where the contract is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContractIds {
    /// The full node's gRPC address, `http://` or `https://`.
    pub endpoint: String,
    /// The chain the ids belong to. A node of another chain is refused.
    pub chain_id: ChainId,
    /// The package as first published.
    pub original_package: ObjectId,
    /// The package that is called.
    pub latest_package: ObjectId,
    /// The one pool.
    pub pool: ObjectId,
    /// The version at which the pool became shared; every transaction names it.
    pub pool_initial_version: u64,
    /// The pool's table of records.
    pub seals_table: ObjectId,
    /// The pool's table of node names.
    pub nodes_table: ObjectId,
    /// The pool's table of owners.
    pub owners_table: ObjectId,
    /// The operator's capabilities as they were made at publication.
    #[serde(default, skip_serializing_if = "CapIds::is_empty")]
    pub caps: CapIds,
}

/// Ids of the operator's capabilities. They say nothing of who holds them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CapIds {
    /// `AdminCap`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admin: Option<ObjectId>,
    /// `SlashCap`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slash: Option<ObjectId>,
    /// `0x2::package::UpgradeCap`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upgrade: Option<ObjectId>,
}

impl CapIds {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Why a manifest can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// The file can't be read.
    #[error("contract file {path} can't be read")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// The file can't be written.
    #[error("contract file {path} can't be written")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// The file is far too long.
    #[error("contract file {path} has {found} bytes, more than {MAX_FILE_BYTES}")]
    TooLong {
        /// The file.
        path: PathBuf,
        /// Its size.
        found: u64,
    },
    /// The text is not the TOML described here; the source names line and field.
    #[error("contract file has a mistake")]
    Parse(#[source] Box<toml::de::Error>),
    /// The ids can't be written as TOML.
    #[error("contract ids can't be written as TOML")]
    Encode(#[source] toml::ser::Error),
    /// A field's value can't be right.
    #[error("contract file: `{field}` {problem}")]
    Field {
        /// The field's name in the file.
        field: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
}

impl ContractIds {
    /// Reads and checks a file.
    pub fn load(path: &Path) -> Result<Self, ManifestError> {
        let read = |source| ManifestError::Read {
            path: path.to_owned(),
            source,
        };
        let length = std::fs::metadata(path).map_err(read)?.len();
        if length > MAX_FILE_BYTES {
            return Err(ManifestError::TooLong {
                path: path.to_owned(),
                found: length,
            });
        }
        Self::parse(&std::fs::read_to_string(path).map_err(read)?)
    }

    /// Reads and checks a text.
    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        let ids: Self =
            toml::from_str(text).map_err(|error| ManifestError::Parse(Box::new(error)))?;
        ids.validate()?;
        Ok(ids)
    }

    /// The file's text.
    pub fn to_toml(&self) -> Result<String, ManifestError> {
        toml::to_string_pretty(self).map_err(ManifestError::Encode)
    }

    /// Writes the file whole or not at all: a reader never sees half of it.
    pub fn save(&self, path: &Path) -> Result<(), ManifestError> {
        self.validate()?;
        let text = self.to_toml()?;
        let write = |source| ManifestError::Write {
            path: path.to_owned(),
            source,
        };
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{}.tmp", std::process::id()));
        let draft = PathBuf::from(name);
        let written = std::fs::File::create(&draft)
            .and_then(|mut file| {
                file.write_all(text.as_bytes())?;
                file.sync_all()
            })
            .and_then(|()| std::fs::rename(&draft, path));
        if written.is_err() {
            // Nobody needs the half; that it may be left behind is no second error.
            let _ = std::fs::remove_file(&draft);
        }
        written.map_err(write)
    }

    /// Checks what TOML alone can't.
    pub fn validate(&self) -> Result<(), ManifestError> {
        let wrong = |field, problem| Err(ManifestError::Field { field, problem });
        match self.endpoint.parse::<tonic::transport::Uri>() {
            Ok(uri) if matches!(uri.scheme_str(), Some("http" | "https")) => {}
            _ => return wrong("endpoint", "is no http:// or https:// address"),
        }
        let zero = ObjectId::from_bytes([0; 32]);
        let ids = self.named_ids();
        for (field, id) in ids {
            if id == zero {
                return wrong(field, "is 0x0");
            }
        }
        // A copied line would make every look-up answer "absent".
        for (at, (field, id)) in ids.iter().enumerate().skip(2) {
            if ids.iter().take(at).any(|(_, other)| other == id) {
                return wrong(field, "repeats the id of another field");
            }
        }
        if self.pool_initial_version == 0 {
            return wrong("pool_initial_version", "is 0");
        }
        Ok(())
    }

    /// Original and latest package first: these two may be equal.
    fn named_ids(&self) -> [(&'static str, ObjectId); 6] {
        [
            ("original_package", self.original_package),
            ("latest_package", self.latest_package),
            ("pool", self.pool),
            ("seals_table", self.seals_table),
            ("nodes_table", self.nodes_table),
            ("owners_table", self.owners_table),
        ]
    }

    /// A decoder for this pool's events.
    #[must_use]
    pub fn frame_decoder(&self) -> FrameDecoder {
        FrameDecoder::new(&self.original_package, self.pool)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids() -> ContractIds {
        let id = |byte| ObjectId::from_bytes([byte; 32]);
        ContractIds {
            endpoint: "http://127.0.0.1:9000".to_owned(),
            chain_id: ChainId::from_bytes([9; 32]),
            original_package: id(1),
            latest_package: id(1),
            pool: id(3),
            pool_initial_version: 5,
            seals_table: id(4),
            nodes_table: id(5),
            owners_table: id(6),
            caps: CapIds {
                admin: Some(id(7)),
                ..CapIds::default()
            },
        }
    }

    #[test]
    fn a_saved_file_loads_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("contract.toml");
        for caps in [ids().caps, CapIds::default()] {
            let ids = ContractIds { caps, ..ids() };
            ids.save(&path).unwrap();
            assert_eq!(ContractIds::load(&path).unwrap(), ids);
        }
        let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(left.len(), 1, "no draft is left behind");
    }

    #[test]
    fn each_wrong_field_is_named() {
        type Spoil = fn(&mut ContractIds);
        let cases: [(&str, Spoil); 8] = [
            ("endpoint", |ids| ids.endpoint = "127.0.0.1:9000".to_owned()),
            ("endpoint", |ids| ids.endpoint = "ftp://node".to_owned()),
            ("original_package", |ids| {
                ids.original_package = ObjectId::from_bytes([0; 32]);
            }),
            ("pool", |ids| ids.pool = ids.original_package),
            ("pool_initial_version", |ids| ids.pool_initial_version = 0),
            ("seals_table", |ids| ids.seals_table = ids.pool),
            ("nodes_table", |ids| ids.nodes_table = ids.seals_table),
            ("owners_table", |ids| ids.owners_table = ids.nodes_table),
        ];
        for (name, spoil) in cases {
            let mut ids = ids();
            spoil(&mut ids);
            let error = ContractIds::parse(&ids.to_toml().unwrap()).unwrap_err();
            assert!(
                matches!(error, ManifestError::Field { field, .. } if field == name),
                "{name}: {error}"
            );
            let folder = tempfile::tempdir().unwrap();
            assert!(ids.save(&folder.path().join("contract.toml")).is_err());
        }
    }

    #[test]
    fn missing_and_misspelt_fields_are_named_by_the_parser() {
        let text = ids().to_toml().unwrap();
        for (text, name) in [
            (
                text.replace("pool_initial_version", "pool_version"),
                "pool_version",
            ),
            (
                text.lines()
                    .filter(|line| !line.starts_with("chain_id"))
                    .collect::<Vec<_>>()
                    .join("\n"),
                "chain_id",
            ),
        ] {
            let ManifestError::Parse(error) = ContractIds::parse(&text).unwrap_err() else {
                panic!("another error");
            };
            assert!(error.to_string().contains(name), "{error}");
        }
    }
}
