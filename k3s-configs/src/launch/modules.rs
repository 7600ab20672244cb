//! The control plane of `tests/control-plane`: how it is called.

use std::path::Path;

use tokio::process::Command;

use super::Arguments;
use super::find::Binary;
use super::place::Place;
use super::running::Plan;

pub(super) fn plan(
    binary: &Binary,
    dir: &Path,
    place: Place,
    arguments: &Arguments,
    durable: bool,
) -> Plan {
    let mut command = Command::new(&binary.path);
    let admin_kubeconfig = dir.join("admin.kubeconfig");
    command
        .args(["up", "--stop-with-stdin"])
        .arg(format!("--bind-address={}", place.bind))
        .arg(format!("--secure-port={}", place.port))
        .arg(flag("--data-dir", dir))
        .arg(flag("--write-kubeconfig", &admin_kubeconfig));
    if !durable {
        command.arg("--etcd-no-fsync");
    }
    let join_url = place.advertise.map(|address| {
        let supervisor = place.port.saturating_add(1);
        command
            .arg(format!("--advertise-address={address}"))
            .arg(format!("--supervisor-port={supervisor}"));
        place.url_of(1)
    });
    // The API server's, and that of the supervisor where there is one.
    let ports = if join_url.is_some() { 2 } else { 1 };
    command.args(&arguments.0);
    Plan {
        command,
        program: binary.path.clone(),
        url: place.url(),
        direct_url: place.direct_url(),
        doors: place.doors(ports),
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
