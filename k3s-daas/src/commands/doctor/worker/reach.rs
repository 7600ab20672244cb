//! Whether the cluster can be reached from this machine: its API server's port, its REST API and
//! whether that one is the one it should be.

use std::time::Duration;

use cri_shim::heartbeat::ClientError;
use tokio::net::TcpStream;

use super::super::Check;
use crate::causes::in_one_line;
use crate::commands::worker::cluster;
use crate::config::keys::WorkerConfig;
use crate::worker::{ClusterSettings, cluster_client};

const WITHIN: Duration = Duration::from_secs(5);
const WAY: &str = "see that a firewall lets this machine through, and that the address is right";

pub(super) async fn checks(config: &WorkerConfig) -> Vec<Check> {
    let settings = match cluster(config) {
        Ok(Some(settings)) => settings,
        Ok(None) => {
            let found = "no cluster is configured: no heartbeats, and nothing to register with";
            let to_do = "set master_endpoint in the section k3s";
            return vec![Check::warn("cluster", found, to_do)];
        }
        // Told with the configuration.
        Err(_) => return Vec::new(),
    };
    let mut checks = Vec::new();
    if let Some(master) = &settings.master {
        checks.push(port("cluster", master).await);
    }
    checks.push(api(&settings).await);
    checks
}

/// Whether something listens there. Whose certificate it has is known once the machine registered.
async fn port(name: &'static str, endpoint: &str) -> Check {
    let Some(address) = authority(endpoint) else {
        let found = format!("{endpoint} names no host");
        return Check::fail(name, found, "correct master_endpoint in the section k3s");
    };
    let tried = tokio::time::timeout(WITHIN, TcpStream::connect(&address)).await;
    match tried {
        Ok(Ok(_)) => Check::ok(name, format!("{endpoint} can be reached")),
        Ok(Err(error)) => Check::fail(name, format!("{endpoint}: {error}"), WAY),
        Err(_) => Check::fail(name, format!("{endpoint} does not answer"), WAY),
    }
}

/// Host and port.
fn authority(endpoint: &str) -> Option<String> {
    let (_, rest) = endpoint.split_once("://")?;
    let authority = rest.split('/').next().filter(|host| !host.is_empty())?;
    // What follows the brackets of an IPv6 address, or all of another.
    let tail = authority.rsplit(']').next().unwrap_or_default();
    Some(if tail.contains(':') {
        authority.to_owned()
    } else {
        format!("{authority}:443")
    })
}

async fn api(settings: &ClusterSettings) -> Check {
    const NAME: &str = "cluster's API";
    let at = &settings.api;
    let client = match cluster_client(settings) {
        Ok(client) => client,
        Err(failure) => return Check::failed(NAME, &failure),
    };
    match client.reach().await {
        Ok(()) => Check::ok(NAME, format!("{at} answers and is trusted")),
        Err(error @ (ClientError::Untrusted(_) | ClientError::Ca(_))) => Check::fail(
            NAME,
            format!("{at}: {}", in_one_line(&error)),
            "set api_ca in the section security to the CA that its operator gave you",
        ),
        Err(error) => Check::fail(NAME, format!("{at}: {}", in_one_line(&error)), WAY),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::State;
    use super::*;

    #[test]
    fn an_address_has_its_port_or_that_of_https() {
        for (endpoint, wanted) in [
            ("https://k3s.example.org:6443/", "k3s.example.org:6443"),
            ("https://k3s.example.org", "k3s.example.org:443"),
            ("https://[fd00::1]:6443", "[fd00::1]:6443"),
            ("https://[fd00::1]", "[fd00::1]:443"),
        ] {
            assert_eq!(authority(endpoint).as_deref(), Some(wanted), "{endpoint}");
        }
        for bad in ["", "k3s", "https://", "https:///x"] {
            assert_eq!(authority(bad), None, "{bad}");
        }
    }

    #[tokio::test]
    async fn a_port_is_reached_or_not() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("https://{}", listener.local_addr().unwrap());
        assert_eq!(port("cluster", &endpoint).await.state, State::Ok);
        drop(listener);
        assert_eq!(port("cluster", &endpoint).await.state, State::Fail);
    }
}
