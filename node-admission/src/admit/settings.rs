//! What the webhook depends on besides the Nodes.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::NodeSettings;

/// The operator's choices.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AdmitSettings {
    /// Nodes of the control plane: not asked about, and their names are nobody else's.
    pub control_plane_nodes: BTreeSet<String>,
    /// Names that no machine of a stranger may bear: host names of the servers, and every name in
    /// the API server's certificate.
    pub reserved_names: BTreeSet<String>,
    /// The cluster's pods and services.
    pub cluster_ranges: Vec<IpNet>,
    /// Addresses of the control plane, besides those that the API server announces as endpoints of
    /// `kubernetes`.
    pub control_plane_addresses: BTreeSet<IpAddr>,
}

impl From<&NodeSettings> for AdmitSettings {
    fn from(settings: &NodeSettings) -> Self {
        Self {
            control_plane_nodes: settings.control_plane_nodes.clone(),
            reserved_names: settings.reserved_names.clone(),
            cluster_ranges: settings.cluster_ranges.clone(),
            control_plane_addresses: settings
                .reserved_names
                .iter()
                .filter_map(|name| super::ip::parse(name))
                .collect(),
        }
    }
}

impl AdmitSettings {
    /// True for names of the control plane. `name` is in lower case.
    pub(super) fn reserves(&self, name: &str) -> bool {
        // In every API server's certificate, or every machine's own.
        let always = ["kubernetes", "localhost"].iter().any(|word| {
            name.strip_prefix(word)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        });
        let is = |one: &String| one.eq_ignore_ascii_case(name);
        always
            || name.ends_with(".localhost")
            || self.reserved_names.iter().any(is)
            || self.control_plane_nodes.iter().any(is)
    }

    /// The cluster's range that an address lies in.
    pub(super) fn range_of(&self, address: IpAddr) -> Option<IpNet> {
        let mut ranges = self.cluster_ranges.iter();
        ranges.find(|range| range.contains(&address)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_control_plane_are_reserved() {
        let settings = AdmitSettings {
            control_plane_nodes: ["server-1".to_owned()].into(),
            reserved_names: ["API.example.com".to_owned()].into(),
            ..AdmitSettings::default()
        };
        for name in [
            "server-1",
            "api.example.com",
            "kubernetes",
            "kubernetes.default.svc",
            "localhost",
            "localhost.localdomain",
            "a.localhost",
        ] {
            assert!(settings.reserves(name), "{name}");
        }
        for name in ["worker-001", "kubernetes-1", "example.com", "server-10", ""] {
            assert!(!settings.reserves(name), "{name}");
        }
    }

    #[test]
    fn an_address_among_the_reserved_names_is_the_control_planes() {
        let settings = NodeSettings {
            reserved_names: ["192.0.2.1".to_owned(), "master".to_owned()].into(),
            ..NodeSettings::default()
        };
        let addresses = AdmitSettings::from(&settings).control_plane_addresses;
        assert_eq!(addresses, ["192.0.2.1".parse().unwrap()].into());
    }
}
