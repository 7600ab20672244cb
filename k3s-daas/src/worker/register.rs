//! Registers this machine with the cluster, and writes what its agent starts with.
//!
//! Shape:  the cluster's answer is checked before a byte of it is written: the agent's token must be
//!         the one that follows from the machine's own seal token and the CA that was answered. The
//!         token's file comes first, then the configuration that names it; each whole or not at all,
//!         mode 0600.
//! Trust:  the cluster's REST API is known by the CA of the settings. By its answer alone is the CA of
//!         the cluster known, which the agent's token pins from then on.
//! Errors: a configuration that somebody else wrote is left as it is.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cri_shim::api::{Capacity, Joined, MachineOrder, Registering, WorkError};
use cri_shim::heartbeat::{Answer, ClientError, ClusterClient};
use k3s_configs::access::{CaHash, join_token};
use k3s_configs::{AgentSettings, RenderedFile, render_agent};
use seal::{NodeName, SealToken};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Mutex;
use webhook_server::Secret;

use super::machine;
use crate::commands::stake::read_token;
use crate::secrets::write_private;

/// The path of the cluster's API.
const PATH: &str = "/api/v1/register-worker";
/// The agent's token, below K3s's folder.
const TOKEN_FILE: &str = "k3s-daas.token";
/// What a configuration of ours begins with.
const OURS: &str = "# A worker that joins by stake.";
/// Finding the way to the cluster takes no longer.
const WITHIN: Duration = Duration::from_secs(5);

/// What a machine's registration depends on.
#[derive(Debug, Clone)]
pub(super) struct RegisterSettings {
    pub(super) node: NodeName,
    /// The machine's seal token.
    pub(super) token_file: PathBuf,
    /// The cluster's address; its own word for it when not given.
    pub(super) master: Option<String>,
    /// Where K3s's agent finds its configuration.
    pub(super) config_dir: PathBuf,
    /// Where its data are, whose size is what is registered.
    pub(super) data_dir: PathBuf,
    /// The machine's address; the one that leads to the cluster when not given.
    pub(super) ip_address: Option<IpAddr>,
}

/// Registers this machine.
#[derive(Debug)]
pub(super) struct Registrar {
    settings: RegisterSettings,
    /// None where no address of the cluster is configured.
    cluster: Option<(ClusterClient, String)>,
    one: Mutex<()>,
}

/// What the cluster answers.
#[derive(Deserialize)]
struct Answered {
    ca_cert: String,
    api_server: String,
    join_token: Secret,
}

impl Registrar {
    /// `cluster` is the REST API and its address.
    pub(super) fn new(
        settings: RegisterSettings,
        cluster: Option<(ClusterClient, String)>,
    ) -> Self {
        Self {
            settings,
            cluster,
            one: Mutex::new(()),
        }
    }

    async fn register_once(&self, order: MachineOrder) -> Result<Joined, WorkError> {
        let _one = self.one.lock().await;
        let (client, endpoint) = self.cluster.as_ref().ok_or_else(|| {
            let text = "no cluster is configured: set master_endpoint in the section k3s";
            WorkError::NotSetUp(text.to_owned())
        })?;
        if !self.settings.token_file.exists() {
            return Err(WorkError::NotStaked);
        }
        let token = read_token(&self.settings.token_file).map_err(super::chain::told)?;
        // Before anything is said to anybody.
        self.in_the_way()?;
        if let Some(master) = &self.settings.master {
            self.rendered(master)?;
        }
        let ip_address = match order.ip_address.or(self.settings.ip_address) {
            Some(address) => address,
            None => tokio::time::timeout(WITHIN, machine::address_towards(endpoint))
                .await
                .unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
                .map_err(|error| {
                    let text = format!("no address of this machine leads to {endpoint}: {error}");
                    WorkError::ClusterUnavailable(text)
                })?,
        };
        let capacity = match order.capacity {
            Some(capacity) => capacity,
            None => self.capacity()?,
        };
        let body = json!({
            "node_id": self.settings.node,
            "seal_token": token.reveal().as_str(),
            "ip_address": ip_address.to_string(),
            "capacity": {
                "cpu": capacity.cpu, "memory": capacity.memory, "storage": capacity.storage,
            },
        });
        let sent = client.post(PATH, &token, &body).await;
        wipe(body);
        let answered = read(&sent.map_err(|error| no_answer(&error))?)?;
        let agent_token = checked(&answered, &token)?;
        self.write(&answered.api_server, &agent_token)
    }

    /// The agent's files; none for an address that no agent could join at.
    fn rendered(&self, server: &str) -> Result<Vec<RenderedFile>, WorkError> {
        let agent = AgentSettings {
            server: server.to_owned(),
            token_file: self.settings.config_dir.join(TOKEN_FILE),
            node_name: self.settings.node.clone(),
        };
        render_agent(&agent).map_err(|error| WorkError::NotSetUp(error.to_string()))
    }

    /// What the agent starts with.
    fn write(&self, api_server: &str, agent_token: &str) -> Result<Joined, WorkError> {
        let server = self.settings.master.as_deref().unwrap_or(api_server);
        let token_file = self.settings.config_dir.join(TOKEN_FILE);
        let files = self.rendered(server)?;
        // Without a newline: K3s takes the file as it is.
        save(&token_file, agent_token.as_bytes())?;
        for RenderedFile { path, contents, .. } in &files {
            save(&self.settings.config_dir.join(path), contents.as_bytes())?;
        }
        Ok(Joined {
            api_server: server.to_owned(),
            config_file: self.config_file(),
            token_file,
        })
    }

    fn config_file(&self) -> PathBuf {
        self.settings.config_dir.join("config.yaml")
    }

    /// Whether the agent's configuration is somebody else's.
    fn in_the_way(&self) -> Result<(), WorkError> {
        let path = self.config_file();
        let found = match std::fs::read(&path) {
            Ok(found) => found,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => {
                let text = format!("can't read {}: {error}", path.display());
                return Err(WorkError::Failed(text));
            }
        };
        if found.starts_with(OURS.as_bytes()) {
            return Ok(());
        }
        let text = format!(
            "{} was not written here: move what it says to a file in {}, and take it away",
            path.display(),
            path.with_extension("yaml.d").display()
        );
        Err(WorkError::FileInTheWay(text))
    }

    fn capacity(&self) -> Result<Capacity, WorkError> {
        machine::capacity(&self.settings.data_dir).map_err(|error| {
            WorkError::Failed(format!("how much this machine has can't be read: {error}"))
        })
    }
}

impl Registering for Registrar {
    async fn register(&self, order: MachineOrder) -> Result<Joined, WorkError> {
        self.register_once(order).await
    }
}

/// Overwrites the token in a body that was sent.
fn wipe(mut body: serde_json::Value) {
    if let Some(serde_json::Value::String(text)) = body.get_mut("seal_token") {
        zeroize::Zeroize::zeroize(text);
    }
}

fn save(path: &Path, contents: &[u8]) -> Result<(), WorkError> {
    write_private(path, contents)
        .map_err(|error| WorkError::Failed(format!("can't write {}: {error}", path.display())))
}

fn no_answer(error: &ClientError) -> WorkError {
    let text = error.to_string();
    match error {
        ClientError::Untrusted(_) | ClientError::Ca(_) => WorkError::ClusterUntrusted(text),
        ClientError::NotHttps(_) => WorkError::NotSetUp(text),
        _ => WorkError::ClusterUnavailable(text),
    }
}

/// The answer, if it is a yes.
fn read(answer: &Answer) -> Result<Answered, WorkError> {
    let status = answer.status;
    if status.is_success() {
        return serde_json::from_slice(&answer.body).map_err(|_| {
            // What serde says of it may quote a secret.
            WorkError::ClusterUntrusted("what the cluster answers is no registration".to_owned())
        });
    }
    let problem = answer.problem();
    let problem = problem.as_deref().unwrap_or("no problem of ours");
    let text = format!("the cluster answers {} ({problem})", status.as_u16());
    if status.is_server_error() || status == http::StatusCode::TOO_MANY_REQUESTS {
        Err(WorkError::ClusterUnavailable(text))
    } else if status.is_client_error() {
        Err(WorkError::ClusterRefused(text))
    } else {
        Err(WorkError::ClusterUntrusted(text))
    }
}

/// The agent's token, if it is the one that this seal and that CA make.
fn checked(
    answered: &Answered,
    token: &SealToken,
) -> Result<zeroize::Zeroizing<String>, WorkError> {
    let untrusted = |text: &str| WorkError::ClusterUntrusted(text.to_owned());
    let bundle = STANDARD
        .decode(&answered.ca_cert)
        .map_err(|_| untrusted("the CA that the cluster answers can't be read"))?;
    let ca = CaHash::of_bundle(&bundle, SystemTime::now())
        .map_err(|error| untrusted(&format!("the CA that the cluster answers: {error}")))?;
    let own = join_token(&ca, &token.join_credential());
    if answered.join_token.is(&own) {
        Ok(own)
    } else {
        Err(untrusted(
            "the agent's token that the cluster answers is not this seal's with this CA",
        ))
    }
}

#[cfg(test)]
mod tests;
