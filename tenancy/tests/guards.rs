//! The guards against a real API server: what each refuses, what it leaves alone, and how the keeper
//! finds, repairs and reports.
//!
//! One control plane for all of it. `$K3S_BIN` or `$K3S_DAAS_CONTROL_PLANE` names it (what
//! `tests/control-plane/build.sh` prints); without one the tests that need it are skipped, and say so.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    clippy::indexing_slicing,
    reason = "tests"
)]

#[path = "guards/bench.rs"]
mod bench;
#[path = "guards/cases.rs"]
mod cases;
#[path = "guards/controllers.rs"]
mod controllers;
#[path = "guards/drift.rs"]
mod drift;
#[path = "guards/requests.rs"]
mod requests;

use std::time::Duration;

use bench::Bench;
use k3s_configs::launch::testing::within;

const DEADLINE: Duration = Duration::from_mins(6);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_guards_hold_on_a_real_api_server() {
    let check = async {
        let Some(bench) = Bench::start().await else {
            return;
        };
        let took = bench.in_place_within(Duration::from_secs(30)).await;
        eprintln!("in place {took:?} after the namespace of the probes was there");
        cases::run(&bench).await;
        controllers::run(&bench).await;
        drift::run(&bench).await;
        bench.stop().await;
    };
    within(DEADLINE, Box::pin(check)).await;
}
