//! From a program that has run to effects: versions, digests, gas.
//!
//! Units:  MIST.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sui_sdk_types::{
    Address, BalanceChange, ChangedObject, Digest, ExecutionError, ExecutionStatus, GasCostSummary,
    IdOperation, Object, ObjectIn, ObjectOut, Owner, SignedTransaction, StructTag,
    TransactionEffects, TransactionEffectsV2, TransactionEvents, UnchangedConsensusKind,
    UnchangedConsensusObject,
};

use super::checks::{COMPUTATION_UNITS, Checked, GasRule, Resolved};
use super::coin;
use super::gas::{self, STORAGE_PRICE};
use super::program::{CommandOutcome, Failure, Input, Program, Value, sender_of};
use super::session::{Session, View, Working};
use crate::twin::Context;

/// A transaction that was executed.
#[derive(Debug, Clone)]
pub struct Executed {
    /// What was asked.
    pub signed: SignedTransaction,
    /// Its digest.
    pub digest: Digest,
    /// What came of it.
    pub effects: TransactionEffects,
    /// What it told.
    pub events: Option<TransactionEvents>,
    /// Changed and deleted objects as they were.
    pub inputs: Vec<Arc<Object>>,
    /// Changed and new objects as they are.
    pub outputs: Vec<Arc<Object>>,
    /// Deleted objects.
    pub deleted: Vec<Address>,
    /// The version of all that it wrote.
    pub version: u64,
    /// In SUI, by address.
    pub balance_changes: Vec<BalanceChange>,
    /// The checkpoint it belongs to.
    pub checkpoint: u64,
}

/// An execution, not yet written anywhere.
pub(super) struct Run {
    pub(super) executed: Executed,
    pub(super) outcomes: Vec<CommandOutcome>,
}

/// What stays the same for all transactions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chain {
    pub(super) package: seal::ObjectId,
    pub(super) package_transaction: Digest,
    pub(super) checkpoint: u64,
    pub(super) now_ms: u64,
}

/// Executes a checked transaction on a state.
pub(super) fn run(
    signed: &SignedTransaction,
    digest: Digest,
    checked: &Checked<'_>,
    view: View<'_>,
    chain: Chain,
    rule: GasRule,
) -> Run {
    let context = Context {
        sender: sender_of(signed.transaction.sender),
        digest,
        ids_created: 0,
        now_ms: chain.now_ms,
    };
    let gas_id = gas_object(signed, checked, digest);
    let start = || Program {
        session: open(signed, checked, view, chain, gas_id, rule),
        context,
        gas: Value::Object(gas_id),
        inputs: checked.inputs.iter().map(input).collect(),
        results: Vec::new(),
        events: Vec::new(),
        outcomes: Vec::new(),
    };
    let mut program = start();
    let mut result: Result<(), Failure> = program.run(&checked.program.commands);
    if result.is_err() {
        let outcomes = std::mem::take(&mut program.outcomes);
        program = start();
        program.outcomes = outcomes;
    }
    let budget = match rule {
        GasRule::Checked => checked.budget,
        GasRule::Free => u64::MAX / 4,
    };
    let computation = COMPUTATION_UNITS.saturating_mul(checked.price);
    let mut gas = gas::price(&program.session, computation);
    if result.is_ok() && gas::net(&gas) > i128::from(budget) {
        result = Err(Box::new((ExecutionError::InsufficientGas, None)));
        program = start();
        gas = gas::price(&program.session, computation);
    }
    // Not even the gas coin's own storage can be paid: the whole budget goes.
    let keeps_rebates = gas::net(&gas) > i128::from(budget);
    if keeps_rebates {
        gas = GasCostSummary::new(budget, 0, 0, 0);
    }
    gas::pay(
        &mut program.session,
        gas_id,
        budget_held(checked, rule),
        &gas,
    );
    let outcomes = std::mem::take(&mut program.outcomes);
    let executed = finish(
        signed,
        digest,
        checked,
        program,
        Finish {
            chain,
            result,
            gas,
            gas_id,
            keeps_rebates,
        },
    );
    Run { executed, outcomes }
}

fn input(resolved: &Resolved) -> Input {
    match resolved {
        Resolved::Pure(bytes) => Input {
            value: Value::Pure(bytes.clone()),
            shared: false,
            mutable: false,
        },
        Resolved::Owned(object) => Input {
            value: Value::Object(object.object_id()),
            shared: false,
            mutable: true,
        },
        Resolved::Shared { object, mutable } => Input {
            value: Value::Object(object.object_id()),
            shared: true,
            mutable: *mutable,
        },
    }
}

/// The first coin of the payment; a simulation without one gets one of its own.
fn gas_object(signed: &SignedTransaction, checked: &Checked<'_>, digest: Digest) -> Address {
    checked.gas.first().map_or_else(
        || Address::derive_id(digest, u64::MAX),
        |object| {
            signed
                .transaction
                .gas_payment
                .objects
                .first()
                .map_or(object.object_id(), |reference| *reference.object_id())
        },
    )
}

/// What the gas coin lacks while the program runs.
fn budget_held(checked: &Checked<'_>, rule: GasRule) -> u64 {
    match rule {
        GasRule::Checked => checked.budget,
        GasRule::Free => 0,
    }
}

/// Loads all inputs, and makes one coin of the payment.
fn open<'a>(
    signed: &SignedTransaction,
    checked: &Checked<'_>,
    view: View<'a>,
    chain: Chain,
    gas_id: Address,
    rule: GasRule,
) -> Session<'a> {
    let mut objects = BTreeMap::new();
    let mut load = |object: &Arc<Object>, writable: bool| {
        if let Some(data) = object.as_struct() {
            objects.insert(object.object_id(), Working::of(object, data, writable));
        }
    };
    for resolved in &checked.inputs {
        match resolved {
            Resolved::Pure(_) => {}
            Resolved::Owned(object) => load(object, true),
            Resolved::Shared { object, mutable } => load(object, *mutable),
        }
    }
    for object in &checked.gas {
        load(object, true);
    }
    let total: u64 = checked
        .gas
        .iter()
        .filter_map(|object| coin::balance_of(object))
        .fold(0, u64::saturating_add);
    for object in checked.gas.iter().skip(1) {
        if let Some(coin) = objects.get_mut(&object.object_id()) {
            coin.deleted = true;
        }
    }
    let gas = objects.entry(gas_id).or_insert_with(|| Working {
        before: None,
        type_: StructTag::gas_coin(),
        contents: Vec::new(),
        owner: Owner::Address(signed.transaction.gas_payment.owner),
        public: true,
        writable: true,
        deleted: false,
    });
    let total = if checked.gas.is_empty() {
        u64::MAX / 2
    } else {
        total
    };
    // The budget is held back, so that the program can't spend what it owes.
    let value = total.saturating_sub(budget_held(checked, rule));
    gas.contents = coin::contents(gas_id, value);
    Session {
        view,
        package: chain.package,
        objects,
    }
}

struct Finish {
    chain: Chain,
    result: Result<(), Failure>,
    gas: GasCostSummary,
    gas_id: Address,
    keeps_rebates: bool,
}

fn finish(
    signed: &SignedTransaction,
    digest: Digest,
    checked: &Checked<'_>,
    program: Program<'_>,
    end: Finish,
) -> Executed {
    let version = 1 + highest_version(checked);
    let status = match end.result {
        Ok(()) => ExecutionStatus::Success,
        Err(failure) => {
            let (error, command) = *failure;
            ExecutionStatus::Failure { error, command }
        }
    };
    let mut changed = Vec::new();
    let mut unchanged = Vec::new();
    let mut dependencies = BTreeSet::new();
    let (mut inputs, mut outputs, mut deleted) = (Vec::new(), Vec::new(), Vec::new());
    for (id, working) in &program.session.objects {
        if let Some(before) = &working.before {
            dependencies.insert(before.previous_transaction());
            if !working.writable {
                unchanged.push(UnchangedConsensusObject {
                    object_id: *id,
                    kind: UnchangedConsensusKind::ReadOnlyRoot {
                        version: before.version(),
                        digest: before.digest(),
                    },
                });
                continue;
            }
            inputs.push(Arc::clone(before));
        }
        let rebate = if end.keeps_rebates {
            working.before.as_ref().map_or(0, |b| b.storage_rebate())
        } else {
            working.metered_size().saturating_mul(STORAGE_PRICE)
        };
        let after = if working.deleted {
            deleted.push(*id);
            None
        } else {
            working.finish(version, digest, rebate).map(Arc::new)
        };
        changed.push(change(*id, working.before.as_ref(), after.as_ref()));
        outputs.extend(after);
    }
    if program_calls(checked) {
        dependencies.insert(end.chain.package_transaction);
    }
    let gas_object_index = changed
        .iter()
        .position(|change| change.object_id == end.gas_id)
        .and_then(|index| u32::try_from(index).ok());
    let events = (!program.events.is_empty() && status == ExecutionStatus::Success)
        .then_some(TransactionEvents(program.events));
    let balance_changes = balance_changes(&inputs, &outputs);
    let effects = TransactionEffects::V2(Box::new(TransactionEffectsV2 {
        status,
        epoch: 0,
        gas_used: end.gas,
        transaction_digest: digest,
        gas_object_index,
        events_digest: events.as_ref().map(TransactionEvents::digest),
        dependencies: dependencies.into_iter().collect(),
        lamport_version: version,
        changed_objects: changed,
        unchanged_consensus_objects: unchanged,
        auxiliary_data_digest: None,
    }));
    Executed {
        signed: signed.clone(),
        digest,
        effects,
        events,
        inputs,
        outputs,
        deleted,
        version,
        balance_changes,
        checkpoint: end.chain.checkpoint,
    }
}

/// All inputs count, the read-only Clock too.
fn highest_version(checked: &Checked<'_>) -> u64 {
    let inputs = checked.inputs.iter().map(|input| match input {
        Resolved::Pure(_) => 0,
        Resolved::Owned(object) | Resolved::Shared { object, .. } => object.version(),
    });
    let gas = checked.gas.iter().map(|object| object.version());
    inputs.chain(gas).max().unwrap_or(0)
}

fn program_calls(checked: &Checked<'_>) -> bool {
    checked
        .program
        .commands
        .iter()
        .any(|command| matches!(command, sui_sdk_types::Command::MoveCall(_)))
}

pub(super) fn change(
    object_id: Address,
    before: Option<&Arc<Object>>,
    after: Option<&Arc<Object>>,
) -> ChangedObject {
    ChangedObject {
        object_id,
        input_state: before.map_or(ObjectIn::NotExist, |object| ObjectIn::Exist {
            version: object.version(),
            digest: object.digest(),
            owner: *object.owner(),
        }),
        output_state: after.map_or(ObjectOut::NotExist, |object| ObjectOut::ObjectWrite {
            digest: object.digest(),
            owner: *object.owner(),
        }),
        id_operation: match (before, after) {
            (None, Some(_)) => IdOperation::Created,
            (Some(_), None) => IdOperation::Deleted,
            _ => IdOperation::None,
        },
    }
}

fn balance_changes(inputs: &[Arc<Object>], outputs: &[Arc<Object>]) -> Vec<BalanceChange> {
    let mut sums: BTreeMap<Address, i128> = BTreeMap::new();
    for (objects, sign) in [(inputs, -1), (outputs, 1)] {
        for object in objects {
            if let (Owner::Address(owner), Some(value)) = (object.owner(), coin::balance_of(object))
            {
                *sums.entry(*owner).or_default() += sign * i128::from(value);
            }
        }
    }
    sums.into_iter()
        .filter(|(_, amount)| *amount != 0)
        .map(|(address, amount)| BalanceChange {
            address,
            coin_type: StructTag::sui().into(),
            amount,
        })
        .collect()
}
