//! Start and stop.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use sui_ledger::chain_id::ChainId;
use sui_ledger::ids::to_sui;
use sui_ledger::keystore::{KeystoreError, WalletKey};
use sui_ledger::manifest::{CapIds, ContractIds};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::TcpIncoming;

use crate::config::{DevnetConfig, InvalidConfig};
use crate::faucet::{self, Faucet};
use crate::faults::{FaultSwitches, Switches};
use crate::ledger::{GenesisConfig, Ledger};
use crate::log::{Opened, Storage, StorageError, StoredKeys};
use crate::node::{Node, Subscribers, Writer, WriterHandle, now_ms};
use crate::rpc::{self, Rpc};

/// Why a ledger does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting makes no sense.
    #[error("the configuration can't be used")]
    Config(#[from] InvalidConfig),
    /// The data directory can't be used.
    #[error("the data directory can't be used")]
    Storage(#[from] StorageError),
    /// No key can be made.
    #[error("a key can't be made")]
    Key(#[from] KeystoreError),
    /// An address is taken, or not ours.
    #[error("{address} can't be listened on")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// A thread can't be made.
    #[error("the writer can't be started")]
    Thread(#[source] std::io::Error),
    /// The chain's own id can't be read back.
    #[error("the chain has no id")]
    ChainId,
}

/// The embedded ledger.
#[derive(Debug, Clone, Copy)]
pub struct Devnet;

impl Devnet {
    /// Takes up the chain of the data directory, or makes a new one, and serves it.
    pub async fn start(config: DevnetConfig) -> Result<RunningDevnet, StartError> {
        config.validate()?;
        let rpc_listener = listen(config.listen).await?;
        let faucet_listener = listen(config.faucet_listen).await?;
        let rpc_address = local(&rpc_listener, config.listen)?;
        let faucet_address = local(&faucet_listener, config.faucet_listen)?;

        let (ledger, keys, storage, config) = tokio::task::spawn_blocking(move || {
            // Reading and replaying a log takes as long as it takes.
            open(&config).map(|(ledger, keys, storage)| (ledger, keys, storage, config))
        })
        .await
        .map_err(|panic| StartError::Thread(std::io::Error::other(panic)))??;
        let ids = manifest(&ledger, rpc_address)?;
        let switches: Arc<Switches> = Arc::default();
        let subscribers = Arc::new(Subscribers::new(
            config.subscriber_queue,
            config.max_subscribers,
        ));
        let node = Arc::new(Node::new(
            ledger,
            Arc::clone(&switches),
            Arc::clone(&subscribers),
        ));
        let faucet = Faucet {
            key: keys.faucet,
            amount: config.faucet_amount,
            coins: config.faucet_coins,
        };
        let (writer, thread) = Writer::spawn(
            Arc::clone(&node),
            storage,
            faucet,
            config.checkpoint_interval,
        )
        .map_err(StartError::Thread)?;

        let stop = CancellationToken::new();
        let rpc = Rpc {
            node,
            writer: writer.clone(),
            finality_timeout: config.finality_timeout,
        };
        let grpc = tonic::transport::Server::builder()
            .add_routes(rpc::routes(&rpc))
            .serve_with_incoming_shutdown(
                TcpIncoming::from(rpc_listener).with_nodelay(Some(true)),
                stop.clone().cancelled_owned(),
            );
        let http = axum::serve(faucet_listener, faucet::router(writer.clone()))
            .with_graceful_shutdown(stop.clone().cancelled_owned());
        let tasks = [
            tokio::spawn(async move {
                if let Err(error) = grpc.await {
                    tracing::error!(%error, "the gRPC server ended");
                }
            }),
            tokio::spawn(async move {
                if let Err(error) = http.await {
                    tracing::error!(%error, "the faucet ended");
                }
            }),
        ];
        tracing::info!(%rpc_address, %faucet_address, chain = %ids.chain_id, "embedded ledger");
        Ok(RunningDevnet {
            rpc_url: format!("http://{rpc_address}"),
            faucet_url: format!("http://{faucet_address}"),
            ids,
            operator: keys.operator,
            faults: FaultSwitches::new(switches, subscribers),
            stop,
            writer,
            thread: Some(thread),
            tasks,
        })
    }
}

/// A ledger at work. Dropping it ends it without waiting; [`RunningDevnet::shutdown`] waits.
#[derive(Debug)]
pub struct RunningDevnet {
    /// Where gRPC is served.
    pub rpc_url: String,
    /// Where the faucet is served.
    pub faucet_url: String,
    /// Where the contract is: what the file `contract.toml` holds.
    pub ids: ContractIds,
    /// Holds the `AdminCap` and the `SlashCap`. Ask the faucet for its gas.
    pub operator: WalletKey,
    /// Makes it misbehave.
    pub faults: FaultSwitches,
    stop: CancellationToken,
    writer: WriterHandle,
    thread: Option<JoinHandle<()>>,
    tasks: [tokio::task::JoinHandle<()>; 2],
}

impl RunningDevnet {
    /// Ends streams and listeners, brings the log to the disk, and waits for all of it.
    pub async fn shutdown(mut self) {
        self.stop.cancel();
        self.faults.drop_streams(crate::faults::StreamEnd::Clean);
        self.writer.stop();
        if let Some(thread) = self.thread.take() {
            let joined = tokio::task::spawn_blocking(move || thread.join()).await;
            if !matches!(joined, Ok(Ok(()))) {
                tracing::error!("the writer panicked");
            }
        }
        for task in &mut self.tasks {
            // A client that keeps its connection open must not keep us.
            let grace = std::time::Duration::from_secs(1);
            if tokio::time::timeout(grace, &mut *task).await.is_err() {
                task.abort();
            }
        }
    }
}

impl Drop for RunningDevnet {
    fn drop(&mut self) {
        self.stop.cancel();
        self.faults.drop_streams(crate::faults::StreamEnd::Clean);
        self.writer.stop();
        for task in &self.tasks {
            task.abort();
        }
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| StartError::Listen { address, source })
}

fn local(listener: &TcpListener, address: SocketAddr) -> Result<SocketAddr, StartError> {
    listener
        .local_addr()
        .map_err(|source| StartError::Listen { address, source })
}

/// The chain as it was left, or a new one.
fn open(config: &DevnetConfig) -> Result<(Ledger, StoredKeys, Option<Storage>), StartError> {
    let retained = config.retained_checkpoints;
    let new = |keys: &StoredKeys| {
        let delays = config.delays();
        let genesis = GenesisConfig {
            timestamp_ms: now_ms(),
            operator: to_sui(keys.operator.address().as_bytes()),
            faucet: to_sui(keys.faucet.address().as_bytes()),
            slash_interval_ms: delays.slash_interval_ms,
            config_delay_ms: delays.config_delay_ms,
            unbonding_ms: delays.unbonding_ms,
        };
        Ledger::genesis(genesis, retained)
    };
    let Some(directory) = &config.data_dir else {
        let keys = StoredKeys::generate()?;
        return Ok((new(&keys), keys, None));
    };
    let Opened {
        mut storage,
        keys,
        ledger,
    } = Storage::open(directory, config.snapshot_checkpoints, retained)?;
    let ledger = if let Some(ledger) = ledger {
        ledger
    } else {
        let ledger = new(&keys);
        if let Some(snapshot) = ledger.snapshot() {
            storage.begin(&snapshot)?;
        }
        ledger
    };
    Ok((ledger, keys, Some(storage)))
}

fn manifest(ledger: &Ledger, rpc_address: SocketAddr) -> Result<ContractIds, StartError> {
    let ids = ledger.ids();
    let chain_id: ChainId = ids.chain.parse().map_err(|_| StartError::ChainId)?;
    Ok(ContractIds {
        endpoint: format!("http://{rpc_address}"),
        chain_id,
        original_package: ids.package,
        latest_package: ids.package,
        pool: ids.pool,
        pool_initial_version: ids.pool_initial_version,
        seals_table: ids.seals,
        nodes_table: ids.nodes,
        owners_table: ids.owners,
        caps: CapIds {
            admin: Some(ids.admin_cap),
            slash: Some(ids.slash_cap),
            upgrade: None,
        },
    })
}
