//! What every listener and group of routes counts.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// How a request ended. A closed set: metric label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RequestOutcome {
    /// 1xx to 3xx.
    Answered,
    /// 4xx by the handler or an extractor.
    ClientError,
    /// 5xx by the handler.
    ServerError,
    /// Its deadline passed.
    TimedOut,
    /// The group's budget was used up.
    Throttled,
    /// The client went away.
    Cancelled,
    /// The handler panicked.
    Panicked,
}

impl RequestOutcome {
    /// All outcomes.
    pub const ALL: [Self; 7] = [
        Self::Answered,
        Self::ClientError,
        Self::ServerError,
        Self::TimedOut,
        Self::Throttled,
        Self::Cancelled,
        Self::Panicked,
    ];

    /// The value of the label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::ClientError => "client_error",
            Self::ServerError => "server_error",
            Self::TimedOut => "timed_out",
            Self::Throttled => "throttled",
            Self::Cancelled => "cancelled",
            Self::Panicked => "panicked",
        }
    }
}

/// How a handshake ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum HandshakeOutcome {
    Done,
    Failed,
    TimedOut,
}

/// What became of changed TLS files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum ReloadOutcome {
    Loaded,
    Kept,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Listener {
    listener: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ListenerOutcome {
    listener: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Group {
    group: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct GroupOutcome {
    group: &'static str,
    outcome: &'static str,
}

/// The metrics of all listeners and groups of a process.
#[derive(Debug, Clone, Default)]
pub struct ServerMetrics {
    connections: Family<Listener, Gauge>,
    handshakes: Family<ListenerOutcome, Counter>,
    certificate_expiry: Family<Listener, Gauge>,
    reloads: Family<ListenerOutcome, Counter>,
    requests: Family<GroupOutcome, Counter>,
    in_flight: Family<Group, Gauge>,
}

impl ServerMetrics {
    /// Makes and registers them.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "k3s_daas_http_connections",
            "Open connections, those in their handshake included",
            metrics.connections.clone(),
        );
        registry.register(
            "k3s_daas_http_handshakes",
            "TLS handshakes by outcome: done, failed, timed_out",
            metrics.handshakes.clone(),
        );
        registry.register(
            "k3s_daas_http_certificate_expiry_timestamp_seconds",
            "When the server certificate in use expires, as Unix time",
            metrics.certificate_expiry.clone(),
        );
        registry.register(
            "k3s_daas_http_certificate_reloads",
            "Changed TLS files: loaded, or kept the old ones because of an error",
            metrics.reloads.clone(),
        );
        registry.register(
            "k3s_daas_http_requests",
            "Requests by group of routes and outcome",
            metrics.requests.clone(),
        );
        registry.register(
            "k3s_daas_http_requests_in_flight",
            "Requests in flight by group of routes",
            metrics.in_flight.clone(),
        );
        metrics
    }

    pub(crate) fn listener(&self, listener: &'static str) -> ListenerMetrics {
        let labels = Listener { listener };
        let with = |family: &Family<ListenerOutcome, Counter>, outcome| {
            family.get_or_create_owned(&ListenerOutcome { listener, outcome })
        };
        ListenerMetrics {
            connections: self.connections.get_or_create_owned(&labels),
            certificate_expiry: self.certificate_expiry.get_or_create_owned(&labels),
            handshakes_done: with(&self.handshakes, "done"),
            handshakes_failed: with(&self.handshakes, "failed"),
            handshakes_timed_out: with(&self.handshakes, "timed_out"),
            reloads_loaded: with(&self.reloads, "loaded"),
            reloads_kept: with(&self.reloads, "kept"),
        }
    }

    pub(crate) fn group(&self, group: &'static str) -> GroupMetrics {
        GroupMetrics {
            in_flight: self.in_flight.get_or_create_owned(&Group { group }),
            requests: RequestOutcome::ALL.map(|outcome| {
                self.requests.get_or_create_owned(&GroupOutcome {
                    group,
                    outcome: outcome.label(),
                })
            }),
        }
    }
}

/// One listener's samples, looked up once.
#[derive(Debug, Clone)]
pub(crate) struct ListenerMetrics {
    pub(crate) connections: Gauge,
    pub(crate) certificate_expiry: Gauge,
    handshakes_done: Counter,
    handshakes_failed: Counter,
    handshakes_timed_out: Counter,
    reloads_loaded: Counter,
    reloads_kept: Counter,
}

impl ListenerMetrics {
    pub(crate) fn handshake(&self, outcome: HandshakeOutcome) {
        match outcome {
            HandshakeOutcome::Done => self.handshakes_done.inc(),
            HandshakeOutcome::Failed => self.handshakes_failed.inc(),
            HandshakeOutcome::TimedOut => self.handshakes_timed_out.inc(),
        };
    }

    pub(crate) fn reload(&self, outcome: ReloadOutcome) {
        match outcome {
            ReloadOutcome::Loaded => self.reloads_loaded.inc(),
            ReloadOutcome::Kept => self.reloads_kept.inc(),
        };
    }
}

/// One group's samples, looked up once.
#[derive(Debug)]
pub(crate) struct GroupMetrics {
    pub(crate) in_flight: Gauge,
    requests: [Counter; RequestOutcome::ALL.len()],
}

impl GroupMetrics {
    pub(crate) fn request(&self, outcome: RequestOutcome) {
        // The array is in the order of the enum.
        if let Some(counter) = self.requests.get(outcome as usize) {
            counter.inc();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_stand_in_the_order_of_their_counters() {
        for (index, outcome) in RequestOutcome::ALL.into_iter().enumerate() {
            assert_eq!(outcome as usize, index);
        }
    }

    #[test]
    fn known_series_are_there_from_the_start_under_their_final_names() {
        let mut registry = Registry::default();
        let metrics = ServerMetrics::register(&mut registry);
        metrics.listener("reviews");
        metrics.group("authn");
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            "k3s_daas_http_connections{listener=\"reviews\"} 0",
            "k3s_daas_http_handshakes_total{listener=\"reviews\",outcome=\"done\"} 0",
            "k3s_daas_http_handshakes_total{listener=\"reviews\",outcome=\"failed\"} 0",
            "k3s_daas_http_handshakes_total{listener=\"reviews\",outcome=\"timed_out\"} 0",
            "k3s_daas_http_certificate_expiry_timestamp_seconds{listener=\"reviews\"} 0",
            "k3s_daas_http_certificate_reloads_total{listener=\"reviews\",outcome=\"loaded\"} 0",
            "k3s_daas_http_certificate_reloads_total{listener=\"reviews\",outcome=\"kept\"} 0",
            "k3s_daas_http_requests_total{group=\"authn\",outcome=\"answered\"} 0",
            "k3s_daas_http_requests_total{group=\"authn\",outcome=\"throttled\"} 0",
            "k3s_daas_http_requests_in_flight{group=\"authn\"} 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }
}
