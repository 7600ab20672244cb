//! Publishing the Move package, and finding what the publication made.
//!
//! Shape: the artefact is what the Move build writes (and `sui move build
//!        --dump-bytecode-as-base64` prints): JSON with `modules`, base64 of the bytecode in the
//!        order of their dependencies, and `dependencies`, package ids.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use seal::{Address, ObjectId};
use serde::Deserialize;
use sui_sdk_types::{Address as SuiAddress, Identifier, StructTag};

use super::error::{PublishError, TxError};
use crate::chain_id::ChainId;
use crate::client::{Executed, LedgerClient, Owner};
use crate::ids::ContractType;
use crate::manifest::{CapIds, ContractIds};
use crate::publication::Made;

/// A package is at most 100 KiB on chain; base64 and JSON make it half as large again.
const MAX_ARTEFACT_BYTES: u64 = 1024 * 1024;

/// A compiled package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artefact {
    /// The modules' bytecode, dependencies first.
    pub modules: Vec<Vec<u8>>,
    /// The packages it uses.
    pub dependencies: Vec<ObjectId>,
}

impl Artefact {
    /// Reads the file of the Move build.
    pub fn load(path: &Path) -> Result<Self, PublishError> {
        let length = std::fs::metadata(path).map_err(PublishError::Read)?.len();
        if length > MAX_ARTEFACT_BYTES {
            return Err(PublishError::Artefact);
        }
        Self::parse(&std::fs::read_to_string(path).map_err(PublishError::Read)?)
    }

    /// Reads the file's text.
    pub fn parse(text: &str) -> Result<Self, PublishError> {
        #[derive(Deserialize)]
        struct File {
            modules: Vec<String>,
            dependencies: Vec<ObjectId>,
        }
        let file: File = serde_json::from_str(text).map_err(|_| PublishError::Artefact)?;
        let modules = file
            .modules
            .iter()
            .map(|module| STANDARD.decode(module))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| PublishError::Artefact)?;
        if modules.is_empty() || modules.iter().any(Vec::is_empty) {
            return Err(PublishError::Artefact);
        }
        Ok(Self {
            modules,
            dependencies: file.dependencies,
        })
    }
}

/// Reads what a publication made. The transaction must be visible.
pub(super) async fn find_contract(
    client: &LedgerClient,
    executed: &Executed,
    publisher: Address,
    endpoint: &str,
    chain_id: ChainId,
) -> Result<ContractIds, TxError> {
    let missing = |what| PublishError::Missing { what };
    let package = executed
        .created()
        .find(|created| created.package)
        .ok_or(missing("package"))?
        .id;
    let made = Made::read(client, executed, &package).await?;
    let owned = |tag: &StructTag| {
        made.of_type(tag)
            .filter(|object| object.owner == Owner::Address(publisher))
            .map(|object| object.id)
    };
    let caps = CapIds {
        admin: owned(&ContractType::AdminCap.tag(&package)),
        slash: owned(&ContractType::SlashCap.tag(&package)),
        upgrade: owned(&upgrade_cap()),
    };
    let ids = made.ids(package, endpoint, chain_id)?;
    if caps.admin.is_none() {
        return Err(missing("AdminCap").into());
    }
    if caps.slash.is_none() {
        return Err(missing("SlashCap").into());
    }
    Ok(ContractIds { caps, ..ids })
}

fn upgrade_cap() -> StructTag {
    StructTag::new(
        SuiAddress::TWO,
        const { Identifier::from_static("package") },
        const { Identifier::from_static("UpgradeCap") },
        Vec::new(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_build_writes_and_nothing_less() {
        let good = r#"{"compiler":"1.71.1","dependencies":["0x1","0x2"],"modules":["oRzr"]}"#;
        let artefact = Artefact::parse(good).unwrap();
        assert_eq!(artefact.modules, [vec![0xa1, 0x1c, 0xeb]]);
        assert_eq!(artefact.dependencies.len(), 2);
        for bad in [
            "",
            "{}",
            r#"{"dependencies":[],"modules":[]}"#,
            r#"{"dependencies":[],"modules":[""]}"#,
            r#"{"dependencies":[],"modules":["!"]}"#,
            r#"{"dependencies":["two"],"modules":["oRzr"]}"#,
        ] {
            assert!(matches!(Artefact::parse(bad), Err(PublishError::Artefact)));
        }
    }
}
