//! Transactions that are refused, and transactions that fail: the latter are executed and pay.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test panics when something is not as it should be"
)]

mod common;

use common::{
    Wallet, client, clock, execute, execute_request, fund, get_object, pure, start,
    wait_for_object, written,
};
use serde_json::Value;
use sui_devnet::RunningDevnet;
use sui_ledger::ids::to_sui;
use sui_rpc::proto::sui::rpc::v2 as proto;
use sui_sdk_types::{
    Argument, Command, Digest, Identifier, Input, MoveCall, ObjectReference, Publish, SharedInput,
    SplitCoins, TransferObjects,
};
use tonic::{Code, Status};

/// Replaces what differs from chain to chain.
fn shape(text: &str) -> String {
    let is_word = |letter: char| letter.is_ascii_alphanumeric();
    let mut shape = String::new();
    let mut word = String::new();
    for letter in text.chars().chain([' ']) {
        if is_word(letter) {
            word.push(letter);
            continue;
        }
        let hex = word.strip_prefix("0x");
        let replaced = match hex {
            Some(hex) if hex.len() == 64 => "ID",
            Some(_) => "VERSION",
            None if word.len() == 43 || word.len() == 44 => "DIGEST",
            None => &word,
        };
        shape.push_str(replaced);
        shape.push(letter);
        word.clear();
    }
    shape
}

fn assert_recorded(status: &Status, name: &str) {
    let path = format!("{}/testdata/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let file: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let code = file["error"]["code"].as_i64().unwrap();
    assert_eq!(
        i64::from(i32::from(status.code())),
        code,
        "{name}: {status}"
    );
    let message = file["error"]["message"].as_str().unwrap();
    assert_eq!(shape(status.message()), shape(message), "{name}");
    let recorded = file["error"]["details_base64"].as_str().unwrap();
    assert_eq!(status.details().is_empty(), recorded.is_empty(), "{name}");
}

const STAKE: u64 = 500_000_000;

#[tokio::test]
async fn refusals_have_the_recorded_codes_and_texts() {
    let devnet = start().await;
    let client = client(&devnet);
    let mut wallet = Wallet::new(&devnet).await;
    let other = Wallet::new(&devnet).await;
    let stake = wallet.stake(STAKE, [1; 32], None);

    let mut signed = wallet.sign(stake.clone());
    signed.signatures = other.sign(stake.clone()).signatures;
    let status = execute(&client, &signed, "*").await.unwrap_err();
    assert_recorded(&status, "error_execute_other_signer");

    let mut signed = wallet.sign(stake.clone());
    signed.signatures = wallet.sign(wallet.stake(STAKE, [2; 32], None)).signatures;
    let status = execute(&client, &signed, "*").await.unwrap_err();
    assert_recorded(&status, "error_execute_wrong_signature");

    let mut cheap = stake.clone();
    cheap.gas_payment.price = 1;
    let status = wallet.execute(&client, cheap).await.unwrap_err();
    assert_recorded(&status, "error_execute_gas_price_too_low");

    let mut poor = stake.clone();
    poor.gas_payment.budget = 1;
    let status = wallet.execute(&client, poor).await.unwrap_err();
    assert_recorded(&status, "error_execute_budget_too_low");

    let mut rich = stake.clone();
    rich.gas_payment.budget = u64::MAX;
    let status = wallet.execute(&client, rich).await.unwrap_err();
    assert_recorded(&status, "error_execute_budget_over_max");

    let mut foreign = stake.clone();
    foreign.gas_payment.objects = vec![other.gas.clone()];
    let status = wallet.execute(&client, foreign).await.unwrap_err();
    assert_recorded(&status, "error_execute_foreign_gas");

    let mut wrong = stake.clone();
    wrong.gas_payment.objects = vec![ObjectReference::new(
        *wallet.gas.object_id(),
        wallet.gas.version(),
        Digest::ZERO,
    )];
    let status = wallet.execute(&client, wrong).await.unwrap_err();
    assert_recorded(&status, "error_execute_stale_gas_version");

    wallet.execute(&client, stake.clone()).await.unwrap();
    let spent = wallet.gas.clone();
    wallet.gas = stake.gas_payment.objects[0].clone();
    let again = wallet.stake(STAKE, [3; 32], None);
    let status = wallet.execute(&client, again).await.unwrap_err();
    assert_recorded(&status, "error_execute_spent_gas");
    wallet.gas = spent;
    devnet.shutdown().await;
}

#[tokio::test]
async fn what_is_not_built_is_an_invalid_argument() {
    let devnet = start().await;
    let client = client(&devnet);
    let mut wallet = Wallet::new(&devnet).await;
    let publish = Command::Publish(Publish {
        modules: Vec::new(),
        dependencies: Vec::new(),
    });
    let foreign = Command::MoveCall(MoveCall {
        package: sui_sdk_types::Address::from_static("0x2"),
        module: Identifier::from_static("coin"),
        function: Identifier::from_static("zero"),
        type_arguments: Vec::new(),
        arguments: Vec::new(),
    });
    let mutable_clock = Input::Shared(SharedInput::new(common::CLOCK, 1, true));
    let late = Input::Shared(SharedInput::new(common::CLOCK, 2, false));
    for transaction in [
        wallet.transaction(Vec::new(), vec![publish]),
        wallet.transaction(Vec::new(), vec![foreign]),
        wallet.transaction(vec![mutable_clock], Vec::new()),
        wallet.transaction(vec![late], Vec::new()),
        wallet.transaction(vec![clock(), clock()], Vec::new()),
        wallet.transaction(vec![Input::Pure(vec![0; 17 * 1024])], Vec::new()),
    ] {
        let status = wallet.execute(&client, transaction).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    }
    devnet.shutdown().await;
}

#[tokio::test]
async fn a_shared_input_that_does_not_exist_is_waited_for() {
    let devnet = sui_devnet::Devnet::start(sui_devnet::DevnetConfig {
        finality_timeout: std::time::Duration::from_millis(200),
        ..sui_devnet::DevnetConfig::for_tests()
    })
    .await
    .unwrap();
    let client = client(&devnet);
    let mut wallet = Wallet::new(&devnet).await;
    let nowhere = Input::Shared(SharedInput::new([0x99; 32].into(), 3, true));
    let transaction = wallet.transaction(vec![nowhere], Vec::new());
    let status = wallet.execute(&client, transaction).await.unwrap_err();
    assert_recorded(&status, "error_execute_missing_shared_object");
    devnet.shutdown().await;
}

fn failure(executed: &proto::ExecutedTransaction) -> &proto::ExecutionError {
    assert!(!executed.effects().status().success());
    executed.effects().status().error()
}

async fn coin_value(devnet: &RunningDevnet, reference: &ObjectReference) -> u64 {
    let client = client(devnet);
    wait_for_object(&client, *reference.object_id(), reference.version()).await;
    let object = get_object(&client, *reference.object_id(), "*")
        .await
        .unwrap();
    object.balance()
}

#[tokio::test]
async fn an_abort_is_executed_pays_gas_and_says_where() {
    let devnet = start().await;
    let client = client(&devnet);
    let mut wallet = Wallet::new(&devnet).await;
    let before = wallet.gas.clone();
    let held = coin_value(&devnet, &before).await;
    let stake = wallet.stake(1, [1; 32], None);
    let executed = wallet.execute(&client, stake).await.unwrap();
    let error = failure(&executed);
    assert_eq!(error.command(), 1);
    assert_eq!(error.abort().abort_code(), 8);
    let location = error.abort().location();
    assert_eq!(location.package(), wallet.package.to_string());
    assert_eq!(location.module(), "staking");
    assert_eq!(location.function_name(), "stake_and_mint_seal");
    assert!(executed.events.is_none());
    // The gas coin and the pool have new versions, and nothing else exists.
    assert_eq!(executed.effects().changed_objects().len(), 2);
    assert!(wallet.gas.version() > before.version());
    let gas = executed.effects().gas_used();
    let paid = gas.computation_cost() + gas.storage_cost() - gas.storage_rebate();
    assert_eq!(coin_value(&devnet, &wallet.gas).await, held - paid);
    let change = &executed.balance_changes()[0];
    assert_eq!(change.amount(), format!("-{paid}"));
    assert_eq!(change.address(), wallet.address().to_string());

    // It can be had again like any other.
    let pool = to_sui(devnet.ids.pool.as_bytes());
    let pool = get_object(&client, pool, "version").await.unwrap();
    assert_eq!(pool.version(), executed.effects().lamport_version());
    devnet.shutdown().await;
}

#[tokio::test]
async fn failing_programs_fail_as_on_a_real_network() {
    use proto::execution_error::ExecutionErrorKind as Kind;
    let devnet = start().await;
    let client = client(&devnet);
    let mut wallet = Wallet::new(&devnet).await;
    let split = |amount: u64| {
        (
            pure(&amount),
            Command::SplitCoins(SplitCoins {
                coin: Argument::Gas,
                amounts: vec![Argument::Input(0)],
            }),
        )
    };
    let (amount, command) = split(7);
    let unused = wallet.transaction(vec![amount], vec![command]);
    let (amount, command) = split(u64::MAX);
    let too_much = wallet.transaction(vec![amount], vec![command]);
    let unknown = wallet.call("no_such_function", Vec::new());
    let few = wallet.call("restake", vec![wallet.pool.clone()]);
    let mut typed = wallet.call("migrate", vec![wallet.pool.clone(), clock()]);
    if let sui_sdk_types::TransactionKind::ProgrammableTransaction(program) = &mut typed.kind
        && let Some(Command::MoveCall(call)) = program.commands.first_mut()
    {
        call.type_arguments.push(sui_sdk_types::TypeTag::U8);
    }
    let wrong = wallet.call("migrate", vec![wallet.pool.clone(), clock()]);
    let not_utf8 = wallet.call(
        "reserve_name",
        vec![
            wallet.pool.clone(),
            clock(),
            Input::Pure(vec![2, 0xff, 0xfe]),
        ],
    );
    for (transaction, kind) in [
        (unused, Kind::UnusedValueWithoutDrop),
        (too_much, Kind::InsufficientCoinBalance),
        (unknown, Kind::FunctionNotFound),
        (few, Kind::ArityMismatch),
        (typed, Kind::TypeArityMismatch),
        (wrong, Kind::CommandArgumentError),
        (not_utf8, Kind::CommandArgumentError),
    ] {
        let mut transaction = transaction;
        transaction.gas_payment.objects = vec![wallet.gas.clone()];
        let executed = wallet.execute(&client, transaction).await.unwrap();
        assert_eq!(failure(&executed).kind(), kind);
    }

    // A seal can't be handed on.
    let stake = wallet.stake(STAKE, [1; 32], None);
    let executed = wallet.execute(&client, stake).await.unwrap();
    let token = Input::ImmutableOrOwned(written(&executed, "SealToken"));
    let give = wallet.transaction(
        vec![token, pure(&[9u8; 32])],
        vec![Command::TransferObjects(TransferObjects {
            objects: vec![Argument::Input(0)],
            address: Argument::Input(1),
        })],
    );
    let executed = wallet.execute(&client, give).await.unwrap();
    assert_eq!(failure(&executed).kind(), Kind::InvalidTransferObject);

    // A budget that pays for the work and not for the storage.
    wallet.budget = 1_100_000;
    let stake = wallet.stake(STAKE, [2; 32], None);
    let executed = wallet.execute(&client, stake).await.unwrap();
    assert_eq!(failure(&executed).kind(), Kind::InsufficientGas);
    devnet.shutdown().await;
}

#[tokio::test]
async fn of_two_transactions_with_one_coin_at_once_one_is_executed() {
    let devnet = start().await;
    let wallet = Wallet::new(&devnet).await;
    // Both are at work while nothing is executed.
    devnet.faults.stall(true);
    let one = wallet.sign(wallet.stake(STAKE, [1; 32], None));
    let other = wallet.sign(wallet.stake(STAKE, [2; 32], None));
    let (mut first, mut second) = (client(&devnet), client(&devnet));
    let first = tokio::spawn(async move {
        let request = execute_request(&one, "*");
        first.execution_client().execute_transaction(request).await
    });
    // Which of them is first does not matter; the one that is refused is answered at once.
    let second = tokio::spawn(async move {
        let request = execute_request(&other, "*");
        second.execution_client().execute_transaction(request).await
    });
    let (refused, left) = tokio::select! {
        refused = first => (refused, None),
        refused = second => (refused, Some(())),
    };
    let _ = left;
    let status = refused.unwrap().unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition, "{status}");
    assert!(status.message().starts_with(
        "Failed to sign transaction by a quorum of validators because of locked objects"
    ));
    devnet.faults.stall(false);
    devnet.shutdown().await;
}

#[tokio::test]
async fn several_gas_coins_become_one() {
    let devnet = start().await;
    let client = client(&devnet);
    let mut wallet = Wallet::new(&devnet).await;
    let coins = fund(&devnet, wallet.address()).await;
    let mut stake = wallet.stake(300_000_000_000, [1; 32], None);
    stake.gas_payment.objects = coins.clone();
    let executed = wallet.execute(&client, stake).await.unwrap();
    assert!(executed.effects().status().success(), "{executed:?}");
    let gas = executed.effects().gas_used();
    let paid = gas.computation_cost() + gas.storage_cost() - gas.storage_rebate();
    let left = coin_value(&devnet, &wallet.gas).await;
    assert_eq!(left, 5 * 200_000_000_000 - 300_000_000_000 - paid);
    let gone = get_object(&client, *coins[1].object_id(), "*")
        .await
        .unwrap_err();
    assert_eq!(gone.code(), Code::NotFound);
    devnet.shutdown().await;
}
