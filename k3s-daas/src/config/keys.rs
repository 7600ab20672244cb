//! All keys, by who needs them. Each is written down once, here: the flag, the variable, the
//! field of the configuration, the help text and the documents follow from it.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;

use authz_webhook::Isolation;
use ipnet::IpNet;
use k3s_configs::Profile;
use seal::access::Tenancy;
use seal::{Address, ElevatedOwners};
use tenancy::namespaces::Quota;

use super::values::{KubeName, List, Seconds, Url};
use super::{Key, Setting, Source, Sources};
use crate::failure::{Failure, Kind, Outcome};

/// A group of keys that one part of the program needs.
pub trait Group: Default {
    /// The values.
    type Config;

    /// The keys and what the flags said.
    fn keys() -> &'static [Key];

    /// The text of each flag, in the order of the keys.
    fn flags(&self) -> Vec<Option<&str>>;

    /// The values: flag, then environment, then file, then default.
    fn resolve(&self, sources: &Sources) -> Outcome<Self::Config>;

    /// Sets a key as its flag would. A name that is no key of the group changes nothing.
    fn set(&mut self, name: &str, value: &str);

    /// The same group with other defaults for this once: what somebody said still counts.
    #[must_use]
    fn with_defaults(mut self, sources: &Sources, defaults: &[(&str, &str)]) -> Self {
        for (name, value) in defaults {
            let mut keys = Self::keys().iter().zip(self.flags());
            let key = keys.find(|(key, _)| key.name == *name);
            let said = key.is_some_and(|(key, flag)| {
                !matches!(sources.find(key, flag).1, Source::Default | Source::Unset)
            });
            if !said {
                self.set(name, value);
            }
        }
        self
    }
}

macro_rules! settings {
    (
        $(#[$about:meta])*
        $args:ident => $config:ident {
            $( $(#[doc = $help:literal])+ $key:ident: $type:ty = $default:expr; )*
        }
    ) => {
        $(#[$about])*
        #[derive(Debug, Clone, Default, clap::Args)]
        pub struct $args {
            $( $(#[doc = $help])+
            #[arg(long, value_name = "VALUE", help_heading = "Configuration")]
            pub $key: Option<String>, )*
        }

        $(#[$about])*
        #[derive(Debug, Clone)]
        pub struct $config {
            $( $(#[doc = $help])+ pub $key: $type, )*
        }

        impl $args {
            pub(super) const KEYS: &'static [Key] = &[
                $( Key {
                    name: stringify!($key),
                    help: &[$($help),+],
                    default: $default,
                    check: |text| <$type as Setting>::from_setting(text).map(|_| ()),
                }, )*
            ];
        }

        impl Group for $args {
            type Config = $config;

            fn keys() -> &'static [Key] {
                Self::KEYS
            }

            fn flags(&self) -> Vec<Option<&str>> {
                vec![$( self.$key.as_deref(), )*]
            }

            fn resolve(&self, sources: &Sources) -> Outcome<Self::Config> {
                let mut keys = Self::KEYS.iter();
                Ok($config {
                    $( $key: match keys.next() {
                        Some(key) => sources.value(key, self.$key.as_deref())?,
                        // One key for each field, by the same macro.
                        None => return Err(no_key(stringify!($key))),
                    }, )*
                })
            }

            fn set(&mut self, name: &str, value: &str) {
                $( if name == stringify!($key) {
                    self.$key = Some(value.to_owned());
                } )*
            }
        }
    };
}

fn no_key(name: &str) -> Failure {
    Failure::message(
        Kind::Failed,
        format!("{name} is no key of its group; this is a bug"),
    )
}

mod worker;

pub use worker::{MistAmount, StakingContract, WorkerConfig, WorkerKeys};

settings! {
    /// The chain, and who signs.
    ChainKeys => ChainConfig {
        /// File with the ids of the published contract, as `contract publish` or the devnet writes it.
        contract: PathBuf = Some("~/.k3s-daas/contract.toml");
        /// The full node's gRPC address; the contract file's own address when not given.
        endpoint: Option<Url> = None;
        /// Wallet keys in the format of Sui's own keystore.
        keystore: PathBuf = Some("~/.sui/sui_config/sui.keystore");
        /// Which of the keystore's addresses signs; its only one, or the one that the sui command
        /// line has made active, when not given.
        address: Option<Address> = None;
        /// How long a transaction may take before it counts as lost, in seconds.
        transaction_timeout_seconds: u64 = Some("60");
        /// Where seal tokens are kept, one file of mode 0600 each.
        seals_dir: PathBuf = Some("~/.k3s-daas/seals");
    }
}

settings! {
    /// The cluster as its users and agents see it.
    ClusterKeys => ClusterConfig {
        /// The API server's address.
        cluster_url: Url = Some("https://127.0.0.1:6443");
        /// File with the cluster's CA certificate (K3s: /var/lib/rancher/k3s/server/tls/server-ca.crt).
        cluster_ca: Option<PathBuf> = None;
        /// Name that the API server's certificate must bear. When not given: the host of cluster_url
        /// where that has a dot, else kubernetes.default.svc. K3s signs kubelets' certificates for any
        /// address, but for no name with a dot.
        tls_server_name: Option<String> = None;
    }
}

settings! {
    /// Where state is kept.
    StateKeys => StateConfig {
        /// Folder of all state: /var/lib/k3s-daas for the server, ./.k3s-daas for `up` and `devnet`.
        state_dir: Option<PathBuf> = None;
    }
}

settings! {
    /// What the program says of itself.
    LogKeys => LogConfig {
        /// What is logged to standard error: a level, or filters such as info,sui_ledger=debug. The
        /// default of all commands but `server` is warn.
        log: String = Some("info");
        /// The form of the log: text or json.
        log_format: LogFormat = Some("text");
    }
}

/// What is not the internet; a test compares it with the library's own list.
const CLOSED_RANGES: &str = "0.0.0.0/8,10.0.0.0/8,100.64.0.0/10,127.0.0.0/8,169.254.0.0/16,\
    172.16.0.0/12,192.168.0.0/16,::/127,64:ff9b::/96,fc00::/7,fe80::/10";

settings! {
    /// The webhooks' process.
    ServerKeys => ServerConfig {
        /// Where the API server asks who somebody is and what he may do: POST /authenticate and
        /// /authorize.
        listen: SocketAddr = Some("127.0.0.1:9443");
        /// Where /healthz, /readyz and /metrics are.
        metrics_listen: SocketAddr = Some("127.0.0.1:9090");
        /// The webhooks' certificate, PEM; made anew under the state folder when not given.
        tls_certificate: Option<PathBuf> = None;
        /// Its private key, PEM, mode 0600.
        tls_key: Option<PathBuf> = None;
        /// CA of the client certificates that the webhooks demand; needed off loopback.
        tls_client_ca: Option<PathBuf> = None;
        /// Who may be admin or super at all: any, none, or a list of addresses. There is no default.
        elevated_owners: Option<ElevatedOwners> = None;
        /// Whether viewers and developers may read others' namespaces: own (they may not) or shared.
        tenancy: Tenancy = Some("own");
        /// Audiences of the API server for which seal tokens are accepted.
        audiences: List<String> = Some("https://kubernetes.default.svc.cluster.local,k3s");
        /// How much the identities that all machines share may do: strict or open.
        worker_isolation: Isolation = Some("strict");
        /// Names of the control plane's own nodes, which need no seal and make their own Nodes.
        control_plane_nodes: List<String> = Some("");
        /// Nodes that pods of protected namespaces may run on: machines of the operator's.
        trusted_nodes: List<KubeName> = Some("");
        /// Protected namespaces whose pods may run on strangers' machines all the same, such as a CNI's:
        /// a machine may do what the service accounts of its pods may do.
        worker_namespaces: List<String> = Some("");
        /// Names that no seal's node may bear, besides localhost, kubernetes, this machine's own and the
        /// control plane's nodes: every name without a dot in the API server's certificate belongs
        /// here; the doctor compares them.
        reserved_node_names: List<KubeName> = Some("");
        /// How long a node whose seal ended without fault may go on, to be drained, in seconds.
        drain_grace_seconds: Seconds = Some("300");
        /// How long before its seal expires a node's owner is warned, in seconds.
        node_warn_seconds: Seconds = Some("86400");
        /// Networks of the cluster's pods and services (K3s: cluster-cidr, service-cidr), and of the
        /// control plane where no node is: no node's address may lie in one.
        cluster_ranges: List<IpNet> = Some("10.42.0.0/16,10.43.0.0/16");
        /// Where the API server asks about Nodes: POST /admit.
        admit_listen: SocketAddr = Some("127.0.0.1:9444");
        /// Where the API server reaches that; derived from admit_listen when not given.
        admit_url: Option<Url> = None;
        /// CA of the webhooks' certificate, PEM: the API server checks /admit by it. Needed with
        /// tls_certificate; else the state folder's own.
        admit_ca: Option<PathBuf> = None;
        /// Where node operators' REST API is; empty turns it off. Off loopback it needs
        /// api_certificate and api_key.
        api_listen: Option<SocketAddr> = Some("127.0.0.1:8443");
        /// The REST API's certificate, PEM; made anew under the state folder when not given.
        api_certificate: Option<PathBuf> = None;
        /// Its private key, PEM, mode 0600.
        api_key: Option<PathBuf> = None;
        /// How many calls of the REST API a seal has each minute; more are told to come back.
        api_requests_per_minute: NonZeroU32 = Some("100");
        /// How many calls of the REST API may be under way at once, of all seals together.
        api_in_flight: NonZeroU32 = Some("256");
        /// Where the gate in front of K3s listens, one or more addresses with ports; empty: no gate.
        /// K3s must listen on loopback alone then, as `config render` tells it with the same key.
        gate_listen: List<SocketAddr> = Some("");
        /// Where K3s listens behind the gate; when not given, 127.0.0.1 with the port of each
        /// gate_listen.
        gate_upstream: Option<SocketAddr> = None;
        /// Where the API server sends its audit events: POST /audit. The gate needs them.
        audit_listen: SocketAddr = Some("127.0.0.1:9445");
        /// How many connections the gate lets in at once; each takes two files.
        gate_max_connections: NonZeroU32 = Some("10000");
        /// How many of them one peer may have: an IPv4 address, or an IPv6 network of 64 bits.
        gate_max_per_peer: NonZeroU32 = Some("1000");
        /// How many new ones a second one peer may open.
        gate_new_per_second: NonZeroU32 = Some("200");
        /// How long a peer may take for its first TLS record, in seconds.
        gate_hello_seconds: Seconds = Some("10");
        /// Namespaces that are protected besides kube-*, default and the extension's own.
        protected_namespaces: List<String> = Some("");
        /// API groups of custom resources that developers may use in their own namespaces.
        developer_api_groups: List<String> = Some("");
        /// How long the workloads of an owner without a usable seal run on, in seconds.
        namespace_grace_seconds: Seconds = Some("600");
        /// How long its namespaces and volumes are kept then, in seconds; not shorter than the grace.
        namespace_retention_seconds: Seconds = Some("604800");
        /// How long before its last seal expires an owner is warned, in seconds.
        namespace_warn_seconds: Seconds = Some("86400");
        /// What a developer's namespace may use, such as pods=50,requests.cpu=4; what is not named
        /// stays as it is by default.
        quota_developer: Quota = Some("");
        /// What an admin's namespace may use, in the same form.
        quota_admin: Quota = Some("");
        /// What a super's namespace may use, in the same form.
        quota_super: Quota = Some("");
        /// Networks that tenants' pods can't reach, besides the addresses of nodes and of the API
        /// server. Must hold the pods', the services', the nodes' and the control plane's networks.
        closed_ranges: List<IpNet> = Some(CLOSED_RANGES);
        /// How old the view of the chain may be before seals are refused, in seconds. Longer only
        /// widens the window of a revocation.
        max_staleness_seconds: u64 = Some("15");
        /// For how long past that a last known yes still counts, in seconds. Dangerous: a slashed
        /// seal lives on while the chain can't be read.
        grace_seconds: u64 = Some("0");
        /// How many seal records are kept in memory.
        cached_records: u64 = Some("200000");
        /// How many unknown hashes are kept in memory.
        cached_absences: u64 = Some("100000");
        /// For how long an unknown hash is kept, in seconds.
        absence_seconds: u64 = Some("30");
        /// Deadline of one review, in milliseconds; shorter than the API server's 3 s.
        review_deadline_ms: u64 = Some("2000");
        /// How many reviews may be under way at once; more are told to come back.
        reviews_in_flight: u32 = Some("1024");
        /// The operator's kubeconfig: for the owners of namespaces and for making them. It may appear
        /// after the start.
        kubeconfig: PathBuf = Some("/etc/rancher/k3s/k3s.yaml");
    }
}

settings! {
    /// The embedded ledger.
    DevnetKeys => DevnetConfig {
        /// The ledger's gRPC address; port 0 takes a free one.
        devnet_listen: SocketAddr = Some("127.0.0.1:9000");
        /// The faucet's HTTP address; port 0 takes a free one.
        faucet_listen: SocketAddr = Some("127.0.0.1:9123");
        /// Time between checkpoints, in milliseconds.
        checkpoint_interval_ms: u64 = Some("250");
    }
}

settings! {
    /// The control plane that `up` starts.
    UpKeys => UpConfig {
        /// Port of the API server; 0 takes a free one.
        api_port: u16 = Some("6443");
        /// A k3s binary to run; else K3S_BIN, a k3s on PATH, the project's own control plane.
        k3s_bin: Option<PathBuf> = None;
        /// How many worker machines are started, each in namespaces of its own and joined by a seal;
        /// needs root.
        workers: u16 = Some("0");
    }
}

settings! {
    /// K3s's own files, as `config render` writes them.
    K3sKeys => K3sConfig {
        /// development or production; production is strict towards worker nodes.
        profile: Profile = Some("development");
        /// Where K3s looks for its configuration, and where the rendered files name each other.
        k3s_dir: PathBuf = Some("/etc/rancher/k3s");
        /// Where the API server reaches the webhooks; derived from listen when not given.
        webhook_url: Option<Url> = None;
        /// CA of the webhooks' certificate; the state folder's own when not given.
        webhook_ca: Option<PathBuf> = None;
        /// Name the webhooks' certificate must bear, where it is not the URL's host.
        webhook_server_name: Option<String> = None;
        /// Certificate that the API server shows the webhooks; needed off loopback.
        webhook_client_certificate: Option<PathBuf> = None;
        /// Its key.
        webhook_client_key: Option<PathBuf> = None;
        /// The gate's address that K3s tells agents and pods; the first one of gate_listen that others
        /// can reach when not given.
        advertise_address: Option<IpAddr> = None;
        /// Where the API server reaches audit_listen; derived from it when not given.
        audit_url: Option<Url> = None;
        /// More names and addresses for the API server's certificate behind the gate: a load
        /// balancer's, say.
        tls_san: List<String> = Some("");
        /// How long the API server keeps an authentication, in seconds (10 more are fixed).
        token_cache_seconds: u64 = Some("10");
        /// K3s components to keep: coredns, local-storage, metrics-server, servicelb. Their pods run
        /// on strangers' nodes where no node of the operator's is.
        packaged_components: List<Component> = Some("");
        /// The user that the systemd unit runs as.
        service_user: String = Some("k3s-daas");
    }
}

/// A component that K3s brings along.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Component(pub k3s_configs::PackagedComponent);

impl super::FromText for Component {
    fn from_text(text: &str) -> Result<Self, String> {
        let all = k3s_configs::PackagedComponent::ALL;
        let found = all.into_iter().find(|component| component.label() == text);
        found.map(Self).ok_or_else(|| {
            format!(
                "give some of {}",
                all.map(k3s_configs::PackagedComponent::label).join(", ")
            )
        })
    }
}

impl super::FromText for Isolation {
    fn from_text(text: &str) -> Result<Self, String> {
        let found = Self::ALL
            .into_iter()
            .find(|isolation| isolation.label() == text);
        found.ok_or_else(|| "give strict or open".to_owned())
    }
}

impl super::FromText for Profile {
    fn from_text(text: &str) -> Result<Self, String> {
        let all = [Self::Development, Self::Production];
        let found = all.into_iter().find(|profile| profile.label() == text);
        found.ok_or_else(|| "give development or production".to_owned())
    }
}

/// The form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl super::FromText for LogFormat {
    fn from_text(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err("give text or json".to_owned()),
        }
    }
}

/// The keys of all groups.
pub fn all() -> impl Iterator<Item = &'static Key> {
    [
        ChainKeys::KEYS,
        ClusterKeys::KEYS,
        StateKeys::KEYS,
        LogKeys::KEYS,
        ServerKeys::KEYS,
        DevnetKeys::KEYS,
        UpKeys::KEYS,
        K3sKeys::KEYS,
        WorkerKeys::KEYS,
    ]
    .into_iter()
    .flatten()
}

/// Whether a key is one of those that stand in sections of their file.
pub fn is_sectioned(name: &str) -> bool {
    WorkerKeys::KEYS.iter().any(|key| key.name == name)
}

/// All groups together, for `config show` and `config check`.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct AllKeys {
    /// The chain.
    #[command(flatten)]
    pub chain: ChainKeys,
    /// The cluster.
    #[command(flatten)]
    pub cluster: ClusterKeys,
    /// State.
    #[command(flatten)]
    pub state: StateKeys,
    /// The webhooks.
    #[command(flatten)]
    pub server: ServerKeys,
    /// The embedded ledger.
    #[command(flatten)]
    pub devnet: DevnetKeys,
    /// The control plane.
    #[command(flatten)]
    pub up: UpKeys,
    /// K3s's own files.
    #[command(flatten)]
    pub k3s: K3sKeys,
}

/// One key with the value that counts.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Effective {
    /// The key.
    pub key: &'static str,
    /// Its value; none when it has none.
    pub value: Option<String>,
    /// Where it came from.
    pub source: Source,
    /// Its flag.
    pub flag: String,
    /// Its variable.
    pub variable: String,
    /// What is wrong with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl AllKeys {
    /// Every key with the value that counts and what is wrong with it.
    pub fn effective(&self, log: &LogKeys, sources: &Sources) -> Vec<Effective> {
        [
            effective(&self.chain, sources),
            effective(&self.cluster, sources),
            effective(&self.state, sources),
            effective(log, sources),
            effective(&self.server, sources),
            effective(&self.devnet, sources),
            effective(&self.up, sources),
            effective(&self.k3s, sources),
        ]
        .concat()
    }
}

/// The keys of one group with the values that count.
pub fn effective<G: Group>(group: &G, sources: &Sources) -> Vec<Effective> {
    let keys = G::keys().iter().zip(group.flags());
    keys.map(|(key, flag)| {
        let (value, source) = sources.find(key, flag);
        Effective {
            key: key.name,
            value: value.map(str::to_owned),
            source,
            flag: key.flag(),
            variable: key.variable(),
            problem: (key.check)(value).err(),
        }
    })
    .collect()
}
