//! What the configuration makes of the tiers, in words: for `doctor` and `config render`.

use std::fmt::Write;
use std::time::Duration;

use seal::access::Tenancy;
use seal::{ElevatedOwners, Tier};
use tenancy::namespaces::{Quota, Quotas};

use crate::config::keys::ServerConfig;

/// One choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The key, or the keys' common name.
    pub key: &'static str,
    /// What it means here.
    pub means: String,
    /// What deserves a second look.
    pub care: Option<String>,
}

impl Line {
    fn new(key: &'static str, means: impl Into<String>) -> Self {
        Self {
            key,
            means: means.into(),
            care: None,
        }
    }

    fn care(mut self, care: impl Into<String>) -> Self {
        self.care = Some(care.into());
        self
    }
}

/// All choices about tiers.
pub fn explain(config: &ServerConfig) -> Vec<Line> {
    vec![
        elevated_owners(config.elevated_owners.as_ref()),
        tenancy(config.tenancy),
        protected(&config.protected_namespaces.0),
        groups(&config.developer_api_groups.0),
        quotas(config),
        lives(config),
        closed(config),
    ]
}

/// The choice that has no default.
fn elevated_owners(choice: Option<&ElevatedOwners>) -> Line {
    const KEY: &str = "elevated_owners";
    match choice {
        None => Line::new(KEY, "not set, and the server does not start without it").care(
            "say any (stake alone decides: whoever stakes 10 SUI owns the cluster), none (nobody \
             is above developer) or a list of addresses (all others are capped at developer)",
        ),
        Some(ElevatedOwners::Any) => Line::new(
            KEY,
            "any: stake alone decides, so whoever stakes 10 SUI owns the cluster and whoever \
             stakes 5 administers it; what such a seal bound or installed outlives its slash",
        )
        .care("right for a cluster that strangers may own; else say none or list the owners"),
        Some(ElevatedOwners::None) => Line::new(
            KEY,
            "none: nobody is above developer, whatever is staked; only the operator's own \
             credentials administer the cluster",
        ),
        Some(ElevatedOwners::Only(owners)) => {
            let list: Vec<String> = owners.iter().map(ToString::to_string).collect();
            Line::new(
                KEY,
                format!(
                    "{} owners may be admin (5 SUI) or super (10 SUI, owns the cluster), all \
                     others are developers at most: {}",
                    owners.len(),
                    list.join(", ")
                ),
            )
        }
    }
}

fn tenancy(tenancy: Tenancy) -> Line {
    const KEY: &str = "tenancy";
    match tenancy {
        Tenancy::Own => Line::new(
            KEY,
            "own: viewers and developers see nothing of others' namespaces",
        ),
        Tenancy::Shared => Line::new(
            KEY,
            "shared: viewers and developers read others' namespaces (no Secrets), logs included",
        )
        .care("tenants are strangers to each other: say own, unless all of them agreed"),
    }
}

fn protected(extra: &[String]) -> Line {
    let extra = if extra.is_empty() {
        "none besides".to_owned()
    } else {
        extra.join(", ")
    };
    Line::new(
        "protected_namespaces",
        format!(
            "kube-*, default, k3s-daas-system, every namespace with a service account that is \
             bound cluster-wide, and: {extra}. Below super nobody writes or reads Secrets there"
        ),
    )
}

fn groups(groups: &[String]) -> Line {
    const KEY: &str = "developer_api_groups";
    if groups.is_empty() {
        return Line::new(KEY, "none: developers use no custom resources");
    }
    Line::new(
        KEY,
        format!("developers use custom resources of: {}", groups.join(", ")),
    )
    .care(
        "what acts on these objects acts with its own rights: be sure that no field of them makes \
         it reach another namespace",
    )
}

fn quotas(config: &ServerConfig) -> Line {
    const KEY: &str = "quotas";
    let said = [
        (Tier::Developer, &config.quota_developer),
        (Tier::Admin, &config.quota_admin),
        (Tier::Super, &config.quota_super),
    ];
    let quotas = Quotas::new(
        config.quota_developer.clone(),
        config.quota_admin.clone(),
        config.quota_super.clone(),
    );
    let quotas = match quotas {
        Ok(quotas) => quotas,
        Err(error) => return Line::new(KEY, error.to_string()).care("correct the quota_* keys"),
    };
    let tiers: Vec<String> = said
        .iter()
        .map(|(tier, said)| {
            let changed = if **said == Quota::default() {
                String::new()
            } else {
                format!(" (configured: {said})")
            };
            format!("{tier}: {}{changed}", main_bounds(&quotas.of(*tier)))
        })
        .collect();
    Line::new(KEY, format!("a namespace may use, {}", tiers.join("; ")))
}

/// The bounds that people ask for first.
fn main_bounds(quota: &Quota) -> String {
    let shown = [
        "pods",
        "requests.cpu",
        "requests.memory",
        "requests.storage",
    ];
    let bounds = shown.iter().filter_map(|name| {
        let bound = quota.hard().get(*name)?;
        Some(format!("{name}={bound}"))
    });
    bounds.collect::<Vec<_>>().join(" ")
}

fn lives(config: &ServerConfig) -> Line {
    const KEY: &str = "namespace times";
    let (grace, retention) = (
        config.namespace_grace_seconds.0,
        config.namespace_retention_seconds.0,
    );
    let line = Line::new(
        KEY,
        format!(
            "without a usable seal an owner's workloads run on for {}, its namespace and volumes \
             stay for {}; it is warned {} before its last seal expires",
            words(grace),
            words(retention),
            words(config.namespace_warn_seconds.0)
        ),
    );
    if retention < grace {
        line.care("namespace_retention_seconds must not be shorter than namespace_grace_seconds")
    } else if retention < Duration::from_hours(1) {
        line.care("a seal that expires by mistake costs its owner everything within the hour")
    } else {
        line
    }
}

fn closed(config: &ServerConfig) -> Line {
    const KEY: &str = "closed_ranges";
    let ranges: Vec<String> = config
        .closed_ranges
        .0
        .iter()
        .map(ToString::to_string)
        .collect();
    if ranges.is_empty() {
        return Line::new(
            KEY,
            "none: only the addresses of nodes and of the API server are closed",
        )
        .care("tenants' pods reach the operator's networks and clouds' metadata services");
    }
    Line::new(
        KEY,
        format!(
            "tenants' pods reach the internet, but not {}",
            ranges.join(", ")
        ),
    )
}

/// A time for people.
fn words(time: Duration) -> String {
    let seconds = time.as_secs();
    let (count, unit) = match seconds {
        0 => return "no time".to_owned(),
        _ if seconds.is_multiple_of(86_400) => (seconds / 86_400, "day"),
        _ if seconds.is_multiple_of(3_600) => (seconds / 3_600, "hour"),
        _ if seconds.is_multiple_of(60) => (seconds / 60, "minute"),
        _ => (seconds, "second"),
    };
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural}")
}

/// As a document beside K3s's files.
pub fn document(config: &ServerConfig) -> String {
    let mut text = "# Who may do what on this cluster\n\n\
        By the configuration of `k3s-daas`; `k3s-daas config render` writes this anew. What stands\n\
        here can be changed while the server runs: edit the configuration, send SIGHUP.\n"
        .to_owned();
    for line in explain(config) {
        let _ = write!(text, "\n- **{}**: {}.", line.key, line.means);
        if let Some(care) = line.care {
            let _ = write!(text, "\n  Take care: {care}.");
        }
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Sources;
    use crate::config::keys::{Group, ServerKeys};

    fn config(keys: &ServerKeys) -> ServerConfig {
        keys.resolve(&Sources::default()).unwrap()
    }

    fn line(config: &ServerConfig, key: &str) -> Line {
        let found = explain(config).into_iter().find(|line| line.key == key);
        found.unwrap()
    }

    #[test]
    fn the_dangerous_choices_are_the_ones_to_take_care_of() {
        let strict = config(&ServerKeys {
            elevated_owners: Some("none".into()),
            ..ServerKeys::default()
        });
        assert!(explain(&strict).iter().all(|line| line.care.is_none()));
        let loose = config(&ServerKeys {
            elevated_owners: Some("any".into()),
            tenancy: Some("shared".into()),
            developer_api_groups: Some("example.com".into()),
            namespace_grace_seconds: Some("60".into()),
            namespace_retention_seconds: Some("120".into()),
            closed_ranges: Some(String::new()),
            ..ServerKeys::default()
        });
        for key in [
            "elevated_owners",
            "tenancy",
            "developer_api_groups",
            "namespace times",
            "closed_ranges",
        ] {
            assert!(line(&loose, key).care.is_some(), "{key}");
        }
        assert!(
            line(&config(&ServerKeys::default()), "elevated_owners")
                .care
                .is_some()
        );
    }

    #[test]
    fn says_how_long_and_how_much() {
        let config = config(&ServerKeys {
            quota_developer: Some("pods=7".into()),
            ..ServerKeys::default()
        });
        let lives = line(&config, "namespace times").means;
        assert!(
            lives.contains("for 10 minutes") && lives.contains("for 7 days"),
            "{lives}"
        );
        let quotas = line(&config, "quotas").means;
        assert!(
            quotas.contains("developer: pods=7 requests.cpu=4"),
            "{quotas}"
        );
        assert!(quotas.contains("(configured: pods=7)"), "{quotas}");
        let text = document(&config);
        assert!(text.contains("**elevated_owners**: not set"), "{text}");
    }
}
