//! Nodes' lives on a real API server, with a seal directory of the test's.
//!
//! One control plane for all of it. `$K3S_BIN` or `$K3S_DAAS_CONTROL_PLANE` names it (what
//! `tests/control-plane/build.sh` prints); without one the test is skipped, and says so.
//! No kubelet runs: pods are bound by the test and end as soon as they are told to.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    clippy::indexing_slicing,
    reason = "tests"
)]

#[path = "lifecycle/bench.rs"]
mod bench;
#[path = "lifecycle/chain.rs"]
mod chain;
#[path = "lifecycle/crowd.rs"]
mod crowd;
#[path = "lifecycle/cuts.rs"]
mod cuts;
#[path = "lifecycle/drains.rs"]
mod drains;
#[path = "lifecycle/kept.rs"]
mod kept;
#[path = "lifecycle/leaders.rs"]
mod leaders;
#[path = "lifecycle/restarts.rs"]
mod restarts;

use std::time::{Duration, Instant};

use bench::Bench;
use k3s_configs::launch::testing::within;

const DEADLINE: Duration = Duration::from_mins(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_live_as_their_seals_do_on_a_real_api_server() {
    let check = async {
        let Some(bench) = Bench::start().await else {
            return;
        };
        let begun = Instant::now();
        tokio::join!(
            cuts::a_fault_cuts_at_once_and_a_restake_brings_the_node_back(&bench),
            cuts::every_fault_cuts(&bench),
            cuts::a_finalizer_is_waited_for(&bench),
            cuts::a_cut_before_the_agent_asked_makes_no_node(&bench),
            drains::an_end_without_fault_moves_the_pods_first(&bench),
            drains::a_budget_holds_until_the_grace_ends(&bench),
            drains::a_restake_within_the_grace_keeps_the_node(&bench),
            drains::a_fault_while_draining_cuts(&bench),
            kept::a_missing_node_is_made_again_with_its_agents_taints(&bench),
            kept::what_cant_be_read_changes_nothing(&bench),
            kept::nodes_of_others_are_left_alone(&bench),
            kept::a_lost_sealed_node_is_made_again(&bench),
            kept::the_seal_is_told_and_its_end_is_warned_of(&bench),
        );
        eprintln!("lives took {:?}", begun.elapsed());
        kept::trust_follows_the_operators_list(&bench).await;
        restarts::what_broke_off_is_completed(&bench).await;
        eprintln!("with restarts {:?}", begun.elapsed());
        restarts::a_life_under_kills(&bench).await;
        eprintln!("with kills {:?}", begun.elapsed());
        crowd::a_hundred_at_once(&bench).await;
        eprintln!("with a crowd {:?}", begun.elapsed());
        leaders::nothing_is_written_when_nothing_changes(&bench).await;
        leaders::one_of_two_leads_and_the_other_follows(&bench).await;
        eprintln!("all took {:?}", begun.elapsed());
        bench.stop().await;
    };
    within(DEADLINE, Box::pin(check)).await;
}
