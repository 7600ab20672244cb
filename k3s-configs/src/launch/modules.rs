//! The control plane of `tests/control-plane`: how it is called.

use std::net::Ipv4Addr;
use std::path::Path;

use tokio::process::Command;

use super::Arguments;
use super::find::Binary;
use super::running::Plan;

pub(super) fn plan(
    binary: &Binary,
    dir: &Path,
    (reachable_at, port): (Option<Ipv4Addr>, u16),
    arguments: &Arguments,
    durable: bool,
) -> Plan {
    let mut command = Command::new(&binary.path);
    let address = reachable_at.unwrap_or(Ipv4Addr::LOCALHOST);
    let admin_kubeconfig = dir.join("admin.kubeconfig");
    command
        .args(["up", "--stop-with-stdin"])
        .arg(format!("--bind-address={address}"))
        .arg(format!("--secure-port={port}"))
        .arg(flag("--data-dir", dir))
        .arg(flag("--write-kubeconfig", &admin_kubeconfig));
    if !durable {
        command.arg("--etcd-no-fsync");
    }
    let join_url = reachable_at.map(|address| {
        let supervisor = port.saturating_add(1);
        command
            .arg(format!("--advertise-address={address}"))
            .arg(format!("--supervisor-port={supervisor}"));
        format!("https://{address}:{supervisor}")
    });
    command.args(&arguments.0);
    Plan {
        command,
        program: binary.path.clone(),
        url: format!("https://{address}:{port}"),
        join_url,
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
