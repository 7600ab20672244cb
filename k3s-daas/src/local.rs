//! The client of a process of ours on this machine, through its Unix socket.
//!
//! Errors: each says whether nobody answers there, or this user may not ask. What an answer says is
//!         its reader's to judge.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::{Method, StatusCode};
use reqwest::RequestBuilder;

use crate::failure::{Failure, Kind, OrFail, Outcome};

/// Host names mean nothing there.
const BASE: &str = "http://local";

/// Who is asked, in the words of failures.
#[derive(Debug)]
pub struct Peer {
    /// As in "the {name} at PATH does not answer".
    pub name: &'static str,
    /// What is so when nobody answers at a path: "no worker runs here".
    pub absent: &'static str,
    /// What to do then.
    pub when_absent: &'static str,
    /// What to do where this user may not ask.
    pub when_refused: &'static str,
    /// How long an answer may take.
    pub within: Duration,
}

/// A process on this machine that runs and may be asked.
#[derive(Debug)]
pub struct LocalClient {
    http: reqwest::Client,
    socket: PathBuf,
    peer: &'static Peer,
}

impl LocalClient {
    /// The one behind this socket. It has to be there and open for this user.
    pub async fn open(socket: PathBuf, peer: &'static Peer) -> Outcome<Self> {
        // What is wrong is said better by the socket than by a request.
        if let Err(error) = tokio::net::UnixStream::connect(&socket).await {
            return Err(unreachable(&socket, peer, error));
        }
        let http = reqwest::Client::builder()
            .unix_socket(socket.clone())
            .timeout(peer.within)
            .no_proxy()
            .build()
            .or_fail(Kind::Failed, "can't make a client")?;
        Ok(Self { http, socket, peer })
    }

    /// A request for this path, not sent yet.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{BASE}{path}"))
    }

    /// The status and the body of the answer to a request.
    pub async fn answer(&self, request: RequestBuilder) -> Outcome<(StatusCode, Vec<u8>)> {
        let silent = || {
            let at = self.socket.display();
            format!("the {} at {at} does not answer", self.peer.name)
        };
        let answer = request.send().await.or_fail(Kind::Unavailable, silent())?;
        let status = answer.status();
        let body = answer.bytes().await.or_fail(Kind::Unavailable, silent())?;
        Ok((status, body.to_vec()))
    }
}

fn unreachable(socket: &Path, peer: &Peer, error: std::io::Error) -> Failure {
    let at = socket.display();
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => {
            let text = format!("{}: nobody answers at {at}", peer.absent);
            Failure::message(Kind::Unavailable, text).next(peer.when_absent)
        }
        ErrorKind::PermissionDenied => {
            Failure::message(Kind::Failed, format!("this user may not open {at}"))
                .next(peer.when_refused)
        }
        _ => Failure::new(Kind::Failed, error).context(format!("can't open {at}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static PEER: Peer = Peer {
        name: "tester",
        absent: "no tester runs",
        when_absent: "start one",
        when_refused: "ask as another",
        within: Duration::from_secs(5),
    };

    #[tokio::test]
    async fn nobody_there_and_nobody_any_more_are_told_with_the_next_step() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("s");
        for left_over in [false, true] {
            if left_over {
                drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
            }
            let failure = LocalClient::open(socket.clone(), &PEER).await.unwrap_err();
            assert_eq!(failure.kind, Kind::Unavailable);
            assert_eq!(failure.next_step.as_deref(), Some("start one"));
            let said = failure.cause.to_string();
            assert!(
                said.starts_with("no tester runs: nobody answers at /"),
                "{said}"
            );
        }
    }
}
