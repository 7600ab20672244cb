//! The data directory: its lock, its keys, its logs and stored states.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use sui_ledger::keystore::{self, Keystore, KeystoreError, WalletKey};

use super::record::Record;
use super::segment::{self, Segment};
use super::snapshot;
use crate::ledger::{Ledger, Rejection, Snapshot};

/// Why a data directory can't be used.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The file system refuses.
    #[error("{path} can't be read or written")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// Two ledgers on one directory would destroy it.
    #[error("{path} is in use by another process")]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// A key of the chain is missing or damaged.
    #[error("a key of the chain can't be had")]
    Key(#[from] KeystoreError),
    /// No stored state is whole.
    #[error("{path} has no stored state that can be read; move it away to begin a new chain")]
    NoState {
        /// The directory.
        path: PathBuf,
    },
    /// A log that does not continue the state before it.
    #[error("{path} is damaged: its records end before the next log begins")]
    Torn {
        /// The log.
        path: PathBuf,
    },
    /// A record leads to something else than it did when it was written.
    #[error(
        "{path} was written by another version of this program: record {record} leads to other \
         effects; move the directory away to begin a new chain"
    )]
    Diverged {
        /// The log.
        path: PathBuf,
        /// The record's place in it.
        record: usize,
        /// Why it was not executed, if it was not.
        #[source]
        source: Option<Box<Rejection>>,
    },
}

/// The two keys that a chain begins with.
#[derive(Debug, Clone)]
pub(crate) struct StoredKeys {
    pub(crate) operator: WalletKey,
    pub(crate) faucet: WalletKey,
}

impl StoredKeys {
    pub(crate) fn generate() -> Result<Self, KeystoreError> {
        Ok(Self {
            operator: WalletKey::generate()?,
            faucet: WalletKey::generate()?,
        })
    }
}

/// A directory taken up: the chain as it was left.
pub(crate) struct Opened {
    pub(crate) storage: Storage,
    pub(crate) keys: StoredKeys,
    /// `None` for an empty directory: the caller makes a genesis and hands it to `begin`.
    pub(crate) ledger: Option<Ledger>,
}

/// The writing side.
#[derive(Debug)]
pub(crate) struct Storage {
    directory: PathBuf,
    segment: Option<Segment>,
    /// Checkpoints in the current log.
    sealed: u64,
    every: u64,
    storing: Option<JoinHandle<io::Result<()>>>,
    /// Held as long as the process lives.
    _lock: File,
}

const OPERATOR: &str = "operator.keystore";
const FAUCET: &str = "faucet.keystore";

impl Storage {
    /// Takes up a directory, made if need be, of which no other process has hold.
    pub(crate) fn open(
        directory: &Path,
        every: u64,
        retained: usize,
    ) -> Result<Opened, StorageError> {
        let fail = |path: &Path| {
            let path = path.to_owned();
            move |source| StorageError::Io { path, source }
        };
        std::fs::create_dir_all(directory).map_err(fail(directory))?;
        let lock_path = directory.join("lock");
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .map_err(fail(&lock_path))?;
        lock.try_lock().map_err(|_| StorageError::InUse {
            path: directory.to_owned(),
        })?;
        let keys = StoredKeys {
            operator: key(&directory.join(OPERATOR))?,
            faucet: key(&directory.join(FAUCET))?,
        };
        let mut storage = Self {
            directory: directory.to_owned(),
            segment: None,
            sealed: 0,
            every,
            storing: None,
            _lock: lock,
        };
        let states = storage.numbers("snapshot-").map_err(fail(directory))?;
        let ledger = if states.is_empty() {
            None
        } else {
            Some(storage.replay(&states, retained)?)
        };
        Ok(Opened {
            storage,
            keys,
            ledger,
        })
    }

    /// Stores a new chain's first state.
    pub(crate) fn begin(&mut self, snapshot: &Snapshot) -> Result<(), StorageError> {
        let path = self.snapshot_path(0);
        snapshot::write(&self.directory, &path, snapshot)
            .map_err(|source| StorageError::Io { path, source })?;
        self.start_segment(0)
    }

    /// Hands records to the operating system.
    pub(crate) fn append(&mut self, records: &[Record]) -> io::Result<()> {
        match &mut self.segment {
            Some(segment) => segment.append(records),
            None => Err(io::Error::other("no log is open")),
        }
    }

    /// Waits until everything is on the disk.
    pub(crate) fn sync(&self) -> io::Result<()> {
        match &self.segment {
            Some(segment) => segment.sync(),
            None => Err(io::Error::other("no log is open")),
        }
    }

    /// Counts a sealed checkpoint; now and then stores the state and begins a new log. The state
    /// is written in the background, and until it is, the logs before it stay.
    pub(crate) fn sealed(&mut self, ledger: &Ledger) -> io::Result<()> {
        self.sealed += 1;
        let busy = self
            .storing
            .as_ref()
            .is_some_and(|storing| !storing.is_finished());
        if self.sealed < self.every || busy {
            return Ok(());
        }
        self.finish_storing()?;
        let Some(snapshot) = ledger.snapshot() else {
            return Ok(());
        };
        let number = ledger.height();
        self.sync()?;
        self.start_segment(number).map_err(io::Error::other)?;
        let directory = self.directory.clone();
        let path = self.snapshot_path(number);
        let storing = std::thread::Builder::new()
            .name("devnet-snapshot".to_owned())
            .spawn(move || {
                snapshot::write(&directory, &path, &snapshot)?;
                forget_old(&directory)
            })?;
        self.storing = Some(storing);
        Ok(())
    }

    /// Waits for a state that is being stored.
    pub(crate) fn finish_storing(&mut self) -> io::Result<()> {
        match self.storing.take() {
            None => Ok(()),
            Some(storing) => storing
                .join()
                .unwrap_or_else(|_| Err(io::Error::other("storing the state panicked"))),
        }
    }

    fn start_segment(&mut self, number: u64) -> Result<(), StorageError> {
        let path = self.log_path(number);
        let made = Segment::create(&path)
            .and_then(|segment| File::open(&self.directory)?.sync_all().map(|()| segment));
        self.segment = Some(made.map_err(|source| StorageError::Io { path, source })?);
        self.sealed = 0;
        Ok(())
    }

    /// Builds the chain from the oldest state that is whole and all that came after it.
    fn replay(&mut self, states: &[u64], retained: usize) -> Result<Ledger, StorageError> {
        let base = states
            .iter()
            .find_map(|number| Some((*number, snapshot::read(&self.snapshot_path(*number)).ok()?)));
        let Some((base, snapshot)) = base else {
            return Err(StorageError::NoState {
                path: self.directory.clone(),
            });
        };
        let mut ledger = Ledger::restore(snapshot, retained);
        let logs: Vec<u64> = self
            .numbers("log-")
            .map_err(|source| StorageError::Io {
                path: self.directory.clone(),
                source,
            })?
            .into_iter()
            .filter(|number| *number >= base)
            .collect();
        if logs.first() != Some(&base) {
            // Killed between storing the first state and beginning its log.
            if logs.is_empty() {
                self.start_segment(base)?;
                return Ok(ledger);
            }
            return Err(StorageError::Torn {
                path: self.log_path(base),
            });
        }
        for (place, number) in logs.iter().enumerate() {
            let path = self.log_path(*number);
            if ledger.height() != *number || ledger.is_open() {
                return Err(StorageError::Torn { path });
            }
            let replay = segment::replay(&path).map_err(|source| StorageError::Io {
                path: path.clone(),
                source,
            })?;
            let last = place + 1 == logs.len();
            if replay.torn && !last {
                return Err(StorageError::Torn { path });
            }
            apply(&mut ledger, &replay.records, &path)?;
            if last {
                self.sealed = ledger.height().saturating_sub(*number);
                let segment = if replay.whole == 0 {
                    Segment::create(&path)
                } else {
                    Segment::resume(&path, replay.whole)
                };
                self.segment = Some(segment.map_err(|source| StorageError::Io { path, source })?);
            }
        }
        Ok(ledger)
    }

    fn numbers(&self, prefix: &str) -> io::Result<Vec<u64>> {
        numbers(&self.directory, prefix)
    }

    fn snapshot_path(&self, number: u64) -> PathBuf {
        self.directory.join(format!("snapshot-{number:020}.bin"))
    }

    fn log_path(&self, number: u64) -> PathBuf {
        self.directory.join(format!("log-{number:020}.bin"))
    }
}

fn key(path: &Path) -> Result<WalletKey, StorageError> {
    if path.exists() {
        return Ok(Keystore::load(path)?.only_key()?.clone());
    }
    let key = WalletKey::generate()?;
    keystore::create(path, &key)?;
    Ok(key)
}

/// The numbers in the names of a kind of file, in order.
fn numbers(directory: &Path, prefix: &str) -> io::Result<Vec<u64>> {
    let mut numbers: Vec<u64> = std::fs::read_dir(directory)?
        .filter_map(|entry| {
            let name = entry.ok()?.file_name();
            let number = name.to_str()?.strip_prefix(prefix)?.strip_suffix(".bin")?;
            number.parse().ok()
        })
        .collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// Keeps the last two states and the logs since the older of them.
fn forget_old(directory: &Path) -> io::Result<()> {
    let states = numbers(directory, "snapshot-")?;
    let Some(oldest) = states.len().checked_sub(2).and_then(|at| states.get(at)) else {
        return Ok(());
    };
    // States first: a state without its logs would be taken up in vain.
    for prefix in ["snapshot-", "log-"] {
        for number in numbers(directory, prefix)? {
            if number < *oldest {
                std::fs::remove_file(directory.join(format!("{prefix}{number:020}.bin")))?;
            }
        }
    }
    Ok(())
}

fn apply(ledger: &mut Ledger, records: &[Record], path: &Path) -> Result<(), StorageError> {
    for (place, record) in records.iter().enumerate() {
        match record {
            Record::Open(now_ms) => ledger.open(*now_ms),
            Record::Transaction { signed, effects } => {
                let diverged = |source| StorageError::Diverged {
                    path: path.to_owned(),
                    record: place,
                    source,
                };
                let executed = ledger
                    .execute(signed, 0)
                    .map_err(|rejection| diverged(Some(Box::new(rejection))))?;
                if executed.effects.digest() != *effects {
                    return Err(diverged(None));
                }
            }
            Record::Seal => {
                ledger.seal(0);
            }
        }
    }
    Ok(())
}
