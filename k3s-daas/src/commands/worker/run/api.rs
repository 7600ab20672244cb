//! What the worker API runs on by a configuration.

use seal::NodeName;
use sui_ledger::manifest::ContractIds;
use webhook_server::TlsFiles;

use super::token_file;
use crate::config::keys::WorkerConfig;
use crate::failure::{Failure, Kind, Outcome};
use crate::worker::{ApiSettings, ClusterSettings, KeySettings, Mode};

/// Where `k3s-daas server` serves the operators' API by default.
const API_PORT: u16 = 8443;

pub(super) fn settings(
    config: &WorkerConfig,
    node: &NodeName,
    contract: Option<ContractIds>,
) -> Outcome<ApiSettings> {
    Ok(ApiSettings {
        mode: match config.worker_mode {
            Mode::Proxy => "proxy",
            Mode::Observe => "observe",
        },
        node: node.clone(),
        token_file: token_file(config),
        contract,
        key: KeySettings {
            keystore: config.sui_keystore.clone(),
            address: config.sui_wallet_address,
        },
        amount: config.node_stake_amount.0,
        socket: config.worker_api_socket.clone(),
        listen: config.worker_api_listen,
        tls: tls(config)?,
        cluster: cluster(config)?,
        config_dir: config.k3s_config_dir.clone(),
        data_dir: config.k3s_data_dir.clone(),
        ip_address: config.node_ip,
    })
}

fn tls(config: &WorkerConfig) -> Outcome<Option<TlsFiles>> {
    match (&config.security_tls_cert, &config.security_tls_key) {
        (Some(certificate), Some(key)) => Ok(Some(TlsFiles {
            certificate: certificate.clone(),
            key: key.clone(),
            client_ca: None,
        })),
        (None, None) => Ok(None),
        _ => Err(
            Failure::message(Kind::Usage, "a certificate and its key belong together")
                .next("set both tls_cert and tls_key in the section security, or neither"),
        ),
    }
}

/// The cluster that the worker belongs to; none where none is configured.
pub(in crate::commands) fn cluster(config: &WorkerConfig) -> Outcome<Option<ClusterSettings>> {
    let master = config.k3s_master_endpoint.as_ref().map(|url| url.0.clone());
    let api = match (&config.k3s_api_endpoint, &master) {
        (Some(api), _) => api.0.clone(),
        (None, Some(master)) => api_of(master).ok_or_else(|| {
            let text = format!("{master} is no https:// address");
            Failure::message(Kind::Usage, text).next("correct master_endpoint in the section k3s")
        })?,
        (None, None) => return Ok(None),
    };
    Ok(Some(ClusterSettings {
        api,
        ca: config.security_api_ca.clone(),
        master,
    }))
}

/// The operators' API beside the API server.
fn api_of(master: &str) -> Option<String> {
    let authority = master.strip_prefix("https://")?;
    let authority = authority.split('/').next()?;
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    };
    (!host.is_empty()).then(|| format!("https://{host}:{API_PORT}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_is_on_the_masters_host() {
        for (master, api) in [
            (
                "https://k3s.example.org:6443",
                "https://k3s.example.org:8443",
            ),
            ("https://k3s.example.org", "https://k3s.example.org:8443"),
            ("https://10.0.0.1:6443/", "https://10.0.0.1:8443"),
            ("https://[fd00::1]:6443", "https://[fd00::1]:8443"),
        ] {
            assert_eq!(api_of(master).as_deref(), Some(api), "{master}");
        }
        for bad in ["http://k3s.example.org", "k3s", "https://", "https://:6443"] {
            assert_eq!(api_of(bad), None, "{bad}");
        }
    }
}
