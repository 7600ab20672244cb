//! The last known standing on disk, so that a restart without the chain knows it.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::Standing;

/// No standing of ours is longer.
const LONGEST: u64 = 64 * 1024;

/// A file of one standing.
#[derive(Debug, Clone)]
pub struct Store(PathBuf);

impl Store {
    /// In this folder, which exists.
    pub fn in_folder(folder: &Path) -> Self {
        Self(folder.join("standing.json"))
    }

    /// What was known; none if there is nothing that can be read.
    pub fn load(&self) -> Option<Standing> {
        let length = match std::fs::metadata(&self.0) {
            Ok(found) => found.len(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
            Err(error) => return self.unreadable(&error),
        };
        if length > LONGEST {
            return self.unreadable(&format!("{length} bytes are too many"));
        }
        let text = match std::fs::read(&self.0) {
            Ok(text) => text,
            Err(error) => return self.unreadable(&error),
        };
        match serde_json::from_slice(&text) {
            Ok(standing) => Some(standing),
            Err(error) => self.unreadable(&error),
        }
    }

    fn unreadable(&self, why: &dyn std::fmt::Display) -> Option<Standing> {
        tracing::warn!(path = %self.0.display(), %why, "what was known of the seal can't be read");
        None
    }

    /// Keeps it, whole or not at all.
    pub fn keep(&self, standing: &Standing) -> std::io::Result<()> {
        let folder = self.0.parent().unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        serde_json::to_writer(&mut file, standing)?;
        file.flush()?;
        file.as_file().sync_all()?;
        file.persist(&self.0).map_err(|error| error.error)?;
        std::fs::File::open(folder)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use seal::testing::active_record;
    use seal::{CredentialHash, Thresholds, UnixMillis};

    use super::*;

    #[test]
    fn what_is_kept_is_found_and_nonsense_is_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::in_folder(folder.path());
        assert_eq!(store.load(), None);
        let standing = Standing {
            hash: CredentialHash::from_bytes([1; 32]),
            record: Some(active_record()),
            thresholds: Thresholds::default(),
            seen_at: UnixMillis(5),
            ended_at: Some(UnixMillis(4)),
        };
        store.keep(&standing).unwrap();
        assert_eq!(store.load(), Some(standing));
        std::fs::write(&store.0, "{").unwrap();
        assert_eq!(store.load(), None);
        std::fs::write(&store.0, vec![b' '; 70_000]).unwrap();
        assert_eq!(store.load(), None);
    }
}
