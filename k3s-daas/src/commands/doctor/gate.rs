//! The gate in front of K3s: whether K3s can be reached around it, whether the API server answers
//! through it, and whether it is told who is connected.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use api_gate::Door;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{Api, ListParams};
use kube::{Client, Config};
use tokio::net::TcpStream;

use super::Check;
use super::cluster;
use super::kubernetes::in_time;
use super::webhooks::reachable;
use crate::causes::in_one_line;
use crate::config::keys::ServerConfig;
use crate::kubeconfig::API_SERVER_NAME;
use crate::server::doors;
use crate::server::kube_client::read;

mod events;
mod listening;

const NAME: &str = "gate";
const TIMEOUT: Duration = Duration::from_secs(5);
/// What Kubernetes does where nobody says.
const KUBERNETES_LONGEST_WATCH: u64 = 1800;

/// Looks at the gate, or says what its absence means.
pub(super) async fn checks(
    config: &ServerConfig,
    advertise: Option<IpAddr>,
    k3s_config: &Path,
) -> Vec<Check> {
    let doors = doors(config);
    if doors.is_empty() {
        let bound = cluster::argument(k3s_config, "min-request-timeout");
        return vec![without(bound.as_deref())];
    }
    let listening = listening::now();
    let mut checks = vec![match &listening {
        Ok(listening) => around(&doors, listening),
        Err(error) => Check::warn(
            AROUND,
            format!("/proc/net can't be read: {error}"),
            "see with `ss -ltn` that K3s listens on loopback alone",
        ),
    }];
    let kubeconfig = read(&config.kubeconfig).await;
    let listening = listening.unwrap_or_default();
    let mut through = None;
    for door in &doors {
        let (check, client) = leads(door, kubeconfig.as_ref().ok(), &listening).await;
        checks.push(check);
        through = through.or(client);
    }
    if let Ok(client) = kubeconfig.and_then(Client::try_from) {
        checks.push(told(&doors, advertise, endpoints(client).await));
    }
    checks.push(events::check(config.metrics_listen, through.as_ref()).await);
    checks
}

/// What goes on without one when a seal ends.
fn without(min_request_timeout: Option<&str>) -> Check {
    let said = min_request_timeout.and_then(|text| text.parse::<u64>().ok());
    let least = said.unwrap_or(KUBERNETES_LONGEST_WATCH);
    let most = least.saturating_mul(2);
    let by = match said {
        Some(_) => format!("min-request-timeout={least}"),
        None => "Kubernetes's own min-request-timeout, no other was found here".to_owned(),
    };
    Check::warn(
        NAME,
        format!(
            "there is none: what is open outlives the revocation of its seal. Watches end by \
             themselves after {least} to {most} s ({by}); shells and logs -f go on until a side ends \
             them"
        ),
        "set gate_listen to this machine's address with K3s's port, `k3s-daas config render`, put the \
         files in place, start K3s anew and then the server",
    )
}

const AROUND: &str = "around the gate";

/// Whether K3s's own ports can be reached from elsewhere.
fn around(doors: &[Door], listening: &BTreeSet<SocketAddr>) -> Check {
    let open = listening::around(doors, listening);
    if open.is_empty() {
        return Check::ok(
            AROUND,
            "K3s's ports are open on loopback and at the gate alone",
        );
    }
    let open: Vec<String> = open.iter().map(ToString::to_string).collect();
    Check::fail(
        AROUND,
        format!(
            "somebody listens on {}: a K3s that is reached there does not lose a revoked seal's \
             connections",
            open.join(", ")
        ),
        "give K3s bind-address: 127.0.0.1, as `k3s-daas config render` does with gate_listen set, and \
         start it anew; `ss -ltnp` says who listens",
    )
}

/// Whether the API server answers through a door; then a client that comes through it too.
async fn leads(
    door: &Door,
    kubeconfig: Option<&Config>,
    listening: &BTreeSet<SocketAddr>,
) -> (Check, Option<Client>) {
    let address = reachable(door.listen);
    let connected = tokio::time::timeout(TIMEOUT, TcpStream::connect(address)).await;
    let refused = match connected {
        Ok(Ok(_)) => None,
        Ok(Err(error)) => Some(in_one_line(&error)),
        Err(_late) => Some(format!("not within {} s", TIMEOUT.as_secs())),
    };
    if let Some(error) = refused {
        let check = Check::fail(
            NAME,
            format!("{address} takes no connection: {error}"),
            "start `k3s-daas server` with this gate_listen; nobody reaches K3s without it",
        );
        return (check, None);
    }
    let Some(kubeconfig) = kubeconfig else {
        let check = Check::warn(
            NAME,
            format!(
                "{address} takes connections; without a kubeconfig nothing was asked through it"
            ),
            "give --kubeconfig, or run the doctor on the server's machine",
        );
        return (check, None);
    };
    let asked = async {
        let client = through(kubeconfig, address)?;
        let version = client.apiserver_version().await?;
        Ok((client, version.git_version))
    };
    match in_time(asked).await {
        Ok((client, version)) => {
            let found = format!("{address} leads to the API server ({version})");
            (Check::ok(NAME, found), Some(client))
        }
        Err(error) => (silent(door, address, &error, listening), None),
    }
}

/// The door is open, and the API server does not answer there.
fn silent(
    door: &Door,
    address: SocketAddr,
    error: &str,
    listening: &BTreeSet<SocketAddr>,
) -> Check {
    let upstream = door.upstream;
    let to_do = if listening::is_there(&upstream, listening) {
        format!(
            "see that K3s is what listens on {upstream}, that the kubeconfig is its own, and \
             k3s_daas_gate_refused by reason"
        )
    } else {
        format!("nothing listens on {upstream}: start K3s there, or correct gate_upstream")
    };
    Check::fail(
        NAME,
        format!(
            "{address} takes connections, and the API server does not answer through it: {error}"
        ),
        to_do,
    )
}

/// The operator's kubeconfig, by way of the gate.
fn through(kubeconfig: &Config, door: SocketAddr) -> Result<Client, kube::Error> {
    let mut config = kubeconfig.clone();
    config.cluster_url = http::Uri::builder()
        .scheme("https")
        .authority(door.to_string())
        .path_and_query("/")
        .build()
        .map_err(kube::Error::HttpError)?;
    // The certificate always speaks for this name, and for the gate's address where that was told.
    config.tls_server_name = Some(API_SERVER_NAME.to_owned());
    config.proxy_url = None;
    Client::try_from(config)
}

/// Where the API server tells pods and agents that it is.
async fn endpoints(client: Client) -> Result<BTreeSet<SocketAddr>, String> {
    let slices: Api<EndpointSlice> = Api::namespaced(client, "default");
    let ours = ListParams::default().labels("kubernetes.io/service-name=kubernetes");
    let found = in_time(slices.list(&ours)).await?;
    Ok(found.items.iter().flat_map(addresses).collect())
}

fn addresses(slice: &EndpointSlice) -> Vec<SocketAddr> {
    let ports = slice.ports.iter().flatten();
    let ports: Vec<u16> = ports
        .filter_map(|port| u16::try_from(port.port?).ok())
        .collect();
    let ips = slice.endpoints.iter().flatten();
    ips.flat_map(|endpoint| &endpoint.addresses)
        .filter_map(|text| text.parse::<IpAddr>().ok())
        .flat_map(|ip| ports.iter().map(move |port| SocketAddr::new(ip, *port)))
        .collect()
}

/// Whether that is the gate. Other servers' gates can't be told from here.
fn told(
    doors: &[Door],
    advertise: Option<IpAddr>,
    endpoints: Result<BTreeSet<SocketAddr>, String>,
) -> Check {
    const NAME: &str = "advertised address";
    let endpoints = match endpoints {
        Ok(endpoints) => endpoints,
        Err(error) => {
            return Check::warn(
                NAME,
                format!("the endpoints of the service kubernetes are not readable: {error}"),
                "see RBAC",
            );
        }
    };
    let is_gate = |endpoint: &&SocketAddr| {
        doors.iter().any(|door| {
            let (ip, listen) = (endpoint.ip(), door.listen.ip());
            let at = listen == ip || listen.is_unspecified() || advertise == Some(ip);
            at && door.listen.port() == endpoint.port()
        })
    };
    let text = |one: &SocketAddr| one.to_string();
    let (gates, others): (Vec<_>, Vec<_>) = endpoints.iter().partition(is_gate);
    let others = others.into_iter().map(text).collect::<Vec<_>>().join(", ");
    if endpoints.is_empty() {
        return Check::warn(
            NAME,
            "the service kubernetes has no endpoint yet",
            "see that K3s is up: the API server writes it at its start",
        );
    }
    if others.is_empty() {
        let gates = gates.into_iter().map(text).collect::<Vec<_>>().join(", ");
        return Check::ok(
            NAME,
            format!("agents and pods are told the gate's, {gates}"),
        );
    }
    if !gates.is_empty() {
        return Check::warn(
            NAME,
            format!("agents and pods are told the gate's, and {others}"),
            "these must be the gates of the other servers: run the doctor there",
        );
    }
    if doors.iter().all(|door| door.listen.ip().is_loopback()) {
        return Check::warn(
            NAME,
            format!("the gate is on loopback alone; agents and pods are told {others}"),
            "right where no other machine joins; else add this machine's address to gate_listen",
        );
    }
    Check::fail(
        NAME,
        format!("agents and pods are told {others}, which is not the gate"),
        "set advertise_address, `k3s-daas config render`, put the files in place and start K3s anew; \
         where the gate's port is not K3s's, set advertise-port in K3s's own configuration",
    )
}

#[cfg(test)]
mod tests;
