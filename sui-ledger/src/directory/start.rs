//! Starts and stops the directory's tasks.

use std::future::Future;
use std::io::ErrorKind;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use prometheus_client::registry::Registry;
use seal::ObjectId;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::chain::Chain;
use super::config::DirectoryConfig;
use super::ends::Ends;
use super::ends_file::EndsFile;
use super::metrics::DirectoryMetrics;
use super::shared::Shared;
use super::state::State;
use super::tasks::EndsSlot;
use super::{Directory, follow, reader, tasks};
use crate::chain_id::ChainId;
use crate::manifest::ContractIds;

/// Why the directory could not start. The operator is to blame, or the disk.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Another process follows the chain with the same state directory.
    #[error("{directory} is in use by another process", directory = .directory.display())]
    InUse {
        /// The state directory.
        directory: PathBuf,
    },
    /// The file of ends can't be opened.
    #[error("ends can't be kept in {directory}", directory = .directory.display())]
    Ends {
        /// The state directory.
        directory: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// The directory's tasks. Dropping it stops them; [`Running::stop`] also waits for the end.
#[derive(Debug)]
pub struct Running {
    state: Arc<State>,
    stop: CancellationToken,
    tasks: TaskTracker,
    ends: Option<EndsSlot>,
}

impl Running {
    /// Stops all tasks, writes down what is left of ends, and returns when nothing runs any more.
    pub async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        if let Some(file) = &self.ends {
            tasks::write_ends(&self.state, file).await;
            file.lock().unwrap_or_else(PoisonError::into_inner).take();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Directory {
    /// Starts following the pool of `ids` on its chain and gives the handle to ask.
    ///
    /// Returns at once: until the first checkpoint and the pool were read, look-ups say
    /// [`super::Unavailable::Starting`]. Must be called inside a tokio runtime. Opens the file of
    /// ends (blocking) if the configuration names a state directory.
    pub fn start<C: Chain>(
        chain: C,
        ids: &ContractIds,
        config: DirectoryConfig,
        registry: &mut Registry,
    ) -> Result<(Self, Running), StartError> {
        let metrics = DirectoryMetrics::register(registry);
        let chain_id = ids.chain_id;
        let (ends, file) = open_ends(&config, chain_id, ids.pool)?;
        if !config.grace.is_zero() {
            tracing::warn!(
                grace_seconds = config.grace.as_secs(),
                "grace is on: revoked seals work for that much longer while the chain is not heard"
            );
        }
        let shared = Arc::new(Shared::new(&config, ends));
        let (jobs, queue) = mpsc::channel(config.read_queue.max(1));
        let state = Arc::new(State::new(config, shared, metrics, jobs));
        let running = Running {
            state: state.clone(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            ends: file.clone(),
        };
        let chain = Arc::new(chain);

        let dispatch = reader::dispatch(
            state.clone(),
            chain.clone(),
            queue,
            running.stop.clone(),
            running.tasks.clone(),
        );
        running.tasks.spawn(dispatch);
        running.keep("follow", {
            let (state, chain) = (state.clone(), chain.clone());
            move || follow::follow(state.clone(), chain.clone(), chain_id)
        });
        running.keep("sync", {
            let (state, chain) = (state.clone(), chain.clone());
            move || tasks::keep_synced(state.clone(), chain.clone(), chain_id)
        });
        running.keep("audit", {
            let (state, chain) = (state.clone(), chain.clone());
            move || tasks::keep_audited(state.clone(), chain.clone())
        });
        running.keep("watched", {
            let state = state.clone();
            move || tasks::keep_watched_read(state.clone())
        });
        running.keep("time", {
            let state = state.clone();
            move || tasks::keep_time(state.clone())
        });
        if let Some(file) = file {
            let state = state.clone();
            running.keep("ends", move || {
                tasks::keep_ends(state.clone(), file.clone())
            });
        }
        Ok((Self { state }, running))
    }
}

impl Running {
    /// Runs a task until the stop. A panic is a bug of ours; it must not leave the directory
    /// without its follower or its clock, so the task is started again.
    fn keep<F: Future<Output = ()> + Send + 'static>(
        &self,
        name: &'static str,
        make: impl Fn() -> F + Send + 'static,
    ) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            loop {
                let run = AssertUnwindSafe(make()).catch_unwind();
                match stop.run_until_cancelled(run).await {
                    None | Some(Ok(())) => return,
                    Some(Err(_panic)) => {
                        tracing::error!(task = name, "a task of the directory panicked");
                        tokio::time::sleep(Duration::from_secs(1)).await;
                    }
                }
            }
        });
    }
}

type OpenEnds = (Ends, Option<EndsSlot>);

fn open_ends(
    config: &DirectoryConfig,
    chain_id: ChainId,
    pool: ObjectId,
) -> Result<OpenEnds, StartError> {
    let Some(directory) = &config.state_dir else {
        return Ok((Ends::in_memory(config.max_ends), None));
    };
    let (file, recovered) =
        EndsFile::open(directory, chain_id, pool).map_err(|source| match source.kind() {
            ErrorKind::WouldBlock => StartError::InUse {
                directory: directory.clone(),
            },
            _ => StartError::Ends {
                directory: directory.clone(),
                source,
            },
        })?;
    if recovered.damaged > 0 || recovered.set_aside {
        tracing::warn!(
            damaged = recovered.damaged,
            set_aside = recovered.set_aside,
            "the file of ends was not whole"
        );
    }
    let ends = Ends::new(config.max_ends, recovered.entries);
    tracing::info!(ends = ends.len(), "ends remembered from before");
    Ok((ends, Some(Arc::new(Mutex::new(Some(file))))))
}
