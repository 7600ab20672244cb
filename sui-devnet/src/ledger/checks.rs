//! What must hold before a transaction is executed.

use std::collections::BTreeSet;
use std::sync::Arc;

use sui_crypto::SuiVerifier;
use sui_crypto::ed25519::Ed25519Verifier;
use sui_ledger::ids::to_sui;
use sui_sdk_types::{
    Address, Command, Digest, GasPayment, Input, Mutability, Object, ObjectReference, Owner,
    ProgrammableTransaction, SharedInput, SignedTransaction, Transaction, TransactionExpiration,
    TransactionKind, UserSignature,
};

use super::coin;
use super::rejection::Rejection;
use super::session::View;

/// MIST per unit of computation.
pub const REFERENCE_GAS_PRICE: u64 = 1_000;

/// Units of computation of every transaction here: the smallest of Sui's price buckets.
pub(super) const COMPUTATION_UNITS: u64 = 1_000;

/// `max_tx_gas` of the protocol config: 50,000 SUI.
const MAX_BUDGET: u64 = 50_000_000_000_000;
/// `max_gas_price` of the protocol config.
const MAX_PRICE: u64 = 100_000;

/// Limits of the protocol config.
const MAX_TRANSACTION_BYTES: usize = 128 * 1024;
const MAX_PURE_BYTES: usize = 16 * 1024;
const MAX_COMMANDS: usize = 1_024;
const MAX_INPUTS: usize = 2_048;
const MAX_GAS_OBJECTS: usize = 256;
const MAX_ARGUMENTS: usize = 512;

const CLOCK: Address = Address::from_static("0x6");

/// A signature that is missing or wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Somebody has to sign who has not.
    #[error("Required Signature from {missing} is absent {present:?}")]
    Absent {
        /// Who.
        missing: Address,
        /// Who has signed, as text.
        present: Vec<String>,
    },
    /// Not over this transaction.
    #[error(
        "Signature is not valid: Fail to verify user sig Invalid signature was given to the function"
    )]
    Invalid,
    /// A scheme other than ed25519.
    #[error("Signature is not valid: the embedded ledger verifies ed25519 only")]
    Scheme,
    /// Not one for each signer.
    #[error("Expect {expected} signer signatures but got {found}")]
    Count {
        /// How many signers there are.
        expected: usize,
        /// How many signatures came.
        found: usize,
    },
}

/// Verifies that the sender, and a sponsor if there is one, have signed these very bytes.
pub fn verify_signatures(
    transaction: &Transaction,
    signatures: &[UserSignature],
) -> Result<(), SignatureError> {
    let mut signers = vec![transaction.sender];
    if transaction.gas_payment.owner != transaction.sender {
        signers.push(transaction.gas_payment.owner);
    }
    if signatures.len() != signers.len() {
        return Err(SignatureError::Count {
            expected: signers.len(),
            found: signatures.len(),
        });
    }
    if signatures
        .iter()
        .any(|signature| !matches!(signature, UserSignature::Simple(_)))
    {
        return Err(SignatureError::Scheme);
    }
    let present: Vec<Address> = signatures
        .iter()
        .map(UserSignature::derive_address)
        .collect();
    for signer in signers {
        if !present.contains(&signer) {
            return Err(SignatureError::Absent {
                missing: signer,
                present: present.iter().map(ToString::to_string).collect(),
            });
        }
    }
    let verifier = Ed25519Verifier::new();
    for signature in signatures {
        verifier
            .verify_transaction(transaction, signature)
            .map_err(|_| SignatureError::Invalid)?;
    }
    Ok(())
}

/// An input that was found.
#[derive(Debug, Clone)]
pub(super) enum Resolved {
    Pure(Vec<u8>),
    Owned(Arc<Object>),
    Shared { object: Arc<Object>, mutable: bool },
}

/// A transaction that can be executed.
#[derive(Debug)]
pub(super) struct Checked<'a> {
    pub(super) program: &'a ProgrammableTransaction,
    pub(super) inputs: Vec<Resolved>,
    pub(super) gas: Vec<Arc<Object>>,
    pub(super) price: u64,
    pub(super) budget: u64,
}

/// What a simulation leaves out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GasRule {
    /// Price, budget and coins are checked.
    Checked,
    /// They are taken as they are; without coins one is made up.
    Free,
}

/// Checks everything but the signatures.
pub(super) fn check<'a>(
    signed: &'a SignedTransaction,
    view: View<'_>,
    package: &seal::ObjectId,
    chain: Digest,
    rule: GasRule,
) -> Result<Checked<'a>, Rejection> {
    let transaction = &signed.transaction;
    let TransactionKind::ProgrammableTransaction(program) = &transaction.kind else {
        return Err(unsupported("system transactions"));
    };
    check_expiration(&transaction.expiration, chain)?;
    check_limits(transaction, program)?;
    for command in &program.commands {
        check_command(command, to_sui(package.as_bytes()))?;
    }
    let gas = &transaction.gas_payment;
    if rule == GasRule::Checked {
        check_price_and_budget(gas)?;
    }

    let mut seen = BTreeSet::new();
    let mut once = |id: Address| {
        if seen.insert(id) {
            Ok(())
        } else {
            Err(Rejection::Duplicate { id })
        }
    };
    let mut gas_objects = Vec::with_capacity(gas.objects.len());
    for reference in &gas.objects {
        once(*reference.object_id())?;
        let object = owned(view, reference, gas.owner)?;
        if !coin::is_gas_coin(&object) {
            return Err(Rejection::NotAGasCoin {
                id: *reference.object_id(),
            });
        }
        gas_objects.push(object);
    }
    let mut inputs = Vec::with_capacity(program.inputs.len());
    for input in &program.inputs {
        inputs.push(match input {
            Input::Pure(bytes) => Resolved::Pure(bytes.clone()),
            Input::ImmutableOrOwned(reference) => {
                once(*reference.object_id())?;
                Resolved::Owned(owned(view, reference, transaction.sender)?)
            }
            Input::Shared(input) => {
                once(input.object_id())?;
                shared(view, input)?
            }
            _ => return Err(unsupported("receiving and withdrawing inputs")),
        });
    }
    if rule == GasRule::Checked {
        check_gas_balance(&gas_objects, gas.budget)?;
    }
    Ok(Checked {
        program,
        inputs,
        gas: gas_objects,
        price: gas.price,
        budget: gas.budget,
    })
}

fn unsupported(what: impl Into<String>) -> Rejection {
    Rejection::Unsupported { what: what.into() }
}

fn check_expiration(expiration: &TransactionExpiration, chain: Digest) -> Result<(), Rejection> {
    match expiration {
        // There is one epoch, 0, and no transaction can expire before it.
        TransactionExpiration::None | TransactionExpiration::Epoch(_) => Ok(()),
        TransactionExpiration::ValidDuring {
            min_epoch,
            chain: wanted,
            ..
        } => {
            if *wanted == chain && min_epoch.is_none_or(|epoch| epoch == 0) {
                Ok(())
            } else {
                Err(Rejection::Expired)
            }
        }
        _ => Err(unsupported("this kind of expiration")),
    }
}

fn check_limits(
    transaction: &Transaction,
    program: &ProgrammableTransaction,
) -> Result<(), Rejection> {
    let bytes = bcs::serialized_size(transaction).unwrap_or(usize::MAX);
    let longest_pure = program.inputs.iter().map(|input| match input {
        Input::Pure(bytes) => bytes.len(),
        _ => 0,
    });
    let arguments = program.commands.iter().map(|command| match command {
        Command::MoveCall(call) => call.arguments.len(),
        Command::TransferObjects(transfer) => transfer.objects.len(),
        Command::SplitCoins(split) => split.amounts.len(),
        Command::MergeCoins(merge) => merge.coins_to_merge.len(),
        _ => 0,
    });
    for (what, found, limit) in [
        ("serialized transaction size", bytes, MAX_TRANSACTION_BYTES),
        (
            "pure argument size",
            longest_pure.max().unwrap_or(0),
            MAX_PURE_BYTES,
        ),
        ("number of commands", program.commands.len(), MAX_COMMANDS),
        ("number of inputs", program.inputs.len(), MAX_INPUTS),
        (
            "number of gas objects",
            transaction.gas_payment.objects.len(),
            MAX_GAS_OBJECTS,
        ),
        (
            "number of arguments in a command",
            arguments.max().unwrap_or(0),
            MAX_ARGUMENTS,
        ),
    ] {
        if found > limit {
            return Err(Rejection::TooLarge { what, limit });
        }
    }
    Ok(())
}

fn check_command(command: &Command, package: Address) -> Result<(), Rejection> {
    match command {
        Command::MoveCall(call) if call.package == package => Ok(()),
        Command::MoveCall(call) => Err(unsupported(format!(
            "calls of other packages than k3s_daas ({})",
            call.package
        ))),
        Command::SplitCoins(_) | Command::MergeCoins(_) | Command::TransferObjects(_) => Ok(()),
        Command::Publish(_) => Err(unsupported("Publish")),
        Command::Upgrade(_) => Err(unsupported("Upgrade")),
        Command::MakeMoveVector(_) => Err(unsupported("MakeMoveVec")),
        _ => Err(unsupported("this command")),
    }
}

fn check_price_and_budget(gas: &GasPayment) -> Result<(), Rejection> {
    if gas.price < REFERENCE_GAS_PRICE {
        return Err(Rejection::GasPrice {
            found: gas.price,
            reference: REFERENCE_GAS_PRICE,
        });
    }
    if gas.price > MAX_PRICE {
        return Err(Rejection::TooLarge {
            what: "gas price",
            limit: 100_000,
        });
    }
    if gas.budget > MAX_BUDGET {
        return Err(Rejection::BudgetTooHigh {
            found: gas.budget,
            most: MAX_BUDGET,
        });
    }
    let least = COMPUTATION_UNITS.saturating_mul(gas.price);
    if gas.budget < least {
        return Err(Rejection::BudgetTooLow {
            found: gas.budget,
            least,
        });
    }
    if gas.objects.is_empty() {
        return Err(Rejection::NoGas);
    }
    Ok(())
}

fn check_gas_balance(gas: &[Arc<Object>], budget: u64) -> Result<(), Rejection> {
    let found: u128 = gas
        .iter()
        .filter_map(|object| coin::balance_of(object))
        .map(u128::from)
        .sum();
    if found < u128::from(budget) {
        return Err(Rejection::GasBalance {
            found,
            needed: budget,
        });
    }
    Ok(())
}

/// An object that its owner hands in, at the version it has now.
fn owned(
    view: View<'_>,
    reference: &ObjectReference,
    signer: Address,
) -> Result<Arc<Object>, Rejection> {
    let (id, version) = (*reference.object_id(), reference.version());
    let missing = Rejection::NotFound { id, version };
    if let Some(known) = view.store.version(&id, version) {
        let expected = known.digest();
        if expected != *reference.digest() {
            return Err(Rejection::Digest { id, expected });
        }
    }
    let Some(object) = view.object(&id) else {
        return Err(missing);
    };
    if version > object.version() {
        return Err(missing);
    }
    if version < object.version() {
        return Err(Rejection::Spent {
            id,
            version,
            digest: *reference.digest(),
            current: object.version(),
        });
    }
    match object.owner() {
        Owner::Address(owner) if *owner == signer => Ok(Arc::clone(object)),
        Owner::Address(owner) => Err(Rejection::Owner {
            id,
            owner: *owner,
            signer,
        }),
        _ => Err(Rejection::NotOwned { id }),
    }
}

fn shared(view: View<'_>, input: &SharedInput) -> Result<Resolved, Rejection> {
    let id = input.object_id();
    let Some(object) = view.object(&id) else {
        return Err(Rejection::NoSharedObject { id });
    };
    let Owner::Shared(expected) = object.owner() else {
        return Err(Rejection::NotOwned { id });
    };
    if *expected != input.version() {
        return Err(Rejection::InitialVersion {
            id,
            expected: *expected,
            found: input.version(),
        });
    }
    let mutable = match input.mutability() {
        Mutability::Mutable => true,
        Mutability::Immutable => false,
        Mutability::NonExclusiveWrite => return Err(unsupported("non-exclusive writes")),
    };
    if mutable && id == CLOCK {
        return Err(Rejection::ReadOnly { id });
    }
    Ok(Resolved::Shared {
        object: Arc::clone(object),
        mutable,
    })
}
