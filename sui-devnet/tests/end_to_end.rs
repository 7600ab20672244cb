//! The whole way with the published client: faucet, stake, see it on the stream, slash.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test panics when something is not as it should be"
)]

mod common;

use common::{
    DEADLINE, Wallet, client, execute, get_object, start, subscribe, wait_for_object,
    wait_for_transaction, written,
};
use sui_ledger::contract::{Layout, Pool, SealChangedBcs, layout::SealRow};
use sui_ledger::ids::{seal_field_id, to_sui};
use tonic::Code;

const STREAM_MASK: &str =
    "sequence_number,summary.timestamp,transactions.digest,transactions.events";

type Frames = tonic::Streaming<sui_rpc::proto::sui::rpc::v2::SubscribeCheckpointsResponse>;

/// The next frame that has events of seals, with all of them.
async fn next_events(stream: &mut Frames) -> (u64, Vec<SealChangedBcs>) {
    let wait = async {
        loop {
            let frame = stream.message().await.unwrap().unwrap();
            assert_eq!(frame.cursor(), frame.checkpoint().sequence_number());
            let events: Vec<SealChangedBcs> = frame
                .checkpoint()
                .transactions()
                .iter()
                .flat_map(|transaction| transaction.events().events())
                .filter(|event| event.event_type().ends_with("::staking::SealChanged"))
                .map(|event| SealChangedBcs::decode(event.contents().value()).unwrap())
                .collect();
            if !events.is_empty() {
                return (frame.cursor(), events);
            }
        }
    };
    tokio::time::timeout(DEADLINE, wait).await.unwrap()
}

async fn next_event(stream: &mut Frames) -> (u64, SealChangedBcs) {
    let (height, mut events) = next_events(stream).await;
    assert_eq!(events.len(), 1);
    (height, events.remove(0))
}

#[tokio::test]
async fn a_stake_and_a_slash_are_seen_on_the_stream_and_in_the_rows() {
    let devnet = start().await;
    let client = client(&devnet);
    let mut staker = Wallet::new(&devnet).await;
    let mut operator = Wallet::operator(&devnet).await;
    let mut stream = subscribe(&client, STREAM_MASK).await;

    let hash = [7; 32];
    let stake = staker.stake(2_000_000_000, hash, Some("node-1"));
    let executed = staker.execute(&client, stake).await.unwrap();
    assert!(executed.effects().status().success(), "{executed:?}");
    assert!(executed.checkpoint.is_none() && executed.timestamp.is_none());

    let (height, event) = next_event(&mut stream).await;
    assert_eq!(event.seq, 1);
    assert_eq!(event.cause, 0);
    assert_eq!(event.hash, hash);
    assert_eq!(event.record.stake, 2_000_000_000);
    assert_eq!(to_sui(event.record.owner.as_bytes()), staker.address());
    assert_eq!(
        event.record.seal_id.as_bytes(),
        &written(&executed, "SealToken").object_id().into_inner()
    );

    // Once the frame is there, reads are up to date.
    let digest = executed.digest().parse().unwrap();
    let found = wait_for_transaction(&client, digest).await;
    assert_eq!(found.checkpoint(), height);
    let row = to_sui(
        seal_field_id(
            &devnet.ids.seals_table,
            &seal::CredentialHash::from_bytes(hash),
        )
        .as_bytes(),
    );
    let object = get_object(&client, row, "*").await.unwrap();
    let field = SealRow::decode(object.contents().value()).unwrap();
    assert_eq!(field.value, event.record);
    assert_eq!(field.name, hash);

    let cap = to_sui(devnet.ids.caps.slash.unwrap().as_bytes());
    let cap = wait_for_object(&client, cap, 0).await;
    let slash = operator.slash(cap, hash, "misbehaved");
    let executed = operator.execute(&client, slash).await.unwrap();
    assert!(executed.effects().status().success(), "{executed:?}");
    let (_, event) = next_event(&mut stream).await;
    // The mint was 1, the claim of the node 2.
    assert_eq!((event.seq, event.cause), (3, 6));
    assert_eq!(event.reason, "misbehaved");
    assert_eq!(event.record.status, 2);
    assert_eq!(event.record.stake, 1_800_000_000);
    assert_eq!(event.record.restore_at, 2_000_000_000);

    let pool = get_object(&client, to_sui(devnet.ids.pool.as_bytes()), "*")
        .await
        .unwrap();
    let pool = Pool::decode(pool.contents().value()).unwrap();
    assert_eq!(pool.seq, 3);
    assert_eq!((pool.pooled, pool.treasury), (1_800_000_000, 200_000_000));
    assert_eq!(
        (pool.seals.size, pool.nodes.size, pool.owners.size),
        (1, 1, 1)
    );
    devnet.shutdown().await;
}

#[tokio::test]
async fn a_change_is_not_seen_before_its_checkpoint() {
    let devnet = start().await;
    let client = client(&devnet);
    let mut staker = Wallet::new(&devnet).await;
    // No checkpoint can be made while reads are held: what they see is the state before.
    let height = client
        .clone()
        .ledger_client()
        .get_service_info(sui_rpc::proto::sui::rpc::v2::GetServiceInfoRequest::default())
        .await
        .unwrap()
        .into_inner()
        .checkpoint_height();
    devnet.faults.hold_reads_at(Some(height));
    let stake = staker.stake(500_000_000, [1; 32], None);
    let executed = staker.execute(&client, stake).await.unwrap();
    let token = written(&executed, "SealToken");
    let error = get_object(&client, *token.object_id(), "*")
        .await
        .unwrap_err();
    assert_eq!(error.code(), Code::NotFound);
    assert_eq!(
        error.message(),
        format!("Object {} not found", token.object_id())
    );
    devnet.faults.hold_reads_at(None);
    wait_for_object(&client, *token.object_id(), token.version()).await;
    devnet.shutdown().await;
}

#[tokio::test]
async fn the_same_transaction_twice_has_the_same_effects() {
    let devnet = start().await;
    let client = client(&devnet);
    let staker = Wallet::new(&devnet).await;
    let signed = staker.sign(staker.stake(500_000_000, [1; 32], None));
    let once = execute(&client, &signed, "*").await.unwrap();
    let twice = execute(&client, &signed, "*").await.unwrap();
    assert_eq!(once, twice);
    devnet.shutdown().await;
}

#[tokio::test]
async fn the_published_client_executes_and_waits_for_the_checkpoint() {
    let devnet = start().await;
    let mut client = client(&devnet);
    let staker = Wallet::new(&devnet).await;
    let signed = staker.sign(staker.stake(500_000_000, [1; 32], None));
    let request = common::execute_request(&signed, "*");
    let executed = client
        .execute_transaction_and_wait_for_checkpoint(request, DEADLINE)
        .await
        .unwrap()
        .into_inner();
    assert!(executed.transaction().effects().status().success());
    devnet.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_stakers_at_once_share_the_waits_for_the_disk() {
    const STAKERS: u8 = 32;
    const STAKES: u8 = 10;
    let directory = tempfile::tempdir().unwrap();
    let devnet = sui_devnet::Devnet::start(sui_devnet::DevnetConfig {
        data_dir: Some(directory.path().to_owned()),
        ..sui_devnet::DevnetConfig::for_tests()
    })
    .await
    .unwrap();
    let client = client(&devnet);
    let mut wallets = Vec::new();
    for _ in 0..STAKERS {
        wallets.push(Wallet::new(&devnet).await);
    }
    let mut stream = subscribe(&client, STREAM_MASK).await;
    let begun = std::time::Instant::now();
    let tasks: Vec<_> = (0..STAKERS)
        .zip(wallets)
        .map(|(at, mut wallet)| {
            let client = client.clone();
            tokio::spawn(async move {
                for count in 0..STAKES {
                    let mut hash = [at; 32];
                    hash[0] = count;
                    let stake = wallet.stake(500_000_000, hash, None);
                    let executed = wallet.execute(&client, stake).await.unwrap();
                    assert!(executed.effects().status().success(), "{executed:?}");
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let total = u64::from(STAKERS) * u64::from(STAKES);
    let rate = f64::from(u32::try_from(total).unwrap()) / begun.elapsed().as_secs_f64();
    println!("{total} stakes, {rate:.0} a second");
    // The stream tells of each once, in order.
    let mut seen = Vec::new();
    while seen.len() < usize::try_from(total).unwrap() {
        let (_, events) = next_events(&mut stream).await;
        seen.extend(events.into_iter().map(|event| event.seq));
    }
    assert_eq!(seen, (1..=total).collect::<Vec<_>>());
    devnet.shutdown().await;
}
