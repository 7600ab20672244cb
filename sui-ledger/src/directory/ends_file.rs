//! The file that remembers ends.
//!
//! Shape:  `ends.log` in the state directory, ASCII lines. The first is
//!         `k3s-daas-ends 1 <chain id> <pool id> <check>`, each further one
//!         `<how> <seq> <at> <hash> <check>` with `how` a label of [`Unusable`] or `lifted`, and
//!         `check` the first 16 hex digits of the BLAKE2b-512 of the line before it.
//! Units:  `at` is ms since the epoch.
//! Errors: a torn last line is cut off, a damaged line elsewhere is skipped and counted; both
//!         lose that end only. A file of another chain or pool is set aside.
//!
//! Lines are only ever appended and then synced; when most of them are outdated the file is
//! written anew beside it, synced, and renamed over it. So a kill at any moment leaves a file
//! whose whole lines are true.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use blake2::{Blake2b512, Digest};
use seal::{CredentialHash, ObjectId, UnixMillis, Unusable};

use super::change::End;
use super::ends::Entry;
use crate::chain_id::ChainId;

const NAME: &str = "ends.log";
const MAGIC: &str = "k3s-daas-ends 1";
const LIFTED: &str = "lifted";
/// The longest line is some 130 bytes; a longer one is damage.
const MAX_LINE: u64 = 512;
/// A file smaller than this many outdated lines is not worth writing anew.
const SLACK: usize = 1_024;

/// The open file.
#[derive(Debug)]
pub(crate) struct EndsFile {
    file: File,
    /// Keeps a second process away; released by the system when this one dies.
    _lock: File,
    directory: PathBuf,
    header: String,
    lines: usize,
}

/// What was found at start.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Recovered {
    pub(crate) entries: Vec<Entry>,
    /// Damaged lines that were skipped, a torn last one included.
    pub(crate) damaged: usize,
    /// The file was another chain's or pool's and was set aside.
    pub(crate) set_aside: bool,
}

impl EndsFile {
    /// Opens or makes the file; only one process at a time can.
    pub(crate) fn open(
        directory: &Path,
        chain: ChainId,
        pool: ObjectId,
    ) -> io::Result<(Self, Recovered)> {
        std::fs::create_dir_all(directory)?;
        let lock = options().open(directory.join("ends.lock"))?;
        lock.try_lock().map_err(io::Error::from)?;
        let header = with_check(&format!("{MAGIC} {chain} {pool}"));
        let path = directory.join(NAME);
        let mut file = options().open(&path)?;
        let mut recovered = read(&mut file, &header)?;
        if recovered.set_aside {
            std::fs::rename(&path, directory.join("ends.log.other"))?;
            file = options().open(&path)?;
        }
        let mut ends = Self {
            file,
            _lock: lock,
            directory: directory.to_owned(),
            header,
            lines: recovered.entries.len(),
        };
        if ends.file.metadata()?.len() == 0 {
            recovered.entries.clear();
            ends.rewrite(&[])?;
        } else {
            ends.file.seek(SeekFrom::End(0))?;
        }
        Ok((ends, recovered))
    }

    /// Appends and syncs. After an error the caller rewrites.
    pub(crate) fn append(&mut self, entries: &[Entry]) -> io::Result<()> {
        let text: String = entries.iter().map(line).collect();
        self.file.write_all(text.as_bytes())?;
        self.file.sync_data()?;
        self.lines += entries.len();
        Ok(())
    }

    /// Writes everything anew; the old file stays whole until the new one is.
    pub(crate) fn rewrite(&mut self, entries: &[Entry]) -> io::Result<()> {
        let path = self.directory.join(NAME);
        let fresh = self.directory.join("ends.log.new");
        let mut file = options().truncate(true).open(&fresh)?;
        let mut text = self.header.clone();
        text.extend(entries.iter().map(line));
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&fresh, &path)?;
        File::open(&self.directory)?.sync_all()?;
        self.file = file;
        self.lines = entries.len();
        Ok(())
    }

    /// Whether most lines are outdated.
    pub(crate) fn wants_rewrite(&self, live: usize) -> bool {
        self.lines > live.saturating_mul(2).saturating_add(SLACK)
    }
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options
}

/// Reads what is whole and cuts off a torn end.
fn read(file: &mut File, header: &str) -> io::Result<Recovered> {
    let mut recovered = Recovered::default();
    let mut good_until = 0;
    let mut position = 0;
    let mut reader = BufReader::new(&mut *file);
    let mut bytes = Vec::new();
    let mut first = true;
    loop {
        bytes.clear();
        let read = (&mut reader).take(MAX_LINE).read_until(b'\n', &mut bytes)?;
        if read == 0 {
            break;
        }
        position += u64::try_from(read).unwrap_or(u64::MAX);
        let text = std::str::from_utf8(&bytes).unwrap_or_default();
        if std::mem::take(&mut first) {
            if text == header {
                good_until = position;
                continue;
            }
            // A header torn by a kill at the very first start has nothing after it.
            let torn = header.as_bytes().starts_with(&bytes);
            recovered.set_aside = !torn;
            break;
        }
        if let Some(entry) = parse(text) {
            recovered.entries.push(entry);
        } else {
            recovered.damaged += 1;
        }
        // Damage in the middle keeps its place; only what follows the last line end goes.
        if bytes.last() == Some(&b'\n') {
            good_until = position;
        }
    }
    if !recovered.set_aside {
        file.set_len(good_until)?;
    }
    Ok(recovered)
}

fn line(entry: &Entry) -> String {
    match entry {
        Entry::Ended(hash, end) => {
            let (how, seq, at) = (end.how.label(), end.seq, end.at);
            with_check(&format!("{how} {seq} {at} {hash}"))
        }
        Entry::Lifted(hash, seq) => with_check(&format!("{LIFTED} {seq} 0 {hash}")),
    }
}

fn with_check(text: &str) -> String {
    format!("{text} {}\n", check(text))
}

fn check(text: &str) -> String {
    let digest = Blake2b512::digest(text.as_bytes());
    hex::encode(digest.get(..8).unwrap_or_default())
}

fn parse(text: &str) -> Option<Entry> {
    let (text, found) = text.strip_suffix('\n')?.rsplit_once(' ')?;
    if check(text) != found {
        return None;
    }
    let mut words = text.split(' ');
    let how = words.next()?;
    let seq = words.next()?.parse().ok()?;
    let at = UnixMillis(words.next()?.parse().ok()?);
    let hash = CredentialHash::parse(words.next()?).ok()?;
    if words.next().is_some() {
        return None;
    }
    if how == LIFTED {
        return Some(Entry::Lifted(hash, seq));
    }
    let how = Unusable::ALL
        .into_iter()
        .find(|known| known.label() == how)?;
    Some(Entry::Ended(hash, End { seq, how, at }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn chain() -> ChainId {
        "BC3xSQ5SPrNFFgzWatmABviNR3HGP6eMobc9zgjXNefG"
            .parse()
            .unwrap()
    }

    fn pool(n: u8) -> ObjectId {
        ObjectId::from_bytes([n; 32])
    }

    fn entry(n: u8) -> Entry {
        let hash = CredentialHash::from_bytes([n; 32]);
        if n % 7 == 6 {
            return Entry::Lifted(hash, u64::from(n));
        }
        let end = End {
            seq: u64::from(n),
            how: Unusable::ALL[usize::from(n) % Unusable::ALL.len()],
            at: UnixMillis(1_000 + u64::from(n)),
        };
        Entry::Ended(hash, end)
    }

    fn entries(count: u8) -> Vec<Entry> {
        (0..count).map(entry).collect()
    }

    fn open(directory: &Path) -> (EndsFile, Recovered) {
        EndsFile::open(directory, chain(), pool(1)).unwrap()
    }

    #[test]
    fn what_was_appended_is_there_after_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let (mut file, recovered) = open(directory.path());
        assert_eq!(recovered, Recovered::default());
        file.append(&entries(20)).unwrap();
        drop(file);
        assert_eq!(open(directory.path()).1.entries, entries(20));
    }

    #[test]
    fn a_second_process_is_kept_away() {
        let directory = tempfile::tempdir().unwrap();
        let _held = open(directory.path());
        assert!(EndsFile::open(directory.path(), chain(), pool(1)).is_err());
    }

    #[test]
    fn a_file_of_another_pool_is_set_aside_and_kept() {
        let directory = tempfile::tempdir().unwrap();
        let (mut file, _) = open(directory.path());
        file.append(&entries(3)).unwrap();
        drop(file);
        let (file, recovered) = EndsFile::open(directory.path(), chain(), pool(2)).unwrap();
        assert!(recovered.set_aside && recovered.entries.is_empty());
        assert!(directory.path().join("ends.log.other").exists());
        drop(file);
        let again = EndsFile::open(directory.path(), chain(), pool(2)).unwrap();
        assert!(!again.1.set_aside);
    }

    #[test]
    fn writing_anew_keeps_what_holds_and_can_be_appended_to() {
        let directory = tempfile::tempdir().unwrap();
        let (mut file, _) = open(directory.path());
        file.append(&entries(50)).unwrap();
        file.rewrite(&entries(2)).unwrap();
        file.append(&[entry(9)]).unwrap();
        drop(file);
        let expected = [entries(2), vec![entry(9)]].concat();
        assert_eq!(open(directory.path()).1.entries, expected);
    }

    #[test]
    fn asks_to_be_written_anew_when_most_lines_are_outdated() {
        let directory = tempfile::tempdir().unwrap();
        let (mut file, _) = open(directory.path());
        file.lines = 2 * 100 + SLACK;
        assert!(!file.wants_rewrite(100));
        file.append(&[entry(1)]).unwrap();
        assert!(file.wants_rewrite(100));
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_can_read_the_file() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let _file = open(directory.path());
        let mode = directory
            .path()
            .join(NAME)
            .metadata()
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// A kill leaves a prefix of what was being written: every whole line survives, the
        /// torn one goes, and the file can be written to as before.
        #[test]
        fn a_kill_at_any_byte_loses_only_the_torn_line(cut in 0usize..4_000) {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join(NAME);
            let (mut file, _) = open(directory.path());
            file.append(&entries(20)).unwrap();
            drop(file);
            let whole = std::fs::read(&path).unwrap();
            let cut = cut.min(whole.len());
            std::fs::write(&path, &whole[..cut]).unwrap();
            let lines = whole[..cut].split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n")).count();

            let (mut file, recovered) = open(directory.path());
            prop_assert_eq!(&recovered.entries, &entries(20)[..lines.saturating_sub(1)]);
            prop_assert!(!recovered.set_aside);
            file.append(&[entry(77)]).unwrap();
            drop(file);
            let again = open(directory.path()).1;
            prop_assert_eq!(again.entries.last(), Some(&entry(77)));
            prop_assert_eq!(again.entries.len(), recovered.entries.len() + 1);
            prop_assert_eq!(again.damaged, 0);
        }

        /// A flipped bit costs the line it is in and no other.
        #[test]
        fn a_damaged_line_is_skipped(at in 0usize..4_000, bit in 0u8..8) {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join(NAME);
            let (mut file, _) = open(directory.path());
            let header = std::fs::read(&path).unwrap().len();
            file.append(&entries(20)).unwrap();
            drop(file);
            let mut whole = std::fs::read(&path).unwrap();
            let at = header + at % (whole.len() - header);
            whole[at] ^= 1 << bit;
            std::fs::write(&path, &whole).unwrap();

            let recovered = open(directory.path()).1;
            // A damaged line end joins two lines into one damaged one.
            prop_assert!(recovered.entries.len() >= 18);
            prop_assert!(recovered.damaged >= 1);
            for found in &recovered.entries {
                prop_assert!(entries(20).contains(found));
            }
        }
    }
}
