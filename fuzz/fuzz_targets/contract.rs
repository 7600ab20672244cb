//! Promise: bytes of the chain are read as one thing only. What decodes is written back to the same
//! bytes, a row is never given out under another key, and a pool of another version is refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use seal::CredentialHash;
use sui_ledger::contract::layout::{Layout, NodeRow, OwnerRow, SealRow};
use sui_ledger::contract::{self, DecodeError, Pool, SealRecordBcs};

fn same_bytes<T: Layout>(bytes: &[u8]) -> Option<T> {
    let value = T::decode(bytes).ok()?;
    assert_eq!(value.encode(), bytes, "{}", T::NAME);
    Some(value)
}

fuzz_target!(|bytes: &[u8]| {
    let ours = same_bytes::<Pool>(bytes).is_some_and(|it| it.version == contract::POOL_VERSION);
    assert_eq!(contract::decode_pool(bytes).is_ok(), ours);
    same_bytes::<contract::SealTokenBcs>(bytes);
    same_bytes::<contract::SealChangedBcs>(bytes);
    same_bytes::<contract::NodeClaimedBcs>(bytes);
    same_bytes::<contract::ConfigChangedBcs>(bytes);
    same_bytes::<OwnerRow>(bytes).map(|row| contract::decode_owner_field(bytes, &row.name.0));
    if let Some(row) = same_bytes::<NodeRow>(bytes) {
        let other = if row.name == "a" { "b" } else { "a" }.parse();
        let answer = contract::decode_node_field(bytes, &other.expect("a name"));
        assert_eq!(answer, Err(DecodeError::OtherKey));
    }
    if let Some(SealRow { name, value, .. }) = same_bytes(bytes) {
        let hash = CredentialHash::from_bytes(name.try_into().unwrap_or_default());
        // What the domain leaves out or finds no name in is the chain's own.
        if let Ok(record) = contract::decode_seal_field(bytes, &hash) {
            let mut again = SealRecordBcs::from(&record);
            again.node_id.clone_from(&value.node_id);
            again.namespace.clone_from(&value.namespace);
            again.ext.clone_from(&value.ext);
            assert_eq!(again, value);
        }
    }
});
