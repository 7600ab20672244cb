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
use crate::client::{Executed, LedgerClient, MAX_BATCH, Object, Owner};
use crate::contract::decode_pool;
use crate::ids::ContractType;
use crate::manifest::{CapIds, ContractIds};

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
    let others: Vec<ObjectId> = executed
        .created()
        .filter(|created| !created.package)
        .map(|created| created.id)
        .collect();
    let mut objects = Vec::new();
    for batch in others.chunks(MAX_BATCH) {
        let reads = client.read_objects(batch).await?.value;
        objects.extend(reads.iter().filter_map(|read| read.found()).cloned());
    }
    let of_type = |tag: &StructTag| objects.iter().find(|object| is_type(object, tag));
    let owned = |tag: &StructTag| {
        of_type(tag)
            .filter(|object| object.owner == Owner::Address(publisher))
            .map(|object| object.id)
    };
    let pool = of_type(&ContractType::Pool.tag(&package)).ok_or(missing("Pool"))?;
    let Owner::Shared { initial_version } = pool.owner else {
        return Err(missing("shared Pool").into());
    };
    let state = decode_pool(&pool.contents)?;
    let ids = ContractIds {
        endpoint: endpoint.to_owned(),
        chain_id,
        original_package: package,
        latest_package: package,
        pool: pool.id,
        pool_initial_version: initial_version,
        seals_table: state.seals.id,
        nodes_table: state.nodes.id,
        owners_table: state.owners.id,
        caps: CapIds {
            admin: owned(&ContractType::AdminCap.tag(&package)),
            slash: owned(&ContractType::SlashCap.tag(&package)),
            upgrade: owned(&upgrade_cap()),
        },
    };
    if ids.caps.admin.is_none() {
        return Err(missing("AdminCap").into());
    }
    if ids.caps.slash.is_none() {
        return Err(missing("SlashCap").into());
    }
    Ok(ids)
}

fn is_type(object: &Object, tag: &StructTag) -> bool {
    object
        .object_type
        .parse::<StructTag>()
        .is_ok_and(|found| found == *tag)
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
