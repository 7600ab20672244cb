//! The API server as the webhooks' process sees it: a client that may come later than the process.
//!
//! The webhooks start before the API server that asks them, so at first there may be no kubeconfig
//! at all, and after a renewal of certificates there is another one.
//!
//! Shape:  with the operator's kubeconfig the server makes itself an identity and asks for its
//!         token, now and then again; [`KubeClient::get`] gives a client of that identity alone.
//! Errors: whatever is missing is looked for again until it is there, said once in the log, and at
//!         `/readyz` for as long as it lasts.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::rbac::v1::ClusterRoleBinding;
use kube::api::ListParams;
use kube::client::ClientBuilder;
use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Api, Client};
use tokio::sync::watch;
use tokio::time::Instant;
use tower::layer::layer_fn;
use zeroize::Zeroizing;

use super::bearer::Bearer;
use super::calls::{Calls, Outgoing};
use super::identity::{self, IdentityError, Token};
use crate::causes::in_one_line;

/// The pause between two looks for the kubeconfig.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The pause between two tries to renew a token that still works.
const RENEW_EVERY: Duration = Duration::from_secs(5);
/// The token is renewed this often at least, and with it the identity is looked at: rights that
/// somebody took away are back by then.
const LOOK_AGAIN: Duration = Duration::from_mins(5);
/// A token that is refused again and again is told of this often.
const SAY_EVERY: Duration = Duration::from_mins(1);
/// The API server is on this machine or near it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// One step towards an identity may take this long: no API server holds up the process.
const STEP_TIMEOUT: Duration = Duration::from_secs(10);
/// For how long new rights may be unknown to the API server that has just stored them.
const RIGHTS_WITHIN: Duration = Duration::from_secs(5);
const RIGHTS_EVERY: Duration = Duration::from_millis(20);

/// The client, once there is one. Clones share it.
#[derive(Clone)]
pub struct KubeClient {
    path: PathBuf,
    calls: Calls,
    current: watch::Sender<Option<Client>>,
    missing: Arc<Mutex<Option<String>>>,
    reload: watch::Sender<u64>,
}

impl std::fmt::Debug for KubeClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KubeClient")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NoClient {
    /// The kubeconfig is not there, or none.
    #[error("the kubeconfig {} can't be used", path.display())]
    Kubeconfig {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: Box<kube::Error>,
    },
    /// The API server gives no identity.
    #[error("there is no service account to act as")]
    Identity(#[from] IdentityError),
    /// The rights are stored, and the API server does not grant them.
    #[error("the API server does not grant the server's rights")]
    Rights(#[source] Box<kube::Error>),
    /// It does not answer.
    #[error("the API server did not answer within {} s", STEP_TIMEOUT.as_secs())]
    TimedOut,
}

/// A client of the server's identity, and what renews it.
struct Session {
    bearer: Bearer,
    client: Client,
    life: Duration,
    /// Where it leads: another address or CA needs another client.
    place: Place,
}

type Place = (http::Uri, Option<Vec<Vec<u8>>>, Option<String>);

impl KubeClient {
    /// A client of the API server that the kubeconfig at `path` names.
    pub(super) fn new(path: PathBuf, calls: Calls) -> Self {
        Self {
            path,
            calls,
            current: watch::Sender::new(None),
            missing: Arc::new(Mutex::new(Some("the kubeconfig was not read yet".into()))),
            reload: watch::Sender::new(0),
        }
    }

    /// The client, if there is one yet.
    pub fn get(&self) -> Option<Client> {
        self.current.borrow().clone()
    }

    /// What keeps the server from having a client or a new token, if anything does.
    pub fn missing(&self) -> Option<String> {
        self.lock().clone()
    }

    /// Reads the kubeconfig again.
    pub fn reload(&self) {
        self.reload.send_modify(|turn| *turn += 1);
    }

    /// Does `work` with the client for ever, anew with each new client; drop the future to stop.
    pub async fn with_each<F: Future<Output = ()>>(&self, work: impl Fn(Client) -> F) {
        let mut clients = self.current.subscribe();
        loop {
            let client = clients.borrow_and_update().clone();
            let work = async {
                if let Some(client) = client {
                    work(client).await;
                }
                std::future::pending::<()>().await;
            };
            tokio::select! {
                () = work => {}
                // `self` holds the sender.
                _ = clients.changed() => {}
            }
        }
    }

    /// Keeps a client with a token that works, for ever; drop the future to stop.
    pub async fn keep(&self) {
        let mut reload = self.reload.subscribe();
        let mut session: Option<Session> = None;
        let mut said: Option<Instant> = None;
        loop {
            let pause = match self.open(session.take()).await {
                Ok((opened, is_new)) => {
                    self.found(&opened, is_new);
                    let life = opened.life.mul_f64(0.8).clamp(RENEW_EVERY, LOOK_AGAIN);
                    let bearer = opened.bearer.clone();
                    session = Some(opened);
                    tokio::select! {
                        () = tokio::time::sleep(life) => Duration::ZERO,
                        () = bearer.refused() => {
                            if said.is_none_or(|said| said.elapsed() > SAY_EVERY) {
                                said = Some(Instant::now());
                                tracing::warn!("the API server refuses the server's token; asking for another");
                            }
                            // Refusals in a row are no reason to ask in a loop.
                            LOOK_EVERY
                        }
                        _ = reload.changed() => Duration::ZERO,
                    }
                }
                Err((error, old)) => {
                    self.lacks(&error);
                    let pause = if old.is_some() {
                        RENEW_EVERY
                    } else {
                        LOOK_EVERY
                    };
                    session = old;
                    pause
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = reload.changed() => {}
            }
        }
    }

    fn found(&self, session: &Session, is_new: bool) {
        let before = self.lock().take();
        if is_new {
            tracing::info!(kubeconfig = %self.path.display(), user = seal::identity::SERVER_USER,
                "the API server is there");
            self.current.send_replace(Some(session.client.clone()));
        } else if before.is_some() {
            tracing::info!("the server's token is renewed again");
        }
    }

    fn lacks(&self, error: &NoClient) {
        let text = in_one_line(error);
        let before = self.lock().replace(text.clone());
        if before.as_ref() != Some(&text) {
            tracing::warn!(kubeconfig = %self.path.display(), error = %text,
                "no identity at the API server yet; looking again every few seconds");
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.missing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A session, the same with a new token where it can be, and whether it is a new one. On
    /// failure the old one comes back: its token may still work.
    async fn open(
        &self,
        old: Option<Session>,
    ) -> Result<(Session, bool), (NoClient, Option<Session>)> {
        let (place, mut config, token) = match self.token().await {
            Ok(opened) => opened,
            Err(error) => return Err((error, old)),
        };
        if let Some(mut session) = old
            && session.place == place
        {
            session.bearer.replace(token.secret);
            session.life = token.life;
            return match granted(&session.client).await {
                Ok(()) => Ok((session, false)),
                Err(error) => Err((error, Some(session))),
            };
        }
        let bearer = Bearer::new(token.secret);
        // Nothing of the operator's credentials stays.
        config.auth_info = AuthInfo::default();
        config.headers = Vec::new();
        let client = self.client(config, Some(bearer.clone()));
        let client = client.map_err(|error| (self.unusable(error), None))?;
        granted(&client).await.map_err(|error| (error, None))?;
        let session = Session {
            bearer,
            client,
            life: token.life,
            place,
        };
        Ok((session, true))
    }

    async fn token(&self) -> Result<(Place, kube::Config, Token), NoClient> {
        let config = read(&self.path)
            .await
            .map_err(|error| self.unusable(error))?;
        let place = (
            config.cluster_url.clone(),
            config.root_cert.clone(),
            config.tls_server_name.clone(),
        );
        let operator = self
            .client(config.clone(), None)
            .map_err(|error| self.unusable(error))?;
        in_time(identity::ensure(&operator)).await??;
        let token = in_time(identity::token(&operator)).await??;
        Ok((place, config, token))
    }

    fn client(&self, config: kube::Config, bearer: Option<Bearer>) -> Result<Client, kube::Error> {
        let calls = self.calls.clone();
        let layer = layer_fn(move |inner| Outgoing::new(inner, calls.clone(), bearer.clone()));
        Ok(ClientBuilder::try_from(config)?.with_layer(&layer).build())
    }

    fn unusable(&self, source: kube::Error) -> NoClient {
        NoClient::Kubeconfig {
            path: self.path.clone(),
            source: Box::new(source),
        }
    }
}

/// A kubeconfig as a client's configuration.
pub async fn read(path: &Path) -> Result<kube::Config, kube::Error> {
    let kubeconfig = Kubeconfig::read_from(path).map_err(kube::Error::InferKubeconfig)?;
    let options = KubeConfigOptions::default();
    let mut config = kube::Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .map_err(kube::Error::InferKubeconfig)?;
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    // The client would repeat what was answered with 429 until its caller's deadline has passed: an
    // eviction that a disruption budget forbids would look like an API server that is away. Whoever
    // asks here tries again by itself.
    config.default_retry = false;
    trim_token(&mut config.auth_info).await?;
    Ok(config)
}

/// Token files of ours end with a newline, which a header can't hold.
async fn trim_token(auth: &mut AuthInfo) -> Result<(), kube::Error> {
    let (None, Some(file)) = (&auth.token, &auth.token_file) else {
        return Ok(());
    };
    let read = tokio::fs::read_to_string(file).await;
    let text = read.map(Zeroizing::new).map_err(|source| {
        let (path, source) = (file.into(), source);
        kube::Error::InferKubeconfig(KubeconfigError::ReadConfig(source, path))
    })?;
    auth.token = Some(text.trim().to_owned().into());
    Ok(())
}

/// One client of the server's identity, for a command that ends soon: its token is not renewed.
pub async fn acting(path: &Path) -> Result<Client, NoClient> {
    let client = KubeClient::new(path.to_owned(), Calls::default());
    match client.open(None).await {
        Ok((session, _)) => Ok(session.client),
        Err((error, _)) => Err(error),
    }
}

async fn in_time<T>(step: impl Future<Output = T>) -> Result<T, NoClient> {
    let answered = tokio::time::timeout(STEP_TIMEOUT, step).await;
    answered.map_err(|_late| NoClient::TimedOut)
}

/// Waits until the API server has heard of the rights that it stored: its authorizer learns them by
/// a watch, a moment later.
async fn granted(client: &Client) -> Result<(), NoClient> {
    let one = ListParams::default().limit(1);
    let started = Instant::now();
    loop {
        let asked = async {
            let namespaces = Api::<Namespace>::all(client.clone());
            namespaces.list_metadata(&one).await?;
            let bindings = Api::<ClusterRoleBinding>::all(client.clone());
            bindings.list_metadata(&one).await.map(drop)
        };
        match in_time(asked).await? {
            Ok(()) => return Ok(()),
            Err(error) if started.elapsed() > RIGHTS_WITHIN => {
                return Err(NoClient::Rights(Box::new(error)));
            }
            Err(_not_yet) => tokio::time::sleep(RIGHTS_EVERY).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_refused_for_now_is_told_to_the_caller_and_not_repeated_below_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("kubeconfig");
        let text = "{apiVersion: v1, kind: Config, current-context: c, \
                    contexts: [{name: c, context: {cluster: c, user: u}}], \
                    clusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}], \
                    users: [{name: u, user: {token: t}}]}";
        std::fs::write(&path, text).unwrap();
        assert!(!read(&path).await.unwrap().default_retry);
    }
}
