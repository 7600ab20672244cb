//! On the embedded ledger, with a real wallet.

use seal::UnixMillis;
use sui_devnet::{Devnet, DevnetConfig, RunningDevnet};

use super::*;
use crate::chain::faucet;
use crate::seals::{Pending, new_token};

const DAY_MS: u64 = 86_400_000;

/// A machine with a funded key, and its chain.
struct Machine {
    devnet: RunningDevnet,
    folder: tempfile::TempDir,
    key: WalletKey,
}

impl Machine {
    async fn new() -> Self {
        // Another test may have been first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let devnet = Devnet::start(DevnetConfig::for_tests()).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let key = WalletKey::generate().unwrap();
        sui_ledger::keystore::create(&folder.path().join("sui.keystore"), &key).unwrap();
        let machine = Self {
            devnet,
            folder,
            key,
        };
        let url = &machine.devnet.faucet_url;
        faucet::fund(url, &machine.key.address(), Mist(1), &machine.chain())
            .await
            .unwrap();
        machine
    }

    fn chain(&self) -> Chain {
        Chain::reading(self.devnet.ids.clone(), std::time::Duration::from_secs(20)).unwrap()
    }

    fn token_file(&self) -> PathBuf {
        self.folder.path().join("seal.token")
    }

    /// The worker's process anew.
    fn own(&self) -> OwnSeal {
        let key = KeySettings {
            keystore: self.folder.path().join("sui.keystore"),
            address: None,
        };
        let (node, half) = ("worker-001".parse().unwrap(), Mist(500_000_000));
        let wake = Arc::default();
        OwnSeal::new(self.chain(), key, &self.token_file(), node, half, wake)
    }

    fn order(&self) -> StakeOrder {
        StakeOrder {
            amount: None,
            validity_ms: 30 * DAY_MS,
            wallet: self.key.address(),
        }
    }

    async fn seals(&self) -> usize {
        let hashes = self.chain().hashes_of(&self.key.address()).await;
        hashes.unwrap().len()
    }

    /// What a process leaves that is killed before the token has its place.
    async fn killed_after_the_transaction(&self) -> (SealToken, Pending) {
        let own = self.own();
        let (chain, _) = own.signing().unwrap();
        let order = Order {
            amount: own.amount,
            node_id: Some(own.node.clone()),
            namespace: None,
            validity_ms: 30 * DAY_MS,
        };
        let place = TokenPlace {
            token_file: Some(self.token_file()),
            ..TokenPlace::default()
        };
        let minted = mint(&chain, &own.seals, &order, &place).await.unwrap();
        (minted.token, minted.pending)
    }
}

#[tokio::test]
async fn an_order_that_is_repeated_gives_the_same_seal() {
    let machine = Machine::new().await;
    let first = machine.own().stake(machine.order()).await.unwrap();
    let kept = read_token(&machine.token_file()).unwrap();
    assert_eq!(kept.credential_hash(), first.token.credential_hash());
    assert!(!crate::secrets::open_to_others(&machine.token_file()).unwrap());
    assert_eq!(first.tier, seal::Tier::Viewer);

    let own = machine.own();
    let (again, also) = tokio::join!(own.stake(machine.order()), own.stake(machine.order()));
    for one in [again.unwrap(), also.unwrap()] {
        assert_eq!(one.token.credential_hash(), kept.credential_hash());
        assert_eq!(one.expires_at, first.expires_at);
    }
    assert_eq!(machine.seals().await, 1);

    let other = StakeOrder {
        wallet: Address::from_bytes([9; 32]),
        ..machine.order()
    };
    assert_eq!(own.stake(other).await.unwrap_err(), WorkError::OtherWallet);

    // Once it is asked for, there is nothing more to use; asking again changes nothing.
    let asked = own.unstake().await.unwrap();
    assert_eq!(own.unstake().await.unwrap(), asked);
    let ended = own.stake(machine.order()).await.unwrap_err();
    assert!(
        matches!(
            ended,
            WorkError::SealEnded {
                reason: "unbonding",
                ..
            }
        ),
        "{ended:?}"
    );
    assert_eq!(machine.seals().await, 1);
}

#[tokio::test]
async fn a_process_killed_at_any_step_stakes_once() {
    let machine = Machine::new().await;
    // After the transaction, before the token had its place.
    let (token, pending) = machine.killed_after_the_transaction().await;
    assert!(!machine.token_file().exists());
    let staked = machine.own().stake(machine.order()).await.unwrap();
    assert_eq!(
        staked.token.credential_hash(),
        token.credential_hash(),
        "the seal that was paid for"
    );
    // After the token had its place, before it was forgotten that it is pending.
    let own = machine.own();
    own.seals.keep_pending(&token, &pending).unwrap();
    let staked = own.stake(machine.order()).await.unwrap();
    assert_eq!(staked.token.credential_hash(), token.credential_hash());
    assert!(own.seals.pending().unwrap().is_empty());
    assert_eq!(machine.seals().await, 1);
}

#[tokio::test]
async fn a_transaction_that_may_still_come_is_waited_for() {
    let machine = Machine::new().await;
    let own = machine.own();
    let token = new_token().unwrap();
    let mut pending = Pending {
        hash: token.credential_hash().to_string(),
        owner: machine.key.address(),
        destination: machine.token_file(),
        purpose: Purpose::Stake,
        since: now(),
    };
    own.seals.prepare(&pending.destination).unwrap();
    own.seals.keep_pending(&token, &pending).unwrap();
    let unknown = own.stake(machine.order()).await.unwrap_err();
    assert!(
        matches!(unknown, WorkError::OutcomeUnknown(_)),
        "{unknown:?}"
    );
    assert_eq!(machine.seals().await, 0);
    // It never came, and can't any more.
    own.seals.forget_pending(&pending.hash).unwrap();
    pending.since = UnixMillis(now().0 - SETTLED_AFTER_MS - 1_000);
    own.seals.keep_pending(&token, &pending).unwrap();
    let staked = own.stake(machine.order()).await.unwrap();
    assert_ne!(staked.token.credential_hash(), token.credential_hash());
    assert_eq!(machine.seals().await, 1);
}

#[tokio::test]
async fn a_seal_whose_token_is_elsewhere_is_not_staked_for_again() {
    let machine = Machine::new().await;
    machine.own().stake(machine.order()).await.unwrap();
    let away = machine.folder.path().join("away.token");
    std::fs::rename(machine.token_file(), &away).unwrap();
    let refused = machine.own().stake(machine.order()).await.unwrap_err();
    assert!(
        matches!(
            refused,
            WorkError::SealEnded {
                reason: "token_elsewhere",
                ..
            }
        ),
        "{refused:?}"
    );
    assert_eq!(
        machine.own().unstake().await.unwrap_err(),
        WorkError::NotStaked
    );
    std::fs::rename(&away, machine.token_file()).unwrap();
    machine.own().stake(machine.order()).await.unwrap();
    assert_eq!(machine.seals().await, 1);
}

#[tokio::test]
async fn a_key_without_coins_and_a_chain_that_is_away_are_told_apart() {
    let machine = Machine::new().await;
    let much = StakeOrder {
        amount: Some(Mist(1_000_000_000_000_000)),
        ..machine.order()
    };
    let short = machine.own().stake(much).await.unwrap_err();
    assert!(matches!(short, WorkError::NotEnough(_)), "{short:?}");
    std::fs::remove_file(machine.folder.path().join("sui.keystore")).unwrap();
    let keyless = machine.own().stake(machine.order()).await.unwrap_err();
    assert!(matches!(keyless, WorkError::NotSetUp(_)), "{keyless:?}");
    assert_eq!(machine.seals().await, 0);
}
