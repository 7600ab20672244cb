//! Transactions as they are put together offline.

use seal::{Address, Mist, ObjectId};
use sui_ledger::contract::Config;
use sui_ledger::ids::to_sui;
use sui_ledger::tx::{Call, Gas, build_call};
use sui_sdk_types::{Command, Digest, Input, ObjectReference};

use crate::chain_model::{hash, ids, key};
use crate::transactions::{SUI, ptb, stake_call};

/// All calls, with the number of arguments of their Move functions (`move/LAYOUT.md`), the
/// context not counted.
fn calls() -> Vec<(Call, usize)> {
    let object = ObjectId::from_bytes([0xca; 32]);
    let name: seal::NodeName = "worker-1".parse().unwrap();
    let owner = Address::from_bytes([9; 32]);
    let config = Config {
        viewer: 1,
        developer: 2,
        admin: 3,
        super_: 4,
        slash_pct: 10,
        slash_interval_ms: 5,
        config_delay_ms: 6,
        unbonding_ms: 7,
        validity_min_ms: 8,
        validity_max_ms: 9,
        validity_default_ms: 8,
    };
    vec![
        (stake_call(SUI), 7),
        (
            Call::Restake {
                token: object,
                amount: Mist(1),
            },
            4,
        ),
        (
            Call::Refresh {
                token: object,
                new_hash: hash(),
                validity_ms: 0,
            },
            5,
        ),
        (Call::RequestUnstake { token: object }, 3),
        (Call::Withdraw { token: object }, 3),
        (
            Call::Slash {
                cap: object,
                hash: hash(),
                reason: "r".to_owned(),
            },
            5,
        ),
        (
            Call::Revoke {
                cap: object,
                hash: hash(),
                reason: "r".to_owned(),
            },
            5,
        ),
        (
            Call::AnnounceConfig {
                cap: object,
                config,
            },
            14,
        ),
        (Call::ApplyConfig { cap: object }, 3),
        (
            Call::AddSlashCap {
                cap: object,
                holder: owner,
            },
            3,
        ),
        (
            Call::RemoveSlashCap {
                cap: object,
                removed: object,
            },
            3,
        ),
        (
            Call::ReserveName {
                cap: object,
                name: name.clone(),
            },
            3,
        ),
        (
            Call::UnreserveName {
                cap: object,
                name: name.clone(),
            },
            3,
        ),
        (Call::VoidClaim { cap: object, name }, 3),
        (
            Call::SetPaused {
                cap: object,
                paused: true,
            },
            3,
        ),
        (
            Call::WithdrawTreasury {
                cap: object,
                amount: Mist(1),
                recipient: owner,
            },
            4,
        ),
        (Call::Migrate { cap: object }, 2),
    ]
}

#[test]
fn every_call_has_the_arguments_of_its_move_function() {
    let reference = ObjectReference::new(to_sui(&[0xca; 32]), 9, Digest::ZERO);
    let gas = Gas {
        coin: ObjectReference::new(to_sui(&[0x10; 32]), 1, Digest::ZERO),
        merge: Vec::new(),
        price: 1_000,
        budget: Mist(1),
    };
    let sender = to_sui(key().address().as_bytes());
    for (call, count) in calls() {
        let name = call.function();
        let owned = call.owned_object().map(|_| &reference);
        let transaction = build_call(&ids(), sender, &call, owned, &gas).unwrap();
        let ptb = ptb(&transaction);
        let Some(Command::MoveCall(built)) = ptb.commands.last() else {
            panic!("{name}");
        };
        assert_eq!(built.arguments.len(), count, "{name}");
        assert_eq!(built.function.as_str(), name);
        let pool = ptb.inputs.iter().any(|input| match input {
            Input::Shared(shared) => {
                shared.object_id() == to_sui(ids().pool.as_bytes()) && shared.version() == 5
            }
            _ => false,
        });
        assert!(pool, "{name}: the pool by its initial shared version");
        if call.owned_object().is_some() {
            assert!(
                build_call(&ids(), sender, &call, None, &gas).is_err(),
                "{name}: never without its object"
            );
        }
    }
}

#[test]
fn arguments_are_the_bytes_that_move_reads() {
    let gas = Gas {
        coin: ObjectReference::new(to_sui(&[0x10; 32]), 1, Digest::ZERO),
        merge: Vec::new(),
        price: 1_000,
        budget: Mist(1),
    };
    let call = Call::Stake {
        amount: Mist(7),
        hash: hash(),
        node: Some("w".parse().unwrap()),
        namespace: None,
        validity_ms: 9,
    };
    let sender = to_sui(key().address().as_bytes());
    let transaction = build_call(&ids(), sender, &call, None, &gas).unwrap();
    let pure: Vec<Vec<u8>> = ptb(&transaction)
        .inputs
        .iter()
        .filter_map(|input| match input {
            Input::Pure(value) => Some(value.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(
        pure,
        [
            7u64.to_le_bytes().to_vec(),
            [vec![32], vec![4; 32]].concat(),
            vec![1, 1, b'w'],
            vec![0],
            9u64.to_le_bytes().to_vec(),
        ]
    );
}
