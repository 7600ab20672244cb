//! Promise: no body panics. What the REST API would keep of one is what the definition of SealedNodes
//! takes: an address outside the cluster's ranges, short quantities, percentages, numbers of 63 bits.
#![no_main]

use std::net::IpAddr;

use libfuzzer_sys::fuzz_target;
use node_admission::NodeSettings;
use node_admission::api::{read_heartbeat, read_registration};

const NOW_MS: u64 = 1_790_000_000_000;
const MOST: u64 = i64::MAX.unsigned_abs();

fuzz_target!(|body: &[u8]| {
    let ranges = NodeSettings::default().cluster_ranges;
    if let Some(kept) = read_registration(body, &ranges, NOW_MS) {
        let address: IpAddr = kept.ip_address.parse().expect("an address is kept");
        assert!(!address.is_loopback() && !address.is_unspecified());
        assert!(!ranges.iter().any(|range| range.contains(&address)));
        for quantity in [&kept.cpu, &kept.memory, &kept.storage] {
            assert!(!quantity.is_empty() && quantity.len() <= 32, "{quantity:?}");
        }
        assert_eq!(kept.at_ms, NOW_MS);
    }
    if let Some(kept) = read_heartbeat(body, NOW_MS) {
        for percent in [kept.cpu_usage, kept.memory_usage].into_iter().flatten() {
            assert!((0.0..=100.0).contains(&percent), "{percent}");
        }
        assert!(kept.sent_ms.abs_diff(NOW_MS) <= 300_000 && kept.at_ms == NOW_MS);
        for bytes in [kept.network_rx, kept.network_tx].into_iter().flatten() {
            assert!(bytes <= MOST);
        }
    }
});
