//! The program `k3s-daas-worker`: the command `k3s-daas worker` without all the others.

use std::process::ExitCode;

fn main() -> ExitCode {
    k3s_daas::worker_main(std::env::args_os())
}
