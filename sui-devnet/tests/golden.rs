//! The twin against the Move VM: every byte and every abort of `move/golden/scenarios.json`.
//!
//! The same file drives the Move VM, so neither can drift from the other.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test panics when something is not as it should be"
)]

use std::collections::BTreeMap;
use std::path::Path;

use seal::{Address, ObjectId};
use serde_json::Value;
use sui_devnet::twin::{
    self, Call, Context, Delays, Event, Made, Outcome, Row, RowKind, execute, genesis,
};
use sui_ledger::contract::{AdminCap, Config, Layout, Pool, SealTokenBcs, SlashCap};
use sui_sdk_types::Digest;

struct Scenario {
    pool: Pool,
    rows: BTreeMap<ObjectId, Row>,
    tokens: BTreeMap<ObjectId, SealTokenBcs>,
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key]
        .as_str()
        .unwrap_or_else(|| panic!("{key} in {value}"))
}

fn number(value: &Value, key: &str) -> u64 {
    text(value, key).parse().unwrap()
}

fn id(value: &Value, key: &str) -> ObjectId {
    text(value, key).parse().unwrap()
}

fn address(value: &Value, key: &str) -> Address {
    text(value, key).parse().unwrap()
}

fn bytes(value: &Value, key: &str) -> Vec<u8> {
    hex::decode(text(value, key)).unwrap()
}

fn option(value: &Value, key: &str) -> Option<String> {
    value[key].as_str().map(str::to_owned)
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

impl Scenario {
    fn call(&self, step: &Value) -> Call {
        let args = &step["args"];
        let token = || self.tokens[&id(args, "token")].clone();
        let admin = || AdminCap {
            id: id(args, "cap"),
        };
        let slasher = || SlashCap {
            id: id(args, "cap"),
        };
        let name = || text(args, "name").to_owned();
        match text(step, "call") {
            "stake_and_mint_seal" => Call::StakeAndMintSeal {
                coin: number(args, "coin"),
                hash: bytes(args, "hash"),
                node_id: option(args, "node_id"),
                namespace: option(args, "namespace"),
                validity_ms: number(args, "validity_ms"),
            },
            "restake" => Call::Restake {
                token: token(),
                coin: number(args, "coin"),
            },
            "refresh_seal_token" => Call::RefreshSealToken {
                token: token(),
                new_hash: bytes(args, "new_hash"),
                validity_ms: number(args, "validity_ms"),
            },
            "request_unstake" => Call::RequestUnstake { token: token() },
            "withdraw" => Call::Withdraw { token: token() },
            "slash" => Call::Slash {
                cap: slasher(),
                hash: bytes(args, "hash"),
                reason: text(args, "reason").to_owned(),
            },
            "revoke" => Call::Revoke {
                cap: slasher(),
                hash: bytes(args, "hash"),
                reason: text(args, "reason").to_owned(),
            },
            "announce_config" => Call::AnnounceConfig {
                cap: admin(),
                config: Config {
                    viewer: number(args, "viewer"),
                    developer: number(args, "developer"),
                    admin: number(args, "admin"),
                    super_: number(args, "super"),
                    slash_pct: number(args, "slash_pct"),
                    slash_interval_ms: number(args, "slash_interval_ms"),
                    config_delay_ms: number(args, "config_delay_ms"),
                    unbonding_ms: number(args, "unbonding_ms"),
                    validity_min_ms: number(args, "validity_min_ms"),
                    validity_max_ms: number(args, "validity_max_ms"),
                    validity_default_ms: number(args, "validity_default_ms"),
                },
            },
            "apply_config" => Call::ApplyConfig { cap: admin() },
            "add_slash_cap" => Call::AddSlashCap {
                cap: admin(),
                holder: address(args, "holder"),
            },
            "remove_slash_cap" => Call::RemoveSlashCap {
                cap: admin(),
                id: id(args, "id"),
            },
            "reserve_name" => Call::ReserveName {
                cap: admin(),
                name: name(),
            },
            "unreserve_name" => Call::UnreserveName {
                cap: admin(),
                name: name(),
            },
            "void_claim" => Call::VoidClaim {
                cap: admin(),
                name: name(),
            },
            "set_paused" => Call::SetPaused {
                cap: admin(),
                paused: args["paused"].as_bool().unwrap(),
            },
            "withdraw_treasury" => Call::WithdrawTreasury {
                cap: admin(),
                amount: number(args, "amount"),
                recipient: address(args, "recipient"),
            },
            "migrate" => Call::Migrate { cap: admin() },
            other => panic!("a call that the twin does not know: {other}"),
        }
    }

    /// Runs a step and compares all that it must give.
    fn step(&mut self, step: &Value, at: &str) {
        let expect = &step["expect"];
        let call = self.call(step);
        let withdrawn = match &call {
            Call::Withdraw { token } => Some(token.id),
            _ => None,
        };
        let mut context = context(step);
        let mut rows = self.rows.clone();
        let mut pool = self.pool.clone();
        let result = execute(call, &mut pool, &mut rows, &mut context);
        if let Some(abort) = expect.get("abort") {
            let abort_found = result.expect_err(at);
            assert_eq!(text(abort, "module"), "staking", "{at}");
            assert_eq!(
                abort_found.code.number(),
                abort["code"].as_u64().unwrap(),
                "{at}"
            );
            assert_eq!(abort_found.function, text(abort, "function"), "{at}");
            return;
        }
        let outcome = result.unwrap_or_else(|abort| panic!("{at}: {abort}"));
        if expect.get("pool").is_some() {
            compare_pool(&pool, expect, at);
            compare_rows(&self.rows, &rows, expect, at);
            compare_events(&outcome, expect, at);
            compare_created(&outcome, expect, at);
            compare_mutated(&outcome, expect, at);
            let deleted: Vec<String> = withdrawn.iter().map(ToString::to_string).collect();
            let wanted: Vec<&str> = list(expect, "deleted")
                .iter()
                .map(|id| id.as_str().unwrap())
                .collect();
            assert_eq!(deleted, wanted, "{at}");
        }
        for (made, _) in &outcome.made {
            if let Made::Token(token) = made {
                self.tokens.insert(token.id, token.clone());
            }
        }
        if let Some(token) = outcome.token {
            self.tokens.insert(token.id, token);
        }
        if let Some(id) = withdrawn {
            self.tokens.remove(&id);
        }
        self.pool = pool;
        self.rows = rows;
    }
}

fn context(step: &Value) -> Context {
    Context {
        sender: address(step, "sender"),
        digest: Digest::from_bytes(bytes(step, "digest")).unwrap(),
        ids_created: step["first_id"].as_u64().unwrap(),
        now_ms: number(step, "now"),
    }
}

fn init(step: &Value, at: &str) -> Scenario {
    let made = genesis(Delays::PUBLISHED, &mut context(step));
    let expect = &step["expect"];
    if expect.get("pool").is_some() {
        compare_pool(&made.pool, expect, at);
        let created: Vec<(String, String)> = [
            (made.admin.id, made.admin.encode()),
            (made.slasher.id, made.slasher.encode()),
        ]
        .map(|(id, bcs)| (id.to_string(), hex::encode(bcs)))
        .into();
        let wanted: Vec<(String, String)> = list(expect, "created")
            .iter()
            .map(|object| {
                (
                    text(object, "id").to_owned(),
                    text(object, "bcs").to_owned(),
                )
            })
            .collect();
        assert_eq!(created, wanted, "{at}");
    }
    Scenario {
        pool: made.pool,
        rows: BTreeMap::new(),
        tokens: BTreeMap::new(),
    }
}

fn compare_pool(pool: &Pool, expect: &Value, at: &str) {
    assert_eq!(pool.id, id(&expect["pool"], "id"), "{at}");
    assert_eq!(
        hex::encode(pool.encode()),
        text(&expect["pool"], "bcs"),
        "{at}: pool"
    );
}

fn compare_rows(
    before: &BTreeMap<ObjectId, Row>,
    after: &BTreeMap<ObjectId, Row>,
    expect: &Value,
    at: &str,
) {
    let written: BTreeMap<String, String> = after
        .iter()
        .filter(|(id, row)| before.get(id) != Some(row))
        .map(|(id, row)| (id.to_string(), hex::encode(&row.contents)))
        .collect();
    let wanted: BTreeMap<String, String> = list(expect, "rows")
        .iter()
        .map(|row| {
            let field = id(row, "field");
            let key = match text(row, "table") {
                "seals" => bcs::to_bytes(&bytes(row, "key")).unwrap(),
                "nodes" => bcs::to_bytes(text(row, "key")).unwrap(),
                "owners" => address(row, "key").as_bytes().to_vec(),
                other => panic!("{at}: unknown table {other}"),
            };
            let mut contents = field.as_bytes().to_vec();
            contents.extend(key);
            contents.extend(bytes(row, "value"));
            let kind = match text(row, "table") {
                "seals" => RowKind::Seal,
                "nodes" => RowKind::Node,
                _ => RowKind::Owner,
            };
            assert_eq!(after.get(&field).map(|row| row.kind), Some(kind), "{at}");
            (field.to_string(), hex::encode(contents))
        })
        .collect();
    assert_eq!(written, wanted, "{at}: rows");
}

fn compare_events(outcome: &Outcome, expect: &Value, at: &str) {
    let emitted: Vec<(&str, u64, String)> = outcome
        .events
        .iter()
        .map(|event| match event {
            Event::SealChanged(event) => ("SealChanged", event.seq, hex::encode(event.encode())),
            Event::NodeClaimed(event) => ("NodeClaimed", event.seq, hex::encode(event.encode())),
            Event::ConfigChanged(event) => {
                ("ConfigChanged", event.seq, hex::encode(event.encode()))
            }
        })
        .collect();
    let wanted: Vec<(&str, u64, String)> = list(expect, "events")
        .iter()
        .map(|event| {
            (
                text(event, "type"),
                number(event, "seq"),
                text(event, "bcs").to_owned(),
            )
        })
        .collect();
    assert_eq!(emitted, wanted, "{at}: events");
}

fn compare_created(outcome: &Outcome, expect: &Value, at: &str) {
    let made: Vec<(String, &str, String, String)> = outcome
        .made
        .iter()
        .map(|(made, owner)| {
            let (id, type_, bcs) = match made {
                Made::Token(token) => (token.id, "SealToken", token.encode()),
                Made::SlashCap(cap) => (cap.id, "SlashCap", cap.encode()),
                Made::Coin { id, value } => {
                    let mut contents = id.as_bytes().to_vec();
                    contents.extend(value.to_le_bytes());
                    (*id, "Coin", contents)
                }
            };
            (id.to_string(), type_, owner.to_string(), hex::encode(bcs))
        })
        .collect();
    let wanted: Vec<(String, &str, String, String)> = list(expect, "created")
        .iter()
        .map(|object| {
            (
                text(object, "id").to_owned(),
                text(object, "type"),
                text(object, "owner").to_owned(),
                text(object, "bcs").to_owned(),
            )
        })
        .collect();
    assert_eq!(made, wanted, "{at}: created");
}

fn compare_mutated(outcome: &Outcome, expect: &Value, at: &str) {
    let mutated: Vec<String> = outcome
        .token
        .iter()
        .map(|token| hex::encode(token.encode()))
        .collect();
    let wanted: Vec<&str> = list(expect, "mutated")
        .iter()
        .map(|object| text(object, "bcs"))
        .collect();
    assert_eq!(mutated, wanted, "{at}: mutated");
}

#[test]
fn the_twin_gives_what_the_move_vm_gives() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../move/golden/scenarios.json");
    let file = std::fs::read_to_string(&path).expect("the golden file is part of the project");
    let file: Value = serde_json::from_str(&file).unwrap();
    assert_eq!(file["format"], 1);
    let scenarios = list(&file, "scenarios");
    let mut steps = 0;
    let mut aborts = std::collections::BTreeSet::new();
    for scenario in scenarios {
        let name = text(scenario, "name");
        let mut state: Option<Scenario> = None;
        for (place, step) in list(scenario, "steps").iter().enumerate() {
            let at = format!("{name}, step {place} ({})", text(step, "call"));
            match &mut state {
                None => {
                    assert_eq!(text(step, "call"), "init", "{at}");
                    state = Some(init(step, &at));
                }
                Some(state) => state.step(step, &at),
            }
            if let Some(abort) = step["expect"].get("abort") {
                aborts.insert(abort["code"].as_u64().unwrap());
            }
            steps += 1;
        }
    }
    // A file that lost its contents must not pass.
    assert!(scenarios.len() >= 20, "{} scenarios", scenarios.len());
    assert!(aborts.len() >= 20, "aborts {aborts:?}");
    println!(
        "{} scenarios, {steps} steps, abort codes {aborts:?}",
        scenarios.len()
    );
    assert_eq!(twin::VERSION, 1);
}
