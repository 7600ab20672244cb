//! Who listens to checkpoints.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use crate::faults::StreamEnd;
use crate::ledger::Checkpoint;

/// What a subscriber is sent. The end of the channel is a clean end of the stream.
#[derive(Debug, Clone)]
pub(crate) enum Frame {
    /// A sealed checkpoint.
    Checkpoint(Arc<Checkpoint>),
    /// The stream breaks here.
    Broken,
}

/// All subscribers. A slow one is dropped: what it has not read by then it still gets, then its
/// stream ends cleanly.
#[derive(Debug)]
pub(crate) struct Subscribers {
    queue: usize,
    most: usize,
    senders: Mutex<Vec<mpsc::Sender<Frame>>>,
}

/// There are as many as there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many subscribers")]
pub(crate) struct TooManySubscribers;

impl Subscribers {
    pub(crate) fn new(queue: usize, most: usize) -> Self {
        Self {
            queue,
            most,
            senders: Mutex::default(),
        }
    }

    pub(crate) fn subscribe(&self) -> Result<mpsc::Receiver<Frame>, TooManySubscribers> {
        let mut senders = self.senders.lock().unwrap_or_else(PoisonError::into_inner);
        senders.retain(|sender| !sender.is_closed());
        if senders.len() >= self.most {
            return Err(TooManySubscribers);
        }
        let (sender, receiver) = mpsc::channel(self.queue);
        senders.push(sender);
        Ok(receiver)
    }

    pub(crate) fn publish(&self, checkpoint: &Arc<Checkpoint>) {
        let mut senders = self.senders.lock().unwrap_or_else(PoisonError::into_inner);
        senders.retain(
            |sender| match sender.try_send(Frame::Checkpoint(Arc::clone(checkpoint))) {
                Ok(()) => true,
                Err(TrySendError::Full(_)) => {
                    tracing::warn!("a subscriber is too slow and is dropped");
                    false
                }
                Err(TrySendError::Closed(_)) => false,
            },
        );
    }

    pub(crate) fn drop_all(&self, end: StreamEnd) {
        let mut senders = self.senders.lock().unwrap_or_else(PoisonError::into_inner);
        for sender in senders.drain(..) {
            if end == StreamEnd::Error {
                // One whose queue is full ends cleanly instead.
                sender.try_send(Frame::Broken).ok();
            }
        }
    }
}
