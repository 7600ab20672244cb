//! The keys of a worker's `worker-config.yaml`: sections there, `section_key` everywhere else.

use std::net::SocketAddr;
use std::path::PathBuf;

use seal::{Address, NodeName};

use super::super::values::{List, Seconds, Url};
use super::{Group, Key, Setting, Sources, no_key};
use crate::failure::Outcome;
use crate::worker::Mode;

settings! {
    /// A worker.
    WorkerKeys => WorkerConfig {
        /// The full node's gRPC address; the contract file's own address when not given. SUI_RPC_URL
        /// is taken too.
        sui_rpc_endpoint: Option<Url> = None;
        /// The contract: the path of the file that `contract publish` wrote, or the package's id.
        /// STAKING_CONTRACT is taken too.
        sui_staking_contract: Option<StakingContract> = None;
        /// The address that stakes for this machine; the keystore's only one when not given.
        sui_wallet_address: Option<Address> = None;
        /// Wallet keys in the format of Sui's own keystore.
        sui_keystore: PathBuf = Some("/etc/k3s-daas/sui.keystore");
        /// The cluster that this machine joins: https://, host and port. MASTER_ENDPOINT is taken too.
        k3s_master_endpoint: Option<Url> = None;
        /// The cluster's REST API for node operators; port 8443 of the master's host when not given.
        k3s_api_endpoint: Option<Url> = None;
        /// K3s's folder of this machine's data.
        k3s_data_dir: PathBuf = Some("/var/lib/rancher/k3s");
        /// K3s's folder of this machine's configuration.
        k3s_config_dir: PathBuf = Some("/etc/rancher/k3s");
        /// The node's name, which its seal is staked for.
        node_id: Option<NodeName> = None;
        /// What the worker API stakes for the node where a request names no amount, in MIST.
        node_stake_amount: MistAmount = Some("500000000");
        /// The machine's address that it registers with; the one that leads to the cluster when not
        /// given.
        node_ip: Option<std::net::IpAddr> = None;
        /// The file of the machine's seal token, mode 0600; below worker_state_dir when not given.
        node_token_file: Option<PathBuf> = None;
        /// The worker API's certificate, PEM; without it the API is plain HTTP, and on loopback only.
        security_tls_cert: Option<PathBuf> = None;
        /// Its private key, PEM, mode 0600.
        security_tls_key: Option<PathBuf> = None;
        /// CA that signed the certificate of the cluster's REST API, PEM; the machine's own trusted
        /// ones when not given.
        security_api_ca: Option<PathBuf> = None;
        /// proxy: kubelet's calls come through the shim. observe: figures are read beside them.
        worker_mode: Mode = Some("proxy");
        /// Where kubelet calls in proxy mode.
        worker_cri_socket: PathBuf = Some("/run/k3s-daas/cri.sock");
        /// containerd's socket.
        worker_containerd_socket: PathBuf = Some("/run/k3s/containerd/containerd.sock");
        /// Whether new pods are refused while the machine's seal is known to have ended.
        worker_guard: bool = Some("true");
        /// Namespaces whose pods start all the same, such as the CNI's.
        worker_guard_exempt_namespaces: List<String> = Some("kube-system");
        /// For how long pods still start after the seal has ended without fault, in seconds; as long
        /// as the cluster drains the node.
        worker_guard_grace_seconds: Seconds = Some("300");
        /// Between two looks at the machine's seal on chain, in seconds.
        worker_seal_seconds: Seconds = Some("10");
        /// Between two looks at what pods and machine use, in seconds.
        worker_stats_seconds: Seconds = Some("10");
        /// Where the worker API's open part is: metrics for whoever has the seal token, and health;
        /// empty turns it off.
        worker_api_listen: Option<SocketAddr> = Some("127.0.0.1:8080");
        /// The worker API's socket, for root alone: staking, registering, unstaking.
        worker_api_socket: PathBuf = Some("/run/k3s-daas/worker.sock");
        /// Where /healthz, /readyz and /metrics are.
        worker_metrics_listen: SocketAddr = Some("127.0.0.1:9091");
        /// What the worker keeps between starts.
        worker_state_dir: PathBuf = Some("/var/lib/k3s-daas-worker");
    }
}

/// Where the contract is told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StakingContract {
    /// In a file that `contract publish` wrote.
    File(PathBuf),
    /// On chain: the package, or its newest upgrade.
    Package(seal::ObjectId),
}

impl super::super::FromText for StakingContract {
    fn from_text(text: &str) -> Result<Self, String> {
        if text.starts_with("0x") {
            let id = text.parse();
            return id
                .map(Self::Package)
                .map_err(|_| "a package's id is 0x and 64 hex digits".to_owned());
        }
        PathBuf::from_text(text).map(Self::File)
    }
}

/// An amount in MIST, as the chain counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MistAmount(pub seal::Mist);

impl super::super::FromText for MistAmount {
    fn from_text(text: &str) -> Result<Self, String> {
        let mist = text.parse().map(|mist| Self(seal::Mist(mist)));
        mist.map_err(|_| "give a whole number of MIST; 1 SUI has 1000000000".to_owned())
    }
}

impl super::super::FromText for Mode {
    fn from_text(text: &str) -> Result<Self, String> {
        match text {
            "proxy" => Ok(Self::Proxy),
            "observe" => Ok(Self::Observe),
            _ => Err("give proxy or observe".to_owned()),
        }
    }
}
