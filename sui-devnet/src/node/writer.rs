//! The one thread that changes the chain.
//!
//! Shape:  takes what has come, executes it, writes one piece of log, waits for the disk once,
//!         then answers all: many callers share one wait.
//! Errors: when the log can't be written the ledger stops: nothing is answered with success that
//!         would not survive, and nothing more is sealed.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use sui_sdk_types::SignedTransaction;
use tokio::sync::oneshot;

use super::Node;
use super::locks::Guard;
use crate::faucet::Faucet;
use crate::ledger::{Executed, Ledger, Rejection};
use crate::log::{Record, Storage};

/// How many requests wait for the writer; more are turned away.
const QUEUE: usize = 4_096;
/// How many requests share one wait for the disk.
const BATCH: usize = 512;
/// How often a stalled writer looks whether it may go on.
const STALL_POLL: Duration = Duration::from_millis(5);

/// Why a request was not executed.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum WriteError {
    /// The transaction is refused.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The ledger stands still: its log can't be written, or it is being shut down.
    #[error("the ledger can't write")]
    Stopped,
    /// Too much to do.
    #[error("the ledger is overloaded")]
    Overloaded,
}

type Answer = Result<Arc<Executed>, WriteError>;
type Reply = oneshot::Sender<Answer>;

/// Something to be executed.
#[derive(Debug)]
pub(crate) enum Request {
    /// A transaction with verified signatures.
    Execute {
        signed: Box<SignedTransaction>,
        locks: Guard,
        reply: Reply,
    },
    /// Coins for somebody.
    Give {
        recipient: sui_sdk_types::Address,
        reply: Reply,
    },
    /// Look whether to stop.
    Stop,
}

/// The way to the writer.
#[derive(Debug, Clone)]
pub(crate) struct WriterHandle {
    sender: SyncSender<Request>,
    stop: Arc<AtomicBool>,
}

impl WriterHandle {
    pub(crate) fn send(&self, request: Request) -> Result<(), WriteError> {
        self.sender.try_send(request).map_err(|error| match error {
            TrySendError::Full(_) => WriteError::Overloaded,
            TrySendError::Disconnected(_) => WriteError::Stopped,
        })
    }

    /// Ends the thread after what it is doing. What is still waiting is not executed.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
        // Wakes it. A full queue wakes it as well.
        self.sender.try_send(Request::Stop).ok();
    }
}

/// The thread.
#[derive(Debug)]
pub(crate) struct Writer {
    node: Arc<Node>,
    storage: Option<Storage>,
    faucet: Faucet,
    interval: Duration,
    requests: Receiver<Request>,
    stop: Arc<AtomicBool>,
}

impl Writer {
    pub(crate) fn spawn(
        node: Arc<Node>,
        storage: Option<Storage>,
        faucet: Faucet,
        interval: Duration,
    ) -> io::Result<(WriterHandle, JoinHandle<()>)> {
        let (sender, requests) = sync_channel(QUEUE);
        let stop = Arc::new(AtomicBool::new(false));
        let mut writer = Self {
            node,
            storage,
            faucet,
            interval,
            requests,
            stop: Arc::clone(&stop),
        };
        let thread = std::thread::Builder::new()
            .name("devnet-writer".to_owned())
            .spawn(move || writer.run())?;
        Ok((WriterHandle { sender, stop }, thread))
    }

    fn run(&mut self) {
        let mut next_seal = Instant::now() + self.interval;
        let mut held: Option<Request> = None;
        while !self.stop.load(Ordering::SeqCst) {
            if self.node.switches.stalled() {
                // Requests wait in the queue, unanswered, as they do in a stalled network.
                std::thread::sleep(STALL_POLL);
                continue;
            }
            let wait = next_seal.saturating_duration_since(Instant::now());
            let next = match held.take() {
                Some(request) => Ok(request),
                None => self.requests.recv_timeout(wait),
            };
            if self.node.switches.stalled() {
                // Stalled while it waited: what came is for later.
                held = next.ok();
                continue;
            }
            let done = match next {
                Ok(first) => self.batch(first),
                Err(RecvTimeoutError::Timeout) => Ok(()),
                Err(RecvTimeoutError::Disconnected) => break,
            };
            let done = done.and_then(|()| {
                if Instant::now() < next_seal {
                    return Ok(());
                }
                // After a pause the missed checkpoints are not made up for.
                next_seal = (next_seal + self.interval).max(Instant::now());
                self.seal()
            });
            if let Err(error) = done {
                tracing::error!(%error, "the log can't be written: the ledger stops");
                break;
            }
        }
        if let Some(storage) = &mut self.storage {
            let stored = storage.sync().and_then(|()| storage.finish_storing());
            if let Err(error) = stored {
                tracing::error!(%error, "the log can't be brought to the disk");
            }
        }
    }

    fn batch(&mut self, first: Request) -> io::Result<()> {
        let mut replies: Vec<(Reply, Answer, Option<Guard>)> = Vec::new();
        let mut records = Vec::new();
        let mut next = Some(first);
        let node = Arc::clone(&self.node);
        node.write(|ledger| {
            while let Some(request) = next.take() {
                match request {
                    Request::Execute {
                        signed,
                        locks,
                        reply,
                    } => {
                        let result = execute(ledger, &signed, &mut records);
                        replies.push((reply, result, Some(locks)));
                    }
                    Request::Give { recipient, reply } => {
                        let result = self
                            .faucet
                            .transaction(ledger, recipient)
                            .ok_or(WriteError::Stopped)
                            .and_then(|signed| execute(ledger, &signed, &mut records));
                        replies.push((reply, result, None));
                    }
                    Request::Stop => {}
                }
                if replies.len() < BATCH {
                    next = self.requests.try_recv().ok();
                }
            }
        });
        let written = self.log(&records, true);
        for (reply, result, locks) in replies {
            // Before the answer: who has it may use the same objects again.
            drop(locks);
            let result = if written.is_ok() {
                result
            } else {
                Err(WriteError::Stopped)
            };
            // Whoever asked may be gone.
            reply.send(result).ok();
        }
        written
    }

    fn seal(&mut self) -> io::Result<()> {
        let now_ms = now_ms();
        let node = Arc::clone(&self.node);
        let mut records = Vec::with_capacity(2);
        if !node.read().is_open() {
            records.push(Record::Open(now_ms));
        }
        records.push(Record::Seal);
        // Not waited for: a checkpoint that the disk has lost is made anew from what it has.
        self.log(&records, false)?;
        let checkpoint = node.write(|ledger| ledger.seal(now_ms));
        if !node.switches.silent() {
            node.subscribers.publish(&checkpoint);
        }
        match &mut self.storage {
            Some(storage) => storage.sealed(&node.read()),
            None => Ok(()),
        }
    }

    fn log(&mut self, records: &[Record], wait: bool) -> io::Result<()> {
        let Some(storage) = &mut self.storage else {
            return Ok(());
        };
        if records.is_empty() {
            return Ok(());
        }
        storage.append(records)?;
        if wait { storage.sync() } else { Ok(()) }
    }
}

fn execute(
    ledger: &mut Ledger,
    signed: &SignedTransaction,
    records: &mut Vec<Record>,
) -> Result<Arc<Executed>, WriteError> {
    if let Some(executed) = ledger.executed(&signed.transaction.digest()) {
        return Ok(Arc::clone(executed));
    }
    let was_open = ledger.is_open();
    let now_ms = now_ms();
    let executed = ledger.execute(signed, now_ms)?;
    if !was_open {
        records.push(Record::Open(now_ms));
    }
    records.push(Record::Transaction {
        signed: Box::new(signed.clone()),
        effects: executed.effects.digest(),
    });
    Ok(executed)
}

pub(crate) fn now_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| {
            u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
        })
}
