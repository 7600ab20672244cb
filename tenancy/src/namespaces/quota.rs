//! What the namespaces of a tier may use.
//!
//! Shape:  a [`Quota`] is written `pods=50,requests.cpu=4,requests.memory=8Gi`. What it does not
//!         name stays as the tier has it by default, so that a short text lifts no bound.
//!         Load balancers and node ports are 0 below super whatever is configured.
//! Source: Kubernetes 1.36, `ValidateResourceQuota`, for names and whole numbers.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use seal::Tier;

pub use super::quantity::ParseQuantityError;
use super::quantity::Quantity;

/// Resources named at most.
const MAX_ENTRIES: usize = 64;
/// What nobody below super gets: they reach out of the tenant's namespace onto the nodes.
const CLOSED: [&str; 2] = ["services.loadbalancers", "services.nodeports"];
/// The resources without a domain that a quota may name, and whether they count objects.
const PLAIN: [(&str, bool); 19] = [
    ("configmaps", true),
    ("cpu", false),
    ("ephemeral-storage", false),
    ("limits.cpu", false),
    ("limits.ephemeral-storage", false),
    ("limits.memory", false),
    ("memory", false),
    ("persistentvolumeclaims", true),
    ("pods", true),
    ("replicationcontrollers", true),
    ("requests.cpu", false),
    ("requests.ephemeral-storage", false),
    ("requests.memory", false),
    ("requests.storage", false),
    ("resourcequotas", true),
    ("secrets", true),
    ("services", true),
    ("services.loadbalancers", true),
    ("services.nodeports", true),
];

/// Developers: some small services. A machine of 8 CPUs and 32 GiB holds a few of them.
const DEVELOPER: [(&str, &str); 24] = [
    ("pods", "50"),
    ("requests.cpu", "4"),
    ("requests.memory", "8Gi"),
    ("limits.cpu", "8"),
    ("limits.memory", "16Gi"),
    ("requests.ephemeral-storage", "20Gi"),
    ("limits.ephemeral-storage", "40Gi"),
    ("requests.storage", "50Gi"),
    ("persistentvolumeclaims", "10"),
    ("services", "20"),
    ("services.loadbalancers", "0"),
    ("services.nodeports", "0"),
    ("secrets", "100"),
    ("configmaps", "100"),
    ("replicationcontrollers", "50"),
    // Objects that cost only room in the API server's store: far above any sane use.
    ("count/deployments.apps", "100"),
    ("count/statefulsets.apps", "50"),
    ("count/daemonsets.apps", "20"),
    ("count/replicasets.apps", "500"),
    ("count/jobs.batch", "200"),
    ("count/cronjobs.batch", "50"),
    ("count/ingresses.networking.k8s.io", "50"),
    ("count/networkpolicies.networking.k8s.io", "50"),
    ("count/leases.coordination.k8s.io", "100"),
];
/// Admins staked two and a half times as much and run what others use: twice to four times.
const ADMIN: [(&str, &str); 24] = [
    ("pods", "150"),
    ("requests.cpu", "16"),
    ("requests.memory", "32Gi"),
    ("limits.cpu", "32"),
    ("limits.memory", "64Gi"),
    ("requests.ephemeral-storage", "80Gi"),
    ("limits.ephemeral-storage", "160Gi"),
    ("requests.storage", "200Gi"),
    ("persistentvolumeclaims", "40"),
    ("services", "80"),
    ("services.loadbalancers", "0"),
    ("services.nodeports", "0"),
    ("secrets", "400"),
    ("configmaps", "400"),
    ("replicationcontrollers", "150"),
    ("count/deployments.apps", "300"),
    ("count/statefulsets.apps", "150"),
    ("count/daemonsets.apps", "60"),
    ("count/replicasets.apps", "1500"),
    ("count/jobs.batch", "600"),
    ("count/cronjobs.batch", "150"),
    ("count/ingresses.networking.k8s.io", "150"),
    ("count/networkpolicies.networking.k8s.io", "150"),
    ("count/leases.coordination.k8s.io", "300"),
];
/// Whoever holds super owns the cluster; the quota keeps accidents small, not people out.
const SUPER: [(&str, &str); 24] = [
    ("pods", "300"),
    ("requests.cpu", "32"),
    ("requests.memory", "64Gi"),
    ("limits.cpu", "64"),
    ("limits.memory", "128Gi"),
    ("requests.ephemeral-storage", "160Gi"),
    ("limits.ephemeral-storage", "320Gi"),
    ("requests.storage", "500Gi"),
    ("persistentvolumeclaims", "100"),
    ("services", "200"),
    ("services.loadbalancers", "0"),
    ("services.nodeports", "0"),
    ("secrets", "1000"),
    ("configmaps", "1000"),
    ("replicationcontrollers", "300"),
    ("count/deployments.apps", "600"),
    ("count/statefulsets.apps", "300"),
    ("count/daemonsets.apps", "100"),
    ("count/replicasets.apps", "3000"),
    ("count/jobs.batch", "1000"),
    ("count/cronjobs.batch", "300"),
    ("count/ingresses.networking.k8s.io", "300"),
    ("count/networkpolicies.networking.k8s.io", "300"),
    ("count/leases.coordination.k8s.io", "600"),
];

/// Bounds by resource, as the operator writes them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Quota {
    hard: BTreeMap<String, String>,
}

/// Why a text is no quota. The operator is to blame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QuotaError {
    /// No `=`.
    #[error("expected resource=quantity, found {entry:?}")]
    Shape {
        /// What stands there.
        entry: String,
    },
    /// Kubernetes knows no such resource in a quota.
    #[error("{resource:?} is no resource that a quota can bound")]
    Resource {
        /// What stands there.
        resource: String,
    },
    /// Named twice.
    #[error("{resource} is named twice")]
    Twice {
        /// Which.
        resource: String,
    },
    /// No quantity.
    #[error("{resource}: {quantity:?} is no quantity")]
    Quantity {
        /// Of what.
        resource: String,
        /// What stands there.
        quantity: String,
        /// Why.
        #[source]
        source: ParseQuantityError,
    },
    /// Below zero.
    #[error("{resource}: a bound can't be negative")]
    Negative {
        /// Of what.
        resource: String,
    },
    /// A part of an object.
    #[error("{resource} counts objects: a whole number is expected")]
    Fraction {
        /// Of what.
        resource: String,
    },
    /// Load balancers or node ports for a tier below super.
    #[error("{resource} is 0 for tier {tier} whatever is configured")]
    Closed {
        /// Which.
        resource: &'static str,
        /// Whose.
        tier: Tier,
    },
    /// Too many resources.
    #[error("more than 64 resources")]
    TooMany,
}

impl Quota {
    /// The bounds by resource.
    #[must_use]
    pub const fn hard(&self) -> &BTreeMap<String, String> {
        &self.hard
    }

    /// What a tier may use where the operator says nothing.
    #[must_use]
    pub fn default_of(tier: Tier) -> Self {
        let table = match tier {
            // Viewers have no namespace of their own; one that was made before a stake shrank
            // has ended.
            Tier::Viewer | Tier::Developer => &DEVELOPER,
            Tier::Admin => &ADMIN,
            Tier::Super => &SUPER,
        };
        let entry = |(name, bound): &(&str, &str)| ((*name).to_owned(), (*bound).to_owned());
        Self {
            hard: table.iter().map(entry).collect(),
        }
    }
}

impl FromStr for Quota {
    type Err = QuotaError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut hard = BTreeMap::new();
        if text.trim().is_empty() {
            return Ok(Self { hard });
        }
        for entry in text.split(',') {
            if hard.len() >= MAX_ENTRIES {
                return Err(QuotaError::TooMany);
            }
            let (resource, quantity) = entry.split_once('=').ok_or_else(|| QuotaError::Shape {
                entry: entry.trim().to_owned(),
            })?;
            let (resource, quantity) = (resource.trim().to_owned(), quantity.trim().to_owned());
            check(&resource, &quantity)?;
            if hard.contains_key(&resource) {
                return Err(QuotaError::Twice { resource });
            }
            hard.insert(resource, quantity);
        }
        Ok(Self { hard })
    }
}

impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, (resource, quantity)) in self.hard.iter().enumerate() {
            if position > 0 {
                f.write_str(",")?;
            }
            write!(f, "{resource}={quantity}")?;
        }
        Ok(())
    }
}

fn check(resource: &str, quantity: &str) -> Result<(), QuotaError> {
    let counts = counts_objects(resource).ok_or_else(|| QuotaError::Resource {
        resource: resource.to_owned(),
    })?;
    let value: Quantity = quantity.parse().map_err(|source| QuotaError::Quantity {
        resource: resource.to_owned(),
        quantity: quantity.to_owned(),
        source,
    })?;
    if value.is_negative() {
        return Err(QuotaError::Negative {
            resource: resource.to_owned(),
        });
    }
    if counts && !value.is_whole() {
        return Err(QuotaError::Fraction {
            resource: resource.to_owned(),
        });
    }
    Ok(())
}

/// Whether it counts objects; none where a quota can't name it.
fn counts_objects(resource: &str) -> Option<bool> {
    if let Some((_, counts)) = PLAIN.iter().find(|(name, _)| *name == resource) {
        return Some(*counts);
    }
    let huge = resource.strip_prefix("requests.").unwrap_or(resource);
    if let Some(size) = huge.strip_prefix("hugepages-") {
        let size: Quantity = size.parse().ok()?;
        return (!size.is_negative() && !size.is_zero()).then_some(false);
    }
    let (domain, name) = resource.split_once('/')?;
    let fits = is_subdomain(domain) && is_name(name);
    fits.then_some(domain == "count" || name == "persistentvolumeclaims")
}

/// A DNS subdomain (RFC 1123).
fn is_subdomain(text: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(label)
}

/// The name of a qualified name: letters, digits, `-`, `_`, `.`, not at the ends.
fn is_name(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let end = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    text.len() <= 63
        && text.bytes().all(inner)
        && end(text.as_bytes().first())
        && end(text.as_bytes().last())
}

/// The quotas of the tiers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Quotas {
    developer: Quota,
    admin: Quota,
    super_: Quota,
}

impl Quotas {
    /// What the operator says, over the tiers' defaults.
    pub fn new(developer: Quota, admin: Quota, super_: Quota) -> Result<Self, QuotaError> {
        for (tier, quota) in [(Tier::Developer, &developer), (Tier::Admin, &admin)] {
            for resource in CLOSED {
                let bound = quota.hard.get(resource);
                let value = bound.and_then(|bound| bound.parse::<Quantity>().ok());
                if value.is_some_and(|value| !value.is_zero()) {
                    return Err(QuotaError::Closed { resource, tier });
                }
            }
        }
        Ok(Self {
            developer,
            admin,
            super_,
        })
    }

    /// What counts for a tier: its defaults, what the operator said, and what is closed.
    #[must_use]
    pub fn of(&self, tier: Tier) -> Quota {
        let said = match tier {
            Tier::Viewer | Tier::Developer => &self.developer,
            Tier::Admin => &self.admin,
            Tier::Super => &self.super_,
        };
        let mut quota = Quota::default_of(tier);
        for (resource, bound) in &said.hard {
            quota.hard.insert(resource.clone(), bound.clone());
        }
        if tier < Tier::Super {
            for resource in CLOSED {
                quota.hard.insert(resource.to_owned(), "0".to_owned());
            }
        }
        quota
    }
}

#[cfg(test)]
mod tests;
