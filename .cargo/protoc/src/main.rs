//! Becomes the bundled `protoc`; on a machine for which none is bundled, the one on PATH.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    let bundled = protoc_bin_vendored::protoc_bin_path().map(OsString::from);
    let program = bundled.unwrap_or_else(|_| "protoc".into());
    let error = Command::new(&program)
        .args(std::env::args_os().skip(1))
        .exec();
    eprintln!("can't run {}: {error}", program.display());
    eprintln!("install a protobuf-compiler and set PROTOC to its path");
    ExitCode::FAILURE
}
