//! Secrets on disk and on standard input. They come and go as files of mode 0600 or through
//! pipes, never as arguments: a process list shows those to everybody.

use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use seal::{JoinCredential, SealToken};
use zeroize::Zeroizing;

use crate::failure::{Failure, Kind, OrFail, Outcome};

/// Owner only.
const PRIVATE_FILE: u32 = 0o600;
/// Owner only.
const PRIVATE_FOLDER: u32 = 0o700;
/// No secret of ours is longer; whatever is longer is the wrong file.
const LONGEST_SECRET: u64 = 4096;

/// Makes a folder (and those above it) that only its owner may enter.
pub fn make_private_folder(folder: &Path) -> std::io::Result<()> {
    if folder.as_os_str().is_empty() || folder.is_dir() {
        return Ok(());
    }
    let mut builder = std::fs::DirBuilder::new();
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, PRIVATE_FOLDER);
    builder.recursive(true).create(folder)
}

/// Writes a file of mode 0600 whole or not at all: a temporary file, synced, then renamed.
pub fn write_private(path: &Path, contents: &[u8]) -> std::io::Result<()> {
    let folder = parent(path);
    make_private_folder(&folder)?;
    // Made with mode 0600 by tempfile, so the secret is at no time readable by others.
    let mut file = tempfile::NamedTempFile::new_in(&folder)?;
    file.as_file()
        .set_permissions(std::fs::Permissions::from_mode(PRIVATE_FILE))?;
    file.write_all(contents)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    std::fs::File::open(&folder)?.sync_all()
}

/// Like [`write_private`], but refuses a file that exists.
///
/// Whole or not at all here too: half a pending token would be in the way of all others.
pub fn create_private(path: &Path, contents: &[u8]) -> std::io::Result<()> {
    let folder = parent(path);
    make_private_folder(&folder)?;
    let mut file = tempfile::NamedTempFile::new_in(&folder)?;
    file.write_all(contents)?;
    file.as_file().sync_all()?;
    file.persist_noclobber(path).map_err(|error| error.error)?;
    std::fs::File::open(&folder)?.sync_all()
}

fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Says whether others than the owner may read the file.
pub fn open_to_others(path: &Path) -> std::io::Result<bool> {
    Ok(std::fs::metadata(path)?.mode() & 0o077 != 0)
}

/// Where a secret is read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// `-`
    Stdin,
    /// A path.
    File(PathBuf),
}

impl Origin {
    /// `-` is standard input.
    pub fn from_path(path: &Path) -> Self {
        if path == Path::new("-") {
            Self::Stdin
        } else {
            Self::File(path.to_owned())
        }
    }

    fn read(&self) -> Outcome<Zeroizing<String>> {
        let mut text = Zeroizing::new(String::new());
        let (read, what) = match self {
            Self::Stdin => (
                std::io::stdin()
                    .lock()
                    .take(LONGEST_SECRET)
                    .read_to_string(&mut text),
                "standard input".to_owned(),
            ),
            Self::File(path) => {
                if open_to_others(path).unwrap_or(false) {
                    tracing::warn!(path = %path.display(), "the secret can be read by others: chmod 600 it");
                }
                let file = std::fs::File::open(path);
                (
                    file.and_then(|file| file.take(LONGEST_SECRET).read_to_string(&mut text)),
                    path.display().to_string(),
                )
            }
        };
        read.or_fail(Kind::Failed, format!("can't read the secret from {what}"))
            .map_err(|failure| failure.next("`k3s-daas seal list` shows the tokens you have"))?;
        Ok(text)
    }

    /// Reads a seal token. The error never holds the text.
    pub fn seal_token(&self) -> Outcome<SealToken> {
        let text = self.read()?;
        SealToken::parse(text.trim_end_matches(['\n', '\r']))
            .map_err(|error| self.malformed(error, "seal token"))
    }

    /// Reads a join credential, or derives it from a seal token.
    pub fn join_credential(&self) -> Outcome<JoinCredential> {
        let text = self.read()?;
        let text = text.trim_end_matches(['\n', '\r']);
        if let Ok(token) = SealToken::parse(text) {
            return Ok(token.join_credential());
        }
        JoinCredential::parse(text)
            .map_err(|error| self.malformed(error, "seal token or join credential"))
    }

    fn malformed(&self, error: seal::ParseCredentialError, what: &str) -> Failure {
        let place = match self {
            Self::Stdin => "standard input".to_owned(),
            Self::File(path) => path.display().to_string(),
        };
        Failure::new(Kind::Failed, error)
            .context(format!("{place} holds no {what}"))
            .next("give the file that `k3s-daas stake` wrote, or pipe the token in and give `-`")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_files_have_mode_0600_in_a_folder_of_mode_0700() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/secret");
        write_private(&path, b"x").unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().unwrap()), 0o700);
        assert!(!open_to_others(&path).unwrap());
    }

    #[test]
    fn a_file_that_exists_is_not_overwritten_by_create() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        create_private(&path, b"first").unwrap();
        let error = create_private(&path, b"second").unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&path).unwrap(), b"first");
    }

    #[test]
    fn a_malformed_token_is_not_repeated_in_the_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "not-a-token-but-maybe-a-password").unwrap();
        let failure = Origin::File(path).seal_token().unwrap_err();
        assert!(!format!("{failure} {failure:?}").contains("password"));
    }
}
