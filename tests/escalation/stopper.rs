//! What stopped a way, read out of the answer that a client got.
//!
//! Shape: [`Stopper::of`] reads; ways say what they expect in the same terms, so that a guard that
//!        is silently missing shows even where something else happens to refuse.

use std::borrow::Cow;
use std::fmt;

use authz_webhook::Refusal;
use seal::access::{DenyReason, Silence};

use crate::client::Answer;

/// What stood in the way.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stopper {
    /// Nobody knows who asks.
    Authentication,
    /// Our authorizer, for the reason of this label.
    Authorizer(&'static str),
    /// Nobody granted it: neither our authorizer, for the reason of this label, nor RBAC.
    NotGranted(&'static str),
    /// Our authorizer, because the seal or its owner has ended.
    Ended(&'static str),
    /// RBAC alone: no seal is presented.
    Rbac,
    /// RBAC's own check that nobody grants what they don't hold.
    EscalationCheck,
    /// A guard, by the name of its policy.
    Guard(Cow<'static, str>),
    /// Our admission webhook, which knows the other Nodes.
    Webhook,
    /// Pod Security.
    PodSecurity,
    /// A quota, by its name.
    Quota(Cow<'static, str>),
    /// An admission plugin of Kubernetes, by its name.
    Plugin(&'static str),
    /// The API server's own checks of an object.
    Validation,
    /// There is no such thing here.
    NothingThere,
    /// The API server has no such method.
    Method,
    /// It changes nothing: accepted, and worth no right.
    Powerless,
    /// None of these; holds the start of the answer.
    Other(String),
    /// Nothing did.
    Nothing,
}

impl fmt::Display for Stopper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Authentication => f.write_str("authentication"),
            Self::Authorizer(label) => write!(f, "authorizer: {label}"),
            Self::NotGranted(label) => write!(f, "nobody grants it: {label}"),
            Self::Ended(label) => write!(f, "authorizer: {label}"),
            Self::Rbac => f.write_str("RBAC"),
            Self::EscalationCheck => f.write_str("RBAC's escalation check"),
            Self::Guard(name) => write!(f, "guard: {name}"),
            Self::Webhook => f.write_str("admission webhook"),
            Self::PodSecurity => f.write_str("Pod Security"),
            Self::Quota(name) => write!(f, "quota: {name}"),
            Self::Plugin(name) => write!(f, "admission plugin: {name}"),
            Self::Validation => f.write_str("validation"),
            Self::NothingThere => f.write_str("nothing there"),
            Self::Method => f.write_str("no such method"),
            Self::Powerless => f.write_str("worth nothing"),
            Self::Other(text) => write!(f, "something else: {text}"),
            Self::Nothing => f.write_str("NOTHING"),
        }
    }
}

/// Our authorizer's refusal.
pub const fn denied(reason: DenyReason) -> Stopper {
    Stopper::Authorizer(reason.label())
}

/// Nobody grants it, as our authorizer words that.
pub const fn silent(silence: Silence) -> Stopper {
    Stopper::NotGranted(silence.label())
}

/// A guard's refusal.
pub const fn guard(name: &'static str) -> Stopper {
    Stopper::Guard(Cow::Borrowed(name))
}

/// A quota's refusal.
pub const fn quota(name: &'static str) -> Stopper {
    Stopper::Quota(Cow::Borrowed(name))
}

impl Stopper {
    /// Reads an answer.
    pub fn of(answer: &Answer) -> Self {
        let text = answer.text.as_str();
        match answer.status {
            200..300 => Self::Nothing,
            401 => Self::Authentication,
            400 | 403 | 422 if text.contains("k3s-daas.io\" denied the request") => Self::Webhook,
            403 => Self::of_forbidden(text),
            400 | 422 => Self::guard_in(text).unwrap_or(Self::Validation),
            404 => Self::NothingThere,
            405 => Self::Method,
            503 if text.contains("no endpoints available") => Self::NothingThere,
            _ => Self::other(answer),
        }
    }

    fn other(answer: &Answer) -> Self {
        let start: String = answer.text.chars().take(300).collect();
        Self::Other(format!("{} {start}", answer.status))
    }

    fn guard_in(text: &str) -> Option<Self> {
        let rest = text.split_once("AdmissionPolicy '")?.1;
        let name = rest.split_once('\'')?.0;
        Some(Self::Guard(name.to_owned().into()))
    }

    fn of_forbidden(text: &str) -> Self {
        if let Some(guard) = Self::guard_in(text) {
            return guard;
        }
        if text.contains("violates PodSecurity") {
            return Self::PodSecurity;
        }
        if let Some((_, rest)) = text.split_once("exceeded quota: ") {
            let name = rest.split(',').next().unwrap_or_default();
            return Self::Quota(name.trim().to_owned().into());
        }
        if text.contains("attempting to grant RBAC permissions not currently held") {
            return Self::EscalationCheck;
        }
        for (part, plugin) in [
            (
                "external IPs is denied by admission",
                "DenyServiceExternalIPs",
            ),
            ("node label selector conflicts", "PodNodeSelector"),
            ("is not allowed to modify node", "NodeRestriction"),
            ("is not allowed to modify labels", "NodeRestriction"),
            ("is not allowed to modify taints", "NodeRestriction"),
            ("can only create a node CSR", "NodeRestriction"),
            ("can only create mirror pods", "NodeRestriction"),
            ("pods with spec.nodeName set to itself", "NodeRestriction"),
            ("can only access node lease", "NodeRestriction"),
            ("a mirror pod may not reference", "NodeRestriction"),
            ("can not create pods that reference", "NodeRestriction"),
            (
                "signer with system:masters group is not allowed",
                "CertificateSubjectRestriction",
            ),
            ("error looking up service account", "ServiceAccount"),
            ("this is a system priority class", "Priority"),
        ] {
            if text.contains(part) {
                return Self::Plugin(plugin);
            }
        }
        if let Some(reason) = DenyReason::ALL
            .iter()
            .find(|reason| text.contains(reason.text()))
        {
            return denied(*reason);
        }
        if let Some(refusal) = Refusal::all().find(|refusal| text.contains(&refusal.to_string())) {
            return Self::Ended(refusal.label());
        }
        if let Some(silence) = Silence::ALL
            .iter()
            .find(|silence| text.contains(silence.text()))
        {
            return silent(*silence);
        }
        if text.contains(" cannot ") {
            return Self::Rbac;
        }
        Self::Other(text.chars().take(300).collect())
    }
}
