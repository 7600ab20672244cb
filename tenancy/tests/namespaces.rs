//! Tenants' namespaces on a real API server: their whole life, with a seal directory of the test's.
//!
//! One control plane for all of it. `$K3S_BIN` or `$K3S_DAAS_CONTROL_PLANE` names it (what
//! `tests/control-plane/build.sh` prints); without one the test is skipped, and says so.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    clippy::indexing_slicing,
    reason = "tests"
)]

#[path = "namespaces/bench.rs"]
mod bench;
#[path = "namespaces/chain.rs"]
mod chain;
#[path = "namespaces/crowd.rs"]
mod crowd;
#[path = "namespaces/drift.rs"]
mod drift;
#[path = "namespaces/leaders.rs"]
mod leaders;
#[path = "namespaces/lives.rs"]
mod lives;
#[path = "namespaces/operators.rs"]
mod operators;
#[path = "namespaces/quotas.rs"]
mod quotas;

use std::time::{Duration, Instant};

use bench::Bench;
use k3s_configs::launch::testing::within;

const DEADLINE: Duration = Duration::from_mins(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tenants_namespaces_live_on_a_real_api_server() {
    let check = async {
        let Some(bench) = Bench::start().await else {
            return;
        };
        let begun = Instant::now();
        tokio::join!(
            lives::from_first_use_to_deletion(&bench),
            lives::what_cant_be_read_changes_nothing(&bench),
            lives::a_tier_changes_the_quota_and_an_expiry_is_told(&bench),
            drift::what_is_changed_is_repaired(&bench),
            operators::foreign_namespaces_are_left_alone(&bench),
            operators::namespaces_are_added_listed_and_released(&bench),
        );
        eprintln!("lives took {:?}", begun.elapsed());
        leaders::a_life_under_kills(&bench).await;
        eprintln!("with kills {:?}", begun.elapsed());
        crowd::many_at_once(&bench).await;
        eprintln!("with a crowd {:?}", begun.elapsed());
        leaders::nothing_is_written_when_nothing_changes(&bench).await;
        leaders::one_of_two_leads_and_the_other_follows(&bench).await;
        eprintln!("all took {:?}", begun.elapsed());
        quotas::a_quota_holds(&bench).await;
        bench.stop().await;
    };
    within(DEADLINE, Box::pin(check)).await;
}
