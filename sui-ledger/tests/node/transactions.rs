//! Wallets against the model: what is built, what is sent again, what is waited for.

use std::time::Duration;

use seal::{Address, Mist, ObjectId};
use sui_ledger::client::FailureKind;
use sui_ledger::contract::layout::SealRow;
use sui_ledger::contract::{Config, Layout, Pool, SealRecordBcs, Table};
use sui_ledger::error::LedgerError;
use sui_ledger::ids::{seal_field_id, to_sui};
use sui_ledger::tx::{AbortCode, Artefact, Call, Stake, TxError, Wallet, WalletSettings};
use sui_rpc::proto::sui::rpc::v2 as proto;
use sui_rpc::proto::sui::rpc::v2::changed_object::{IdOperation, OutputObjectState};
use sui_rpc::proto::sui::rpc::v2::owner::OwnerKind;
use sui_sdk_types::{
    Argument, Command, Digest, ProgrammableTransaction, Transaction, TransactionKind,
};

use crate::chain_model::{Fault, Model, hash, ids, key, object, owned_by};
use crate::replay::Node;

pub(crate) const SUI: u64 = Mist::PER_SUI;

fn wallet(node: &Node) -> Wallet {
    wallet_with(
        node,
        WalletSettings {
            outcome_limit: Duration::from_secs(5),
            visible_limit: Duration::from_secs(5),
            ..WalletSettings::default()
        },
    )
}

fn wallet_with(node: &Node, settings: WalletSettings) -> Wallet {
    Wallet::new(node.client(), key(), settings)
}

pub(crate) fn stake_call(amount: u64) -> Call {
    Call::Stake {
        amount: Mist(amount),
        hash: hash(),
        node: None,
        namespace: None,
        validity_ms: 0,
    }
}

pub(crate) fn ptb(transaction: &Transaction) -> &ProgrammableTransaction {
    match &transaction.kind {
        TransactionKind::ProgrammableTransaction(ptb) => ptb,
        other => panic!("{other:?}"),
    }
}

/// A cap of ours that the node knows.
fn with_cap(model: &mut Model) -> ObjectId {
    let cap = ObjectId::from_bytes([0xca; 32]);
    model.objects.insert(
        cap,
        object(
            &cap,
            owned_by(&key().address()),
            "0xaa::staking::SlashCap",
            vec![0; 32],
        ),
    );
    cap
}

#[tokio::test]
async fn the_richest_coin_pays_and_stakes_are_split_from_it() {
    let (node, model) = Model::new(&[SUI, 9 * SUI, 3 * SUI]).start().await;
    let receipt = wallet(&node)
        .call(&ids(), &stake_call(2 * SUI))
        .await
        .unwrap();
    assert_eq!(receipt.checkpoint, Some(77));
    let sent = model.lock().unwrap().sent.clone();
    let [transaction] = sent.as_slice() else {
        panic!("sent once");
    };
    let [gas] = transaction.gas_payment.objects.as_slice() else {
        panic!("one gas coin");
    };
    assert_eq!(*gas.object_id(), to_sui(&[0x11; 32]));
    assert_eq!(transaction.gas_payment.price, 1_000);
    let [Command::SplitCoins(split), Command::MoveCall(call)] =
        ptb(transaction).commands.as_slice()
    else {
        panic!("{:?}", ptb(transaction).commands);
    };
    assert_eq!(split.coin, Argument::Gas);
    assert_eq!(call.function.as_str(), "stake_and_mint_seal");
    assert_eq!(call.package, to_sui(ids().latest_package.as_bytes()));
    assert_eq!(call.arguments.len(), 7);
}

#[tokio::test]
async fn poorer_coins_are_merged_only_when_one_does_not_suffice() {
    let (node, model) = Model::new(&[SUI, 2 * SUI, SUI / 2]).start().await;
    wallet(&node)
        .call(&ids(), &stake_call(5 * SUI / 2))
        .await
        .unwrap();
    let sent = model.lock().unwrap().sent.clone();
    let merge = ptb(&sent[0])
        .commands
        .iter()
        .find_map(|command| match command {
            Command::MergeCoins(merge) => Some(merge.clone()),
            _ => None,
        });
    let merge = merge.unwrap();
    assert_eq!(merge.coin, Argument::Gas);
    assert_eq!(merge.coins_to_merge.len(), 1, "no more than are needed");
}

#[tokio::test]
async fn too_little_money_is_said_before_anything_is_sent() {
    for (coins, label) in [
        (vec![], "no_coins"),
        (vec![SUI, SUI], "not_enough"),
        (vec![SUI / 20; 80], "no_gas_coin"),
    ] {
        let (node, model) = Model::new(&coins).start().await;
        let error = wallet(&node)
            .call(&ids(), &stake_call(2 * SUI))
            .await
            .unwrap_err();
        assert_eq!(error.label(), label, "{error}");
        assert!(model.lock().unwrap().sent.is_empty());
    }
}

#[tokio::test]
async fn the_next_transaction_takes_the_coins_version_from_the_last_effects() {
    let (node, model) = Model::new(&[9 * SUI]).start().await;
    let wallet = wallet(&node);
    for _ in 0..3 {
        wallet.call(&ids(), &stake_call(SUI)).await.unwrap();
    }
    let versions: Vec<u64> = model
        .lock()
        .unwrap()
        .sent
        .iter()
        .map(|transaction| transaction.gas_payment.objects[0].version())
        .collect();
    assert_eq!(versions, [1, 2, 3]);
    assert_eq!(node.count("ListOwnedObjects"), 1, "coins are listed once");
}

#[tokio::test]
async fn a_call_returns_when_reads_show_it_and_not_before() {
    let mut model = Model::new(&[9 * SUI]);
    model.lag = 3;
    let (node, _) = model.start().await;
    wallet(&node).call(&ids(), &stake_call(SUI)).await.unwrap();
    assert_eq!(node.count("GetTransaction"), 4);
}

#[tokio::test]
async fn a_checkpoint_that_never_comes_ends_the_wait() {
    let mut model = Model::new(&[9 * SUI]);
    model.lag = usize::MAX;
    let (node, _) = model.start().await;
    let wallet = wallet_with(
        &node,
        WalletSettings {
            visible_limit: Duration::from_millis(300),
            ..WalletSettings::default()
        },
    );
    let error = wallet.call(&ids(), &stake_call(SUI)).await.unwrap_err();
    assert!(matches!(error, TxError::NotVisible { .. }), "{error:?}");
    assert!(error.may_have_happened());
}

#[tokio::test]
async fn a_follower_that_ticks_is_looked_after_and_one_that_is_gone_does_no_harm() {
    let mut model = Model::new(&[9 * SUI]);
    model.lag = 2;
    let (node, _) = model.start().await;
    let (sender, receiver) = tokio::sync::watch::channel(0);
    let wallet = wallet(&node).with_ticks(receiver);
    let ticker = tokio::spawn(async move {
        for checkpoint in 1..200 {
            sender.send_replace(checkpoint);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    wallet.call(&ids(), &stake_call(SUI)).await.unwrap();
    ticker.abort();
    let _ = ticker.await;
    wallet.call(&ids(), &stake_call(SUI)).await.unwrap();
}

#[tokio::test]
async fn a_lost_answer_is_looked_up_and_not_sent_again() {
    let mut model = Model::new(&[9 * SUI]);
    model.faults = vec![Fault::LostAnswer];
    let (node, model) = model.start().await;
    wallet(&node).call(&ids(), &stake_call(SUI)).await.unwrap();
    assert_eq!(model.lock().unwrap().sent.len(), 1);
}

#[tokio::test]
async fn a_lost_request_is_sent_again_in_the_very_same_bytes() {
    let mut model = Model::new(&[9 * SUI]);
    model.faults = vec![Fault::LostRequest, Fault::LostRequest];
    let (node, model) = model.start().await;
    wallet(&node).call(&ids(), &stake_call(SUI)).await.unwrap();
    let sent = model.lock().unwrap().sent.clone();
    assert_eq!(sent.len(), 3);
    assert!(sent.iter().all(|transaction| *transaction == sent[0]));
}

#[tokio::test]
async fn sent_again_while_its_checkpoint_is_awaited_it_runs_once() {
    // Executed, the answer lost, and the look-up too early: the second sending is an echo.
    let mut model = Model::new(&[9 * SUI]);
    model.faults = vec![Fault::LostAnswer];
    model.lag = 1;
    let (node, model) = model.start().await;
    wallet(&node).call(&ids(), &stake_call(SUI)).await.unwrap();
    let model = model.lock().unwrap();
    assert_eq!(model.sent.len(), 2);
    assert_eq!(model.executed.len(), 1);
    assert_eq!(model.coins[0].version, 2);
}

#[tokio::test]
async fn a_refusal_after_a_lost_answer_is_no_proof_that_nothing_happened() {
    let mut model = Model::new(&[9 * SUI]);
    model.faults = vec![Fault::LostAnswer, Fault::Invalid];
    model.lag = 2;
    let (node, model) = model.start().await;
    wallet(&node).call(&ids(), &stake_call(SUI)).await.unwrap();
    assert_eq!(model.lock().unwrap().executed.len(), 1);
}

#[tokio::test]
async fn an_empty_answer_is_looked_up() {
    let mut model = Model::new(&[9 * SUI]);
    model.faults = vec![Fault::EmptyAnswer];
    let (node, model) = model.start().await;
    wallet(&node).call(&ids(), &stake_call(SUI)).await.unwrap();
    assert_eq!(model.lock().unwrap().sent.len(), 1);
}

#[tokio::test]
async fn an_outcome_that_stays_unknown_is_said_to_be_unknown() {
    let mut model = Model::new(&[9 * SUI]);
    model.faults = vec![Fault::LostRequest; 100];
    let (node, model) = model.start().await;
    let wallet = wallet_with(
        &node,
        WalletSettings {
            outcome_limit: Duration::from_millis(500),
            ..WalletSettings::default()
        },
    );
    let error = wallet.call(&ids(), &stake_call(SUI)).await.unwrap_err();
    let digest = model.lock().unwrap().sent[0].digest();
    assert!(
        matches!(&error, TxError::OutcomeUnknown { digest: found, .. } if *found == digest),
        "{error:?}"
    );
    assert!(error.may_have_happened());
}

#[tokio::test]
async fn a_locked_coin_is_not_fought_over() {
    let mut model = Model::new(&[9 * SUI]);
    model.faults = vec![Fault::Locked];
    let (node, model) = model.start().await;
    let error = wallet(&node)
        .call(&ids(), &stake_call(SUI))
        .await
        .unwrap_err();
    assert!(
        matches!(error, TxError::Ledger(LedgerError::Locked(_))),
        "{error:?}"
    );
    assert_eq!(model.lock().unwrap().sent.len(), 1);
}

#[tokio::test]
async fn remembered_versions_that_are_refused_are_read_again_once() {
    let (node, model) = Model::new(&[9 * SUI]).start().await;
    let wallet = wallet(&node);
    wallet.call(&ids(), &stake_call(SUI)).await.unwrap();
    // Another program used the coin meanwhile.
    model.lock().unwrap().coins[0].version = 7;
    wallet.call(&ids(), &stake_call(SUI)).await.unwrap();
    let versions: Vec<u64> = model
        .lock()
        .unwrap()
        .sent
        .iter()
        .map(|transaction| transaction.gas_payment.objects[0].version())
        .collect();
    assert_eq!(versions, [1, 2, 7]);
    // With versions just read, a refusal is final.
    model.lock().unwrap().faults = vec![Fault::Invalid, Fault::Invalid];
    let error = wallet.call(&ids(), &stake_call(SUI)).await.unwrap_err();
    assert!(
        matches!(error, TxError::Ledger(LedgerError::Invalid(_))),
        "{error:?}"
    );
    assert_eq!(model.lock().unwrap().sent.len(), 5);
}

#[tokio::test]
async fn an_abort_is_named_with_its_next_step_and_costs_the_coins_version() {
    let mut model = Model::new(&[9 * SUI]);
    model.faults = vec![Fault::Abort(6)];
    let (node, model) = model.start().await;
    let wallet = wallet(&node);
    let error = wallet.call(&ids(), &stake_call(SUI)).await.unwrap_err();
    assert_eq!(error.abort().unwrap().code, AbortCode::HashSpent);
    assert!(!error.may_have_happened());
    wallet.call(&ids(), &stake_call(SUI)).await.unwrap();
    let model = model.lock().unwrap();
    assert_eq!(model.sent.len(), 2, "the second was right at once");
    assert_eq!(model.sent[1].gas_payment.objects[0].version(), 2);
}

#[tokio::test]
async fn an_abort_too_is_reported_only_when_reads_show_its_gas() {
    let mut model = Model::new(&[9 * SUI]);
    model.faults = vec![Fault::Abort(6)];
    model.lag = 2;
    let (node, _) = model.start().await;
    let error = wallet(&node)
        .call(&ids(), &stake_call(SUI))
        .await
        .unwrap_err();
    assert!(error.abort().is_some(), "{error:?}");
    assert_eq!(node.count("GetTransaction"), 3);
}

#[tokio::test]
async fn a_slash_bids_ten_times_the_price_and_twice_that_when_cancelled() {
    let mut model = Model::new(&[9 * SUI]);
    model.faults = vec![Fault::Congestion, Fault::Congestion];
    let cap = with_cap(&mut model);
    let (node, model) = model.start().await;
    let slash = Call::Slash {
        cap,
        hash: hash(),
        reason: "late".to_owned(),
    };
    wallet(&node).call(&ids(), &slash).await.unwrap();
    let sent = model.lock().unwrap().sent.clone();
    let bids: Vec<(u64, u64)> = sent
        .iter()
        .map(|transaction| {
            let gas = &transaction.gas_payment;
            (gas.price, gas.objects[0].version())
        })
        .collect();
    assert_eq!(bids, [(10_000, 1), (20_000, 2), (40_000, 3)]);
    let Some(Command::MoveCall(call)) = ptb(&sent[0]).commands.last() else {
        panic!("no call");
    };
    assert_eq!(call.function.as_str(), "slash");
}

#[tokio::test]
async fn congestion_without_end_is_given_up() {
    let mut model = Model::new(&[9 * SUI]);
    model.faults = vec![Fault::Congestion; 50];
    let (node, model) = model.start().await;
    let error = wallet(&node)
        .call(&ids(), &stake_call(SUI))
        .await
        .unwrap_err();
    assert!(
        matches!(&error, TxError::Failed { failure, .. } if failure.kind == FailureKind::Congestion),
        "{error:?}"
    );
    assert_eq!(model.lock().unwrap().sent.len(), 6);
}

#[tokio::test]
async fn a_cap_of_somebody_else_is_refused_before_anything_is_sent() {
    let mut model = Model::new(&[9 * SUI]);
    let cap = ObjectId::from_bytes([0xcb; 32]);
    let stranger = Address::from_bytes([9; 32]);
    model.objects.insert(
        cap,
        object(
            &cap,
            owned_by(&stranger),
            "0xaa::staking::SlashCap",
            vec![0; 32],
        ),
    );
    let (node, model) = model.start().await;
    let revoke = |cap| Call::Revoke {
        cap,
        hash: hash(),
        reason: String::new(),
    };
    let error = wallet(&node).call(&ids(), &revoke(cap)).await.unwrap_err();
    assert!(matches!(error, TxError::NotOwned { .. }), "{error:?}");
    let missing = ObjectId::from_bytes([0xcc; 32]);
    let error = wallet(&node)
        .call(&ids(), &revoke(missing))
        .await
        .unwrap_err();
    assert!(matches!(error, TxError::MissingObject { .. }), "{error:?}");
    assert!(model.lock().unwrap().sent.is_empty());
}

/// The record under the hash, owned by `owner`.
fn with_record(model: &mut Model, owner: Address) {
    let row = SealRow {
        id: ObjectId::from_bytes([9; 32]),
        name: hash().as_bytes().to_vec(),
        value: SealRecordBcs {
            seq: 1,
            seal_id: ObjectId::from_bytes([8; 32]),
            owner,
            stake: SUI,
            restore_at: 0,
            node_id: None,
            namespace: None,
            issued_at_ms: 1,
            expires_at_ms: 2,
            unbonding_ends_at_ms: 0,
            status: 0,
            slashed_total: 0,
            last_slashed_at_ms: 0,
            generation: 0,
            ext: Vec::new(),
        },
    };
    let id = seal_field_id(&ids().seals_table, &hash());
    let mut owner = proto::Owner::default();
    owner.kind = Some(OwnerKind::Object as i32);
    owner.address = Some(ids().seals_table.to_string());
    model.objects.insert(
        id,
        object(&id, owner, "0x2::dynamic_field::Field", row.encode()),
    );
}

#[tokio::test]
async fn a_seal_is_ours_only_when_its_record_names_us() {
    let stake = Stake {
        amount: Mist(SUI),
        hash: hash(),
        node: None,
        namespace: None,
        validity_ms: 0,
    };
    for (owner, ours) in [
        (Some(key().address()), true),
        (Some(Address::from_bytes([9; 32])), false),
        (None, false),
    ] {
        let mut model = Model::new(&[9 * SUI]);
        if let Some(owner) = owner {
            with_record(&mut model, owner);
        }
        let (node, _) = model.start().await;
        let result = wallet(&node).stake(&ids(), stake.clone()).await;
        if ours {
            assert!(result.is_ok(), "{result:?}");
        } else {
            assert!(matches!(result, Err(TxError::Taken)), "{result:?}");
        }
    }
}

#[tokio::test]
async fn a_publication_finds_pool_tables_and_caps() {
    let id = |byte| ObjectId::from_bytes([byte; 32]);
    let package = id(0x70);
    let table = |byte| Table {
        id: id(byte),
        size: 0,
    };
    let pool = Pool {
        id: id(0x71),
        version: 1,
        config: Config {
            viewer: 1,
            developer: 2,
            admin: 3,
            super_: 4,
            slash_pct: 10,
            slash_interval_ms: 0,
            config_delay_ms: 0,
            unbonding_ms: 60_000,
            validity_min_ms: 1,
            validity_max_ms: 3,
            validity_default_ms: 2,
        },
        pending: None,
        pooled: 0,
        treasury: 0,
        seq: 0,
        seals: table(0x72),
        nodes: table(0x73),
        owners: table(0x74),
        slash_caps: vec![id(0x76)],
        reserved: Vec::new(),
        paused: false,
        ext: Vec::new(),
    };
    let mut shared = proto::Owner::default();
    shared.kind = Some(OwnerKind::Shared as i32);
    shared.version = Some(42);
    let mine = owned_by(&key().address());
    let upgrade = "0x2::package::UpgradeCap";
    let objects = [
        (
            id(0x71),
            shared,
            format!("{package}::staking::Pool"),
            pool.encode(),
        ),
        (
            id(0x75),
            mine.clone(),
            format!("{package}::staking::AdminCap"),
            vec![0x75; 32],
        ),
        (
            id(0x76),
            mine.clone(),
            format!("{package}::staking::SlashCap"),
            vec![0x76; 32],
        ),
        (id(0x77), mine, upgrade.to_owned(), vec![0x77; 32]),
    ];
    let mut model = Model::new(&[9 * SUI]);
    let mut created = vec![(package, OutputObjectState::PackageWrite)];
    for (id, owner, object_type, contents) in objects {
        created.push((id, OutputObjectState::ObjectWrite));
        model
            .objects
            .insert(id, object(&id, owner, &object_type, contents));
    }
    let (node, shared_model) = model.start().await;
    let artefact = Artefact::parse(r#"{"modules":["oRzr"],"dependencies":["0x1","0x2"]}"#).unwrap();

    // The publication made none of them: an error, not a half of a file.
    let error = wallet(&node)
        .publish(&artefact, "http://127.0.0.1:9000")
        .await
        .unwrap_err();
    assert_eq!(error.label(), "publish", "{error:?}");

    // The same transaction again, its effects completed by what a publication makes.
    let mut changed = Vec::new();
    for (id, state) in created {
        let mut object = proto::ChangedObject::default();
        object.object_id = Some(id.to_string());
        object.output_state = Some(state as i32);
        object.output_version = Some(2);
        object.output_digest = Some(Digest::new(*id.as_bytes()).to_string());
        object.id_operation = Some(IdOperation::Created as i32);
        changed.push(object);
    }
    shared_model.lock().unwrap().created = changed;
    let ids = wallet(&node)
        .publish(&artefact, "http://127.0.0.1:9000")
        .await
        .unwrap();
    assert_eq!(ids.original_package, package);
    assert_eq!(ids.latest_package, package);
    assert_eq!((ids.pool, ids.pool_initial_version), (id(0x71), 42));
    assert_eq!(
        [ids.seals_table, ids.nodes_table, ids.owners_table],
        [id(0x72), id(0x73), id(0x74)]
    );
    assert_eq!(ids.caps.admin, Some(id(0x75)));
    assert_eq!(ids.caps.slash, Some(id(0x76)));
    assert_eq!(ids.caps.upgrade, Some(id(0x77)));
    assert!(ids.validate().is_ok());
    let sent = shared_model.lock().unwrap().sent.clone();
    assert!(matches!(
        ptb(&sent[0]).commands.as_slice(),
        [Command::Publish(_), Command::TransferObjects(_)]
    ));
}
