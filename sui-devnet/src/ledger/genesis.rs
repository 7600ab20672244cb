//! Checkpoint 0: the framework's packages by name, the Clock, the contract and the faucet's coin.

use std::collections::BTreeMap;

use seal::ObjectId;
use serde::{Deserialize, Serialize};
use sui_ledger::contract::{Layout, MODULE};
use sui_ledger::ids::{address, to_sui};
use sui_sdk_types::{
    Address, Digest, GasPayment, GenesisObject, GenesisTransaction, Identifier, MovePackage,
    MoveStruct, Object, ObjectData, Owner, StructTag, Transaction, TransactionExpiration,
    TransactionKind,
};

use super::coin;
use super::types;
use crate::twin::{self, Context, Delays};

/// The version of everything that exists at genesis.
pub(super) const GENESIS_VERSION: u64 = 1;

/// What the faucet can give away: 9 billion SUI.
const FAUCET_SUPPLY: u64 = 9_000_000_000_000_000_000;

pub(super) const CLOCK: Address = Address::from_static("0x6");

/// All that a genesis depends on: the same config makes the same chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct GenesisConfig {
    /// When it was, ms since the epoch.
    pub timestamp_ms: u64,
    /// Who gets the `AdminCap` and the `SlashCap`.
    pub operator: Address,
    /// Who gets the coins that the faucet gives away.
    pub faucet: Address,
    /// The least time between two slashes of one seal.
    pub slash_interval_ms: u64,
    /// From a config's announcement to its effect.
    pub config_delay_ms: u64,
    /// From the request to the withdrawal.
    pub unbonding_ms: u64,
}

impl GenesisConfig {
    /// The waiting times in it.
    #[must_use]
    pub fn delays(&self) -> Delays {
        Delays {
            slash_interval_ms: self.slash_interval_ms,
            config_delay_ms: self.config_delay_ms,
            unbonding_ms: self.unbonding_ms,
        }
    }
}

/// Where the contract is: what a client has to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContractIds {
    /// The package; original and latest are the same here.
    pub package: ObjectId,
    /// The shared pool.
    pub pool: ObjectId,
    /// At which version it was shared.
    pub pool_initial_version: u64,
    /// The table from credential hash to record.
    pub seals: ObjectId,
    /// The table from node name to claim.
    pub nodes: ObjectId,
    /// The table from owner to hashes.
    pub owners: ObjectId,
    /// The operator's right to config, caps, names, pause and treasury.
    pub admin_cap: ObjectId,
    /// The operator's right to slash.
    pub slash_cap: ObjectId,
    /// The chain's id as `GetServiceInfo` has it: base58 of the genesis checkpoint's digest.
    pub chain: String,
    /// The chain's id as the header `x-sui-chain-id` has it: its first four bytes in hex.
    pub chain_id: String,
}

pub(super) struct Made {
    pub(super) transaction: Transaction,
    pub(super) digest: Digest,
    pub(super) objects: Vec<Object>,
    /// Its chain ids are filled in once the checkpoint has a digest.
    pub(super) ids: ContractIds,
    pub(super) faucet_coin: Address,
}

pub(super) fn make(config: &GenesisConfig) -> Made {
    // The genesis transaction holds the objects, so their ids can't come from its digest.
    let mut seed = sui_sdk_types::hash::Hasher::new();
    seed.update(b"k3s-daas devnet genesis");
    seed.update(config.timestamp_ms.to_le_bytes());
    seed.update(config.operator);
    seed.update(config.faucet);
    let mut context = Context {
        sender: address(config.operator),
        digest: seed.finalize(),
        ids_created: 0,
        now_ms: config.timestamp_ms,
    };
    let package = context.fresh_id();
    let genesis = twin::genesis(config.delays(), &mut context);
    let faucet_coin = to_sui(context.fresh_id().as_bytes());

    let operator = Owner::Address(config.operator);
    let shared = Owner::Shared(GENESIS_VERSION);
    let mut clock = CLOCK.into_inner().to_vec();
    clock.extend_from_slice(&config.timestamp_ms.to_le_bytes());
    let structs = [
        (types::clock(), false, clock, shared),
        (
            types::contract(&package, "Pool"),
            false,
            genesis.pool.encode(),
            shared,
        ),
        (
            types::contract(&package, "AdminCap"),
            true,
            genesis.admin.encode(),
            operator,
        ),
        (
            types::contract(&package, "SlashCap"),
            true,
            genesis.slasher.encode(),
            operator,
        ),
        (
            StructTag::gas_coin(),
            true,
            coin::contents(faucet_coin, FAUCET_SUPPLY),
            Owner::Address(config.faucet),
        ),
    ];
    let mut data: Vec<(ObjectData, Owner)> = [
        (Address::from_static("0x1"), None),
        (Address::from_static("0x2"), None),
        (to_sui(package.as_bytes()), Some(MODULE)),
    ]
    .into_iter()
    .map(|(id, module)| {
        (
            ObjectData::Package(package_of(id, module)),
            Owner::Immutable,
        )
    })
    .collect();
    data.extend(
        structs
            .into_iter()
            .filter_map(|(type_, public, contents, owner)| {
                let data = MoveStruct::new(type_, public, GENESIS_VERSION, contents)?;
                Some((ObjectData::Struct(data), owner))
            }),
    );

    let transaction = Transaction {
        kind: TransactionKind::Genesis(GenesisTransaction {
            objects: data
                .iter()
                .map(|(data, owner)| GenesisObject::new(data.clone(), *owner))
                .collect(),
        }),
        ..system_transaction()
    };
    let digest = transaction.digest();
    let objects = data
        .into_iter()
        .map(|(data, owner)| Object::new(data, owner, digest, 0))
        .collect();
    Made {
        transaction,
        digest,
        objects,
        faucet_coin,
        ids: ContractIds {
            package,
            pool: genesis.pool.id,
            pool_initial_version: GENESIS_VERSION,
            seals: genesis.pool.seals.id,
            nodes: genesis.pool.nodes.id,
            owners: genesis.pool.owners.id,
            admin_cap: genesis.admin.id,
            slash_cap: genesis.slasher.id,
            chain: String::new(),
            chain_id: String::new(),
        },
    }
}

/// A package without bytecode: calls are executed natively, the object only says where it is.
fn package_of(id: Address, module: Option<&'static str>) -> MovePackage {
    MovePackage {
        id,
        version: GENESIS_VERSION,
        modules: module
            .map(|module| (Identifier::from_static(module), Vec::new()))
            .into_iter()
            .collect(),
        type_origin_table: Vec::new(),
        linkage_table: BTreeMap::new(),
    }
}

/// The frame of a transaction that nobody signs or pays.
pub(super) fn system_transaction() -> Transaction {
    Transaction {
        kind: TransactionKind::Genesis(GenesisTransaction {
            objects: Vec::new(),
        }),
        sender: Address::ZERO,
        gas_payment: GasPayment {
            objects: vec![sui_sdk_types::ObjectReference::new(
                Address::ZERO,
                0,
                Digest::ZERO,
            )],
            owner: Address::ZERO,
            price: 1,
            budget: 0,
        },
        expiration: TransactionExpiration::None,
    }
}
