//! The real control plane of the end-to-end tests: a stock K3s where there is one, else Kubernetes
//! from its modules.
//!
//! Shape:  `start(StartOptions::new(dir))`; what it gives ends when it is dropped.
//! Errors: `LaunchError`. That no control plane can be had is an error too: a test that needs one
//!         is ignored by default, and whoever runs it anyway wants to know.

use std::path::{Path, PathBuf};
use std::process::Command;

pub use k3s_configs::launch::{
    Binary, ControlPlane, ControlPlaneKind, KubectlCommand, LaunchError, StartOptions,
};
use k3s_configs::launch::{Search, find_control_plane};

/// The control plane that this machine has: `$K3S_BIN`, a `k3s` on PATH,
/// `$K3S_DAAS_CONTROL_PLANE`, or what `tests/control-plane/build.sh` has built. Builds nothing.
pub fn available() -> Result<Binary, LaunchError> {
    let mut search = Search::from_environment();
    if search.built.is_none() {
        search.built = built();
    }
    find_control_plane(&search)
}

/// Starts it. In tests nothing has to survive a power cut.
pub async fn start(options: StartOptions) -> Result<ControlPlane, LaunchError> {
    let options = StartOptions {
        durable: false,
        ..options
    };
    k3s_configs::launch::start(&available()?, options).await
}

fn built() -> Option<PathBuf> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("control-plane/build.sh");
    let output = Command::new(script).arg("--path").output().ok()?;
    let path = String::from_utf8(output.stdout).ok()?;
    Some(PathBuf::from(path.trim_end())).filter(|path| path.is_file())
}
