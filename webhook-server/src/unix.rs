//! A listener on a Unix socket, for those of this machine who may open it.
//!
//! Shape:  HTTP/1.1 without TLS; otherwise as [`serve`](crate::serve). The file is the user's alone
//!         (mode 0600) from its first moment, and its folder nobody else's to change.
//! Errors: a folder in which others could put a socket of theirs is refused, and so is a path at
//!         which somebody answers. A socket that nobody answers at was left by a process that was
//!         killed: it is taken away.

use std::fs::Permissions;
use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::Limits;
use crate::metrics::ServerMetrics;
use crate::serve::{Listener, run, shared};

/// Others than the owner, who may write.
const OTHERS_WRITE: u32 = 0o022;
/// The longest path of a socket on Linux.
const LONGEST: usize = 107;

/// Why a socket can't be listened on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnixError {
    /// Somebody listens there already.
    #[error("somebody else listens on {}", .0.display())]
    Taken(PathBuf),
    /// Something that is no socket is there.
    #[error("{} is there and is no socket", .0.display())]
    NoSocket(PathBuf),
    /// Others could put a socket of their own there.
    #[error("others may write to {}, and could answer in our place", .0.display())]
    OpenFolder(PathBuf),
    /// Linux takes no longer ones.
    #[error("the path {} is longer than the {LONGEST} bytes of a socket's", .0.display())]
    TooLong(PathBuf),
    /// The file system refused.
    #[error("can't listen on {}", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// A running listener.
#[derive(Debug)]
pub struct UnixServing {
    /// Where.
    pub path: PathBuf,
    /// Ends once the shutdown token is cancelled and everything is drained; the socket is gone
    /// then.
    pub task: JoinHandle<()>,
}

/// Starts a listener on a socket of mode 0600. `shutdown` stops it as it stops
/// [`serve`](crate::serve).
pub async fn serve_unix(
    name: &'static str,
    path: &Path,
    limits: Limits,
    router: Router,
    metrics: &ServerMetrics,
    shutdown: CancellationToken,
) -> Result<UnixServing, UnixError> {
    let (listener, file) = bind_unix(path).await?;
    let shared = Arc::new(shared(name, limits, router, None, metrics, shutdown));
    let task = tokio::spawn(async move {
        // Gone with the listener, however that ends.
        let file = file;
        tracing::info!(listener = name, path = %file.path.display(), "listening");
        run(&shared, Listener::Unix(listener), name).await;
        tracing::info!(listener = name, path = %file.path.display(), "stopped");
    });
    Ok(UnixServing {
        path: path.to_owned(),
        task,
    })
}

/// A socket's file; taken away when dropped, if it is still this one.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    inode: (u64, u64),
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let same = std::fs::symlink_metadata(&self.path)
            .is_ok_and(|found| (found.dev(), found.ino()) == self.inode);
        if same {
            // At worst the next one finds a socket that nobody answers at.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Listens on a socket of mode 0600, for who serves it otherwise than [`serve_unix`] does.
pub async fn bind_unix(path: &Path) -> Result<(UnixListener, SocketFile), UnixError> {
    let io = |source| UnixError::Io {
        path: path.to_owned(),
        source,
    };
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let mode = std::fs::metadata(folder).map_err(io)?.mode();
    // A sticky folder is no better: they could be there before us, or while we are not.
    if mode & OTHERS_WRITE != 0 {
        return Err(UnixError::OpenFolder(folder.to_owned()));
    }
    // Bound beside its place, in a folder that nobody else can enter, and moved there once its mode
    // is right: at no moment can others open it, and whoever finds it can connect.
    let private = tempfile::Builder::new()
        .prefix(".s")
        .permissions(Permissions::from_mode(0o700))
        .tempdir_in(folder)
        .map_err(io)?;
    let beside = private.path().join("s");
    if beside.as_os_str().len() > LONGEST || path.as_os_str().len() > LONGEST {
        return Err(UnixError::TooLong(path.to_owned()));
    }
    clear(path).await?;
    let listener = UnixListener::bind(&beside).map_err(io)?;
    std::fs::set_permissions(&beside, Permissions::from_mode(0o600)).map_err(io)?;
    let found = std::fs::symlink_metadata(&beside).map_err(io)?;
    let inode = (found.dev(), found.ino());
    std::fs::rename(&beside, path).map_err(io)?;
    let file = SocketFile {
        path: path.to_owned(),
        inode,
    };
    Ok((listener, file))
}

/// Makes sure that nobody answers there, and that nothing but a socket is replaced.
async fn clear(path: &Path) -> Result<(), UnixError> {
    let io = |source| UnixError::Io {
        path: path.to_owned(),
        source,
    };
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(io(error)),
        Ok(found) if !found.file_type().is_socket() => {
            return Err(UnixError::NoSocket(path.to_owned()));
        }
        Ok(_) => {}
    }
    match UnixStream::connect(path).await {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(io(error)),
        Ok(_) => Err(UnixError::Taken(path.to_owned())),
    }
}
