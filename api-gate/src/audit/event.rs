//! One audit event, as far as it says who is on which connection.
//!
//! Laws:   the connection is named by the *last* source address: the earlier ones come from
//!         headers that a client writes as it likes. The user is who was authenticated, not whom it
//!         impersonates. What the authorizer refused is no use of a connection, whatever status
//!         the answer had: a backend behind a proxy can answer 403 and go on.
//! Source: `audit.k8s.io/v1` Event.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};

use jiff::Timestamp;
use seal::UnixMillis;
use seal::identity::EXTRA_CREDENTIAL_HASH;
use serde::Deserialize;

use crate::who::Who;

/// Kubernetes's extra for the node of a pod's token.
const EXTRA_NODE: &str = "authentication.kubernetes.io/node-name";
/// The authorizer's annotation, and what it says of a refusal.
const DECISION: &str = "authorization.k8s.io/decision";
const FORBID: &str = "forbid";

/// What is kept of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The connection's address at K3s, where it is one of IPv4.
    pub source: Option<Ipv4Addr>,
    /// Who; none for what all machines share.
    pub who: Option<Who>,
    /// The authorizer refused it.
    pub denied: bool,
    /// When the request came, by the API server's clock.
    pub received: Option<UnixMillis>,
    /// When this was known, likewise.
    pub told: Option<UnixMillis>,
}

/// The fields as they are written. All others are skipped without being kept.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Written<'a> {
    #[serde(default, borrow)]
    user: User<'a>,
    #[serde(rename = "sourceIPs", default)]
    source_ips: LastAddress,
    #[serde(default)]
    request_received_timestamp: Option<Cow<'a, str>>,
    #[serde(default)]
    stage_timestamp: Option<Cow<'a, str>>,
    #[serde(default)]
    annotations: Option<HashMap<Cow<'a, str>, Cow<'a, str>>>,
}

#[derive(Debug, Default, Deserialize)]
struct User<'a> {
    #[serde(default)]
    username: Cow<'a, str>,
    #[serde(default)]
    extra: Option<HashMap<Cow<'a, str>, Vec<Cow<'a, str>>>>,
}

/// The last element of a list of addresses; a client can make the list as long as a request's head.
#[derive(Debug, Default)]
struct LastAddress(Option<IpAddr>);

impl<'de> Deserialize<'de> for LastAddress {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let all = Option::<Vec<Cow<'de, str>>>::deserialize(deserializer)?;
        let last = all.as_deref().and_then(<[_]>::last);
        Ok(Self(last.and_then(|last| last.parse().ok())))
    }
}

impl Written<'_> {
    pub(super) fn read(self) -> Event {
        let extra = |name| {
            let values = self.user.extra.as_ref()?.get(name)?;
            values.first().map(|value| &**value)
        };
        let source = match self.source_ips.0.map(|ip| ip.to_canonical()) {
            Some(IpAddr::V4(source)) => Some(source),
            _ => None,
        };
        let annotation = |name| Some(&**self.annotations.as_ref()?.get(name)?);
        Event {
            source,
            who: Who::of(
                &self.user.username,
                extra(EXTRA_CREDENTIAL_HASH),
                extra(EXTRA_NODE),
            ),
            denied: annotation(DECISION) == Some(FORBID),
            received: time(self.request_received_timestamp.as_deref()),
            told: time(self.stage_timestamp.as_deref()),
        }
    }
}

/// RFC 3339 with microseconds.
fn time(text: Option<&str>) -> Option<UnixMillis> {
    let time: Timestamp = text?.parse().ok()?;
    u64::try_from(time.as_millisecond()).ok().map(UnixMillis)
}

#[cfg(test)]
mod tests;
