//! What is counted of the REST API.
//!
//! Units: seconds. Labels are closed sets:
//!        `k3s_daas_api_requests_total{route,status}`,
//!        `k3s_daas_api_request_duration_seconds`,
//!        `k3s_daas_api_problems_total{problem}`.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use std::time::Duration;

use http::StatusCode;
use webhook_server::TimeHistogram;

use super::problem::ProblemKind;

/// Bounds of the durations, in seconds: from memory alone to the deadline.
const BUCKETS: [f64; 10] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 2.5, 10.0];

/// A route. A closed set: metric label and log field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Route {
    RegisterWorker,
    Heartbeat,
    Nodes,
    StakingStatus,
    SecurityContext,
    KubectlConfig,
    OpenApi,
    Health,
    /// Every path that is none of these.
    Other,
}

impl Route {
    pub(super) const ALL: [Self; 9] = [
        Self::RegisterWorker,
        Self::Heartbeat,
        Self::Nodes,
        Self::StakingStatus,
        Self::SecurityContext,
        Self::KubectlConfig,
        Self::OpenApi,
        Self::Health,
        Self::Other,
    ];

    /// Its path.
    pub(super) const fn path(self) -> &'static str {
        match self {
            Self::RegisterWorker => "/api/v1/register-worker",
            Self::Heartbeat => "/api/v1/nodes/heartbeat",
            Self::Nodes => "/api/v1/nodes",
            Self::StakingStatus => "/api/v1/staking/status",
            Self::SecurityContext => "/api/v1/security-context",
            Self::KubectlConfig => "/kubectl/config",
            Self::OpenApi => "/openapi.json",
            Self::Health => "/healthz",
            Self::Other => "other",
        }
    }

    /// The route of a request's path: all of them are fixed texts.
    pub(super) fn of(path: &str) -> Self {
        Self::ALL
            .into_iter()
            .find(|route| route.path() == path)
            .unwrap_or(Self::Other)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteStatus {
    route: &'static str,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ProblemLabel {
    problem: &'static str,
}

/// The metrics of the REST API.
#[derive(Debug, Clone)]
pub struct ApiMetrics {
    requests: Family<RouteStatus, Counter>,
    problems: Family<ProblemLabel, Counter>,
    durations: TimeHistogram,
}

impl Default for ApiMetrics {
    fn default() -> Self {
        let metrics = Self {
            requests: Family::default(),
            problems: Family::default(),
            durations: TimeHistogram::new(&BUCKETS),
        };
        for route in Route::ALL {
            let status = match route {
                Route::Other => 404,
                _ => 200,
            };
            metrics.requests.get_or_create_owned(&RouteStatus {
                route: route.path(),
                status,
            });
        }
        for kind in ProblemKind::ALL {
            metrics.problems.get_or_create_owned(&ProblemLabel {
                problem: kind.label(),
            });
        }
        metrics
    }
}

impl ApiMetrics {
    /// Makes and registers them.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "k3s_daas_api_requests",
            "Requests of the REST API by route and status",
            metrics.requests.clone(),
        );
        registry.register(
            "k3s_daas_api_problems",
            "Refusals of the REST API by type of problem",
            metrics.problems.clone(),
        );
        registry.register(
            "k3s_daas_api_request_duration_seconds",
            "From a request's head to the answer's",
            metrics.durations.clone(),
        );
        metrics
    }

    pub(super) fn answered(&self, route: Route, status: StatusCode, took: Duration) {
        // Only statuses that this crate and its scaffold write: some twenty.
        self.requests
            .get_or_create_owned(&RouteStatus {
                route: route.path(),
                status: status.as_u16(),
            })
            .inc();
        self.durations.observe(took);
    }

    pub(super) fn refused(&self, kind: ProblemKind) {
        self.problems
            .get_or_create_owned(&ProblemLabel {
                problem: kind.label(),
            })
            .inc();
    }
}
