//! The configuration read anew while the server runs.
//!
//! Shape:  everything is read and validated before any of it counts; then the keys of [`LIVE`] are
//!         swapped, the others keep their value and are named as waiting for a restart.
//! Errors: a configuration that is wrong changes nothing. It is logged with what to do.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::settings::Settings;
use super::{Server, listeners};
use crate::config::keys::{Effective, ServerConfig};
use crate::failure::Outcome;

/// The keys that count without a restart.
pub const LIVE: [&str; 25] = [
    "elevated_owners",
    "tenancy",
    "audiences",
    "worker_isolation",
    "control_plane_nodes",
    "protected_namespaces",
    "developer_api_groups",
    "namespace_grace_seconds",
    "namespace_retention_seconds",
    "namespace_warn_seconds",
    "quota_developer",
    "quota_admin",
    "quota_super",
    "closed_ranges",
    "trusted_nodes",
    "worker_namespaces",
    "reserved_node_names",
    "drain_grace_seconds",
    "node_warn_seconds",
    "cluster_ranges",
    "api_requests_per_minute",
    "gate_max_connections",
    "gate_max_per_peer",
    "gate_new_per_second",
    "gate_hello_seconds",
];
/// Keys whose values may hold somebody's access key.
const HIDDEN: [&str; 1] = ["endpoint"];

/// A configuration as it was read.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The values.
    pub config: ServerConfig,
    /// All keys that the process depends on, as they were written.
    pub keys: Vec<Effective>,
}

/// What counts now, and what the process began with.
#[derive(Debug)]
pub struct Reloads {
    started: Vec<Effective>,
    current: Loaded,
}

impl Reloads {
    /// What the process begins with.
    pub fn new(loaded: Loaded) -> Self {
        Self {
            started: loaded.keys.clone(),
            current: loaded,
        }
    }
}

/// How a reload ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reloaded {
    /// Something counts anew.
    Applied,
    /// Nothing that can change while running did.
    Unchanged,
    /// The configuration is wrong; all is as before.
    Rejected,
}

impl Reloaded {
    const ALL: [Self; 3] = [Self::Applied, Self::Unchanged, Self::Rejected];

    const fn label(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Unchanged => "unchanged",
            Self::Rejected => "rejected",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

#[derive(Debug, Clone, Default)]
pub(super) struct ReloadMetrics {
    reloads: Family<OutcomeLabel, Counter>,
    waiting: Gauge,
}

impl ReloadMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        for outcome in Reloaded::ALL.map(Reloaded::label) {
            drop(metrics.reloads.get_or_create(&OutcomeLabel { outcome }));
        }
        registry.register(
            "k3s_daas_config_reloads",
            "Times the configuration was read again, by how it ended",
            metrics.reloads.clone(),
        );
        registry.register(
            "k3s_daas_config_keys_waiting",
            "Changed keys that wait for a restart",
            metrics.waiting.clone(),
        );
        metrics
    }
}

/// A key whose value differs.
#[derive(Debug, PartialEq, Eq)]
struct Change<'a> {
    key: &'static str,
    from: &'a str,
    to: &'a str,
}

/// The keys, chosen by `chosen`, that differ.
fn changes<'a>(
    before: &'a [Effective],
    after: &'a [Effective],
    chosen: impl Fn(&str) -> bool,
) -> Vec<Change<'a>> {
    let shown = |key: &'static str, value: &'a Option<String>| match value.as_deref() {
        _ if HIDDEN.contains(&key) => "[not shown]",
        Some("") | None => "[none]",
        Some(value) => value,
    };
    before
        .iter()
        .zip(after)
        .filter(|(before, after)| before.value != after.value && chosen(before.key))
        .map(|(before, after)| Change {
            key: before.key,
            from: shown(before.key, &before.value),
            to: shown(after.key, &after.value),
        })
        .collect()
}

/// The running configuration with the new values of the live keys.
fn merged(running: &ServerConfig, new: &ServerConfig) -> ServerConfig {
    let new = new.clone();
    ServerConfig {
        elevated_owners: new.elevated_owners,
        tenancy: new.tenancy,
        audiences: new.audiences,
        worker_isolation: new.worker_isolation,
        control_plane_nodes: new.control_plane_nodes,
        protected_namespaces: new.protected_namespaces,
        developer_api_groups: new.developer_api_groups,
        namespace_grace_seconds: new.namespace_grace_seconds,
        namespace_retention_seconds: new.namespace_retention_seconds,
        namespace_warn_seconds: new.namespace_warn_seconds,
        quota_developer: new.quota_developer,
        quota_admin: new.quota_admin,
        quota_super: new.quota_super,
        closed_ranges: new.closed_ranges,
        trusted_nodes: new.trusted_nodes,
        worker_namespaces: new.worker_namespaces,
        reserved_node_names: new.reserved_node_names,
        drain_grace_seconds: new.drain_grace_seconds,
        node_warn_seconds: new.node_warn_seconds,
        cluster_ranges: new.cluster_ranges,
        api_requests_per_minute: new.api_requests_per_minute,
        gate_max_connections: new.gate_max_connections,
        gate_max_per_peer: new.gate_max_per_peer,
        gate_new_per_second: new.gate_new_per_second,
        gate_hello_seconds: new.gate_hello_seconds,
        ..running.clone()
    }
}

impl Server {
    /// Takes a configuration that was read anew, as far as it can change while running, and looks
    /// at the kubeconfig again. Certificates are read again by themselves.
    pub fn reload(&self, reloads: &mut Reloads, read: Outcome<Loaded>) -> Reloaded {
        self.work.kube.reload();
        let outcome = match read.and_then(|loaded| self.replace(reloads, loaded)) {
            Ok(outcome) => outcome,
            Err(failure) => {
                let causes: Vec<String> = failure.cause.chain().map(ToString::to_string).collect();
                tracing::error!(
                    error = %causes.join(": "),
                    next_step = failure.next_step.as_deref().unwrap_or(
                        "correct it and send SIGHUP again; `k3s-daas config check` tells more"
                    ),
                    "the configuration is wrong: what counted before still counts"
                );
                Reloaded::Rejected
            }
        };
        let outcome_label = OutcomeLabel {
            outcome: outcome.label(),
        };
        self.reloads.reloads.get_or_create(&outcome_label).inc();
        outcome
    }

    fn replace(&self, reloads: &mut Reloads, loaded: Loaded) -> Outcome<Reloaded> {
        listeners::validate(&loaded.config)?;
        let config = merged(&reloads.current.config, &loaded.config);
        let settings = Settings::new(&config)?;
        // The only one that can still refuse.
        if let Some(door) = &self.door {
            door.replace(&settings)?;
        }
        let is_live = |key: &str| LIVE.contains(&key);
        let changed = changes(&reloads.current.keys, &loaded.keys, is_live);
        for Change { key, from, to } in &changed {
            tracing::info!(key, from, to, "changed");
        }
        let waiting = changes(&reloads.started, &loaded.keys, |key| !is_live(key));
        for Change { key, from, to } in &waiting {
            tracing::warn!(key, from, to, "changed, and needs a restart to count");
        }
        self.reloads
            .waiting
            .set(i64::try_from(waiting.len()).unwrap_or(i64::MAX));
        tracing::info!(
            changed = changed.len(),
            waiting_for_restart = waiting.len(),
            "the configuration was read again"
        );
        let outcome = if changed.is_empty() {
            Reloaded::Unchanged
        } else {
            self.answers.replace(&settings);
            self.work.guards.replace_settings(settings.guards);
            self.work.tenants.replace_settings(settings.namespaces);
            self.work.nodes.replace_settings(settings.nodes);
            self.work.admit.replace_settings(settings.admit);
            self.webhook.replace(&config);
            self.work.trusted.replace(settings.trusted);
            if let Some(gate) = &self.gate {
                gate.replace(&config, settings.authn.elevated.clone());
            }
            Reloaded::Applied
        };
        let keys = loaded.keys;
        reloads.current = Loaded { config, keys };
        Ok(outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Sources;
    use crate::config::keys::{Group, ServerKeys, effective};

    fn load(file: &str) -> Loaded {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.yaml");
        std::fs::write(&path, file).unwrap();
        let sources = Sources::read(Some(&path), crate::config::DEFAULT_FILE, []).unwrap();
        let keys = ServerKeys::default();
        Loaded {
            config: keys.resolve(&sources).unwrap(),
            keys: effective(&keys, &sources),
        }
    }

    #[test]
    fn exactly_the_live_keys_change_what_runs() {
        let before = load("");
        let mut seen = 0;
        for key in ServerKeys::keys() {
            let values = [
                "shared",
                "open",
                "none",
                "a",
                "a.b",
                "pods=1",
                "9.0.0.0/8",
                "700000",
                "7",
                "127.0.0.1:1",
                "https://a",
            ];
            let fits = values.iter().find(|value| {
                let other = key.default != Some(**value);
                other && (key.check)(Some(value)).is_ok()
            });
            let value = fits.unwrap_or_else(|| panic!("no other value for {}", key.name));
            let after = load(&format!("{}: \"{value}\"", key.name));
            let live = LIVE.contains(&key.name);
            let runs = merged(&before.config, &after.config);
            let differs = format!("{runs:?}") != format!("{:?}", before.config);
            assert_eq!(differs, live, "{}", key.name);
            let told = changes(&before.keys, &after.keys, |_| true);
            assert_eq!(told.len(), 1, "{}", key.name);
            assert_eq!(told.first().unwrap().to, *value);
            seen += usize::from(live);
        }
        assert_eq!(seen, LIVE.len(), "every live key is a key");
    }

    #[test]
    fn values_that_may_hold_an_access_key_are_not_shown() {
        let of = |value: &str| Effective {
            key: "endpoint",
            value: Some(value.to_owned()),
            source: crate::config::Source::File,
            flag: String::new(),
            variable: String::new(),
            problem: None,
        };
        let (before, after) = ([of("https://a/?key=1")], [of("https://a/?key=2")]);
        let told = changes(&before, &after, |_| true);
        let Change { from, to, .. } = told.first().unwrap();
        assert_eq!((*from, *to), ("[not shown]", "[not shown]"));
    }
}
