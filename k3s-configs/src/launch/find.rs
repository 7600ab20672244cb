//! Which control plane and which kubectl there are.

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::error::LaunchError;
use super::kubectl::KubectlCommand;

/// Which of the two control planes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ControlPlaneKind {
    /// A stock K3s server.
    K3s,
    /// Kubernetes from its published modules (`tests/control-plane`).
    Modules,
}

impl ControlPlaneKind {
    /// Its name, for people and for logs.
    pub const fn label(self) -> &'static str {
        match self {
            Self::K3s => "k3s",
            Self::Modules => "kubernetes-modules",
        }
    }
}

/// How a binary was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FoundBy {
    /// `$K3S_BIN`.
    Variable,
    /// `k3s` on `$PATH`.
    Path,
    /// A K3s release that the caller downloaded.
    Downloaded,
    /// Built by `tests/control-plane/build.sh`.
    Built,
}

impl FoundBy {
    /// How, for people.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Variable => "$K3S_BIN",
            Self::Path => "PATH",
            Self::Downloaded => "downloaded",
            Self::Built => "built from the Kubernetes modules",
        }
    }
}

/// A control plane that can be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binary {
    /// Which.
    pub kind: ControlPlaneKind,
    /// Where.
    pub path: PathBuf,
    /// How it was found.
    pub found_by: FoundBy,
}

/// Where to look.
#[derive(Debug, Clone, Default)]
pub struct Search {
    /// `$K3S_BIN`: it alone counts where it is set, so that a typing error is not passed over.
    pub k3s_bin: Option<PathBuf>,
    /// `$PATH`.
    pub path: Option<OsString>,
    /// A K3s release that the caller downloaded and checked.
    pub downloaded: Option<PathBuf>,
    /// What `tests/control-plane/build.sh` printed. `$K3S_DAAS_CONTROL_PLANE`.
    pub built: Option<PathBuf>,
}

impl Search {
    /// The variables of this process. An empty one counts as absent.
    pub fn from_environment() -> Self {
        let file = |name| {
            std::env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        Self {
            k3s_bin: file("K3S_BIN"),
            path: std::env::var_os("PATH"),
            downloaded: None,
            built: file("K3S_DAAS_CONTROL_PLANE"),
        }
    }

    fn on_path(&self, program: &str) -> Option<PathBuf> {
        on_path(self.path.as_ref(), program)
    }
}

/// Where a program is on `$PATH`.
pub(super) fn on_path(path: Option<&OsString>, program: &str) -> Option<PathBuf> {
    std::env::split_paths(path?)
        // An empty element means the current folder, which nobody means.
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(program))
        .find(|candidate| is_executable(candidate))
}

/// The control plane to start: `$K3S_BIN`, else a `k3s` on PATH, else a downloaded release, else
/// the one built from the modules.
pub fn find_control_plane(search: &Search) -> Result<Binary, LaunchError> {
    if let Some(path) = &search.k3s_bin {
        if !is_executable(path) {
            return Err(LaunchError::NotExecutable { path: path.clone() });
        }
        // The child has another working folder.
        let path = super::absolute(path)?;
        return Ok(Binary {
            kind: ControlPlaneKind::K3s,
            path,
            found_by: FoundBy::Variable,
        });
    }
    let candidates = [
        (ControlPlaneKind::K3s, search.on_path("k3s"), FoundBy::Path),
        (
            ControlPlaneKind::K3s,
            search.downloaded.clone(),
            FoundBy::Downloaded,
        ),
        (
            ControlPlaneKind::Modules,
            search.built.clone(),
            FoundBy::Built,
        ),
    ];
    for (kind, path, found_by) in candidates {
        if let Some(path) = path.filter(|path| is_executable(path)) {
            return Ok(Binary {
                kind,
                path: super::absolute(&path)?,
                found_by,
            });
        }
    }
    Err(LaunchError::NoControlPlane)
}

/// The kubectl to use: the one on PATH, else the control plane's own, be it K3s's or the modules'.
pub fn find_kubectl(
    search: &Search,
    control_plane: Option<&Binary>,
) -> Result<KubectlCommand, LaunchError> {
    if let Some(path) = search.on_path("kubectl") {
        return Ok(KubectlCommand::program(path));
    }
    match control_plane {
        Some(binary) => Ok(KubectlCommand::subcommand_of(binary.path.clone())),
        None => Err(LaunchError::NoKubectl),
    }
}

fn is_executable(path: &Path) -> bool {
    std::fs::metadata(path)
        .is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn executable(&self, name: &str) -> PathBuf {
            let path = self.0.path().join(name);
            std::fs::write(&path, "#!/bin/sh\n").unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
            path
        }

        fn path(&self) -> OsString {
            self.0.path().as_os_str().to_owned()
        }
    }

    #[test]
    fn the_variable_comes_before_path_before_a_download_before_the_built_one() {
        let (folder, other) = (Folder::new(), Folder::new());
        let k3s = folder.executable("k3s");
        let named = other.executable("my-k3s");
        let downloaded = other.executable("downloaded");
        let built = other.executable("control-plane");
        let mut search = Search {
            k3s_bin: Some(named.clone()),
            path: Some(folder.path()),
            downloaded: Some(downloaded.clone()),
            built: Some(built.clone()),
        };
        let found = |search: &Search| {
            let binary = find_control_plane(search).unwrap();
            (binary.kind, binary.path, binary.found_by)
        };
        assert_eq!(
            found(&search),
            (ControlPlaneKind::K3s, named, FoundBy::Variable)
        );
        search.k3s_bin = None;
        assert_eq!(found(&search), (ControlPlaneKind::K3s, k3s, FoundBy::Path));
        search.path = Some(other.path());
        assert_eq!(
            found(&search),
            (ControlPlaneKind::K3s, downloaded, FoundBy::Downloaded)
        );
        search.downloaded = None;
        assert_eq!(
            found(&search),
            (ControlPlaneKind::Modules, built, FoundBy::Built)
        );
        search.built = None;
        assert!(matches!(
            find_control_plane(&search),
            Err(LaunchError::NoControlPlane)
        ));
    }

    #[test]
    fn a_variable_that_names_nothing_is_an_error_and_not_passed_over() {
        let folder = Folder::new();
        folder.executable("k3s");
        let search = Search {
            k3s_bin: Some(folder.0.path().join("no-such-file")),
            path: Some(folder.path()),
            ..Search::default()
        };
        assert!(matches!(
            find_control_plane(&search),
            Err(LaunchError::NotExecutable { .. })
        ));
    }

    #[test]
    fn a_file_that_is_not_executable_is_passed_over() {
        let folder = Folder::new();
        std::fs::write(folder.0.path().join("k3s"), "text").unwrap();
        let search = Search {
            path: Some(folder.path()),
            ..Search::default()
        };
        assert!(matches!(
            find_control_plane(&search),
            Err(LaunchError::NoControlPlane)
        ));
    }

    #[test]
    fn kubectl_on_path_comes_before_the_control_planes_own() {
        let folder = Folder::new();
        let kubectl = folder.executable("kubectl");
        let k3s = folder.executable("k3s");
        let search = Search {
            path: Some(folder.path()),
            ..Search::default()
        };
        let binary = find_control_plane(&search).unwrap();
        assert_eq!(
            find_kubectl(&search, Some(&binary)).unwrap(),
            KubectlCommand::program(kubectl)
        );
        let nowhere = Search::default();
        assert_eq!(
            find_kubectl(&nowhere, Some(&binary)).unwrap(),
            KubectlCommand::subcommand_of(k3s)
        );
        assert!(matches!(
            find_kubectl(&nowhere, None),
            Err(LaunchError::NoKubectl)
        ));
    }
}
