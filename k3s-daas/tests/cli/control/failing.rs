//! `connections` and `disconnect` where nobody can answer them.

use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;

use super::{SOON, STATE, Stage, chmod};
use crate::program::{Answer, Program, answer, mode};
use crate::server::{Server, contract_of_nowhere};

/// Both commands, with the same end.
fn both(program: &Program) -> [Answer; 2] {
    let disconnect = ["disconnect", "worker-001", STATE[0], STATE[1]];
    [
        program.run(&["connections", STATE[0], STATE[1]]),
        program.run(&disconnect),
    ]
}

#[test]
fn says_that_no_server_runs_before_it_starts_and_after_it_ended() {
    let program = Program::new();
    let nobody = |program: &Program| {
        for refused in both(program) {
            assert_eq!(refused.code, 4, "{refused:?}");
            let said = "no server runs with this state folder";
            assert!(refused.stderr.contains(said), "{refused:?}");
            assert!(
                refused.stderr.contains("next step: give --state-dir"),
                "{refused:?}"
            );
        }
    };
    nobody(&program);
    let stage = Stage::new();
    assert!(both(&stage.program).iter().all(|answer| answer.code == 0));
    stage.shutdown.cancel();
    stage.runtime.block_on(stage.serving.task).unwrap();
    nobody(&stage.program);
    let left = std::fs::read_dir(stage.program.path("state")).unwrap();
    assert_eq!(left.count(), 0);
}

#[test]
fn a_server_without_a_gate_says_so_and_one_that_was_killed_is_followed() {
    let program = Program::new();
    contract_of_nowhere(&program);
    let socket = program.path("state/admin.sock");
    let arguments = ["--elevated-owners", "any"];
    let server = Server::start_with(&program, &arguments);
    assert_eq!(mode(&socket), 0o600);
    let without_a_gate = |program: &Program| {
        for refused in both(program) {
            assert_eq!(refused.code, 1, "{refused:?}");
            assert!(
                refused.stderr.contains("this server has no gate"),
                "{refused:?}"
            );
            assert!(
                refused.stderr.contains("next step: set gate_listen"),
                "{refused:?}"
            );
        }
    };
    without_a_gate(&program);
    // Killed, it leaves its socket.
    drop(server);
    assert!(socket.exists());
    assert!(both(&program).iter().all(|answer| answer.code == 4));
    let _server = Server::start_with(&program, &arguments);
    without_a_gate(&program);
}

#[test]
fn a_server_does_not_start_where_others_could_answer_in_its_place() {
    let program = Program::new();
    contract_of_nowhere(&program);
    let state = program.path("state");
    std::fs::create_dir(&state).unwrap();
    chmod(&state, 0o777);
    let refused = program.run(&[
        "server",
        "--contract",
        "contract.toml",
        "--elevated-owners",
        "any",
        "--kubeconfig",
        "no-kubeconfig-yet",
        "--listen",
        "127.0.0.1:0",
        "--metrics-listen",
        "127.0.0.1:0",
        "--admit-listen",
        "127.0.0.1:0",
        "--api-listen",
        "",
        "--audit-listen",
        "127.0.0.1:0",
        "--gate-listen",
        "127.0.0.1:0",
        "--gate-upstream",
        "127.0.0.1:6443",
        STATE[0],
        STATE[1],
    ]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(
        refused.stderr.contains("others may write to state"),
        "{refused:?}"
    );
    assert!(refused.stderr.contains("next step: "), "{refused:?}");
}

#[test]
fn who_may_not_open_the_socket_is_told_whose_it_is() {
    let stage = Stage::new();
    let socket = stage.program.path("state/admin.sock");
    let mut command = stage.program.command(&["connections"]);
    let folder = stage.program.path("state");
    command.arg("--state-dir").arg(&folder).current_dir("/");
    let home = stage.program.path("");
    chmod(&home, 0o755);
    chmod(&folder, 0o755);
    if std::fs::metadata(&socket).unwrap().uid() == 0 {
        // Nothing is closed to root: somebody else asks.
        command.uid(65_534).gid(65_534);
    } else {
        chmod(&socket, 0o000);
    }
    let refused = answer(command.spawn().unwrap());
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(
        refused.stderr.contains("this user may not open"),
        "{refused:?}"
    );
    assert!(
        refused
            .stderr
            .contains("next step: run it as the server's user"),
        "{refused:?}"
    );
}

#[test]
fn a_server_that_hangs_is_not_waited_for_without_end() {
    let program = Program::new();
    let state = program.path("state");
    std::fs::create_dir(&state).unwrap();
    // It takes connections, and never answers.
    let _deaf = std::os::unix::net::UnixListener::bind(state.join("admin.sock")).unwrap();
    let started = std::time::Instant::now();
    let refused = program.run(&["connections", STATE[0], STATE[1]]);
    assert_eq!(refused.code, 4, "{refused:?}");
    assert!(refused.stderr.contains("does not answer"), "{refused:?}");
    assert!(started.elapsed() < SOON);
}
