//! No wrong "yes", ever, and service back by itself: the ledger is killed, stalled, cut off, made
//! to lag, and flooded, while tenants of the webhooks knock all the time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use k3s_daas_tests::bench::synthetic::token;
use k3s_daas_tests::rig::{Answer, Webhooks, funded_wallet, node, slash, stake};
use seal::{Mist, SealToken};
use sui_devnet::{Devnet, DevnetConfig, RunningDevnet, StreamEnd};
use sui_ledger::directory::DirectoryConfig;
use sui_ledger::keystore::WalletKey;
use sui_ledger::manifest::ContractIds;
use sui_ledger::tx::Wallet;

const STAKE: Mist = Mist(2_000_000_000);
/// Short, so that outages can be waited out; the rules are the same.
const MAX_STALENESS: Duration = Duration::from_secs(2);

struct Scene {
    _folder: tempfile::TempDir,
    devnet: RunningDevnet,
    ids: ContractIds,
    webhooks: Webhooks,
    operator: Wallet,
    tenant: Wallet,
}

impl Scene {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let devnet = Devnet::start(DevnetConfig::for_tests()).await.unwrap();
        let ids = devnet.ids.clone();
        let config = DirectoryConfig {
            max_staleness: MAX_STALENESS,
            frame_deadline: Duration::from_secs(1),
            ..DirectoryConfig::default()
        };
        let webhooks = Webhooks::start(node(&ids).unwrap(), &ids, config, folder.path())
            .await
            .unwrap();
        webhooks.ready().await.unwrap();
        let operator = funded_wallet(&ids, &devnet.faucet_url, devnet.operator.clone())
            .await
            .unwrap();
        let tenant = funded_wallet(&ids, &devnet.faucet_url, WalletKey::generate().unwrap())
            .await
            .unwrap();
        Self {
            _folder: folder,
            devnet,
            ids,
            webhooks,
            operator,
            tenant,
        }
    }

    async fn staked(&self, n: u64) -> SealToken {
        let token = token(n);
        stake(&self.tenant, &self.ids, &token, STAKE).await.unwrap();
        token
    }

    async fn ask(&self, token: &SealToken) -> Answer {
        self.webhooks.token_review(&token.reveal()).await.unwrap()
    }

    async fn refused_within(&self, token: &SealToken, limit: Duration) -> String {
        let started = Instant::now();
        loop {
            match self.ask(token).await {
                Answer::No(reason) => return reason,
                answer => assert!(started.elapsed() < limit, "still {answer:?}"),
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn accepted_within(&self, token: &SealToken, limit: Duration) {
        let started = Instant::now();
        loop {
            match self.ask(token).await {
                Answer::Yes(_) => return,
                answer => assert!(started.elapsed() < limit, "still {answer:?}"),
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stake_is_a_yes_at_once_and_a_slash_a_no_for_good() {
    let scene = Scene::new().await;
    let held = token(1);
    assert!(
        matches!(scene.ask(&held).await, Answer::No(_)),
        "nobody staked yet"
    );
    let held = scene.staked(1).await;
    assert_eq!(
        scene.ask(&held).await,
        Answer::Yes(seal::identity::user_name(&scene.tenant.address())),
        "the refusal before the stake must not be remembered",
    );
    let call = slash(&scene.ids, &held).unwrap();
    scene.operator.call(&scene.ids, &call).await.unwrap();
    scene.refused_within(&held, Duration::from_secs(2)).await;
    for _ in 0..50 {
        assert!(!scene.ask(&held).await.is_yes(), "a slashed seal came back");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_chain_refuses_after_the_staleness_bound_and_comes_back() {
    let scene = Scene::new().await;
    let held = scene.staked(1).await;
    scene.accepted_within(&held, Duration::from_secs(2)).await;
    scene.devnet.faults.stall(true);
    let stalled = Instant::now();
    let reason = scene
        .refused_within(&held, MAX_STALENESS + Duration::from_secs(2))
        .await;
    assert!(
        stalled.elapsed() > MAX_STALENESS / 2,
        "a short pause must not refuse anybody"
    );
    assert!(!reason.is_empty());
    scene.devnet.faults.stall(false);
    scene.accepted_within(&held, Duration::from_secs(10)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cut_and_silent_streams_are_opened_again_without_a_wrong_yes() {
    let scene = Scene::new().await;
    let (kept, lost) = (scene.staked(1).await, scene.staked(2).await);
    scene.accepted_within(&kept, Duration::from_secs(2)).await;
    scene.accepted_within(&lost, Duration::from_secs(2)).await;
    for end in [StreamEnd::Clean, StreamEnd::Error] {
        scene.devnet.faults.drop_streams(end);
        scene.accepted_within(&kept, Duration::from_secs(5)).await;
    }
    // The slash happens while no frame arrives: it must be found in the gap.
    scene.devnet.faults.silence_streams(true);
    let call = slash(&scene.ids, &lost).unwrap();
    scene.operator.call(&scene.ids, &call).await.unwrap();
    scene
        .refused_within(&lost, MAX_STALENESS + Duration::from_secs(3))
        .await;
    scene.devnet.faults.silence_streams(false);
    scene.accepted_within(&kept, Duration::from_secs(10)).await;
    assert!(!scene.ask(&lost).await.is_yes());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lagging_node_revives_nobody() {
    let scene = Scene::new().await;
    let held = scene.staked(1).await;
    scene.accepted_within(&held, Duration::from_secs(2)).await;
    // Reads answer from before the slash; the stream tells the truth.
    let before = scene.webhooks.directory.status().last_checkpoint;
    scene.devnet.faults.hold_reads_at(before);
    let call = slash(&scene.ids, &held).unwrap();
    let slashing = scene.operator.call(&scene.ids, &call);
    // Its receipt can't be read from the held node, so only its effect is waited for.
    let refused = scene.refused_within(&held, Duration::from_secs(5));
    tokio::select! {
        _ = slashing => { scene.refused_within(&held, Duration::from_secs(5)).await; }
        _ = refused => {}
    }
    for _ in 0..100 {
        assert!(
            !scene.ask(&held).await.is_yes(),
            "the lagging node revived it"
        );
    }
    scene.devnet.faults.hold_reads_at(None);
    assert!(!scene.ask(&held).await.is_yes());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_ledger_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let config = DevnetConfig {
        data_dir: Some(folder.path().join("ledger")),
        ..DevnetConfig::for_tests()
    };
    let devnet = Devnet::start(config.clone()).await.unwrap();
    let ids = devnet.ids.clone();
    let directory = DirectoryConfig {
        max_staleness: MAX_STALENESS,
        ..DirectoryConfig::default()
    };
    let webhooks = Webhooks::start(node(&ids).unwrap(), &ids, directory, folder.path())
        .await
        .unwrap();
    webhooks.ready().await.unwrap();
    let tenant = funded_wallet(&ids, &devnet.faucet_url, WalletKey::generate().unwrap())
        .await
        .unwrap();
    let held = token(1);
    stake(&tenant, &ids, &held, STAKE).await.unwrap();
    assert!(
        webhooks
            .token_review(&held.reveal())
            .await
            .unwrap()
            .is_yes()
    );

    // The same address, as a restarted node has.
    let address = ids.endpoint.trim_start_matches("http://").parse().unwrap();
    devnet.shutdown().await;
    webhooks
        .stale(MAX_STALENESS + Duration::from_secs(3))
        .await
        .unwrap();
    assert!(
        !webhooks
            .token_review(&held.reveal())
            .await
            .unwrap()
            .is_yes()
    );
    let devnet = Devnet::start(DevnetConfig {
        listen: address,
        ..config
    })
    .await
    .unwrap();
    webhooks.ready().await.unwrap();
    assert!(
        webhooks
            .token_review(&held.reveal())
            .await
            .unwrap()
            .is_yes()
    );
    webhooks.stop().await.unwrap();
    devnet.shutdown().await;
}

/// 100,000 tokens of strangers while 1,000 valid ones are in use.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_random_tokens_changes_no_answer() {
    const STRANGERS: u64 = 100_000;
    const LANES: u64 = 32;
    let scene = Arc::new(Scene::new().await);
    let held = Arc::new(a_thousand_seals(&scene).await);
    let (over, asked) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
    );
    let valid = {
        let (scene, held, over, asked) = (scene.clone(), held.clone(), over.clone(), asked.clone());
        tokio::spawn(async move {
            while !over.load(Ordering::Relaxed) {
                for token in held.iter() {
                    let answer = scene.ask(token).await;
                    assert!(answer.is_yes(), "a valid token was refused: {answer:?}");
                    asked.fetch_add(1, Ordering::Relaxed);
                }
            }
        })
    };
    let mut flood = tokio::task::JoinSet::new();
    for lane in 0..LANES {
        let scene = scene.clone();
        flood.spawn(async move {
            for n in (lane..STRANGERS).step_by(LANES as usize) {
                let answer = scene.ask(&token(u64::MAX - n)).await;
                assert!(!answer.is_yes(), "a stranger was let in");
            }
        });
    }
    while let Some(lane) = flood.join_next().await {
        lane.unwrap();
    }
    over.store(true, Ordering::Relaxed);
    valid.await.unwrap();
    assert!(
        asked.load(Ordering::Relaxed) >= 1_000,
        "not every valid token was asked for"
    );
    let status = scene.webhooks.directory.status();
    assert!(status.fresh() && status.absences <= 100_000, "{status:?}");
}

/// 1,000 seals of 63 owners: one may have 16.
async fn a_thousand_seals(scene: &Arc<Scene>) -> Vec<SealToken> {
    let mut owners = tokio::task::JoinSet::new();
    for owner in 0..63u64 {
        let scene = scene.clone();
        owners.spawn(async move {
            let (ids, faucet) = (&scene.ids, &scene.devnet.faucet_url);
            let wallet = funded_wallet(ids, faucet, WalletKey::generate().unwrap())
                .await
                .unwrap();
            let mut tokens = Vec::new();
            for n in (owner * 16..owner * 16 + 16).take_while(|n| *n < 1_000) {
                let token = token(n);
                stake(&wallet, ids, &token, STAKE).await.unwrap();
                tokens.push(token);
            }
            tokens
        });
    }
    let mut all = Vec::new();
    while let Some(tokens) = owners.join_next().await {
        all.extend(tokens.unwrap());
    }
    assert_eq!(all.len(), 1_000);
    all
}
