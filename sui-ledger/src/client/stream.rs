//! The checkpoint stream.
//!
//! Shape:  frames as they come, beginning with the next checkpoint; no frame is made up and none
//!         left out. A *clean end* ([`None`]) is what a node does to a subscriber that is too
//!         slow or when it stops: it means "connect again and fill the gap", never "done".
//! Errors: a stream that is silent for longer than the frame deadline ends with
//!         [`LedgerError::StreamSilent`]. After an error or the end nothing follows.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::Stream;
use sui_rpc::client::BodyIdleTimeout;
use sui_rpc::proto::sui::rpc::v2::{SubscribeCheckpointsRequest, SubscribeCheckpointsResponse};
use tokio::time::{Instant, Sleep};
use tonic::{Request, Streaming};

use super::{ChainHead, LedgerClient};
use crate::error::{AnswerError, LedgerError};
use crate::frame::{Frame, FrameDecoder, FrameError, read_mask};
use crate::metrics::{LedgerMetrics, Method};

/// Frames of one subscription, in the order of the chain.
pub struct FrameStream {
    /// What the node knew when the stream began.
    head: ChainHead,
    inner: Streaming<SubscribeCheckpointsResponse>,
    decoder: FrameDecoder,
    deadline: Duration,
    timer: Pin<Box<Sleep>>,
    metrics: LedgerMetrics,
    ended: bool,
}

impl fmt::Debug for FrameStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameStream")
            .field("head", &self.head)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

impl LedgerClient {
    /// Subscribes to checkpoints. The answer to the opening has the same deadline as a read.
    pub async fn subscribe(&self, decoder: FrameDecoder) -> Result<FrameStream, LedgerError> {
        let guard = self.metrics().start(Method::Subscribe);
        let result = self.open(decoder).await;
        guard.finish(&result);
        result
    }

    async fn open(&self, decoder: FrameDecoder) -> Result<FrameStream, LedgerError> {
        let settings = self.settings();
        let mut request =
            Request::new(SubscribeCheckpointsRequest::default().with_read_mask(read_mask()));
        // Silence is judged below. This one resets a stream that nobody reads, so that it can't
        // starve the other calls on the connection.
        request
            .extensions_mut()
            .insert(BodyIdleTimeout::new(settings.frame_deadline * 2));
        let opening = settings.read_deadline;
        let mut sdk = self.sdk();
        let response = tokio::time::timeout(opening, async move {
            sdk.subscription_client()
                .subscribe_checkpoints(request)
                .await
        })
        .await
        .map_err(|_| LedgerError::Deadline { after: opening })?
        .map_err(|status| LedgerError::from_status(status, opening))?;
        let head = ChainHead::read(response.metadata())?;
        head.check_chain(settings.chain.as_ref())?;
        Ok(FrameStream {
            head,
            inner: response.into_inner(),
            decoder,
            deadline: settings.frame_deadline,
            timer: Box::pin(tokio::time::sleep(settings.frame_deadline)),
            metrics: self.metrics().clone(),
            ended: false,
        })
    }
}

impl FrameStream {
    /// What the node knew when the stream began.
    #[must_use]
    pub const fn head(&self) -> ChainHead {
        self.head
    }

    fn frame(&self, message: &SubscribeCheckpointsResponse) -> Result<Frame, LedgerError> {
        let frame = self
            .decoder
            .frame(message.checkpoint.as_ref().ok_or(AnswerError::Empty)?)?;
        match message.cursor {
            Some(cursor) if cursor == frame.sequence => Ok(frame),
            Some(cursor) => Err(FrameError::Cursor {
                cursor,
                sequence: frame.sequence,
            }
            .into()),
            None => Err(AnswerError::Field { field: "cursor" }.into()),
        }
    }
}

impl Stream for FrameStream {
    type Item = Result<Frame, LedgerError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let item = match Pin::new(&mut self.inner).poll_next(context) {
            Poll::Ready(Some(Ok(message))) => Some(self.frame(&message)),
            Poll::Ready(Some(Err(status))) => {
                Some(Err(LedgerError::from_status(status, self.deadline)))
            }
            Poll::Ready(None) => None,
            Poll::Pending => match self.timer.as_mut().poll(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(()) => Some(Err(LedgerError::StreamSilent {
                    after: self.deadline,
                })),
            },
        };
        let label = match &item {
            Some(Ok(_)) => "ok",
            Some(Err(error)) => error.label(),
            None => "end",
        };
        self.metrics.frame(label);
        if label == "ok" {
            let next = Instant::now() + self.deadline;
            self.timer.as_mut().reset(next);
        } else {
            self.ended = true;
        }
        Poll::Ready(item)
    }
}
