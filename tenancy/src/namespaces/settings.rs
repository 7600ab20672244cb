//! What the operator says about tenants' namespaces.

use std::time::Duration;

use ipnet::IpNet;
use seal::ElevatedOwners;

use super::quota::Quotas;

/// All of it can be replaced while the server runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamespaceSettings {
    /// From the end of an owner's last seal until its workloads are scaled away. Default 10 min:
    /// enough for a restake by hand, short enough that nobody computes for nothing.
    pub grace: Duration,
    /// From the end of an owner's last seal until the namespace and its volumes go. Default 7 days.
    /// Never before the grace is over.
    pub retention: Duration,
    /// What the tiers may use.
    pub quotas: Quotas,
    /// Who may be above developer.
    pub elevated: ElevatedOwners,
    /// What tenants' pods can't reach: private, link-local and shared ranges by default.
    pub closed_ranges: Vec<IpNet>,
    /// How long before the last seal's expiry its owner is warned, and again at a 24th of it.
    /// Default 24 h, so the second comes an hour before.
    pub warn_before: Duration,
}

impl NamespaceSettings {
    /// The defaults; who may be above developer has none.
    #[must_use]
    pub fn new(elevated: ElevatedOwners) -> Self {
        Self {
            grace: Duration::from_mins(10),
            retention: Duration::from_hours(168),
            quotas: Quotas::default(),
            elevated,
            closed_ranges: default_closed_ranges(),
            warn_before: Duration::from_hours(24),
        }
    }
}

/// What is not the internet: where nodes, the control plane, pods and services usually are.
///
/// Source: the IANA special-purpose address registries. The ranges for documentation and
/// benchmarks are left out: nobody is there.
#[must_use]
pub fn default_closed_ranges() -> Vec<IpNet> {
    const RANGES: [&str; 11] = [
        "0.0.0.0/8",      // this network
        "10.0.0.0/8",     // private
        "100.64.0.0/10",  // shared (CGNAT)
        "127.0.0.0/8",    // loopback
        "169.254.0.0/16", // link-local, clouds' metadata services
        "172.16.0.0/12",  // private
        "192.168.0.0/16", // private
        "::/127",         // unspecified and loopback
        "64:ff9b::/96",   // IPv4 through NAT64: would reach the ranges above
        "fc00::/7",       // private
        "fe80::/10",      // link-local
    ];
    RANGES
        .iter()
        .filter_map(|range| range.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_range_reads() {
        assert_eq!(default_closed_ranges().len(), 11);
    }
}
