//! Killed with SIGKILL at any moment, the ledger has every transaction that it answered for.
//!
//! The ledger runs in a process of its own: this test binary, started again.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test panics when something is not as it should be"
)]

mod common;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{DEADLINE, Wallet, get_object, mask};
use sui_devnet::{Devnet, DevnetConfig, RunningDevnet, StorageError};
use sui_ledger::ids::{seal_field_id, to_sui};
use sui_rpc::proto::sui::rpc::v2 as proto;
use sui_sdk_types::Digest;

const DIRECTORY: &str = "SUI_DEVNET_TEST_DIRECTORY";
/// Each answer waits for the disk, which others may keep busy.
const PATIENCE: Duration = Duration::from_mins(2);
const SNAPSHOTS: &str = "SUI_DEVNET_TEST_SNAPSHOTS";

fn config(directory: &Path, snapshots: u64) -> DevnetConfig {
    DevnetConfig {
        data_dir: Some(directory.to_owned()),
        snapshot_checkpoints: snapshots,
        ..DevnetConfig::for_tests()
    }
}

/// What the started process runs. Without its variables, as part of the suite, it does nothing.
#[test]
fn ledger_in_a_process_of_its_own() {
    let Some(directory) = std::env::var_os(DIRECTORY) else {
        return;
    };
    let snapshots = std::env::var(SNAPSHOTS).unwrap().parse().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let devnet = runtime
        .block_on(Devnet::start(config(Path::new(&directory), snapshots)))
        .unwrap();
    let ready = serde_json::json!({
        "rpc": devnet.rpc_url,
        "faucet": devnet.faucet_url,
        "ids": devnet.ids.to_toml().unwrap(),
        "operator": devnet.operator.address().to_string(),
    });
    println!("READY {ready}");
    std::io::stdout().flush().unwrap();
    // Ends with the test that started it, whatever becomes of that.
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

struct Process {
    child: Child,
    ready: serde_json::Value,
}

impl Process {
    fn start(directory: &Path, snapshots: u64) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "ledger_in_a_process_of_its_own", "--nocapture"])
            .env(DIRECTORY, directory)
            .env(SNAPSHOTS, snapshots.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = lines
            .find_map(|line| {
                let line = line.unwrap();
                // The harness writes the test's name before it, on the same line.
                let (_, ready) = line.split_once("READY ")?;
                Some(serde_json::from_str(ready).unwrap())
            })
            .expect("the ledger starts");
        Self { child, ready }
    }

    fn url(&self) -> &str {
        self.ready["rpc"].as_str().unwrap()
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// What was answered for: the stake's hash and what came of it.
type Answered = Arc<Mutex<Vec<([u8; 32], Digest, String)>>>;

/// Stakes one after the other until the ledger is gone.
async fn stake_until_it_dies(url: String, mut wallet: Wallet, seed: u8, answered: Answered) {
    let client = sui_rpc::Client::new(url.as_str()).unwrap();
    for count in 0u8..16 {
        let mut hash = [seed; 32];
        hash[0] = count;
        let stake = wallet.stake(500_000_000, hash, None);
        let digest = stake.digest();
        let executed = match wallet.execute(&client, stake).await {
            Ok(executed) => executed,
            // The end, by the kill: anything else would end the test by its deadline.
            Err(status) => return println!("a staker ends with {status}"),
        };
        assert!(executed.effects().status().success(), "{executed:?}");
        let effects = executed.effects().digest().to_owned();
        answered.lock().unwrap().push((hash, digest, effects));
    }
}

async fn checkpoints(client: &sui_rpc::Client, from: u64, to: u64) -> BTreeMap<u64, String> {
    let mut found = BTreeMap::new();
    for number in from..=to {
        let mut request = proto::GetCheckpointRequest::by_sequence_number(number);
        request.read_mask = Some(mask("sequence_number,digest,summary"));
        let checkpoint = client
            .clone()
            .ledger_client()
            .get_checkpoint(request)
            .await
            .unwrap();
        let checkpoint = checkpoint.into_inner().checkpoint.unwrap();
        if let Some(previous) = number.checked_sub(1).and_then(|one| found.get(&one)) {
            assert_eq!(checkpoint.summary().previous_digest(), previous);
        }
        found.insert(number, checkpoint.digest().to_owned());
    }
    found
}

async fn info(client: &sui_rpc::Client) -> proto::GetServiceInfoResponse {
    let request = proto::GetServiceInfoRequest::default();
    let wait = async {
        loop {
            match client
                .clone()
                .ledger_client()
                .get_service_info(request)
                .await
            {
                Ok(info) => return info.into_inner(),
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    };
    tokio::time::timeout(DEADLINE, wait).await.unwrap()
}

/// Kills the ledger three times in the middle of work; `history` says whether all transactions
/// must be readable afterwards, or only what they did.
async fn survives(snapshots: u64, history: bool) {
    let directory = tempfile::tempdir().unwrap();
    let mut ids: Option<String> = None;
    let mut before: BTreeMap<u64, String> = BTreeMap::new();
    let answered: Answered = Arc::default();
    for round in 1u8..=3 {
        let mut process = Process::start(directory.path(), snapshots);
        let client = sui_rpc::Client::new(process.url()).unwrap();
        // The same chain, but for the port.
        let without_endpoint = |text: &str| text.split_once('\n').unwrap().1.to_owned();
        let now = without_endpoint(process.ready["ids"].as_str().unwrap());
        assert_eq!(ids.get_or_insert_with(|| now.clone()), &now);

        let lowest = info(&client).await.lowest_available_checkpoint();
        for (number, digest) in before.range(lowest..) {
            let again = checkpoints(&client, *number, *number).await;
            assert_eq!(again.get(number), Some(digest), "checkpoint {number}");
        }
        check(&client, &process, &answered, history).await;

        let manifest =
            sui_ledger::manifest::ContractIds::parse(process.ready["ids"].as_str().unwrap())
                .unwrap();
        // Counted before anybody stakes: on a fast machine the first are done when the last begins.
        let enough = answered.lock().unwrap().len() + 20 + usize::from(round) * 3;
        let mut tasks = Vec::new();
        for at in 0..4u8 {
            let wallet = Wallet::at(
                process.url(),
                process.ready["faucet"].as_str().unwrap(),
                &manifest,
            )
            .await;
            tasks.push(tokio::spawn(stake_until_it_dies(
                process.url().to_owned(),
                wallet,
                round * 16 + at,
                Arc::clone(&answered),
            )));
        }
        let wait = async {
            while answered.lock().unwrap().len() < enough {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.unwrap();
        let height = info(&client).await.checkpoint_height();
        let lowest = info(&client).await.lowest_available_checkpoint();
        before = checkpoints(&client, lowest, height).await;
        process.kill();
        for task in tasks {
            task.await.unwrap();
        }
    }
    let process = Process::start(directory.path(), snapshots);
    let client = sui_rpc::Client::new(process.url()).unwrap();
    check(&client, &process, &answered, history).await;
}

async fn check(client: &sui_rpc::Client, process: &Process, answered: &Answered, history: bool) {
    let ids = process.ready["ids"].as_str().unwrap();
    let ids = sui_ledger::manifest::ContractIds::parse(ids).unwrap();
    // What was executed last is seen with the next checkpoint.
    let height = info(client).await.checkpoint_height();
    while info(client).await.checkpoint_height() <= height + 1 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let answered = answered.lock().unwrap().clone();
    for (hash, digest, effects) in answered {
        let row = seal_field_id(&ids.seals_table, &seal::CredentialHash::from_bytes(hash));
        get_object(client, to_sui(row.as_bytes()), "version")
            .await
            .unwrap_or_else(|status| panic!("a stake is lost: {status}"));
        if history {
            let mut request = proto::GetTransactionRequest::new(&digest);
            request.read_mask = Some(mask("effects.digest,checkpoint"));
            let found = client
                .clone()
                .ledger_client()
                .get_transaction(request)
                .await;
            let found = found.unwrap().into_inner().transaction.unwrap();
            assert_eq!(found.effects().digest(), effects);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_answered_transaction_is_lost_by_a_kill() {
    survives(4_096, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nor_while_states_are_stored_all_the_time() {
    survives(3, false).await;
}

async fn start_at(directory: &Path) -> RunningDevnet {
    Devnet::start(config(directory, 4_096)).await.unwrap()
}

#[tokio::test]
async fn a_directory_is_used_by_one_ledger_at_a_time() {
    let directory = tempfile::tempdir().unwrap();
    let devnet = start_at(directory.path()).await;
    let error = Devnet::start(config(directory.path(), 4_096))
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            sui_devnet::StartError::Storage(StorageError::InUse { .. })
        ),
        "{error:?}"
    );
    devnet.shutdown().await;
    start_at(directory.path()).await.shutdown().await;
}

#[cfg(unix)]
#[tokio::test]
async fn keys_are_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let devnet = start_at(directory.path()).await;
    for name in ["operator.keystore", "faucet.keystore"] {
        let mode = std::fs::metadata(directory.path().join(name))
            .unwrap()
            .permissions();
        assert_eq!(mode.mode() & 0o777, 0o600, "{name}");
    }
    let address = devnet.operator.address();
    devnet.shutdown().await;
    let devnet = start_at(directory.path()).await;
    assert_eq!(devnet.operator.address(), address);
    devnet.shutdown().await;
}

#[tokio::test]
async fn a_torn_end_is_cut_off_and_damage_elsewhere_stops_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let devnet = start_at(directory.path()).await;
    let mut wallet = Wallet::new(&devnet).await;
    let client = common::client(&devnet);
    let stake = wallet.stake(500_000_000, [1; 32], None);
    let digest = stake.digest();
    wallet.execute(&client, stake).await.unwrap();
    devnet.shutdown().await;

    let log = directory.path().join(format!("log-{:020}.bin", 0));
    let mut file = std::fs::OpenOptions::new().append(true).open(&log).unwrap();
    file.write_all(&[9, 0, 0, 0, 1]).unwrap();
    let devnet = start_at(directory.path()).await;
    let client = common::client(&devnet);
    common::wait_for_transaction(&client, digest).await;
    devnet.shutdown().await;

    let snapshot = directory.path().join(format!("snapshot-{:020}.bin", 0));
    let mut bytes = std::fs::read(&snapshot).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&snapshot, bytes).unwrap();
    let error = Devnet::start(config(directory.path(), 4_096))
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            sui_devnet::StartError::Storage(StorageError::NoState { .. })
        ),
        "{error:?}"
    );
}

/// A checkpoint that was left behind by a stored state looks like one without transactions; a
/// follower that took it for one would miss what happened in it.
#[tokio::test]
async fn a_checkpoint_without_its_transactions_is_not_shown() {
    let directory = tempfile::tempdir().unwrap();
    let devnet = Devnet::start(config(directory.path(), 2)).await.unwrap();
    let client = common::client(&devnet);
    while info(&client).await.checkpoint_height() < 20 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    devnet.shutdown().await;
    let devnet = Devnet::start(config(directory.path(), 2)).await.unwrap();
    let client = common::client(&devnet);
    let lowest = info(&client).await.lowest_available_checkpoint();
    assert!(lowest > 0);
    for (number, found) in [(lowest - 1, false), (lowest, true)] {
        let wait = async {
            while info(&client).await.checkpoint_height() < number {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(DEADLINE, wait).await.unwrap();
        let request = proto::GetCheckpointRequest::by_sequence_number(number);
        let answer = client.clone().ledger_client().get_checkpoint(request).await;
        assert_eq!(
            answer.is_ok(),
            found,
            "checkpoint {number}, lowest {lowest}"
        );
    }
    devnet.shutdown().await;
}
