//! Lists, balances, simulations, masks, the epoch, the faucet's bounds.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test panics when something is not as it should be"
)]

mod common;

use common::{
    Wallet, client, clock, execute, get_object, mask, post, pure, start, wait_for_transaction,
    written,
};
use sui_ledger::ids::to_sui;
use sui_rpc::proto::sui::rpc::v2 as proto;
use sui_sdk_types::{Argument, Command, Input, SplitCoins, StructTag, TransferObjects};
use tonic::Code;

async fn staked(wallet: &mut Wallet, client: &sui_rpc::Client, count: u8) {
    for at in 1..=count {
        let stake = wallet.stake(500_000_000, [at; 32], None);
        let executed = wallet.execute(client, stake).await.unwrap();
        assert!(executed.effects().status().success(), "{executed:?}");
        wait_for_transaction(client, executed.digest().parse().unwrap()).await;
    }
}

#[tokio::test]
async fn rows_are_listed_in_pages_with_their_keys_and_values() {
    let devnet = start().await;
    let client = client(&devnet);
    let mut wallet = Wallet::new(&devnet).await;
    staked(&mut wallet, &client, 5).await;
    let mut seen = Vec::new();
    let mut token = None;
    let mut pages = 0;
    loop {
        let mut request = proto::ListDynamicFieldsRequest::default();
        request.parent = Some(devnet.ids.seals_table.to_string());
        request.page_size = Some(2);
        request.page_token = token;
        request.read_mask = Some(mask(
            "kind,parent,field_id,name,value,value_type,field_object.version",
        ));
        let page = client
            .clone()
            .state_client()
            .list_dynamic_fields(request)
            .await
            .unwrap()
            .into_inner();
        pages += 1;
        for field in &page.dynamic_fields {
            assert_eq!(field.parent(), devnet.ids.seals_table.to_string());
            assert!(field.value_type().ends_with("::staking::SealRecord"));
            assert_eq!(field.name().name(), "vector<u8>");
            let hash: Vec<u8> = field.name().deserialize().unwrap();
            let record: sui_ledger::contract::SealRecordBcs = field.value().deserialize().unwrap();
            assert_eq!(record.stake, 500_000_000);
            assert!(field.field_object().version() > 1);
            seen.push((field.field_id().to_owned(), hash[0]));
        }
        token = page.next_page_token;
        if token.is_none() {
            break;
        }
    }
    assert_eq!(pages, 3);
    assert!(seen.is_sorted_by_key(|(id, _)| id.clone()));
    let mut hashes: Vec<u8> = seen.iter().map(|(_, hash)| *hash).collect();
    hashes.sort_unstable();
    assert_eq!(hashes, [1, 2, 3, 4, 5]);

    let mut nobody = proto::ListDynamicFieldsRequest::default();
    nobody.parent = Some("0x99".to_owned());
    let none = client
        .clone()
        .state_client()
        .list_dynamic_fields(nobody)
        .await
        .unwrap();
    assert!(none.into_inner().dynamic_fields.is_empty());
    devnet.shutdown().await;
}

#[tokio::test]
async fn owned_objects_are_filtered_by_type_and_a_balance_is_their_sum() {
    let devnet = start().await;
    let client = client(&devnet);
    let mut wallet = Wallet::new(&devnet).await;
    staked(&mut wallet, &client, 2).await;
    let list = |object_type: Option<String>| {
        let mut client = client.clone();
        let mut request = proto::ListOwnedObjectsRequest::default();
        request.owner = Some(wallet.address().to_string());
        request.object_type = object_type;
        request.read_mask = Some(mask("object_id,object_type,balance"));
        async move {
            let response = client.state_client().list_owned_objects(request).await;
            response.unwrap().into_inner().objects
        }
    };
    assert_eq!(list(None).await.len(), 7);
    let seals = format!("{}::staking::SealToken", devnet.ids.original_package);
    assert_eq!(list(Some(seals)).await.len(), 2);
    let coins = list(Some("0x2::coin::Coin".to_owned())).await;
    assert_eq!(coins.len(), 5);
    assert!(
        list(Some("0x2::coin::Coin<0x2::coin::Nothing>".to_owned()))
            .await
            .is_empty()
    );

    let mut request = proto::GetBalanceRequest::default();
    request.owner = Some(wallet.address().to_string());
    request.coin_type = Some(StructTag::sui().to_string());
    let balance = client
        .clone()
        .state_client()
        .get_balance(request)
        .await
        .unwrap();
    let balance = balance.into_inner().balance.unwrap().balance();
    assert_eq!(
        balance,
        coins.iter().map(proto::Object::balance).sum::<u64>()
    );
    assert!(balance < 1_000_000_000_000 - 1_000_000_000);
    devnet.shutdown().await;
}

#[tokio::test]
async fn a_simulation_shows_what_would_happen_and_changes_nothing() {
    let devnet = start().await;
    let client = client(&devnet);
    let wallet = Wallet::new(&devnet).await;
    for checks in [0, 1] {
        let mut transaction = wallet.stake(500_000_000, [1; 32], Some("node-1"));
        if checks == 1 {
            transaction.gas_payment.objects.clear();
        }
        let mut request = proto::SimulateTransactionRequest::default();
        request.transaction = Some(transaction.into());
        request.checks = Some(checks);
        request.read_mask = Some(mask("*"));
        let answer = client
            .clone()
            .execution_client()
            .simulate_transaction(request)
            .await;
        let answer = answer.unwrap().into_inner();
        let executed = answer.transaction();
        assert!(executed.effects().status().success(), "{executed:?}");
        assert_eq!(executed.events().events().len(), 2);
        assert_eq!(answer.command_outputs.len(), 2);
        assert!(executed.signatures.is_empty());
    }
    let mut failing = proto::SimulateTransactionRequest::default();
    failing.transaction = Some(wallet.stake(1, [1; 32], None).into());
    failing.read_mask = Some(mask("*"));
    let answer = client
        .clone()
        .execution_client()
        .simulate_transaction(failing)
        .await;
    let answer = answer.unwrap().into_inner();
    assert_eq!(
        answer
            .transaction()
            .effects()
            .status()
            .error()
            .abort()
            .abort_code(),
        8
    );
    assert!(answer.command_outputs.is_empty());

    let pool = to_sui(devnet.ids.pool.as_bytes());
    assert_eq!(
        get_object(&client, pool, "version")
            .await
            .unwrap()
            .version(),
        1
    );
    devnet.shutdown().await;
}

#[tokio::test]
async fn a_mask_picks_the_fields_of_an_execution() {
    let devnet = start().await;
    let client = client(&devnet);
    let wallet = Wallet::new(&devnet).await;
    let signed = wallet.sign(wallet.stake(500_000_000, [1; 32], None));
    let some = execute(&client, &signed, "digest,effects.status,events")
        .await
        .unwrap();
    assert!(some.digest.is_some() && some.transaction.is_none() && some.objects.is_none());
    assert!(some.effects().status().success() && some.effects().bcs.is_none());
    assert_eq!(some.events().events().len(), 1);
    let mut request = common::execute_request(&signed, "*");
    request.read_mask = None;
    let none = client
        .clone()
        .execution_client()
        .execute_transaction(request)
        .await
        .unwrap();
    let none = none.into_inner().transaction.unwrap();
    assert!(none.digest.is_none() && none.effects().bcs.is_some());
    let wrong = execute(&client, &signed, "transaction.effects")
        .await
        .unwrap_err();
    assert_eq!(wrong.code(), Code::InvalidArgument);
    assert_eq!(
        wrong.message(),
        "invalid read_mask path: transaction.effects"
    );
    devnet.shutdown().await;
}

#[tokio::test]
async fn objects_and_events_have_json_where_the_node_gives_it() {
    let devnet = start().await;
    let client = client(&devnet);
    let mut wallet = Wallet::new(&devnet).await;
    let stake = wallet.stake(500_000_000, [1; 32], Some("node-1"));
    let executed = wallet.execute(&client, stake).await.unwrap();
    let digest = executed.digest().parse().unwrap();
    let found = wait_for_transaction(&client, digest).await;
    for event in found.events().events() {
        assert!(event.json.is_some(), "{}", event.event_type());
    }
    let token = written(&executed, "SealToken");
    for id in [
        to_sui(devnet.ids.pool.as_bytes()),
        common::CLOCK,
        *token.object_id(),
        *wallet.gas.object_id(),
        to_sui(devnet.ids.caps.slash.unwrap().as_bytes()),
    ] {
        assert!(
            get_object(&client, id, "json")
                .await
                .unwrap()
                .json
                .is_some(),
            "{id}"
        );
    }
    let mut request = proto::GetCheckpointRequest::by_sequence_number(found.checkpoint());
    request.read_mask = Some(mask("transactions,objects"));
    let checkpoint = client
        .clone()
        .ledger_client()
        .get_checkpoint(request)
        .await
        .unwrap();
    let checkpoint = checkpoint.into_inner().checkpoint.unwrap();
    let shown = checkpoint
        .transactions()
        .iter()
        .find(|transaction| transaction.digest() == executed.digest())
        .unwrap();
    assert!(
        shown
            .events()
            .events()
            .iter()
            .all(|event| event.json.is_none())
    );
    assert!(
        shown
            .effects()
            .changed_objects()
            .iter()
            .all(|changed| changed.object_type.is_none())
    );
    assert!(checkpoint.objects().objects().len() >= 6);
    devnet.shutdown().await;
}

#[tokio::test]
async fn every_call_of_the_contract_can_be_made() {
    let devnet = start().await;
    let client = client(&devnet);
    let mut wallet = Wallet::new(&devnet).await;
    let mut operator = Wallet::operator(&devnet).await;
    let stake = wallet.stake(600_000_000, [1; 32], Some("node-1"));
    let executed = wallet.execute(&client, stake).await.unwrap();
    let mut token = written(&executed, "SealToken");
    let pool = wallet.pool.clone();

    // Restake with a coin split off; the token is a mutable input and gets a new version.
    let split = Command::SplitCoins(SplitCoins {
        coin: Argument::Gas,
        amounts: vec![Argument::Input(2)],
    });
    let restake = wallet.move_call(
        "restake",
        vec![
            Argument::Input(0),
            Argument::Input(1),
            Argument::NestedResult(0, 0),
            Argument::Input(3),
        ],
    );
    let inputs = vec![
        pool.clone(),
        Input::ImmutableOrOwned(token.clone()),
        pure(&400_000_000u64),
        clock(),
    ];
    let transaction = wallet.transaction(inputs, vec![split, restake]);
    let executed = wallet.execute(&client, transaction).await.unwrap();
    assert!(executed.effects().status().success(), "{executed:?}");
    assert!(written(&executed, "SealToken").version() > token.version());
    token = written(&executed, "SealToken");

    let refresh = wallet.call(
        "refresh_seal_token",
        vec![
            pool.clone(),
            Input::ImmutableOrOwned(token),
            pure(&vec![2u8; 32]),
            pure(&0u64),
            clock(),
        ],
    );
    let executed = wallet.execute(&client, refresh).await.unwrap();
    assert!(executed.effects().status().success(), "{executed:?}");
    assert_eq!(executed.events().events().len(), 3);
    token = written(&executed, "SealToken");

    let unstake = wallet.call(
        "request_unstake",
        vec![pool.clone(), Input::ImmutableOrOwned(token), clock()],
    );
    let executed = wallet.execute(&client, unstake).await.unwrap();
    assert!(executed.effects().status().success(), "{executed:?}");
    token = written(&executed, "SealToken");
    let withdraw = wallet.call(
        "withdraw",
        vec![pool.clone(), Input::ImmutableOrOwned(token), clock()],
    );
    let executed = wallet.execute(&client, withdraw).await.unwrap();
    assert_eq!(executed.effects().status().error().abort().abort_code(), 20);

    // The operator's calls, each with the cap's next version.
    let cap = to_sui(devnet.ids.caps.admin.unwrap().as_bytes());
    let mut cap = common::wait_for_object(&client, cap, 0).await;
    let numbers = [1u64, 2, 3, 4, 5, 0, 0, 60_000, 60_000, 7_200_000, 3_600_000];
    let mut config: Vec<Input> = numbers.iter().map(pure).collect();
    config.push(clock());
    let calls: Vec<(&'static str, Vec<Input>, bool)> = vec![
        ("announce_config", config, true),
        ("apply_config", vec![clock()], true),
        ("add_slash_cap", vec![pure(&[9u8; 32])], true),
        ("remove_slash_cap", vec![pure(&[9u8; 32])], false),
        ("reserve_name", vec![pure(&"reserved")], true),
        ("unreserve_name", vec![pure(&"reserved")], true),
        ("void_claim", vec![pure(&"node-1")], true),
        ("set_paused", vec![pure(&true)], true),
        (
            "withdraw_treasury",
            vec![pure(&1u64), pure(&[9u8; 32])],
            false,
        ),
        ("migrate", Vec::new(), false),
    ];
    for (function, more, succeeds) in calls {
        let mut inputs = vec![pool.clone(), Input::ImmutableOrOwned(cap)];
        inputs.extend(more);
        let call = operator.call(function, inputs);
        let executed = operator.execute(&client, call).await.unwrap();
        assert_eq!(
            executed.effects().status().success(),
            succeeds,
            "{function}: {executed:?}"
        );
        cap = written(&executed, "AdminCap");
    }
    devnet.shutdown().await;
}

#[tokio::test]
async fn a_coin_can_be_sent_and_merged() {
    let devnet = start().await;
    let client = client(&devnet);
    let mut wallet = Wallet::new(&devnet).await;
    let send = wallet.transaction(
        vec![pure(&5u64), pure(&[9u8; 32])],
        vec![
            Command::SplitCoins(SplitCoins {
                coin: Argument::Gas,
                amounts: vec![Argument::Input(0), Argument::Input(0)],
            }),
            Command::MergeCoins(sui_sdk_types::MergeCoins {
                coin: Argument::NestedResult(0, 0),
                coins_to_merge: vec![Argument::NestedResult(0, 1)],
            }),
            Command::TransferObjects(TransferObjects {
                objects: vec![Argument::NestedResult(0, 0)],
                address: Argument::Input(1),
            }),
        ],
    );
    let executed = wallet.execute(&client, send).await.unwrap();
    assert!(executed.effects().status().success(), "{executed:?}");
    wait_for_transaction(&client, executed.digest().parse().unwrap()).await;
    let mut request = proto::GetBalanceRequest::default();
    request.owner = Some(format!("0x{}", "09".repeat(32)));
    request.coin_type = Some("0x2::sui::SUI".to_owned());
    let balance = client
        .clone()
        .state_client()
        .get_balance(request)
        .await
        .unwrap();
    assert_eq!(balance.into_inner().balance.unwrap().balance(), 10);
    devnet.shutdown().await;
}

#[tokio::test]
async fn the_epoch_has_the_reference_gas_price() {
    let devnet = start().await;
    let mut ledger = client(&devnet);
    let epoch = ledger
        .ledger_client()
        .get_epoch(proto::GetEpochRequest::latest())
        .await
        .unwrap();
    let epoch = epoch.into_inner().epoch.unwrap();
    assert_eq!(epoch.reference_gas_price(), 1_000);
    assert_eq!(epoch.protocol_config().protocol_version(), 96);
    assert_eq!(ledger.get_reference_gas_price().await.unwrap(), 1_000);
    devnet.shutdown().await;
}

#[tokio::test]
async fn the_faucet_refuses_what_is_no_request() {
    let devnet = start().await;
    let (status, _) = post(&devnet.faucet_url, "/v2/gas", "{}").await;
    assert_eq!(status, 400);
    let (status, _) = post(
        &devnet.faucet_url,
        "/v2/gas",
        "{\"FixedAmountRequest\":{\"recipient\":\"nobody\"}}",
    )
    .await;
    assert_eq!(status, 422);
    let long = format!("{{\"x\":\"{}\"}}", "a".repeat(10_000));
    let (status, _) = post(&devnet.faucet_url, "/v2/gas", &long).await;
    assert_eq!(status, 413);
    let (status, _) = post(&devnet.faucet_url, "/gas", "{}").await;
    assert_eq!(status, 404);
    devnet.shutdown().await;
}
