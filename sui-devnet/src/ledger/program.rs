//! Runs a programmable transaction's commands.
//!
//! Errors: an `ExecutionError` fails the transaction, which then pays its gas and does nothing
//!         else. Commands that this ledger does not have never come this far.

use sui_ledger::contract::{Layout, MODULE, Pool};
use sui_ledger::ids::{address, to_sui};
use sui_sdk_types::{
    Address, Argument, Command, CommandArgumentError, Event, ExecutionError, Identifier,
    MergeCoins, MoveCall, MoveLocation, Owner, SplitCoins, StructTag, TransferObjects, TypeTag,
};

use super::coin;
use super::session::{Session, Working};
use super::signature::params;
use super::types;
use crate::twin::{self, Context, Made};

/// Something a command can use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// BCS bytes.
    Pure(Vec<u8>),
    /// An object of the session.
    Object(Address),
    /// Was one, and is used up.
    Moved,
}

/// An input, and how it may be used.
#[derive(Debug, Clone)]
pub(super) struct Input {
    pub(super) value: Value,
    pub(super) shared: bool,
    pub(super) mutable: bool,
}

/// What one command gave, for simulations.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CommandOutcome {
    /// Type and BCS of each result.
    pub results: Vec<(TypeTag, Vec<u8>)>,
}

/// A failed command.
/// Boxed: an error is far larger than nothing.
pub(super) type Failure = Box<(ExecutionError, Option<u64>)>;

#[derive(Debug)]
pub(super) struct Program<'a> {
    pub(super) session: Session<'a>,
    pub(super) context: Context,
    pub(super) gas: Value,
    pub(super) inputs: Vec<Input>,
    pub(super) results: Vec<Vec<Value>>,
    pub(super) events: Vec<Event>,
    pub(super) outcomes: Vec<CommandOutcome>,
}

impl Program<'_> {
    pub(super) fn run(&mut self, commands: &[Command]) -> Result<(), Failure> {
        for (index, command) in commands.iter().enumerate() {
            let results = self
                .command(command)
                .map_err(|error| Box::new((error, Some(index as u64))))?;
            self.outcomes.push(self.outcome_of(&results));
            self.results.push(results);
        }
        self.assert_all_used()
    }

    fn command(&mut self, command: &Command) -> Result<Vec<Value>, ExecutionError> {
        match command {
            Command::MoveCall(call) => self.move_call(call),
            Command::SplitCoins(split) => self.split_coins(split),
            Command::MergeCoins(merge) => self.merge_coins(merge),
            Command::TransferObjects(transfer) => self.transfer_objects(transfer),
            _ => Err(ExecutionError::FeatureNotYetSupported),
        }
    }

    fn move_call(&mut self, call: &MoveCall) -> Result<Vec<Value>, ExecutionError> {
        let function = call.function.as_str();
        let params = (call.module.as_str() == MODULE)
            .then(|| params(function))
            .flatten()
            .ok_or(ExecutionError::FunctionNotFound)?;
        if !call.type_arguments.is_empty() {
            return Err(ExecutionError::TypeArityMismatch);
        }
        let prepared = self.prepare(function, params, &call.arguments)?;
        let mut pool = self
            .session
            .get(&prepared.pool)
            .and_then(|object| Pool::decode(&object.contents).ok())
            .ok_or(ExecutionError::InvariantViolation)?;
        let outcome = twin::execute(
            prepared.call,
            &mut pool,
            &mut self.session,
            &mut self.context,
        )
        .map_err(|abort| self.move_abort(abort))?;

        self.put(&prepared.pool, pool.encode());
        for id in &prepared.consumed {
            self.session.delete(id);
        }
        if let (Some(id), Some(token)) = (prepared.token, outcome.token) {
            self.put(&id, token.encode());
        }
        for (made, owner) in outcome.made {
            self.make(made, Owner::Address(to_sui(owner.as_bytes())));
        }
        for event in outcome.events {
            self.emit(&event);
        }
        Ok(Vec::new())
    }

    fn move_abort(&self, abort: twin::Abort) -> ExecutionError {
        ExecutionError::MoveAbort {
            location: MoveLocation {
                package: to_sui(self.session.package.as_bytes()),
                module: const { Identifier::from_static(MODULE) },
                // Places in the bytecode, which is not run here.
                function: 0,
                instruction: 0,
                function_name: Some(Identifier::from_static(abort.function)),
            },
            code: abort.code.number(),
        }
    }

    fn put(&mut self, id: &Address, contents: Vec<u8>) {
        if let Some(object) = self.session.get_mut(id) {
            object.contents = contents;
        }
    }

    fn make(&mut self, made: Made, owner: Owner) {
        let package = self.session.package;
        let (id, type_, contents, public) = match made {
            Made::Token(token) => (
                token.id,
                types::contract(&package, "SealToken"),
                token.encode(),
                false,
            ),
            Made::Coin { id, value } => (
                id,
                StructTag::gas_coin(),
                coin::contents(to_sui(id.as_bytes()), value),
                true,
            ),
            Made::SlashCap(cap) => (
                cap.id,
                types::contract(&package, "SlashCap"),
                cap.encode(),
                true,
            ),
        };
        self.session.objects.insert(
            to_sui(id.as_bytes()),
            Working {
                before: None,
                type_,
                contents,
                owner,
                public,
                writable: true,
                deleted: false,
            },
        );
    }

    fn emit(&mut self, event: &twin::Event) {
        let (name, contents) = match event {
            twin::Event::SealChanged(event) => ("SealChanged", event.encode()),
            twin::Event::NodeClaimed(event) => ("NodeClaimed", event.encode()),
            twin::Event::ConfigChanged(event) => ("ConfigChanged", event.encode()),
        };
        self.events.push(Event {
            package_id: to_sui(self.session.package.as_bytes()),
            module: const { Identifier::from_static(MODULE) },
            sender: to_sui(self.context.sender.as_bytes()),
            type_: types::contract(&self.session.package, name),
            contents,
        });
    }

    fn split_coins(&mut self, split: &SplitCoins) -> Result<Vec<Value>, ExecutionError> {
        let source = self.coin(split.coin, 0)?;
        let mut results = Vec::with_capacity(split.amounts.len());
        for (place, amount) in split.amounts.iter().enumerate() {
            let amount: u64 = self
                .pure(*amount)
                .map_err(|kind| argument_error(place + 1, kind))?;
            let left = self
                .coin_value(&source)
                .checked_sub(amount)
                .ok_or(ExecutionError::InsufficientCoinBalance)?;
            self.put(&source, coin::contents(source, left));
            let id = self.context.fresh_id();
            // Owned by nobody until it is transferred or used: `assert_all_used` sees to it.
            let sender = Owner::Address(to_sui(self.context.sender.as_bytes()));
            self.make(Made::Coin { id, value: amount }, sender);
            results.push(Value::Object(to_sui(id.as_bytes())));
        }
        Ok(results)
    }

    fn merge_coins(&mut self, merge: &MergeCoins) -> Result<Vec<Value>, ExecutionError> {
        let target = self.coin(merge.coin, 0)?;
        for (place, argument) in merge.coins_to_merge.iter().enumerate() {
            let id = self.coin(*argument, place + 1)?;
            if id == target {
                return Err(argument_error(
                    place + 1,
                    CommandArgumentError::InvalidValueUsage,
                ));
            }
            self.take(*argument)
                .map_err(|kind| argument_error(place + 1, kind))?;
            let sum = self
                .coin_value(&target)
                .checked_add(self.coin_value(&id))
                .ok_or(ExecutionError::CoinBalanceOverflow)?;
            self.session.delete(&id);
            self.put(&target, coin::contents(target, sum));
        }
        Ok(Vec::new())
    }

    fn transfer_objects(
        &mut self,
        transfer: &TransferObjects,
    ) -> Result<Vec<Value>, ExecutionError> {
        let last = transfer.objects.len();
        let recipient: [u8; 32] = self
            .pure(transfer.address)
            .map_err(|kind| argument_error(last, kind))?;
        for (place, argument) in transfer.objects.iter().enumerate() {
            let wrong = |kind| argument_error(place, kind);
            let id = self.any_object(*argument).map_err(wrong)?;
            let public = self.session.get(&id).is_some_and(|object| object.public);
            if !public {
                return Err(ExecutionError::InvalidTransferObject);
            }
            if *argument == Argument::Gas {
                self.gas = Value::Moved;
            } else {
                self.take(*argument).map_err(wrong)?;
            }
            if let Some(object) = self.session.get_mut(&id) {
                object.owner = Owner::Address(Address::new(recipient));
            }
        }
        Ok(Vec::new())
    }

    /// The SUI coin behind an argument, to be changed.
    fn coin(&self, argument: Argument, place: usize) -> Result<Address, ExecutionError> {
        let id = self
            .any_object(argument)
            .map_err(|kind| argument_error(place, kind))?;
        match self.session.get(&id) {
            Some(object) if object.type_ == *coin::GAS_COIN => Ok(id),
            _ => Err(argument_error(place, CommandArgumentError::TypeMismatch)),
        }
    }

    fn coin_value(&self, id: &Address) -> u64 {
        self.session
            .get(id)
            .map_or(0, |object| coin::value(&object.contents))
    }

    /// What an argument stands for.
    pub(super) fn value(&self, argument: Argument) -> Result<&Value, CommandArgumentError> {
        match argument {
            Argument::Gas => Ok(&self.gas),
            Argument::Input(index) => self
                .inputs
                .get(usize::from(index))
                .map(|input| &input.value)
                .ok_or(CommandArgumentError::IndexOutOfBounds { index }),
            Argument::Result(result) => match self.results.get(usize::from(result)) {
                None => Err(CommandArgumentError::IndexOutOfBounds { index: result }),
                Some(values) => match values.as_slice() {
                    [value] => Ok(value),
                    _ => Err(CommandArgumentError::InvalidResultArity { result }),
                },
            },
            Argument::NestedResult(result, subresult) => self
                .results
                .get(usize::from(result))
                .ok_or(CommandArgumentError::IndexOutOfBounds { index: result })?
                .get(usize::from(subresult))
                .ok_or(CommandArgumentError::SecondaryIndexOutOfBounds { result, subresult }),
        }
    }

    /// The object an argument stands for.
    pub(super) fn any_object(&self, argument: Argument) -> Result<Address, CommandArgumentError> {
        match self.value(argument)? {
            Value::Object(id) => Ok(*id),
            Value::Pure(_) => Err(CommandArgumentError::TypeMismatch),
            Value::Moved => Err(CommandArgumentError::InvalidValueUsage),
        }
    }

    /// Whether the object may be changed in place. Only shared inputs can be read only.
    pub(super) fn is_mutable(&self, argument: Argument) -> bool {
        match argument {
            Argument::Input(index) => self
                .inputs
                .get(usize::from(index))
                .is_some_and(|input| input.mutable),
            _ => true,
        }
    }

    /// Uses a value up.
    pub(super) fn take(&mut self, argument: Argument) -> Result<(), CommandArgumentError> {
        let slot = match argument {
            // Only `TransferObjects` may take it, and does so itself.
            Argument::Gas => return Err(CommandArgumentError::InvalidGasCoinUsage),
            Argument::Input(index) => self.inputs.get_mut(usize::from(index)).map(|input| {
                if input.shared {
                    Err(CommandArgumentError::ConsensusObjectOperationNotAllowed)
                } else {
                    Ok(&mut input.value)
                }
            }),
            Argument::Result(result) => self
                .results
                .get_mut(usize::from(result))
                .and_then(|values| values.first_mut())
                .map(Ok),
            Argument::NestedResult(result, subresult) => self
                .results
                .get_mut(usize::from(result))
                .and_then(|values| values.get_mut(usize::from(subresult)))
                .map(Ok),
        };
        let slot = slot.ok_or(CommandArgumentError::InvalidValueUsage)??;
        *slot = Value::Moved;
        Ok(())
    }

    /// A coin can't be dropped: whatever was split off must have gone somewhere.
    fn assert_all_used(&self) -> Result<(), Failure> {
        for (result, values) in self.results.iter().enumerate() {
            for (subresult, value) in values.iter().enumerate() {
                if matches!(value, Value::Object(_)) {
                    let error = ExecutionError::UnusedValueWithoutDrop {
                        result: u16::try_from(result).unwrap_or(u16::MAX),
                        subresult: u16::try_from(subresult).unwrap_or(u16::MAX),
                    };
                    return Err(Box::new((error, None)));
                }
            }
        }
        Ok(())
    }

    fn outcome_of(&self, values: &[Value]) -> CommandOutcome {
        let results = values
            .iter()
            .filter_map(|value| match value {
                Value::Object(id) => self.session.get(id),
                _ => None,
            })
            .map(|object| (object.type_.clone().into(), object.contents.clone()))
            .collect();
        CommandOutcome { results }
    }
}

/// The transaction's sender as the domain knows it.
pub(super) fn sender_of(sender: Address) -> seal::Address {
    address(sender)
}

fn argument_error(place: usize, kind: CommandArgumentError) -> ExecutionError {
    ExecutionError::CommandArgumentError {
        argument: u16::try_from(place).unwrap_or(u16::MAX),
        kind,
    }
}
