//! Promise: no body panics. What the worker API would carry out of one is for this machine's node, an
//! amount of more than nothing, a time of at most ten years, short quantities.
#![no_main]

use cri_shim::api::{read_register, read_staking, read_unstake};
use libfuzzer_sys::fuzz_target;
use seal::NodeName;

const TEN_YEARS_MS: u64 = 10 * 365 * 24 * 3_600 * 1_000;

fuzz_target!(|body: &[u8]| {
    let node: NodeName = "worker-001".parse().expect("a name");
    let other: NodeName = "worker-002".parse().expect("a name");
    if let Some(order) = read_staking(body, &node) {
        assert!(order.amount.is_none_or(|amount| amount.0 > 0));
        assert!((1_000..=TEN_YEARS_MS).contains(&order.validity_ms));
        assert_eq!(read_staking(body, &other), None);
    }
    if let Some(order) = read_register(body, &node) {
        if let Some(has) = &order.capacity {
            for quantity in [&has.cpu, &has.memory, &has.storage] {
                assert!(!quantity.is_empty() && quantity.len() <= 32, "{quantity:?}");
            }
        }
        assert_eq!(read_register(body, &other), None);
    }
    assert!(!(read_unstake(body, &node) && read_unstake(body, &other)));
});
