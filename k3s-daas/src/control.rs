//! The client of a running server's socket for operators.
//!
//! Errors: each says whether no server runs there, this user may not ask it, or it has no gate.

use std::path::Path;
use std::time::Duration;

use api_gate::{ConnectionView, Disconnected, Target};
use http::{Method, StatusCode};
use reqwest::RequestBuilder;
use serde::de::DeserializeOwned;

use crate::failure::{Failure, Kind, OrFail, Outcome};
use crate::local::{LocalClient, Peer};
use crate::server::control::{CONNECTIONS, Connections, DISCONNECT, Disconnect, socket};

static SERVER: Peer = Peer {
    name: "server",
    absent: "no server runs with this state folder",
    when_absent: "give --state-dir as `k3s-daas server` has it, or start the server",
    when_refused: "run it as the server's user, with sudo -u k3s-daas for example",
    // It is on this machine.
    within: Duration::from_secs(10),
};

/// A server on this machine.
#[derive(Debug)]
pub struct Control(LocalClient);

impl Control {
    /// The server with this state folder. It has to be there and open for this user.
    pub async fn of(state_dir: &Path) -> Outcome<Self> {
        LocalClient::open(socket(state_dir), &SERVER)
            .await
            .map(Self)
    }

    /// Everybody who is connected through its gate.
    pub async fn connections(&self) -> Outcome<Vec<ConnectionView>> {
        let request = self.0.request(Method::GET, CONNECTIONS);
        let all: Connections = self.answer(request).await?;
        Ok(all.connections)
    }

    /// Ends connections.
    pub async fn disconnect(&self, target: &Target) -> Outcome<Disconnected> {
        let wanted = Disconnect {
            target: target.clone(),
        };
        let request = self.0.request(Method::POST, DISCONNECT).json(&wanted);
        self.answer(request).await
    }

    async fn answer<T: DeserializeOwned>(&self, request: RequestBuilder) -> Outcome<T> {
        let (status, body) = self.0.answer(request).await?;
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
