//! K3s behind the gate, and what that changes.

use std::net::IpAddr;
use std::time::Duration;

use super::{RenderError, Settings};

/// When watches end by themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LongestWatch {
    /// As fits what else ends them.
    #[default]
    Fitting,
    /// After this time to twice as long.
    After(Duration),
    /// Kubernetes's own 30 minutes.
    Kubernetes,
}

/// K3s behind the gate: it listens on loopback alone, and tells the gate who is connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GateMode {
    /// The address that K3s tells agents and pods: the gate's. `None` where nobody comes from
    /// another machine.
    pub advertise: Option<IpAddr>,
    /// More names and addresses for the API server's certificate: those of a load balancer, say.
    pub tls_sans: Vec<String>,
    /// Where audit events go. Default `https://127.0.0.1:9445/audit`.
    pub audit_url: String,
}

impl Default for GateMode {
    fn default() -> Self {
        Self {
            advertise: None,
            tls_sans: Vec::new(),
            audit_url: "https://127.0.0.1:9445/audit".to_owned(),
        }
    }
}

impl Settings {
    pub(super) fn validate_gate(&self, gate: &GateMode) -> Result<(), RenderError> {
        self.validate_url("audit_url", &gate.audit_url)?;
        if let Some(advertise) = gate.advertise
            && (advertise.is_unspecified() || advertise.is_loopback() || advertise.is_multicast())
        {
            return Err(RenderError::Advertise(advertise));
        }
        for name in &gate.tls_sans {
            let plain = |b: u8| b.is_ascii_alphanumeric() || b".-:*".contains(&b);
            if name.is_empty() || !name.bytes().all(plain) {
                return Err(RenderError::Unprintable {
                    setting: "tls_san",
                    value: name.clone(),
                });
            }
        }
        Ok(())
    }

    /// In seconds, where it is not Kubernetes's own.
    pub(crate) const fn longest_watch_seconds(&self) -> Option<u64> {
        match self.longest_watch {
            LongestWatch::Kubernetes => None,
            LongestWatch::After(longest) => Some(longest.as_secs()),
            LongestWatch::Fitting if self.gate.is_some() => Some(600),
            LongestWatch::Fitting => Some(120),
        }
    }
}
