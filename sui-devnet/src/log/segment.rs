//! One log file.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

use sui_sdk_types::hash::Hasher;

use super::record::Record;

const MAGIC: &[u8; 8] = b"K3DLOG01";
const LENGTH_BYTES: usize = 4;
const CHECKSUM_BYTES: usize = 8;
const HEADER_BYTES: usize = LENGTH_BYTES + CHECKSUM_BYTES;
/// A transaction has at most 128 KiB, with its signatures.
const MAX_RECORD_BYTES: usize = 1024 * 1024;

/// A log that is written to.
#[derive(Debug)]
pub(super) struct Segment {
    file: File,
    buffer: Vec<u8>,
}

/// The records of a log, and how it ended.
pub(super) struct Replay {
    pub(super) records: Vec<Record>,
    /// How many bytes of the file are whole records.
    pub(super) whole: u64,
    /// Whether something half written followed.
    pub(super) torn: bool,
}

impl Segment {
    /// Begins a new log; one of that name is begun anew.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        let mut file = File::create(path)?;
        file.write_all(MAGIC)?;
        file.sync_all()?;
        Ok(Self {
            file,
            buffer: Vec::new(),
        })
    }

    /// Goes on with a log, after its last whole record.
    pub(super) fn resume(path: &Path, whole: u64) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).open(path)?;
        file.set_len(whole)?;
        file.sync_all()?;
        Ok(Self {
            file,
            buffer: Vec::new(),
        })
    }

    /// Hands records to the operating system: they survive a kill of this process.
    pub(super) fn append(&mut self, records: &[Record]) -> io::Result<()> {
        self.buffer.clear();
        for record in records {
            let body = bcs::to_bytes(record).map_err(io::Error::other)?;
            let length = u32::try_from(body.len()).map_err(io::Error::other)?;
            self.buffer.extend_from_slice(&length.to_le_bytes());
            self.buffer.extend_from_slice(&checksum(&body));
            self.buffer.extend_from_slice(&body);
        }
        self.file.write_all(&self.buffer)
    }

    /// Waits until all records are on the disk: they survive a loss of power.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

/// Reads a log up to its end or its first torn record.
pub(super) fn replay(path: &Path) -> io::Result<Replay> {
    let mut bytes = Vec::new();
    File::open(path)?.read_to_end(&mut bytes)?;
    let mut records = Vec::new();
    let Some(mut rest) = bytes.strip_prefix(MAGIC.as_slice()) else {
        // Killed while the file was made: it never had a record.
        if MAGIC.starts_with(&bytes) {
            return Ok(Replay {
                records,
                whole: 0,
                torn: true,
            });
        }
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "not a log of this program",
        ));
    };
    while let Some((record, after)) = next(rest) {
        records.push(record);
        rest = after;
    }
    Ok(Replay {
        records,
        whole: (bytes.len() - rest.len()) as u64,
        torn: !rest.is_empty(),
    })
}

fn next(bytes: &[u8]) -> Option<(Record, &[u8])> {
    let (header, rest) = bytes.split_at_checked(HEADER_BYTES)?;
    let (length, sum) = header.split_at_checked(LENGTH_BYTES)?;
    let length = u32::from_le_bytes(length.try_into().ok()?) as usize;
    if length > MAX_RECORD_BYTES {
        return None;
    }
    let (body, rest) = rest.split_at_checked(length)?;
    if checksum(body) != sum {
        return None;
    }
    Some((bcs::from_bytes(body).ok()?, rest))
}

fn checksum(body: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let digest = Hasher::digest(body);
    let mut sum = [0; CHECKSUM_BYTES];
    sum.copy_from_slice(digest.inner().split_at(CHECKSUM_BYTES).0);
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn records(count: u64) -> Vec<Record> {
        (0..count)
            .flat_map(|time| [Record::Open(time), Record::Seal])
            .collect()
    }

    fn written(records: &[Record]) -> (tempfile::TempDir, std::path::PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut log = Segment::create(&path).unwrap();
        log.append(records).unwrap();
        log.sync().unwrap();
        (dir, path)
    }

    #[test]
    fn what_was_written_is_read_back() {
        let all = records(50);
        let (_dir, path) = written(&all);
        let read = replay(&path).unwrap();
        assert_eq!(read.records, all);
        assert!(!read.torn);
    }

    #[test]
    fn a_log_goes_on_after_its_last_whole_record() {
        let all = records(3);
        let (_dir, path) = written(&all);
        let file = OpenOptions::new().append(true).open(&path).unwrap();
        (&file).write_all(&[7, 0, 0, 0, 1, 2, 3]).unwrap();
        let read = replay(&path).unwrap();
        assert!(read.torn);
        let mut log = Segment::resume(&path, read.whole).unwrap();
        log.append(&[Record::Seal]).unwrap();
        let read = replay(&path).unwrap();
        assert_eq!(read.records.len(), all.len() + 1);
        assert!(!read.torn);
    }

    #[test]
    fn another_file_is_not_taken_for_a_log() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        std::fs::write(&path, b"something else entirely").unwrap();
        assert!(replay(&path).is_err());
    }

    proptest! {
        #[test]
        fn a_log_cut_anywhere_gives_a_prefix_of_its_records(cut in 0usize..400) {
            let all = records(10);
            let (_dir, path) = written(&all);
            let bytes = std::fs::read(&path).unwrap();
            let cut = cut.min(bytes.len());
            std::fs::write(&path, &bytes[..cut]).unwrap();
            let read = replay(&path).unwrap();
            prop_assert!(all.starts_with(&read.records));
            prop_assert!(read.whole <= cut as u64);
        }

        #[test]
        fn a_flipped_bit_ends_the_log_before_it(at in 8usize..300, bit in 0u8..8) {
            let all = records(10);
            let (_dir, path) = written(&all);
            let mut bytes = std::fs::read(&path).unwrap();
            let at = at.min(bytes.len() - 1);
            bytes[at] ^= 1 << bit;
            std::fs::write(&path, &bytes).unwrap();
            let read = replay(&path).unwrap();
            prop_assert!(all.starts_with(&read.records));
            prop_assert!(read.records.len() < all.len());
        }
    }
}
