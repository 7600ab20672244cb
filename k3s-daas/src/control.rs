//! The client of a running server's socket for operators.
//!
//! Errors: each says whether no server runs there, this user may not ask it, or it has no gate.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use api_gate::{ConnectionView, Disconnected, Target};
use reqwest::StatusCode;
use serde::de::DeserializeOwned;

use crate::failure::{Failure, Kind, OrFail, Outcome};
use crate::server::control::{CONNECTIONS, Connections, DISCONNECT, Disconnect, socket};

/// It is on this machine.
const DEADLINE: Duration = Duration::from_secs(10);
/// Host names mean nothing there.
const BASE: &str = "http://server";

/// A server on this machine.
#[derive(Debug)]
pub struct Control {
    http: reqwest::Client,
    path: PathBuf,
}

impl Control {
    /// The server with this state folder. It has to be there and open for this user.
    pub async fn of(state_dir: &Path) -> Outcome<Self> {
        let path = socket(state_dir);
        // What is wrong is said better by the socket than by a request.
        match tokio::net::UnixStream::connect(&path).await {
            Ok(_) => {}
            Err(error) => return Err(unreachable(&path, error)),
        }
        let http = reqwest::Client::builder()
            .unix_socket(path.clone())
            .timeout(DEADLINE)
            .no_proxy()
            .build()
            .or_fail(Kind::Failed, "can't make a client")?;
        Ok(Self { http, path })
    }

    /// Everybody who is connected through its gate.
    pub async fn connections(&self) -> Outcome<Vec<ConnectionView>> {
        let request = self.http.get(format!("{BASE}{CONNECTIONS}"));
        let all: Connections = self.answer(request).await?;
        Ok(all.connections)
    }

    /// Ends connections.
    pub async fn disconnect(&self, target: &Target) -> Outcome<Disconnected> {
        let wanted = Disconnect {
            target: target.clone(),
        };
        let request = self.http.post(format!("{BASE}{DISCONNECT}")).json(&wanted);
        self.answer(request).await
    }

    async fn answer<T: DeserializeOwned>(&self, request: reqwest::RequestBuilder) -> Outcome<T> {
        let doing = || format!("the server at {} does not answer", self.path.display());
        let answer = request.send().await.or_fail(Kind::Unavailable, doing())?;
        let status = answer.status();
        let body = answer.bytes().await.or_fail(Kind::Unavailable, doing())?;
        if status == StatusCode::OK {
            let strange = "the server's answer can't be read";
            return serde_json::from_slice(&body).or_fail(Kind::Failed, strange);
        }
        let said: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
        let said = said.get("message").and_then(serde_json::Value::as_str);
        let text = said.map_or_else(|| format!("the server answered {status}"), str::to_owned);
        let failure = Failure::message(Kind::Failed, text);
        Err(if status == StatusCode::NOT_FOUND {
            failure.next("set gate_listen, and render K3s's files again: see docs/gate.md")
        } else {
            failure
        })
    }
}

fn unreachable(path: &Path, error: std::io::Error) -> Failure {
    let path = path.display();
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => Failure::message(
            Kind::Unavailable,
            format!("no server runs with this state folder: nobody answers at {path}"),
        )
        .next("give --state-dir as `k3s-daas server` has it, or start the server"),
        ErrorKind::PermissionDenied => {
            Failure::message(Kind::Failed, format!("this user may not open {path}"))
                .next("run it as the server's user, with sudo -u k3s-daas for example")
        }
        _ => Failure::new(Kind::Failed, error).context(format!("can't open {path}")),
    }
}
