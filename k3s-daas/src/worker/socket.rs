//! Where kubelet calls: the socket that systemd holds, else one of our own.

use std::os::unix::net::UnixListener;
use std::path::Path;

use webhook_server::{SocketFile, bind_unix};

use crate::failure::{Failure, Kind, OrFail, Outcome};
use crate::secrets::make_private_folder;

/// Takes the socket of systemd's `LISTEN_FDS` where there is one: then callers have been waiting
/// in its queue, and will again after us. Our own is gone when its file is dropped.
pub(super) async fn listen(path: &Path) -> Outcome<(UnixListener, Option<SocketFile>)> {
    let mut given = listenfd::ListenFd::from_env();
    let taken = given
        .take_unix_listener(0)
        .or_fail(
            Kind::Usage,
            "what LISTEN_FDS gives is no listening Unix socket",
        )
        .map_err(|failure| failure.next("start the worker by k3s-daas-cri.socket"))?;
    if let Some(listener) = taken {
        let at = listener.local_addr().ok();
        let at = at.as_ref().and_then(|at| at.as_pathname());
        if at != Some(path) {
            let text = format!(
                "the socket that was given is {at:?}, and cri_socket is {}",
                path.display()
            );
            return Err(Failure::message(Kind::Usage, text)
                .next("give both the same path: kubelet is told cri_socket"));
        }
        tracing::info!(path = %path.display(), "taking calls from the socket that systemd holds");
        return Ok((listener, None));
    }
    if let Some(folder) = path.parent() {
        make_private_folder(folder)
            .or_fail(Kind::Failed, format!("can't make {}", folder.display()))?;
    }
    let (listener, file) = bind_unix(path)
        .await
        .or_fail(Kind::Failed, "kubelet's socket can't be opened")?;
    let listener = listener
        .into_std()
        .or_fail(Kind::Failed, "kubelet's socket can't be opened")?;
    tracing::info!(path = %path.display(), "taking calls; while this process is down they are refused");
    Ok((listener, Some(file)))
}
