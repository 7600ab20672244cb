//! A control plane of a test's own, with a client of its administrator.
//!
//! Shape:  [`TestCluster::start`] inside [`within`]; [`until`] for what has to happen soon.
//!         With the feature `testing`, which only `[dev-dependencies]` may ask for.
//! Errors: none. A test that can't go on panics; one without a control plane is told so and skips.
#![allow(
    clippy::expect_used,
    clippy::missing_panics_doc,
    clippy::panic,
    clippy::print_stderr,
    reason = "for tests"
)]

use std::path::Path;
use std::time::{Duration, Instant};

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tempfile::TempDir;
use tracing_subscriber::EnvFilter;

use super::{Binary, ControlPlane, Search, StartOptions, find_control_plane, start};

/// A control plane in a folder that goes with it.
#[derive(Debug)]
pub struct TestCluster {
    /// The control plane.
    pub plane: ControlPlane,
    config: Config,
    binary: Binary,
    dir: TempDir,
}

impl TestCluster {
    /// A stock one. `None` where this machine has none, which is said on standard error.
    ///
    /// `RUST_LOG` shows what the parts under test do.
    pub async fn start() -> Option<Self> {
        let Ok(binary) = find_control_plane(&Search::from_environment()) else {
            eprintln!("skipped: no control plane (set K3S_BIN or K3S_DAAS_CONTROL_PLANE)");
            return None;
        };
        if let Ok(filter) = EnvFilter::try_from_default_env() {
            // There is one already where a test starts several.
            let _ = tracing_subscriber::fmt()
                .with_env_filter(filter)
                .with_writer(std::io::stderr)
                .try_init();
        }
        let dir = tempfile::tempdir().expect("a folder");
        Some(Self::on(binary, dir).await)
    }

    async fn on(binary: Binary, dir: TempDir) -> Self {
        let options = StartOptions {
            durable: false,
            ..StartOptions::new(dir.path().join("cp"))
        };
        let plane = start(&binary, options)
            .await
            .unwrap_or_else(|error| panic!("{error}"));
        let config = config(&plane.admin_kubeconfig).await;
        Self {
            plane,
            config,
            binary,
            dir,
        }
    }

    /// As its administrator.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::try_from(self.config.clone()).expect("a client")
    }

    /// As somebody whom its administrator impersonates.
    #[must_use]
    pub fn acting_as(&self, user: &str, groups: &[&str]) -> Client {
        let mut config = self.config.clone();
        config.auth_info.impersonate = Some(user.to_owned());
        let groups = groups.iter().map(|&group| group.to_owned()).collect();
        config.auth_info.impersonate_groups = Some(groups);
        Client::try_from(config).expect("a client")
    }

    /// Ends it and starts it again on what it had stored.
    pub async fn restart(self) -> Self {
        self.plane.stop().await;
        Self::on(self.binary, self.dir).await
    }

    /// Ends it and removes its folder.
    pub async fn stop(self) {
        self.plane.stop().await;
    }
}

async fn config(kubeconfig: &Path) -> Config {
    let kubeconfig = Kubeconfig::read_from(kubeconfig).expect("a kubeconfig");
    Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .expect("a kubeconfig that can be used")
}

/// Runs a test that has a deadline.
pub async fn within(deadline: Duration, test: impl Future<Output = ()>) {
    tokio::time::timeout(deadline, test).await.expect("in time");
}

/// Waits until it is so.
pub async fn until(what: &str, patience: Duration, is_so: impl AsyncFn() -> bool) {
    let begun = Instant::now();
    while !is_so().await {
        assert!(begun.elapsed() < patience, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
