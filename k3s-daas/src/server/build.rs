//! Which program this is.

use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

/// What a release's build says of its source: `K3S_DAAS_REVISION`, set while compiling.
const REVISION: Option<&str> = option_env!("K3S_DAAS_REVISION");

/// `k3s_daas_build_info`, always 1.
pub(super) fn register(registry: &mut Registry) {
    let labels = [
        ("version", env!("CARGO_PKG_VERSION")),
        ("revision", REVISION.unwrap_or("unknown")),
    ];
    registry.register(
        "k3s_daas_build",
        "Which program this is",
        Info::new(labels.to_vec()),
    );
}
