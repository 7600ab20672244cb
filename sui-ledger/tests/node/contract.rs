//! The contract's types against the golden bytes of the Move VM, and against garbage.

use std::path::Path;

use proptest::prelude::*;
use seal::{
    Address, CredentialHash, Mist, NodeClaim, NodeName, ObjectId, SealRecord, SealStatus,
    UnixMillis,
};
use serde_json::Value;
use sui_ledger::contract::layout::{AddressBcs, NodeRow, OwnerRow, SealRow};
use sui_ledger::contract::{
    AdminCap, Cause, Config, ConfigChangedBcs, DecodeError, Layout, NodeClaimedBcs, Pool,
    SealChangedBcs, SealRecordBcs, SealTokenBcs, SlashCap, decode_node_field, decode_owner_field,
    decode_pool, decode_seal_field, is_voided,
};
use sui_ledger::frame::{ContractEvent, FrameDecoder, NodeClaimed, SealChanged};
use sui_ledger::ids::{ContractType, node_field_id, owner_field_id, seal_field_id};

const PACKAGE: [u8; 32] = [0xaa; 32];

fn golden() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../move/golden/scenarios.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn hex_bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

fn round_trip<T: Layout>(bytes: &[u8]) -> T {
    let value = T::decode(bytes).unwrap();
    assert_eq!(value.encode(), bytes, "{}", T::NAME);
    value
}

fn golden_steps() -> Vec<Value> {
    let mut steps = Vec::new();
    for scenario in golden()["scenarios"].as_array().unwrap() {
        for step in scenario["steps"].as_array().unwrap() {
            if step["expect"].get("pool").is_some() {
                steps.push(step["expect"].clone());
            }
        }
    }
    assert!(steps.len() > 100, "{}", steps.len());
    steps
}

#[test]
fn every_golden_pool_and_object_reads_and_writes_to_the_byte() {
    for step in golden_steps() {
        let bytes = hex_bytes(&step["pool"]["bcs"]);
        let pool: Pool = round_trip(&bytes);
        assert_eq!(pool.id.to_string(), step["pool"]["id"]);
        for object in ["created", "mutated"]
            .iter()
            .flat_map(|key| step[*key].as_array().unwrap())
        {
            let bytes = hex_bytes(&object["bcs"]);
            let id = match object["type"].as_str().unwrap() {
                "SealToken" => {
                    let token: SealTokenBcs = round_trip(&bytes);
                    assert_eq!(token.pool, pool.id);
                    assert!(token.credential_hash().is_ok());
                    token.id
                }
                "AdminCap" => round_trip::<AdminCap>(&bytes).id,
                "SlashCap" => round_trip::<SlashCap>(&bytes).id,
                _ => continue,
            };
            assert_eq!(id.to_string(), object["id"]);
        }
    }
}

#[test]
fn every_golden_row_stands_at_its_derived_id_and_reads_to_the_byte() {
    let mut rows = 0;
    for step in golden_steps() {
        let pool = Pool::decode(&hex_bytes(&step["pool"]["bcs"])).unwrap();
        for row in step["rows"].as_array().unwrap() {
            rows += 1;
            let value = hex_bytes(&row["value"]);
            let key = row["key"].as_str().unwrap();
            let field: ObjectId = row["field"].as_str().unwrap().parse().unwrap();
            let contents = |key: Vec<u8>| [field.as_bytes().to_vec(), key, value.clone()].concat();
            match row["table"].as_str().unwrap() {
                "seals" => {
                    let hash = CredentialHash::parse(key).unwrap();
                    assert_eq!(seal_field_id(&pool.seals.id, &hash), field);
                    let bytes = contents([&[32], hash.as_bytes().as_slice()].concat());
                    let raw: SealRow = round_trip(&bytes);
                    let record = decode_seal_field(&bytes, &hash).unwrap();
                    assert_eq!(SealRecordBcs::from(&record), raw.value, "nothing is lost");
                    assert_eq!(
                        decode_seal_field(&bytes, &CredentialHash::from_bytes([0; 32])),
                        Err(DecodeError::OtherKey)
                    );
                }
                "nodes" => {
                    let name: NodeName = key.parse().unwrap();
                    assert_eq!(node_field_id(&pool.nodes.id, &name), field);
                    let bytes = contents(bcs::to_bytes(key).unwrap());
                    let raw: NodeRow = round_trip(&bytes);
                    let claim = decode_node_field(&bytes, &name).unwrap();
                    assert_eq!(claim.owner, raw.value.owner);
                    assert_eq!(
                        decode_node_field(&bytes, &"another".parse().unwrap()),
                        Err(DecodeError::OtherKey)
                    );
                }
                "owners" => {
                    let owner: Address = key.parse().unwrap();
                    assert_eq!(owner_field_id(&pool.owners.id, &owner), field);
                    let bytes = contents(owner.as_bytes().to_vec());
                    let raw: OwnerRow = round_trip(&bytes);
                    let hashes = decode_owner_field(&bytes, &owner).unwrap();
                    assert_eq!(hashes.len(), raw.value.len());
                    assert_eq!(
                        decode_owner_field(&bytes, &Address::from_bytes([0; 32])),
                        Err(DecodeError::OtherKey)
                    );
                }
                other => panic!("{other}"),
            }
        }
    }
    assert!(rows > 100, "{rows}");
}

#[test]
fn every_golden_event_decodes_and_encodes_to_the_byte() {
    let mut events = 0;
    for step in golden_steps() {
        let pool: ObjectId = step["pool"]["id"].as_str().unwrap().parse().unwrap();
        let package = ObjectId::from_bytes(PACKAGE);
        let decoder = FrameDecoder::new(&package, pool);
        for event in step["events"].as_array().unwrap() {
            events += 1;
            let name = event["type"].as_str().unwrap();
            let bytes = hex_bytes(&event["bcs"]);
            let found = decoder
                .event(&format!("{package}::staking::{name}"), Some(&bytes))
                .unwrap();
            assert_eq!(found.seq().unwrap().to_string(), event["seq"]);
            let again = match found {
                ContractEvent::Seal(event) => event.to_layout(pool).encode(),
                ContractEvent::Node(event) => event.to_layout(pool).encode(),
                ContractEvent::Config(event) => event.to_layout(pool).encode(),
                ContractEvent::Undecodable(event) => panic!("{event:?}"),
            };
            assert_eq!(again, bytes, "{name}");
        }
    }
    assert!(events > 100, "{events}");
}

fn record() -> SealRecordBcs {
    SealRecordBcs {
        seq: 7,
        seal_id: ObjectId::from_bytes([1; 32]),
        owner: Address::from_bytes([2; 32]),
        stake: 3,
        restore_at: 4,
        node_id: Some("worker-1".to_owned()),
        namespace: Some("team-a".to_owned()),
        issued_at_ms: 5,
        expires_at_ms: 6,
        unbonding_ends_at_ms: 7,
        status: 2,
        slashed_total: 8,
        last_slashed_at_ms: 9,
        generation: 10,
        ext: Vec::new(),
    }
}

fn seal_changed() -> SealChangedBcs {
    SealChangedBcs {
        pool: ObjectId::from_bytes([3; 32]),
        seq: 7,
        cause: 6,
        reason: "late".to_owned(),
        hash: vec![4; 32],
        record: record(),
    }
}

fn decoder() -> FrameDecoder {
    FrameDecoder::new(
        &ObjectId::from_bytes(PACKAGE),
        ObjectId::from_bytes([3; 32]),
    )
}

fn event_type(name: &str) -> String {
    format!("{}::staking::{name}", ObjectId::from_bytes(PACKAGE))
}

fn decode(event: &SealChangedBcs) -> Option<ContractEvent> {
    decoder().event(&event_type("SealChanged"), Some(&event.encode()))
}

#[test]
fn an_event_out_of_bounds_surfaces_with_its_reason() {
    type Spoil = fn(&mut SealChangedBcs);
    let cases: [(&str, Spoil); 7] = [
        ("hash_length", |event| event.hash = vec![4; 31]),
        ("hash_length", |event| event.hash = vec![4; 33]),
        ("status", |event| event.record.status = 5),
        ("cause", |event| event.cause = 8),
        ("reason", |event| event.reason = "x".repeat(129)),
        ("seq_mismatch", |event| event.record.seq = 8),
        ("too_long", |event| event.record.ext = vec![0; 300 * 1024]),
    ];
    for (label, spoil) in cases {
        let mut event = seal_changed();
        spoil(&mut event);
        let Some(ContractEvent::Undecodable(found)) = decode(&event) else {
            panic!("{label} was not surfaced");
        };
        assert_eq!(found.event, Some("SealChanged"));
        assert_eq!(found.error.unwrap().label(), label);
    }
    let mut longest = seal_changed();
    longest.reason = "x".repeat(128);
    assert!(matches!(decode(&longest), Some(ContractEvent::Seal(_))));
}

#[test]
fn bytes_left_over_or_missing_are_an_error() {
    let whole = seal_changed().encode();
    for bytes in [
        &whole[..whole.len() - 1],
        &[whole.clone(), vec![0]].concat(),
    ] {
        let found = decoder().event(&event_type("SealChanged"), Some(bytes));
        let Some(ContractEvent::Undecodable(found)) = found else {
            panic!("not surfaced");
        };
        assert!(matches!(found.error, Some(DecodeError::Layout { .. })));
    }
    let row = SealRow {
        id: ObjectId::from_bytes([9; 32]),
        name: vec![4; 32],
        value: record(),
    };
    let hash = CredentialHash::from_bytes([4; 32]);
    assert!(decode_seal_field(&row.encode(), &hash).is_ok());
    let longer = [row.encode(), vec![0]].concat();
    assert!(matches!(
        decode_seal_field(&longer, &hash),
        Err(DecodeError::Layout { .. })
    ));
}

#[test]
fn an_event_without_contents_surfaces() {
    let found = decoder().event(&event_type("SealChanged"), None);
    assert!(matches!(found, Some(ContractEvent::Undecodable(_))));
}

#[test]
fn types_match_in_any_spelling_and_nothing_else_does() {
    let bytes = seal_changed().encode();
    let decoder = FrameDecoder::new(
        &"0xa".parse::<ObjectId>().unwrap(),
        ObjectId::from_bytes([3; 32]),
    );
    for ours in [
        "0xa::staking::SealChanged",
        "0x0a::staking::SealChanged",
        &format!("0x{:0>64}::staking::SealChanged", "a"),
        " 0xa::staking::SealChanged ",
    ] {
        let found = decoder.event(ours, Some(&bytes));
        assert!(matches!(found, Some(ContractEvent::Seal(_))), "{ours}");
    }
    for foreign in [
        "",
        "0xb::staking::SealChanged",
        "0xa::staking2::SealChanged",
        "0xa::staking::SealChanged2",
        "0xa::staking::Pool",
        "0xa::staking::SealChanged<u8>",
        "0xb::staking::Wrapper<0xa::staking::SealChanged>",
        "not a type, but staking",
    ] {
        assert_eq!(decoder.event(foreign, Some(&bytes)), None, "{foreign}");
    }
    // Ours, in a form that no parser takes: the node's fault, and not to be passed over.
    let found = decoder.event("0xa::staking::SealChanged<<", Some(&bytes));
    assert!(matches!(found, Some(ContractEvent::Undecodable(_))));
    // A stranger's type that the parser finds too deep must not blind us.
    let deep = format!(
        "0xb::staking::D{}u8{}",
        "<vector".repeat(200),
        ">".repeat(200)
    );
    assert_eq!(decoder.event(&deep, Some(&bytes)), None);
}

#[test]
fn another_pools_events_are_left_out() {
    let mut event = seal_changed();
    event.pool = ObjectId::from_bytes([5; 32]);
    assert_eq!(decode(&event), None);
    // Even with contents that would not decode further.
    event.cause = 99;
    assert_eq!(decode(&event), None);
}

#[test]
fn a_text_that_is_no_node_name_joins_nothing() {
    let mut record = record();
    record.node_id = Some("Worker.1".to_owned());
    record.namespace = Some("kube system".to_owned());
    let checked: SealRecord = record.try_into().unwrap();
    assert_eq!(checked.node_id, None);
    assert_eq!(checked.namespace_wish, None);
    let claimed = NodeClaimedBcs {
        pool: ObjectId::from_bytes([3; 32]),
        seq: 1,
        name: "Worker.1".to_owned(),
        claim: (&NodeClaim {
            owner: Address::from_bytes([2; 32]),
            hash: CredentialHash::from_bytes([4; 32]),
        })
            .into(),
    };
    let found = decoder().event(&event_type("NodeClaimed"), Some(&claimed.encode()));
    let Some(ContractEvent::Undecodable(found)) = found else {
        panic!("not surfaced");
    };
    assert_eq!(found.error, Some(DecodeError::NodeName));
}

#[test]
fn a_voided_claim_is_nobodys() {
    let claim = |owner| NodeClaim {
        owner: Address::from_bytes([owner; 32]),
        hash: CredentialHash::from_bytes([4; 32]),
    };
    assert!(is_voided(&claim(0)));
    assert!(!is_voided(&claim(1)));
}

#[test]
fn a_pool_of_another_version_is_refused() {
    let step = &golden_steps()[0];
    let bytes = hex_bytes(&step["pool"]["bcs"]);
    assert!(decode_pool(&bytes).is_ok());
    let mut pool = Pool::decode(&bytes).unwrap();
    pool.version = 2;
    assert_eq!(
        decode_pool(&pool.encode()),
        Err(DecodeError::PoolVersion { found: 2 })
    );
}

#[test]
fn an_owner_with_more_seals_than_there_can_be_is_refused() {
    let owner = Address::from_bytes([2; 32]);
    let row = |count: usize| OwnerRow {
        id: ObjectId::from_bytes([9; 32]),
        name: AddressBcs(owner),
        value: vec![vec![4; 32]; count],
    };
    assert_eq!(
        decode_owner_field(&row(16).encode(), &owner).unwrap().len(),
        16
    );
    assert_eq!(
        decode_owner_field(&row(17).encode(), &owner),
        Err(DecodeError::Seals { found: 17 })
    );
    let mut short = row(1);
    short.value[0].pop();
    assert_eq!(
        decode_owner_field(&short.encode(), &owner),
        Err(DecodeError::HashLength { found: 31 })
    );
}

#[test]
fn causes_and_types_round_trip() {
    for cause in Cause::ALL {
        assert_eq!(Cause::from_chain(cause.to_chain()), Some(cause));
    }
    assert_eq!(Cause::from_chain(8), None);
    assert_eq!(ContractType::EVENTS.len(), 3);
}

fn any_record() -> impl Strategy<Value = SealRecord> {
    let name = || proptest::option::of("[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?");
    let numbers = proptest::array::uniform9(any::<u64>());
    (
        any::<[u8; 32]>(),
        any::<[u8; 32]>(),
        name(),
        name(),
        0u8..5,
        numbers,
    )
        .prop_map(|(seal_id, owner, node, namespace, status, n)| SealRecord {
            seq: n[0],
            seal_id: ObjectId::from_bytes(seal_id),
            owner: Address::from_bytes(owner),
            stake: Mist(n[1]),
            restore_at: Mist(n[2]),
            node_id: node.map(|name| name.parse().unwrap()),
            namespace_wish: namespace,
            issued_at: UnixMillis(n[3]),
            expires_at: UnixMillis(n[4]),
            unbonding_ends_at: UnixMillis(n[5]),
            status: SealStatus::from_chain(status).unwrap(),
            slashed_total: Mist(n[6]),
            last_slashed_at: UnixMillis(n[7]),
            generation: n[8],
        })
}

proptest! {
    #[test]
    fn every_record_survives_the_chain(record in any_record(), hash: [u8; 32]) {
        let hash = CredentialHash::from_bytes(hash);
        let row = SealRow {
            id: ObjectId::from_bytes([9; 32]),
            name: hash.as_bytes().to_vec(),
            value: (&record).into(),
        };
        prop_assert_eq!(decode_seal_field(&row.encode(), &hash), Ok(record.clone()));
        let event = SealChanged {
            seq: record.seq,
            cause: Cause::Slash,
            reason: "r".to_owned(),
            hash,
            record,
        };
        let pool = ObjectId::from_bytes([3; 32]);
        let found = decoder().event(&event_type("SealChanged"), Some(&event.to_layout(pool).encode()));
        prop_assert_eq!(found, Some(ContractEvent::Seal(event)));
    }

    #[test]
    fn every_claim_and_config_survives_the_chain(
        owner: [u8; 32],
        hash: [u8; 32],
        seq: u64,
        n in proptest::array::uniform11(any::<u64>()),
    ) {
        let pool = ObjectId::from_bytes([3; 32]);
        let claimed = NodeClaimed {
            seq,
            name: "worker-1".parse().unwrap(),
            claim: NodeClaim {
                owner: Address::from_bytes(owner),
                hash: CredentialHash::from_bytes(hash),
            },
        };
        let bytes = claimed.to_layout(pool).encode();
        let found = decoder().event(&event_type("NodeClaimed"), Some(&bytes));
        prop_assert_eq!(found, Some(ContractEvent::Node(claimed)));
        let config = Config {
            viewer: n[0], developer: n[1], admin: n[2], super_: n[3], slash_pct: n[4],
            slash_interval_ms: n[5], config_delay_ms: n[6], unbonding_ms: n[7],
            validity_min_ms: n[8], validity_max_ms: n[9], validity_default_ms: n[10],
        };
        let bytes = ConfigChangedBcs { pool, seq, config }.encode();
        let found = decoder().event(&event_type("ConfigChanged"), Some(&bytes));
        let Some(ContractEvent::Config(found)) = found else {
            panic!("{found:?}");
        };
        prop_assert_eq!(found.config, config);
        prop_assert_eq!(found.config.thresholds().super_, Mist(n[3]));
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600), text in ".{0,60}") {
        let hash = CredentialHash::from_bytes([4; 32]);
        let _ = decode_pool(&bytes);
        let _ = decode_seal_field(&bytes, &hash);
        let _ = decode_node_field(&bytes, &"a".parse().unwrap());
        let _ = decode_owner_field(&bytes, &Address::from_bytes([2; 32]));
        let _ = SealTokenBcs::decode(&bytes);
        for name in ["SealChanged", "NodeClaimed", "ConfigChanged"] {
            // Ours, so never passed over unless it names another pool.
            let _ = decoder().event(&event_type(name), Some(&bytes));
        }
        let _ = decoder().event(&text, Some(&bytes));
        let _ = decoder().event(&format!("staking{text}"), Some(&bytes));
    }

    #[test]
    fn spoilt_bytes_never_panic_and_never_pass_for_longer_ones(
        at in 0usize..400,
        bit in 0u8..8,
        record in any_record(),
    ) {
        let hash = CredentialHash::from_bytes([4; 32]);
        let row = SealRow {
            id: ObjectId::from_bytes([9; 32]),
            name: hash.as_bytes().to_vec(),
            value: (&record).into(),
        };
        let mut bytes = row.encode();
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        if let Ok(found) = SealRow::decode(&bytes) {
            prop_assert_eq!(&found.encode(), &bytes, "BCS has one form for each value");
        }
        let _ = decode_seal_field(&bytes, &hash);
    }
}
