//! The control plane of `tests/control-plane`: how it is called.

use std::path::Path;

use tokio::process::Command;

use super::Arguments;
use super::find::Binary;
use super::running::Plan;

pub(super) fn plan(
    binary: &Binary,
    dir: &Path,
    port: u16,
    arguments: &Arguments,
    durable: bool,
) -> Plan {
    let mut command = Command::new(&binary.path);
    let admin_kubeconfig = dir.join("admin.kubeconfig");
    command
        .args(["up", "--bind-address=127.0.0.1", "--stop-with-stdin"])
        .arg(format!("--secure-port={port}"))
        .arg(flag("--data-dir", dir))
        .arg(flag("--write-kubeconfig", &admin_kubeconfig));
    if !durable {
        command.arg("--etcd-no-fsync");
    }
    command.args(&arguments.0);
    Plan {
        command,
        program: binary.path.clone(),
        url: format!("https://127.0.0.1:{port}"),
        admin_kubeconfig,
        ca: dir.join("tls/server-ca.crt"),
        log: dir.join("control-plane.log"),
    }
}

/// `--name=path`, whatever bytes the path has.
pub(super) fn flag(name: &str, path: &Path) -> std::ffi::OsString {
    let mut text = std::ffi::OsString::from(name);
    text.push("=");
    text.push(path);
    text
}
