//! The machine that a worker is installed on: its files, and systemd.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use k3s_configs::RenderedFile;
use tokio::process::Command;

use crate::failure::{Failure, Kind, OrFail, Outcome};

/// A restart of K3s's agent takes some ten seconds.
const WITHIN: Duration = Duration::from_mins(3);

/// Where files go, and who starts services.
#[derive(Debug, Clone)]
pub(super) struct Machine {
    /// Files lie below it.
    pub(super) root: Option<PathBuf>,
    /// systemd's command; none where the machine does not run.
    pub(super) systemctl: Option<PathBuf>,
}

impl Machine {
    /// This one, or a folder that will be one.
    pub(super) fn new(root: Option<&Path>) -> Self {
        Self {
            root: root.map(Path::to_owned),
            systemctl: root.is_none().then(|| "systemctl".into()),
        }
    }

    /// Whether it is this one, with its systemd.
    pub(super) fn is_live(&self) -> bool {
        self.systemctl.is_some()
    }

    /// Where a file of the machine lies here.
    pub(super) fn place(&self, path: &Path) -> PathBuf {
        match &self.root {
            Some(root) => root.join(path.strip_prefix("/").unwrap_or(path)),
            None => path.to_owned(),
        }
    }

    /// Writes a file whole or not at all; says whether that changed anything.
    pub(super) fn write(&self, file: &RenderedFile) -> Outcome<bool> {
        let place = self.place(&file.path);
        if std::fs::read_to_string(&place).is_ok_and(|found| found == file.contents) {
            return Ok(false);
        }
        write(&place, file).or_fail(Kind::Failed, format!("can't write {}", place.display()))?;
        Ok(true)
    }

    /// Makes a folder where there is none.
    pub(super) fn folder(&self, path: &Path, mode: u32) -> Outcome {
        use std::os::unix::fs::DirBuilderExt as _;
        let place = self.place(path);
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(mode)
            .create(&place)
            .or_fail(Kind::Failed, format!("can't make {}", place.display()))
    }

    /// Takes a file away; says whether it was there.
    pub(super) fn remove(&self, path: &Path) -> Outcome<bool> {
        let place = self.place(path);
        match std::fs::remove_file(&place) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(Failure::new(Kind::Failed, error)
                .context(format!("can't take {} away", place.display()))),
        }
    }

    /// Makes a unit start at boot on a machine whose systemd can't be told.
    pub(super) fn link(&self, link: &Path, unit: &Path) -> Outcome<bool> {
        let place = self.place(link);
        if std::fs::read_link(&place).is_ok_and(|found| found == unit) {
            return Ok(false);
        }
        let make = || {
            std::fs::create_dir_all(place.parent().unwrap_or(Path::new("/")))?;
            match std::fs::remove_file(&place) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            std::os::unix::fs::symlink(unit, &place)
        };
        make().or_fail(Kind::Failed, format!("can't make {}", place.display()))?;
        Ok(true)
    }

    /// Tells systemd something; on a machine that is not this one there is nobody to tell.
    pub(super) async fn tell(&self, arguments: &[&str]) -> Outcome {
        let Some(systemctl) = &self.systemctl else {
            return Ok(());
        };
        let told = ask(systemctl, arguments).await?;
        if told.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&told.stderr);
        let text = format!("systemctl {} failed: {}", arguments.join(" "), said.trim());
        let unit = arguments.last().copied().unwrap_or_default();
        Err(Failure::message(Kind::Failed, text)
            .next(format!("look at `journalctl --unit {unit}`")))
    }

    /// How a unit stands.
    pub(super) async fn state(&self, unit: &str) -> Outcome<UnitState> {
        let Some(systemctl) = &self.systemctl else {
            return Ok(UnitState::Down);
        };
        // It fails where the unit is not active, and says how it stands all the same.
        let told = ask(systemctl, &["is-active", unit]).await?;
        let said = String::from_utf8_lossy(&told.stdout);
        Ok(match said.trim() {
            "active" | "reloading" | "refreshing" => UnitState::Up,
            "activating" => UnitState::Starting,
            _ => UnitState::Down,
        })
    }
}

/// How a unit stands (systemd(1), "Units").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UnitState {
    /// Its processes run.
    Up,
    /// It starts, or waits to be started again after it failed.
    Starting,
    /// Nothing of it runs.
    Down,
}

async fn ask(systemctl: &Path, arguments: &[&str]) -> Outcome<Output> {
    let asked = Command::new(systemctl)
        .args(arguments)
        .kill_on_drop(true)
        .output();
    tokio::time::timeout(WITHIN, asked)
        .await
        .map_err(|_| {
            let text = format!("systemctl {} took too long", arguments.join(" "));
            Failure::message(Kind::Unavailable, text)
        })?
        .or_fail(Kind::Failed, "systemd can't be told")
        .map_err(|failure| {
            failure.next("give --root FOLDER to write the files for another machine")
        })
}

fn write(place: &Path, file: &RenderedFile) -> std::io::Result<()> {
    use std::io::Write as _;
    let folder = place.parent().unwrap_or(Path::new("/"));
    std::fs::create_dir_all(folder)?;
    let mut partial = tempfile::NamedTempFile::new_in(folder)?;
    partial.write_all(file.contents.as_bytes())?;
    let mode = std::fs::Permissions::from_mode(file.mode);
    partial.as_file().set_permissions(mode)?;
    partial.as_file().sync_all()?;
    partial.persist(place).map_err(|error| error.error)?;
    Ok(())
}
