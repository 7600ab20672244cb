//! Transactions put together offline, every input explicit.

use seal::Mist;
use serde::Serialize;
use sui_sdk_types::{Address as SuiAddress, Identifier, ObjectReference, Transaction};
use sui_transaction_builder::{Argument, Function, ObjectInput, TransactionBuilder};

use super::call::Call;
use super::error::TxError;
use super::publish::Artefact;
use crate::contract::MODULE;
use crate::ids::{CLOCK, to_sui};
use crate::manifest::ContractIds;

/// The version at which the Clock became shared: genesis.
const CLOCK_INITIAL_VERSION: u64 = 1;

/// What pays for a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gas {
    /// The one coin that pays, and that stakes are split from.
    pub coin: ObjectReference,
    /// Coins merged into it first, when it alone is worth too little.
    pub merge: Vec<ObjectReference>,
    /// MIST for a unit of gas.
    pub price: u64,
    /// The most the transaction may cost.
    pub budget: Mist,
}

/// Builds a call of the contract. `owned` is the current version of [`Call::owned_object`].
pub fn build_call(
    ids: &ContractIds,
    sender: SuiAddress,
    call: &Call,
    owned: Option<&ObjectReference>,
    gas: &Gas,
) -> Result<Transaction, TxError> {
    let mut builder = Builder::new(sender, gas);
    let pool = builder.object(ObjectInput::shared(
        to_sui(ids.pool.as_bytes()),
        ids.pool_initial_version,
        true,
    ));
    let mut arguments = vec![pool];
    if let Some(id) = call.owned_object() {
        let reference = owned
            .filter(|reference| *reference.object_id() == to_sui(id.as_bytes()))
            .ok_or(TxError::MissingObject { object: id })?;
        arguments.push(builder.object(owned_input(reference)));
    }
    builder.arguments(call, &mut arguments);
    builder.0.move_call(
        Function::new(
            to_sui(ids.latest_package.as_bytes()),
            const { Identifier::from_static(MODULE) },
            Identifier::from_static(call.function()),
        ),
        arguments,
    );
    builder.finish()
}

/// Builds the publication of a package; the `UpgradeCap` goes to the sender.
pub fn build_publish(
    sender: SuiAddress,
    artefact: &Artefact,
    gas: &Gas,
) -> Result<Transaction, TxError> {
    let mut builder = Builder::new(sender, gas);
    let cap = builder.0.publish(
        artefact.modules.clone(),
        artefact
            .dependencies
            .iter()
            .map(|id| to_sui(id.as_bytes()))
            .collect(),
    );
    let recipient = builder.0.pure(&sender);
    builder.0.transfer_objects(vec![cap], recipient);
    builder.finish()
}

struct Builder(TransactionBuilder);

impl Builder {
    fn new(sender: SuiAddress, gas: &Gas) -> Self {
        let mut builder = TransactionBuilder::new();
        builder.set_sender(sender);
        builder.set_gas_price(gas.price);
        builder.set_gas_budget(gas.budget.0);
        builder.add_gas_objects([owned_input(&gas.coin)]);
        if !gas.merge.is_empty() {
            let coin = builder.gas();
            let merged = gas
                .merge
                .iter()
                .map(|reference| builder.object(owned_input(reference)))
                .collect();
            builder.merge_coins(coin, merged);
        }
        Self(builder)
    }

    fn finish(self) -> Result<Transaction, TxError> {
        self.0.try_build().map_err(TxError::Build)
    }

    fn object(&mut self, input: ObjectInput) -> Argument {
        self.0.object(input)
    }

    fn pure<T: Serialize>(&mut self, value: &T) -> Argument {
        self.0.pure(value)
    }

    fn clock(&mut self) -> Argument {
        self.object(ObjectInput::shared(CLOCK, CLOCK_INITIAL_VERSION, false))
    }

    /// Splits an amount off the gas coin.
    fn split(&mut self, amount: Mist) -> Vec<Argument> {
        let gas = self.0.gas();
        let amount = self.pure(&amount.0);
        self.0.split_coins(gas, vec![amount])
    }

    /// The arguments after the pool and the owned object, in the order of the Move function.
    fn arguments(&mut self, call: &Call, to: &mut Vec<Argument>) {
        match call {
            Call::Stake {
                amount,
                hash,
                node,
                namespace,
                validity_ms,
            } => {
                to.extend(self.split(*amount));
                to.push(self.pure(&hash.as_bytes().as_slice()));
                to.push(self.pure(&node.as_ref().map(ToString::to_string)));
                to.push(self.pure(namespace));
                to.push(self.pure(validity_ms));
                to.push(self.clock());
            }
            Call::Restake { amount, .. } => {
                to.extend(self.split(*amount));
                to.push(self.clock());
            }
            Call::Refresh {
                new_hash,
                validity_ms,
                ..
            } => {
                to.push(self.pure(&new_hash.as_bytes().as_slice()));
                to.push(self.pure(validity_ms));
                to.push(self.clock());
            }
            Call::RequestUnstake { .. } | Call::Withdraw { .. } | Call::ApplyConfig { .. } => {
                to.push(self.clock());
            }
            Call::Slash { hash, reason, .. } | Call::Revoke { hash, reason, .. } => {
                to.push(self.pure(&hash.as_bytes().as_slice()));
                to.push(self.pure(reason));
                to.push(self.clock());
            }
            Call::AnnounceConfig { config, .. } => {
                for value in [
                    config.viewer,
                    config.developer,
                    config.admin,
                    config.super_,
                    config.slash_pct,
                    config.slash_interval_ms,
                    config.config_delay_ms,
                    config.unbonding_ms,
                    config.validity_min_ms,
                    config.validity_max_ms,
                    config.validity_default_ms,
                ] {
                    to.push(self.pure(&value));
                }
                to.push(self.clock());
            }
            Call::AddSlashCap { holder, .. } => to.push(self.pure(holder.as_bytes())),
            Call::RemoveSlashCap { removed, .. } => to.push(self.pure(removed.as_bytes())),
            Call::ReserveName { name, .. }
            | Call::UnreserveName { name, .. }
            | Call::VoidClaim { name, .. } => to.push(self.pure(&name.as_str())),
            Call::SetPaused { paused, .. } => to.push(self.pure(paused)),
            Call::WithdrawTreasury {
                amount, recipient, ..
            } => {
                to.push(self.pure(&amount.0));
                to.push(self.pure(recipient.as_bytes()));
            }
            Call::Migrate { .. } => {}
        }
    }
}

fn owned_input(reference: &ObjectReference) -> ObjectInput {
    ObjectInput::owned(
        *reference.object_id(),
        reference.version(),
        *reference.digest(),
    )
}
