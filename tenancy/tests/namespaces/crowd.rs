//! Many first uses at once.

use std::time::{Duration, Instant};

use futures::future::join_all;
use seal::{Address, Tier};

use crate::bench::Bench;
use crate::chain::FAR;

/// `$K3S_DAAS_CROWD` tenants, 40 where it does not say.
pub(crate) async fn many_at_once(bench: &Bench) {
    let crowd = std::env::var("K3S_DAAS_CROWD").ok();
    let crowd: u16 = crowd.and_then(|text| text.parse().ok()).unwrap_or(40);
    let owners: Vec<Address> = (0..crowd)
        .map(|number| {
            let mut bytes = [0xee; 32];
            bytes[..2].copy_from_slice(&number.to_be_bytes());
            Address::from_bytes(bytes)
        })
        .collect();
    for owner in &owners {
        bench.chain.stake(*owner, 2, FAR);
    }
    let (begun, writes) = (Instant::now(), bench.tenants.writes());
    let mut times: Vec<Duration> = join_all(owners.iter().map(async |owner| {
        bench
            .tenants
            .ensure_home(&bench.client, owner, Tier::Developer)
            .await
            .unwrap_or_else(|error| panic!("{error:?}"));
        begun.elapsed()
    }))
    .await;
    times.sort_unstable();
    let at = |part: usize| times[(times.len() - 1) * part / 100];
    eprintln!(
        "{crowd} tenants at once: median {:?}, 99th {:?}, last {:?}; {} writes",
        at(50),
        at(99),
        at(100),
        bench.tenants.writes() - writes
    );
}
