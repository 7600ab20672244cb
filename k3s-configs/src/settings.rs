//! What the files are rendered from, and what of it is refused.

mod gate;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use gate::{GateMode, LongestWatch};

/// The audiences that K3s gives its API server with the cluster domain `cluster.local`.
pub const DEFAULT_AUDIENCES: [&str; 2] = ["https://kubernetes.default.svc.cluster.local", "k3s"];

/// Kubernetes's own bound on an authorization webhook's timeout.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(30);

/// How much is trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Profile {
    /// K3s keeps its network components.
    #[default]
    Development,
    /// Strict worker isolation: the network components that share identities among all nodes are
    /// off, Secrets are encrypted at rest, and the server runs no pods.
    Production,
}

impl Profile {
    /// Its name, as people type it.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Development => "development",
            Self::Production => "production",
        }
    }
}

/// What K3s deploys into a new cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PackagedComponent {
    /// Cluster DNS.
    CoreDns,
    /// Volumes from folders of a node. Its volumes are host paths.
    LocalStorage,
    /// `kubectl top`.
    MetricsServer,
    /// Load balancers on host ports.
    ServiceLb,
    /// Ingress. Deployed by K3s's Helm controller, which is off.
    Traefik,
}

impl PackagedComponent {
    /// Every one.
    pub const ALL: [Self; 5] = [
        Self::CoreDns,
        Self::LocalStorage,
        Self::MetricsServer,
        Self::ServiceLb,
        Self::Traefik,
    ];

    /// Its name in K3s's `disable`.
    pub const fn label(self) -> &'static str {
        match self {
            Self::CoreDns => "coredns",
            Self::LocalStorage => "local-storage",
            Self::MetricsServer => "metrics-server",
            Self::ServiceLb => "servicelb",
            Self::Traefik => "traefik",
        }
    }
}

/// The certificate that the API server shows the webhooks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// PEM, absolute path.
    pub certificate: PathBuf,
    /// PEM, absolute path.
    pub key: PathBuf,
}

/// What the systemd units name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SystemdUnits {
    /// The `k3s-daas` binary.
    pub binary: PathBuf,
    /// Its configuration file.
    pub configuration: PathBuf,
    /// The user it runs as. It must be able to read the kubeconfig that the configuration names.
    pub user: String,
}

/// Everything that the rendered files depend on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where the files will lie, absolute: they name each other by their full paths. Default
    /// `/etc/rancher/k3s`, so that K3s finds its drop-in without being told.
    pub output_dir: PathBuf,
    /// Default: development.
    pub profile: Profile,
    /// Where TokenReviews go. Default `https://127.0.0.1:9443/authenticate`.
    pub authenticate_url: String,
    /// Where SubjectAccessReviews go. Default `https://127.0.0.1:9443/authorize`.
    pub authorize_url: String,
    /// Where AdmissionReviews of Nodes go. The server puts this address into the webhook
    /// configuration by itself; here it says to whom the API server shows its client certificate.
    /// Default `https://127.0.0.1:9444/admit`.
    pub admit_url: String,
    /// The CA of the webhooks' certificate, PEM, absolute path. Default
    /// `/etc/k3s-daas/tls/webhook-ca.crt`.
    pub webhook_ca: PathBuf,
    /// The name that certificate must bear, where it is not the URL's host.
    pub webhook_server_name: Option<String>,
    /// What the API server shows the webhooks. Needed where they are not on loopback; default none.
    pub client_certificate: Option<ClientCertificate>,
    /// The API server's audiences. Default: K3s's own ([`DEFAULT_AUDIENCES`]).
    pub audiences: Vec<String>,
    /// How long the API server trusts an authentication; it adds ten seconds of its own. Default
    /// 10 s.
    pub token_cache_ttl: Duration,
    /// How long the API server waits for an authorization. Default 3 s: longer than the webhook's
    /// own deadline of 2 s, so that its refusal arrives rather than a timeout.
    pub authorization_timeout: Duration,
    /// Where nothing else ends the watches of a seal that has ended, they end by themselves after
    /// this time to twice as long. [`LongestWatch::Fitting`] by default: 120 s, or 600 s behind the
    /// gate, which ends them within seconds unless their audit event was lost.
    pub longest_watch: LongestWatch,
    /// K3s behind the gate. Default none.
    pub gate: Option<GateMode>,
    /// Names of the control plane's own nodes, which need no seal.
    pub control_plane_nodes: Vec<String>,
    /// Which of K3s's components stay on. Default none: each is somebody's pod on a node, and
    /// nodes are strangers'.
    pub packaged_components: BTreeSet<PackagedComponent>,
    /// What the systemd units name. `None` renders no units.
    pub systemd: Option<SystemdUnits>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            output_dir: PathBuf::from("/etc/rancher/k3s"),
            profile: Profile::Development,
            authenticate_url: "https://127.0.0.1:9443/authenticate".to_owned(),
            authorize_url: "https://127.0.0.1:9443/authorize".to_owned(),
            admit_url: "https://127.0.0.1:9444/admit".to_owned(),
            webhook_ca: PathBuf::from("/etc/k3s-daas/tls/webhook-ca.crt"),
            webhook_server_name: None,
            client_certificate: None,
            audiences: DEFAULT_AUDIENCES.map(str::to_owned).to_vec(),
            token_cache_ttl: Duration::from_secs(10),
            authorization_timeout: Duration::from_secs(3),
            longest_watch: LongestWatch::default(),
            gate: None,
            control_plane_nodes: Vec::new(),
            packaged_components: BTreeSet::new(),
            systemd: Some(SystemdUnits {
                binary: PathBuf::from("/usr/local/bin/k3s-daas"),
                configuration: PathBuf::from("/etc/k3s-daas/config.yaml"),
                user: "k3s-daas".to_owned(),
            }),
        }
    }
}

/// Why the files are not rendered. All are the operator's to mend.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RenderError {
    /// Files name each other, and K3s's working folder is anywhere.
    #[error("{setting}: {} is not an absolute path", path.display())]
    NotAbsolute {
        /// Which setting.
        setting: &'static str,
        /// What it holds.
        path: PathBuf,
    },
    /// A path or text that has no unambiguous form in the files.
    #[error("{setting}: {value:?} has characters that the files can't hold")]
    Unprintable {
        /// Which setting.
        setting: &'static str,
        /// What it holds.
        value: String,
    },
    /// Reviews carry seal tokens.
    #[error("{setting}: {url:?} is no https URL with a host")]
    NotHttps {
        /// Which setting.
        setting: &'static str,
        /// What it holds.
        url: String,
    },
    /// Whoever reaches the webhook could ask it which tokens are right.
    #[error("{setting}: {url:?} is not on this machine, so client_certificate must be set")]
    ClientCertificateNeeded {
        /// Which setting.
        setting: &'static str,
        /// What it holds.
        url: String,
    },
    /// An agent that asks its own machine finds no cluster.
    #[error("server: {0:?} is the worker's own machine")]
    OwnMachine(String),
    /// A node's name is a DNS subdomain (RFC 1123).
    #[error("control_plane_nodes: {0:?} is no node's name")]
    NodeName(String),
    /// Zero would mean a default, and Kubernetes takes at most 30 s.
    #[error("authorization_timeout: {0:?} is not between a millisecond and 30 s")]
    Timeout(Duration),
    /// Kubernetes counts it in seconds, and takes zero for "no bound".
    #[error("longest_watch: {0:?} is not at least a second")]
    LongestWatch(Duration),
    /// Agents and pods are told it: it must lead them to the gate.
    #[error("advertise_address: {0} is no address at which others reach the gate")]
    Advertise(IpAddr),
    /// Without audiences a token for anybody's service would be taken here.
    #[error("audiences: needs at least one, each without commas or spaces")]
    Audiences,
    /// Traefik is a HelmChart.
    #[error("packaged_components: traefik needs K3s's Helm controller, which is off")]
    NeedsHelm,
}

impl Settings {
    pub(crate) fn validate(&self) -> Result<(), RenderError> {
        absolute("output_dir", &self.output_dir)?;
        absolute("webhook_ca", &self.webhook_ca)?;
        if let Some(certificate) = &self.client_certificate {
            absolute("client_certificate", &certificate.certificate)?;
            absolute("client_certificate", &certificate.key)?;
        }
        if let Some(systemd) = &self.systemd {
            absolute("systemd.binary", &systemd.binary)?;
            absolute("systemd.configuration", &systemd.configuration)?;
            unit_word("systemd.binary", &systemd.binary.to_string_lossy())?;
            unit_word(
                "systemd.configuration",
                &systemd.configuration.to_string_lossy(),
            )?;
            unit_word("systemd.user", &systemd.user)?;
        }
        if let Some(name) = &self.webhook_server_name {
            printable("webhook_server_name", name)?;
        }
        self.validate_url("authenticate_url", &self.authenticate_url)?;
        self.validate_url("authorize_url", &self.authorize_url)?;
        self.validate_url("admit_url", &self.admit_url)?;
        if let Some(gate) = &self.gate {
            self.validate_gate(gate)?;
        }
        for name in &self.control_plane_nodes {
            if !is_dns_subdomain(name) {
                return Err(RenderError::NodeName(name.clone()));
            }
        }
        if self.authorization_timeout.as_millis() == 0
            || self.authorization_timeout > LONGEST_TIMEOUT
        {
            return Err(RenderError::Timeout(self.authorization_timeout));
        }
        if let LongestWatch::After(longest) = self.longest_watch
            && longest.as_secs() == 0
        {
            return Err(RenderError::LongestWatch(longest));
        }
        let usable = |audience: &String| {
            !audience.is_empty() && audience.bytes().all(|b| b.is_ascii_graphic() && b != b',')
        };
        if self.audiences.is_empty() || !self.audiences.iter().all(usable) {
            return Err(RenderError::Audiences);
        }
        if self
            .packaged_components
            .contains(&PackagedComponent::Traefik)
        {
            return Err(RenderError::NeedsHelm);
        }
        Ok(())
    }

    fn validate_url(&self, setting: &'static str, url: &str) -> Result<(), RenderError> {
        let host = host_of(url).ok_or_else(|| RenderError::NotHttps {
            setting,
            url: url.to_owned(),
        })?;
        let loopback =
            host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
        if !loopback && self.client_certificate.is_none() {
            return Err(RenderError::ClientCertificateNeeded {
                setting,
                url: url.to_owned(),
            });
        }
        Ok(())
    }
}

/// The host of an https URL that holds nothing but host, port and path.
pub(crate) fn host_of(url: &str) -> Option<&str> {
    let rest = url.strip_prefix("https://")?;
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~/:[]".contains(&b);
    if !rest.bytes().all(plain) {
        return None; // user names, queries and fragments too
    }
    let authority = rest.split('/').next()?;
    let (host, port) = match authority.strip_prefix('[') {
        Some(v6) => v6.split_once(']')?,
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let port_fits = match port.strip_prefix(':') {
        Some(digits) => digits.parse::<u16>().is_ok_and(|port| port != 0),
        None => port.is_empty(),
    };
    (port_fits && !host.is_empty()).then_some(host)
}

pub(crate) fn absolute(setting: &'static str, path: &Path) -> Result<(), RenderError> {
    if !path.is_absolute() {
        return Err(RenderError::NotAbsolute {
            setting,
            path: path.to_owned(),
        });
    }
    match path.to_str() {
        Some(text) => printable(setting, text),
        None => Err(RenderError::Unprintable {
            setting,
            value: path.to_string_lossy().into(),
        }),
    }
}

fn printable(setting: &'static str, text: &str) -> Result<(), RenderError> {
    if text.is_empty() || text.chars().any(char::is_control) {
        return Err(RenderError::Unprintable {
            setting,
            value: text.to_owned(),
        });
    }
    Ok(())
}

/// systemd splits at spaces and expands `%` and `$`.
fn unit_word(setting: &'static str, text: &str) -> Result<(), RenderError> {
    if text.is_empty()
        || text
            .chars()
            .any(|c| c.is_whitespace() || "%$\"'\\".contains(c))
    {
        return Err(RenderError::Unprintable {
            setting,
            value: text.to_owned(),
        });
    }
    Ok(())
}

fn is_dns_subdomain(name: &str) -> bool {
    let label = |label: &str| {
        let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        !label.is_empty()
            && label.bytes().all(inner)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(label)
}

#[cfg(test)]
mod tests;
