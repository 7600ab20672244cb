//! Node operators' REST API, open once it is known what it has to tell of the cluster.
//!
//! Shape:  the listener is up from the start. Until the cluster's CA is known it answers 503, but
//!         for /healthz: an agent's token without the CA's hash would trust whoever answers first.
//!         The CA is the configured one, or else that of the operator's kubeconfig, which may come
//!         later.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use authz_webhook::Isolation;
use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use kube::config::Kubeconfig;
use node_admission::Nodes;
use node_admission::api::{
    Api, ApiMetrics, ApiSettings, KubeWorkers, WorkerIsolation, router as api_router,
};
use seal::access::GuardState;
use sui_ledger::directory::Directory;
use tower::{ServiceExt, service_fn};
use webhook_server::ServerMetrics;

use super::kube_client::KubeClient;
use super::settings::{ApiChoices, Settings};
use crate::causes::in_one_line;
use crate::config::keys::ClusterConfig;
use crate::failure::{Failure, Kind, OrFail, Outcome};
use crate::kubeconfig::{Cluster, cluster};

/// The pause between two looks for the CA.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A CA bundle in a kubeconfig is a few KiB.
const LARGEST_CA: usize = 1024 * 1024;

/// Asks for the client of the moment.
type Clients = Box<dyn Fn() -> Option<kube::Client> + Send + Sync>;
type Rest = Api<Directory, KubeWorkers<Directory, Clients>>;

/// The API's door. Clones are handles of the same one.
#[derive(Clone)]
pub(super) struct Door {
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Door")
            .field("open", &self.shared.open.get().is_some())
            .finish_non_exhaustive()
    }
}

struct Shared {
    cluster: ClusterConfig,
    kubeconfig: PathBuf,
    parts: Parts,
    choices: Mutex<ApiChoices>,
    open: OnceLock<Open>,
    /// What keeps it closed.
    missing: Mutex<Option<String>>,
}

struct Open {
    api: Arc<Rest>,
    cluster: Cluster,
    router: Router,
}

/// What the API works with.
pub(super) struct Parts {
    pub(super) directory: Arc<Directory>,
    pub(super) nodes: Nodes<Directory>,
    pub(super) kube: KubeClient,
    pub(super) guards: GuardState,
    pub(super) metrics: ApiMetrics,
    pub(super) server_metrics: ServerMetrics,
}

impl Door {
    /// Closed.
    pub(super) fn new(
        cluster: ClusterConfig,
        kubeconfig: PathBuf,
        choices: ApiChoices,
        parts: Parts,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                cluster,
                kubeconfig,
                parts,
                choices: Mutex::new(choices),
                open: OnceLock::new(),
                missing: Mutex::new(Some("the cluster's CA was not looked for yet".to_owned())),
            }),
        }
    }

    /// Opens it as soon as it can be; ends then.
    pub(super) async fn open_once_known(&self) {
        loop {
            match self.open() {
                Ok(()) => {
                    *lock(&self.shared.missing) = None;
                    tracing::info!("the REST API answers");
                    return;
                }
                Err(failure) => {
                    let text = in_one_line(failure.cause.as_ref());
                    let before = lock(&self.shared.missing).replace(text.clone());
                    if before.as_ref() != Some(&text) {
                        tracing::warn!(error = %text, "the REST API can't answer yet; looking again");
                    }
                }
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    fn open(&self) -> Outcome {
        let shared = &self.shared;
        let cluster = known(&shared.cluster, &shared.kubeconfig)?;
        // Held until the door is open: a reload meanwhile waits, and finds it open.
        let choices = lock(&shared.choices);
        let settings = settings(cluster.clone(), &choices)?;
        let Parts {
            directory,
            nodes,
            kube,
            guards,
            metrics,
            server_metrics,
        } = &shared.parts;
        let kube = kube.clone();
        let clients: Clients = Box::new(move || kube.get());
        let api = Arc::new(Api::new(
            Arc::clone(directory),
            KubeWorkers::new(nodes.clone(), clients),
            guards.clone(),
            settings,
            metrics.clone(),
        ));
        let router = api_router(Arc::clone(&api), server_metrics);
        // Opened by one task alone.
        let _ = shared.open.set(Open {
            api,
            cluster,
            router,
        });
        Ok(())
    }

    /// Answers by these settings from the next request on.
    pub(super) fn replace(&self, new: &Settings) -> Outcome {
        let mut choices = lock(&self.shared.choices);
        if let Some(open) = self.shared.open.get() {
            let settings = settings(open.cluster.clone(), &new.api)?;
            open.api.replace_settings(settings);
        }
        *choices = new.api.clone();
        Ok(())
    }

    /// What keeps it closed, if anything does.
    pub(super) fn missing(&self) -> Option<String> {
        lock(&self.shared.missing).clone()
    }

    /// Everything that is asked at the listener.
    pub(super) fn router(&self) -> Router {
        let door = self.clone();
        let service = service_fn(move |request: Request| {
            let router = door.shared.open.get().map(|open| open.router.clone());
            async move {
                let answer: Response = match router {
                    Some(router) => router.oneshot(request).await?,
                    None => closed(request.uri().path()),
                };
                Ok::<_, Infallible>(answer)
            }
        });
        // Routes, since a listener has a fallback of its own, which replaces every other.
        Router::new()
            .route_service("/", service.clone())
            .route_service("/{*path}", service)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is answered before that. The listener itself is healthy.
fn closed(path: &str) -> Response {
    if path == "/healthz" {
        return "ok".into_response();
    }
    let problem = serde_json::json!({
        "type": "urn:k3s-daas:problem:cluster-unavailable",
        "title": "The cluster can't be asked now",
        "status": 503,
        "detail": "the cluster is not known yet",
        "retry_after_seconds": 2,
    });
    let headers = [
        (header::CONTENT_TYPE, "application/problem+json"),
        (header::RETRY_AFTER, "2"),
    ];
    (
        StatusCode::SERVICE_UNAVAILABLE,
        headers,
        problem.to_string(),
    )
        .into_response()
}

/// The cluster with its CA.
fn known(config: &ClusterConfig, kubeconfig: &Path) -> Outcome<Cluster> {
    let mut found = cluster(
        config.cluster_url.0.clone(),
        config.cluster_ca.as_ref(),
        config.tls_server_name.clone(),
    )?;
    if found.ca_pem.is_none() {
        found.ca_pem = Some(ca_of(kubeconfig)?);
    }
    Ok(found)
}

/// The CA bundle of a kubeconfig's current cluster, byte for byte: an agent hashes the bytes.
fn ca_of(path: &Path) -> Outcome<Vec<u8>> {
    let doing = format!("the cluster's CA can't be had from {}", path.display());
    let none = || {
        Failure::message(Kind::Usage, format!("{} names no CA", path.display()))
            .next("set cluster_ca")
    };
    let kubeconfig = Kubeconfig::read_from(path).or_fail(Kind::Unavailable, doing)?;
    let current = kubeconfig.current_context.as_deref();
    let context = kubeconfig
        .contexts
        .iter()
        .find(|context| Some(context.name.as_str()) == current)
        .and_then(|context| context.context.as_ref())
        .ok_or_else(none)?;
    let cluster = kubeconfig
        .clusters
        .iter()
        .find(|cluster| cluster.name == context.cluster)
        .and_then(|cluster| cluster.cluster.as_ref())
        .ok_or_else(none)?;
    match (
        &cluster.certificate_authority_data,
        &cluster.certificate_authority,
    ) {
        (Some(data), _) if data.len() <= LARGEST_CA => {
            use base64::Engine as _;
            base64::engine::general_purpose::STANDARD
                .decode(data)
                .or_fail(Kind::Usage, "the kubeconfig's CA is no base64")
        }
        (None, Some(file)) => crate::kubeconfig::read_ca(Path::new(file)),
        _ => Err(none()),
    }
}

fn settings(cluster: Cluster, choices: &ApiChoices) -> Outcome<ApiSettings> {
    let mut settings = ApiSettings::new(cluster, choices.elevated.clone()).or_fail(
        Kind::Usage,
        "the REST API can't tell of this cluster (cluster_url, cluster_ca)",
    )?;
    settings.requests_per_minute = choices.requests_per_minute;
    settings.in_flight = usize::try_from(choices.in_flight.get()).unwrap_or(usize::MAX);
    settings.cluster_ranges.clone_from(&choices.cluster_ranges);
    settings.tenancy = choices.tenancy;
    settings.quotas = choices.quotas.clone();
    settings.isolation = match choices.isolation {
        Isolation::Strict => WorkerIsolation::Strict,
        Isolation::Open => WorkerIsolation::Open,
    };
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Url;

    fn config(ca: Option<PathBuf>) -> ClusterConfig {
        ClusterConfig {
            cluster_url: Url("https://10.0.0.1:6443".to_owned()),
            cluster_ca: ca,
            tls_server_name: None,
        }
    }

    #[test]
    fn the_ca_is_the_configured_one_or_that_of_the_operators_kubeconfig() {
        let folder = tempfile::tempdir().unwrap();
        let (ca, kubeconfig) = (folder.path().join("ca.crt"), folder.path().join("config"));
        let missing = known(&config(None), &kubeconfig).unwrap_err();
        assert_eq!(missing.kind, Kind::Unavailable);

        let own = Cluster {
            url: "https://127.0.0.1:6443".to_owned(),
            ca_pem: Some(b"of the kubeconfig".to_vec()),
            tls_server_name: None,
        };
        let token = seal::SealToken::from_bytes([1; 32]);
        let credential = crate::kubeconfig::Credential::Token(&token);
        crate::kubeconfig::write(&kubeconfig, &own, &credential, "default").unwrap();
        let found = known(&config(None), &kubeconfig).unwrap();
        assert_eq!(found.ca_pem.as_deref(), Some(&b"of the kubeconfig"[..]));
        // The address is the configured one: the operator's own may be a loopback one.
        assert_eq!(found.url, "https://10.0.0.1:6443");
        assert_eq!(
            found.tls_server_name.as_deref(),
            Some("kubernetes.default.svc")
        );

        std::fs::write(&ca, "configured").unwrap();
        let found = known(&config(Some(ca)), &kubeconfig).unwrap();
        assert_eq!(found.ca_pem.as_deref(), Some(&b"configured"[..]));
    }

    #[test]
    fn before_the_cluster_is_known_nothing_but_health_is_answered() {
        for (path, status) in [
            ("/healthz", 200),
            ("/api/v1/register-worker", 503),
            ("/", 503),
        ] {
            assert_eq!(closed(path).status(), status, "{path}");
        }
    }

    #[test]
    fn a_kubeconfig_without_a_ca_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let kubeconfig = folder.path().join("config");
        let text = "apiVersion: v1\nkind: Config\nclusters: [{name: a, cluster: {server: 'https://a'}}]\n\
                    contexts: [{name: a, context: {cluster: a, user: a}}]\ncurrent-context: a\n";
        std::fs::write(&kubeconfig, text).unwrap();
        let refused = known(&config(None), &kubeconfig).unwrap_err();
        assert!(refused.to_string().contains("names no CA"), "{refused}");
    }
}
