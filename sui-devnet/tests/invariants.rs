//! Whatever is called, in whatever order: the pool's money adds up, and its numbers have no gap.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test panics when something is not as it should be"
)]

use std::collections::BTreeMap;

use proptest::prelude::*;
use seal::{Address, ObjectId};
use sui_devnet::twin::{Call, Context, Delays, Event, Made, Row, RowKind, execute, genesis};
use sui_ledger::contract::layout::{OwnerRow, SealRow};
use sui_ledger::contract::{Layout, Pool, SealTokenBcs};
use sui_sdk_types::Digest;

/// A call by numbers; which seal or name it means follows from them.
#[derive(Debug, Clone, Copy)]
struct Op {
    kind: u8,
    who: u8,
    which: u8,
    amount: u64,
    wait_ms: u64,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = (
        0u8..9,
        0u8..3,
        any::<u8>(),
        0u64..3_000_000_000,
        0u64..90_000,
    );
    let op = op.prop_map(|(kind, who, which, amount, wait_ms)| Op {
        kind,
        who,
        which,
        amount,
        wait_ms,
    });
    prop::collection::vec(op, 1..60)
}

fn hash(of: u8) -> Vec<u8> {
    vec![of; 32]
}

fn call(op: Op, tokens: &[(Address, SealTokenBcs)], slasher: ObjectId, admin: ObjectId) -> Call {
    let slasher = sui_ledger::contract::SlashCap { id: slasher };
    let admin = sui_ledger::contract::AdminCap { id: admin };
    let token = || tokens.get(usize::from(op.which) % tokens.len().max(1));
    let target = || token().map_or_else(|| hash(0), |(_, token)| token.hash.clone());
    let mint = Call::StakeAndMintSeal {
        coin: op.amount,
        hash: hash(op.which),
        node_id: (op.which.is_multiple_of(3)).then(|| format!("node-{}", op.which % 5)),
        namespace: None,
        validity_ms: 0,
    };
    let Some((_, owned)) = token().cloned() else {
        return mint;
    };
    match op.kind {
        0 | 1 => mint,
        2 => Call::Restake {
            token: owned,
            coin: op.amount,
        },
        3 => Call::RefreshSealToken {
            token: owned,
            new_hash: hash(op.which.wrapping_add(97)),
            validity_ms: 0,
        },
        4 => Call::RequestUnstake { token: owned },
        5 => Call::Withdraw { token: owned },
        6 => Call::Slash {
            cap: slasher,
            hash: target(),
            reason: "x".to_owned(),
        },
        7 => Call::Revoke {
            cap: slasher,
            hash: target(),
            reason: String::new(),
        },
        _ => Call::WithdrawTreasury {
            cap: admin,
            amount: op.amount / 100,
            recipient: Address::from_bytes([op.who; 32]),
        },
    }
}

fn seq(event: &Event) -> u64 {
    match event {
        Event::SealChanged(event) => event.seq,
        Event::NodeClaimed(event) => event.seq,
        Event::ConfigChanged(event) => event.seq,
    }
}

fn assert_consistent(pool: &Pool, rows: &BTreeMap<ObjectId, Row>, paid_in: u64, paid_out: u64) {
    let records: Vec<_> = rows
        .values()
        .filter(|row| row.kind == RowKind::Seal)
        .map(|row| SealRow::decode(&row.contents).unwrap())
        .collect();
    let stakes: u64 = records.iter().map(|row| row.value.stake).sum();
    assert_eq!(pool.pooled, stakes);
    assert_eq!(pool.pooled + pool.treasury + paid_out, paid_in);
    assert_eq!(pool.seals.size, records.len() as u64);
    let mut held = 0;
    for row in rows.values().filter(|row| row.kind == RowKind::Owner) {
        let row = OwnerRow::decode(&row.contents).unwrap();
        for hash in &row.value {
            let record = records.iter().find(|record| record.name == *hash).unwrap();
            assert_eq!(record.value.owner, row.name.0);
            assert_ne!(record.value.status, 4);
            held += 1;
        }
    }
    let alive = records.iter().filter(|row| row.value.status != 4).count();
    assert_eq!(held, alive);
    for row in &records {
        assert!(row.value.seq <= pool.seq);
        assert!(row.value.status == 2 || row.value.restore_at == 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn money_adds_up_and_numbers_have_no_gap(ops in ops()) {
        let mut now_ms = 1_700_000_000_000;
        let mut context = Context {
            sender: Address::from_bytes([9; 32]),
            digest: Digest::new([0xff; 32]),
            ids_created: 0,
            now_ms,
        };
        let made = genesis(Delays::default(), &mut context);
        let (mut pool, mut rows) = (made.pool, BTreeMap::new());
        let mut tokens: Vec<(Address, SealTokenBcs)> = Vec::new();
        let (mut paid_in, mut paid_out) = (0, 0);
        for (place, op) in ops.into_iter().enumerate() {
            now_ms += op.wait_ms;
            let call = call(op, &tokens, made.slasher.id, made.admin.id);
            let sender = match &call {
                Call::Restake { token, .. }
                | Call::RefreshSealToken { token, .. }
                | Call::RequestUnstake { token }
                | Call::Withdraw { token } => {
                    tokens.iter().find(|(_, other)| other.id == token.id).unwrap().0
                }
                _ => Address::from_bytes([op.who; 32]),
            };
            let mut digest = [0; 32];
            digest[..8].copy_from_slice(&(place as u64).to_le_bytes());
            let mut context = Context {
                sender,
                digest: Digest::new(digest),
                ids_created: 1,
                now_ms,
            };
            let (mut next_pool, mut next_rows) = (pool.clone(), rows.clone());
            let result = execute(call.clone(), &mut next_pool, &mut next_rows, &mut context);
            let Ok(outcome) = result else {
                continue;
            };
            for (event, wanted) in outcome.events.iter().zip(pool.seq + 1..) {
                prop_assert_eq!(seq(event), wanted);
            }
            prop_assert_eq!(pool.seq + outcome.events.len() as u64, next_pool.seq);
            if let Call::StakeAndMintSeal { coin, .. } | Call::Restake { coin, .. } = call {
                paid_in += coin;
            }
            if let Call::Withdraw { token } = &call {
                tokens.retain(|(_, other)| other.id != token.id);
            }
            for (made, owner) in outcome.made {
                match made {
                    Made::Token(token) => tokens.push((owner, token)),
                    Made::Coin { value, .. } => paid_out += value,
                    Made::SlashCap(_) => {}
                }
            }
            if let Some(changed) = outcome.token {
                for (_, token) in &mut tokens {
                    if token.id == changed.id {
                        *token = changed.clone();
                    }
                }
            }
            (pool, rows) = (next_pool, next_rows);
            assert_consistent(&pool, &rows, paid_in, paid_out);
        }
    }
}
