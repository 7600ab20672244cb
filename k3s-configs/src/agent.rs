//! A worker's `config.yaml`: what a stock `k3s agent` needs to join with a seal, and nothing else.
//!
//! Shape:  a YAML map of K3s's long flags. K3s skips keys that it does not know in a server's file;
//!         in an agent's they become flags that end it. The token is named and never written here:
//!         arguments and configuration are for everybody to read, the token's file is not.
//! Source: K3s `pkg/configfilearg/parser.go`, `pkg/cli/cmds/agent.go`.

use std::net::IpAddr;
use std::path::PathBuf;

use seal::NodeName;

use crate::RenderedFile;
use crate::settings::{RenderError, absolute, host_of};

/// What a worker's file depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentSettings {
    /// The cluster's address: `https://`, host and port.
    pub server: String,
    /// Where the agent's token lies, absolute.
    pub token_file: PathBuf,
    /// The name that the seal was staked for. K3s gives certificates for no other.
    pub node_name: NodeName,
}

/// K3s's own file: the whole of it, below K3s's folder.
const FILE: &str = "config.yaml";

/// Renders a worker's files.
pub fn render_agent(settings: &AgentSettings) -> Result<Vec<RenderedFile>, RenderError> {
    absolute("token_file", &settings.token_file)?;
    let host = host_of(&settings.server).ok_or_else(|| RenderError::NotHttps {
        setting: "server",
        url: settings.server.clone(),
    })?;
    let loopback = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    if loopback {
        return Err(RenderError::OwnMachine(settings.server.clone()));
    }
    let text = |value: &str| serde_json::Value::from(value).to_string();
    let contents = format!(
        "# A worker that joins by stake. `k3s agent` reads it at its start; nothing else is needed.\n\n\
         # the cluster; its CA is pinned by the token\n\
         server: {}\n\n\
         # what `k3s-daas join-token` wrote: it joins this node and does nothing else\n\
         token-file: {}\n\n\
         # the name that was staked for; the cluster gives this seal certificates for no other\n\
         node-name: {}\n",
        text(&settings.server),
        text(&settings.token_file.to_string_lossy()),
        text(settings.node_name.as_str()),
    );
    Ok(vec![RenderedFile {
        path: FILE.into(),
        mode: 0o644,
        contents,
        purpose: "the worker's K3s configuration",
    }])
}

#[cfg(test)]
mod tests {
    use serde_yaml_ng::Value;

    use super::*;

    fn settings() -> AgentSettings {
        AgentSettings {
            server: "https://cluster.example.org:6443".to_owned(),
            token_file: "/etc/rancher/k3s/k3s-daas.token".into(),
            node_name: "worker-001".parse().unwrap(),
        }
    }

    #[test]
    fn a_worker_is_told_three_things_and_none_of_them_is_secret() {
        let files = render_agent(&settings()).unwrap();
        let value: Value = serde_yaml_ng::from_str(&files[0].contents).unwrap();
        let map = value.as_mapping().unwrap();
        let keys: Vec<&str> = map.keys().filter_map(Value::as_str).collect();
        assert_eq!(keys, ["server", "token-file", "node-name"]);
        assert_eq!(value["server"], "https://cluster.example.org:6443");
        assert_eq!(value["token-file"], "/etc/rancher/k3s/k3s-daas.token");
        assert_eq!(value["node-name"], "worker-001");
    }

    #[test]
    fn a_worker_that_would_ask_itself_or_without_tls_is_refused() {
        for (server, wrong) in [
            ("https://127.0.0.1:6443", true),
            ("https://localhost:6443", true),
            ("https://[::1]:6443", true),
            ("http://10.0.0.1:6443", false),
            ("https://", false),
        ] {
            let settings = AgentSettings {
                server: server.to_owned(),
                ..settings()
            };
            let error = render_agent(&settings).unwrap_err();
            let own = matches!(error, RenderError::OwnMachine(_));
            assert_eq!(own, wrong, "{server}: {error}");
        }
        let relative = AgentSettings {
            token_file: "token".into(),
            ..settings()
        };
        let error = render_agent(&relative).unwrap_err();
        assert!(matches!(error, RenderError::NotAbsolute { .. }));
    }

    #[test]
    fn names_are_quoted_that_yaml_would_read_otherwise() {
        let settings = AgentSettings {
            node_name: "123".parse().unwrap(),
            token_file: "/a b: #c".into(),
            ..settings()
        };
        let files = render_agent(&settings).unwrap();
        let value: Value = serde_yaml_ng::from_str(&files[0].contents).unwrap();
        assert_eq!(value["node-name"], "123");
        assert_eq!(value["token-file"], "/a b: #c");
    }
}
