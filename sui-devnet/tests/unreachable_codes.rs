//! The two abort codes that no call of this version can reach on a chain, and so no scenario of
//! the golden file: another pool's token, and a pool of another version.

#![allow(
    clippy::unwrap_used,
    reason = "a test panics when something is not as it should be"
)]

use std::collections::BTreeMap;

use seal::{Address, ObjectId};
use sui_devnet::twin::{Call, Code, Context, Delays, Genesis, Made, Row, execute, genesis};
use sui_ledger::contract::SealTokenBcs;
use sui_sdk_types::Digest;

struct Staked {
    genesis: Genesis,
    rows: BTreeMap<ObjectId, Row>,
    token: SealTokenBcs,
}

fn context() -> Context {
    Context {
        sender: Address::from_bytes([9; 32]),
        digest: Digest::new([1; 32]),
        ids_created: 100,
        now_ms: 1_700_000_000_000,
    }
}

fn mint(hash: u8) -> Call {
    Call::StakeAndMintSeal {
        coin: 500_000_000,
        hash: vec![hash; 32],
        node_id: None,
        namespace: None,
        validity_ms: 0,
    }
}

fn staked() -> Staked {
    let mut genesis = genesis(Delays::default(), &mut context());
    let mut rows = BTreeMap::new();
    let outcome = execute(mint(1), &mut genesis.pool, &mut rows, &mut context()).unwrap();
    let token = match outcome.made.into_iter().next() {
        Some((Made::Token(token), _)) => token,
        other => panic!("no token but {other:?}"),
    };
    Staked {
        genesis,
        rows,
        token,
    }
}

fn owner_calls(token: &SealTokenBcs) -> Vec<Call> {
    let token = || token.clone();
    vec![
        Call::Restake {
            token: token(),
            coin: 1,
        },
        Call::RefreshSealToken {
            token: token(),
            new_hash: vec![2; 32],
            validity_ms: 0,
        },
        Call::RequestUnstake { token: token() },
        Call::Withdraw { token: token() },
    ]
}

#[test]
fn a_token_of_another_pool_is_refused_by_every_call_that_takes_one() {
    let mut staked = staked();
    let mut foreign = staked.token.clone();
    foreign.pool = ObjectId::from_bytes([7; 32]);
    for call in owner_calls(&foreign) {
        let abort = execute(
            call.clone(),
            &mut staked.genesis.pool,
            &mut staked.rows,
            &mut context(),
        )
        .unwrap_err();
        assert_eq!(
            (abort.code, abort.function),
            (Code::WrongPool, "assert_token"),
            "{call:?}"
        );
    }
}

#[test]
fn a_pool_of_another_version_is_refused_by_every_call() {
    let mut staked = staked();
    let (cap, slasher) = (staked.genesis.admin, staked.genesis.slasher);
    let config = staked.genesis.pool.config;
    let name = || "name".to_owned();
    let hash = || vec![1; 32];
    let mut calls = owner_calls(&staked.token);
    calls.extend([
        mint(3),
        Call::Slash {
            cap: slasher,
            hash: hash(),
            reason: String::new(),
        },
        Call::Revoke {
            cap: slasher,
            hash: hash(),
            reason: String::new(),
        },
        Call::AnnounceConfig { cap, config },
        Call::ApplyConfig { cap },
        Call::AddSlashCap {
            cap,
            holder: Address::from_bytes([1; 32]),
        },
        Call::RemoveSlashCap {
            cap,
            id: slasher.id,
        },
        Call::ReserveName { cap, name: name() },
        Call::UnreserveName { cap, name: name() },
        Call::VoidClaim { cap, name: name() },
        Call::SetPaused { cap, paused: true },
        Call::WithdrawTreasury {
            cap,
            amount: 1,
            recipient: Address::from_bytes([1; 32]),
        },
    ]);
    staked.genesis.pool.version = 2;
    for call in calls {
        let abort = execute(
            call.clone(),
            &mut staked.genesis.pool,
            &mut staked.rows,
            &mut context(),
        )
        .unwrap_err();
        assert_eq!(
            (abort.code, abort.function),
            (Code::Version, "assert_version"),
            "{call:?}"
        );
    }
    // An older pool is moved to this version, and only that.
    staked.genesis.pool.version = 0;
    let migrate = || Call::Migrate { cap };
    execute(
        migrate(),
        &mut staked.genesis.pool,
        &mut staked.rows,
        &mut context(),
    )
    .unwrap();
    assert_eq!(staked.genesis.pool.version, 1);
    let abort = execute(
        migrate(),
        &mut staked.genesis.pool,
        &mut staked.rows,
        &mut context(),
    )
    .unwrap_err();
    assert_eq!((abort.code, abort.function), (Code::Version, "migrate"));
}
