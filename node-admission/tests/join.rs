//! Nodes' way in, on a real API server, with a seal directory of the test's.
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

#[path = "join/bench.rs"]
mod bench;
#[path = "join/chain.rs"]
mod chain;
#[path = "join/joins.rs"]
mod joins;
#[path = "join/shown.rs"]
mod shown;

use std::time::{Duration, Instant};

use bench::Bench;
use k3s_configs::launch::testing::within;

const DEADLINE: Duration = Duration::from_mins(3);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_join_on_a_real_api_server() {
    let check = async {
        let Some(bench) = Bench::start().await else {
            return;
        };
        let begun = Instant::now();
        joins::a_hundred_reviews_make_one_node(&bench).await;
        tokio::join!(
            joins::a_node_is_made_for_whoever_may_join(&bench),
            joins::names_of_others_are_left_alone(&bench),
            joins::what_broke_off_is_completed(&bench),
            joins::a_node_that_is_being_deleted_is_waited_for(&bench),
            joins::a_refresh_moves_the_record_and_keeps_the_node(&bench),
            joins::a_restart_makes_the_node_anew_with_its_agents_taints(&bench),
            shown::a_machine_is_registered_before_it_joins(&bench),
            shown::heartbeats_are_kept_now_and_then(&bench),
        );
        eprintln!("joins took {:?}", begun.elapsed());
        shown::kubectl_shows_what_is_known(&bench).await;
        shown::what_is_no_identifier_is_refused(&bench).await;
        joins::many_nodes_at_once(&bench).await;
        shown::the_definition_comes_back(&bench).await;
        eprintln!("all took {:?}", begun.elapsed());
        bench.stop().await;
    };
    within(DEADLINE, Box::pin(check)).await;
}
