//! The command `k3s-daas`. Everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    k3s_daas::main(std::env::args_os())
}
