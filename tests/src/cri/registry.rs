//! A registry on a machine's loopback, with images to pull.

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Instant;

use anyhow::{bail, ensure};

use super::{Containerd, LOOK, WITHIN, made};
use crate::e2e::skipped;

/// Where it is, within the machine. containerd asks a registry on loopback without TLS.
const ADDRESS: &str = "127.0.0.1:5000";

/// A running registry. It ends when this is dropped, and with its machine.
#[derive(Debug)]
pub struct Registry {
    crane: PathBuf,
    running: Child,
}

impl Registry {
    /// Starts one in a machine; nothing, and says so, where there is none to start.
    pub async fn start(test: &str, machine: &Containerd) -> anyhow::Result<Option<Self>> {
        let Some(tools) = made("registry.sh", "large.tar") else {
            skipped(test, "tests/tools/registry.sh was not run");
            return Ok(None);
        };
        let crane = tools.join("crane");
        let folder = machine.path("registry");
        std::fs::create_dir(&folder)?;
        let log = std::fs::File::create(machine.path("registry.log"))?;
        let running = machine
            .inside(&crane)
            .args(["registry", "serve", "--address", ADDRESS, "--disk"])
            .arg(&folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        let registry = Self { crane, running };
        registry
            .push(machine, &tools.join("large.tar"), "large")
            .await?;
        let Some(images) = made("images.sh", "busy.tar") else {
            bail!("tests/tools/images.sh was not run");
        };
        registry
            .push(machine, &images.join("busy.tar"), "pulled")
            .await?;
        Ok(Some(registry))
    }

    /// An image's full name.
    pub fn image(name: &str) -> String {
        format!("{ADDRESS}/k3s-daas/{name}:1")
    }

    /// Takes an archive's image in. The first one waits until the registry answers.
    async fn push(&self, machine: &Containerd, archive: &Path, name: &str) -> anyhow::Result<()> {
        let began = Instant::now();
        loop {
            let pushed = machine
                .inside(&self.crane)
                .args(["push", "--insecure"])
                .arg(archive)
                .arg(Self::image(name))
                .output()?;
            if pushed.status.success() {
                return Ok(());
            }
            let said = String::from_utf8_lossy(&pushed.stderr);
            ensure!(began.elapsed() < WITHIN, "{name} can't be pushed: {said}");
            tokio::time::sleep(LOOK).await;
        }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.running.kill();
        let _ = self.running.wait();
    }
}
