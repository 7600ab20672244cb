//! Promise: no checkpoint panics the follower. An event of our types that names our pool is never
//! dropped in silence, nothing is made up, and what was read is read the same from its own bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use prost::Message;
use seal::ObjectId;
use sui_ledger::contract::Layout;
use sui_ledger::frame::{ContractEvent, FrameDecoder};
use sui_ledger::ids::ContractType;
use sui_rpc::proto::sui::rpc::v2::{Checkpoint, Event};

const ID: ObjectId = ObjectId::from_bytes([0xaa; 32]);

fuzz_target!(|bytes: &[u8]| {
    let decoder = FrameDecoder::new(&ID, ID);
    let types = ContractType::EVENTS.map(|event| event.tag(&ID).to_string());
    let owed = |event: &&Event| {
        let contents = event.contents.as_ref().and_then(|it| it.value.as_ref());
        types.iter().any(|ours| event.event_type() == ours)
            && contents.is_none_or(|it| it.starts_with(ID.as_bytes()))
    };
    let checkpoint = Checkpoint::decode(bytes).unwrap_or_default();
    let Ok(frame) = decoder.frame(&checkpoint) else {
        return;
    };
    let said = checkpoint
        .transactions
        .iter()
        .filter_map(|it| it.events.as_ref());
    let said: Vec<&Event> = said.flat_map(|it| &it.events).collect();
    let owed = said.iter().copied().filter(owed).count();
    assert!((owed..=said.len()).contains(&frame.events.len()));
    for event in frame.events {
        let (kind, bytes) = match &event {
            ContractEvent::Seal(it) => (&types[0], it.to_layout(ID).encode()),
            ContractEvent::Node(it) => (&types[1], it.to_layout(ID).encode()),
            ContractEvent::Config(it) => (&types[2], it.to_layout(ID).encode()),
            ContractEvent::Undecodable(_) => continue,
        };
        assert_eq!(decoder.event(kind, Some(&bytes)), Some(event));
    }
});
