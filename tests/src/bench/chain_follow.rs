//! What following a busy chain costs: 2,000 transactions a second, none of them ours.
//!
//! A gRPC server sends frames as a real node does, with the bytes of strangers' events; the
//! directory follows them in a process of its own, whose processor time and memory are read
//! from `/proc`.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures::StreamExt as _;
use prometheus_client::registry::Registry;
use sui_ledger::client::{ClientSettings, LedgerClient};
use sui_ledger::directory::chain::{Answer, ChainError, Key, NodeChain, NodeInfo};
use sui_ledger::directory::{Chain, Directory, DirectoryConfig};
use sui_ledger::frame::Frame;
use sui_ledger::metrics::LedgerMetrics;
use sui_rpc::proto::sui::rpc::v2 as proto;
use sui_rpc::proto::sui::rpc::v2::subscription_service_server::{
    SubscriptionService, SubscriptionServiceServer,
};
use tokio::process::Command;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

use super::process::{cpu_seconds, resident};
use super::report::Report;
use super::synthetic::SyntheticChain;

/// Transactions a second, each with one event.
const TRANSACTIONS: usize = 2_000;
/// The time between checkpoints.
const INTERVAL: Duration = Duration::from_millis(250);
/// How long is measured.
const SECONDS: u64 = 20;

/// A node that does nothing but talk of strangers.
struct Busy {
    transactions: Vec<proto::ExecutedTransaction>,
}

impl Busy {
    fn new() -> Self {
        let per_frame = TRANSACTIONS * usize::try_from(INTERVAL.as_millis()).unwrap_or(250) / 1_000;
        let transactions = (0..per_frame)
            .map(|n| {
                let mut contents = proto::Bcs::default();
                // An event of a common size: some ids, some numbers, a text.
                contents.value = Some(vec![u8::try_from(n % 251).unwrap_or(0); 400].into());
                contents.name = Some(foreign_type());
                let mut event = proto::Event::default();
                event.package_id = Some(format!("0x{:064x}", 0xfeed));
                event.module = Some("market".to_owned());
                event.sender = Some(format!("0x{n:064x}"));
                event.event_type = Some(foreign_type());
                event.contents = Some(contents);
                let mut events = proto::TransactionEvents::default();
                events.events = vec![event.clone(), event];
                let mut transaction = proto::ExecutedTransaction::default();
                transaction.events = Some(events);
                transaction
            })
            .collect();
        Self { transactions }
    }
}

fn foreign_type() -> String {
    format!(
        "0x{:064x}::market::OrderFilled<0x{:064x}::sui::SUI, 0x{:064x}::usdc::USDC>",
        0xfeed, 2, 0xbeef
    )
}

#[tonic::async_trait]
impl SubscriptionService for Busy {
    async fn subscribe_checkpoints(
        &self,
        _request: Request<proto::SubscribeCheckpointsRequest>,
    ) -> Result<Response<tonic::codegen::BoxStream<proto::SubscribeCheckpointsResponse>>, Status>
    {
        let transactions = self.transactions.clone();
        let ticks = tokio_stream::wrappers::IntervalStream::new(tokio::time::interval(INTERVAL));
        let frames = ticks.enumerate().map(move |(n, _)| {
            let sequence = 1 + n as u64;
            let now = std::time::SystemTime::now();
            let mut summary = proto::CheckpointSummary::default();
            summary.timestamp = Some(now.into());
            let mut checkpoint = proto::Checkpoint::default();
            checkpoint.sequence_number = Some(sequence);
            checkpoint.summary = Some(summary);
            checkpoint.transactions = transactions.clone();
            let mut response = proto::SubscribeCheckpointsResponse::default();
            response.cursor = Some(sequence);
            response.checkpoint = Some(checkpoint);
            Ok(response)
        });
        let mut response = Response::new(Box::pin(frames) as tonic::codegen::BoxStream<_>);
        let chain = SyntheticChain::ids().chain_id.short();
        for (name, value) in [
            ("x-sui-chain-id", chain),
            ("x-sui-checkpoint-height", "1".to_owned()),
            ("x-sui-epoch", "0".to_owned()),
            ("x-sui-timestamp-ms", millis().to_string()),
        ] {
            let value = value.parse().map_err(|_| Status::internal("header"))?;
            response.metadata_mut().insert(name, value);
        }
        Ok(response)
    }
}

fn millis() -> u128 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.unwrap_or_default().as_millis()
}

/// Frames from the busy node, everything else from the synthetic chain.
struct BusyChain {
    frames: NodeChain,
    rest: SyntheticChain,
}

impl Chain for BusyChain {
    type Frames = <NodeChain as Chain>::Frames;

    async fn info(&self) -> Result<NodeInfo, ChainError> {
        self.rest.info().await
    }

    async fn subscribe(&self) -> Result<Self::Frames, ChainError> {
        self.frames.subscribe().await
    }

    async fn checkpoint(&self, number: u64) -> Result<Frame, ChainError> {
        self.rest.checkpoint(number).await
    }

    async fn read(&self, keys: &[Key]) -> Result<Answer, ChainError> {
        self.rest.read(keys).await
    }
}

/// The child: follows the node at `endpoint`, prints the share of a core and the growth in KiB.
pub async fn follow(endpoint: &str) -> anyhow::Result<()> {
    let ids = SyntheticChain::ids();
    let settings = ClientSettings {
        chain: Some(ids.chain_id),
        ..ClientSettings::default()
    };
    let metrics = LedgerMetrics::register(&mut Registry::default());
    let client = LedgerClient::new(endpoint, settings, metrics)?;
    let chain = BusyChain {
        frames: NodeChain::new(client, ids.clone()),
        rest: SyntheticChain::new(1, Duration::ZERO),
    };
    let (directory, _running) = Directory::start(
        chain,
        &ids,
        DirectoryConfig::default(),
        &mut Registry::default(),
    )?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let (frames, cpu, memory, started) = (
        directory.status().last_checkpoint,
        cpu_seconds(std::process::id())?,
        resident(std::process::id())?,
        Instant::now(),
    );
    tokio::time::sleep(Duration::from_secs(SECONDS)).await;
    let followed = directory.status().last_checkpoint.unwrap_or(0) - frames.unwrap_or(0);
    let share = (cpu_seconds(std::process::id())? - cpu) / started.elapsed().as_secs_f64();
    println!(
        "{share} {} {followed}",
        resident(std::process::id())?.saturating_sub(memory) / 1024
    );
    Ok(())
}

/// Measures and reports.
pub async fn measure(report: &mut Report) -> anyhow::Result<()> {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
    let endpoint = format!("http://{}", listener.local_addr()?);
    let service = SubscriptionServiceServer::new(Busy::new());
    let server = tonic::transport::Server::builder()
        .add_service(service)
        .serve_with_incoming(TcpListenerStream::new(listener));
    let server = tokio::spawn(server);
    let output = Command::new(std::env::current_exe()?)
        .args(["follow", &endpoint])
        .output()
        .await?;
    server.abort();
    let text = String::from_utf8(output.stdout)?;
    let mut numbers = text.split_whitespace().map(str::parse::<f64>);
    let mut next = || {
        numbers
            .next()
            .context("the follower said nothing")?
            .context("a number")
    };
    let (share, growth, followed) = (next()?, next()?, next()?);
    let expected = (SECONDS * 1_000) as f64 / INTERVAL.as_millis() as f64;
    report.plain(
        "busy_chain_core_share",
        share,
        "cores, following 2,000 foreign transactions a second",
        "under 0.1, every frame followed",
        share < 0.1 && followed >= expected * 0.95,
    );
    report.plain(
        "busy_chain_memory_growth",
        growth,
        "KiB in 20 s",
        "bounded: under 65,536",
        growth < 65_536.0,
    );
    Ok(())
}
