//! The chain as a real full node tells of it.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures::Stream;

use super::{Answer, Chain, ChainError, Key, NodeInfo, PoolRead, RowRead, UnknownForm};
use crate::client::{FrameStream, LedgerClient, Object, ObjectRead};
use crate::contract::{decode_node_field, decode_owner_field, decode_pool, decode_seal_field};
use crate::error::LedgerError;
use crate::frame::{Frame, FrameDecoder};
use crate::ids::{node_field_id, owner_field_id, seal_field_id};
use crate::manifest::ContractIds;

/// One full node, asked over gRPC.
#[derive(Debug, Clone)]
pub struct NodeChain {
    client: LedgerClient,
    ids: ContractIds,
    decoder: FrameDecoder,
}

impl NodeChain {
    /// The node behind `client`, asked for the pool of `ids`.
    #[must_use]
    pub fn new(client: LedgerClient, ids: ContractIds) -> Self {
        let decoder = FrameDecoder::new(&ids.original_package, ids.pool);
        Self {
            client,
            ids,
            decoder,
        }
    }
}

/// The stream of frames, with the directory's errors.
#[derive(Debug)]
pub struct NodeFrames(FrameStream);

impl Stream for NodeFrames {
    type Item = Result<Frame, ChainError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.0)
            .poll_next(context)
            .map(|item| item.map(|frame| frame.map_err(|error| chain_error(&error))))
    }
}

impl Chain for NodeChain {
    type Frames = NodeFrames;

    async fn info(&self) -> Result<NodeInfo, ChainError> {
        let info = self.client.service_info().await;
        let info = info.map_err(|error| chain_error(&error))?.value;
        Ok(NodeInfo {
            chain: info.chain,
            height: info.checkpoint,
        })
    }

    async fn subscribe(&self) -> Result<NodeFrames, ChainError> {
        let stream = self.client.subscribe(self.decoder.clone()).await;
        stream.map(NodeFrames).map_err(|error| chain_error(&error))
    }

    async fn checkpoint(&self, number: u64) -> Result<Frame, ChainError> {
        let frame = self.client.get_checkpoint(number, &self.decoder).await;
        Ok(frame.map_err(|error| chain_error(&error))?.value)
    }

    async fn read(&self, keys: &[Key]) -> Result<Answer, ChainError> {
        let fields = keys.iter().map(|key| match key {
            Key::Seal(hash) => seal_field_id(&self.ids.seals_table, hash),
            Key::Node(name) => node_field_id(&self.ids.nodes_table, name),
            Key::Owner(owner) => owner_field_id(&self.ids.owners_table, owner),
        });
        // The pool first: what follows is then as of this pool or later.
        let objects: Vec<_> = std::iter::once(self.ids.pool).chain(fields).collect();
        let answer = self.client.read_objects(&objects).await;
        let answer = answer.map_err(|error| chain_error(&error))?;
        let mut objects = answer.value.into_iter();
        let pool = match objects.next() {
            Some(ObjectRead::Found(pool)) => {
                decode_pool(&pool.contents).map_err(|_| ChainError::Undecodable)?
            }
            Some(ObjectRead::Absent) => return Err(ChainError::NotFound),
            Some(ObjectRead::Failed { .. }) => return Err(ChainError::Unreachable),
            None => return Err(ChainError::Undecodable),
        };
        let rows = keys
            .iter()
            .zip(objects)
            .map(|(key, object)| match object {
                ObjectRead::Found(object) => Ok(row(key, Some(&object))),
                ObjectRead::Absent => Ok(row(key, None)),
                ObjectRead::Failed { .. } => Err(ChainError::Unreachable),
            })
            .collect::<Result<_, _>>()?;
        Ok(Answer {
            pool: PoolRead {
                seq: pool.seq,
                thresholds: pool.config.thresholds(),
                height: answer.head.checkpoint,
                at: answer.head.timestamp,
            },
            rows,
        })
    }
}

fn row(key: &Key, object: Option<&Object>) -> Result<RowRead, UnknownForm> {
    let contents = object.map(|object| object.contents.as_ref());
    match key {
        Key::Seal(hash) => contents
            .map(|row| decode_seal_field(row, hash))
            .transpose()
            .map(RowRead::Seal),
        Key::Node(name) => contents
            .map(|row| decode_node_field(row, name))
            .transpose()
            .map(RowRead::Node),
        Key::Owner(owner) => contents
            .map(|row| decode_owner_field(row, owner))
            .transpose()
            .map(|hashes| RowRead::Owner(hashes.unwrap_or_default())),
    }
    .map_err(|error| {
        tracing::warn!(%key, reason = error.label(), "a row has an unknown form");
        UnknownForm
    })
}

fn chain_error(error: &LedgerError) -> ChainError {
    match error {
        LedgerError::NotFound(_) => ChainError::NotFound,
        LedgerError::Deadline { .. } | LedgerError::StreamSilent { .. } => ChainError::TimedOut,
        LedgerError::OtherChain { .. } => ChainError::WrongChain,
        // Asking again gets the same answer.
        LedgerError::Answer(_)
        | LedgerError::TooLarge(_)
        | LedgerError::Invalid(_)
        | LedgerError::Unimplemented(_)
        | LedgerError::BatchTooLarge { .. } => ChainError::Undecodable,
        LedgerError::Endpoint { .. }
        | LedgerError::Unavailable(_)
        | LedgerError::Interrupted(_)
        | LedgerError::Internal(_)
        | LedgerError::Exhausted(_)
        | LedgerError::Locked(_)
        | LedgerError::Refused(_) => ChainError::Unreachable,
    }
}
