//! The seal tokens on this machine: one file each, and the ones whose transaction is under way.
//!
//! Shape:  `<seals-dir>/<name>.token`, 64 hex digits and a newline; `<seals-dir>/pending/<hash>`
//!         while a transaction with its hash may be on its way: the token's line, then JSON that
//!         says what it is for. All of mode 0600.
//! Why:    a token whose stake is paid must survive a crash at any moment. So the token is kept
//!         first, then the transaction is sent, and only once the record has been read back with
//!         the sender as owner does the token get its place and the pending file go.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rand::TryRngCore;
use seal::{Address, CredentialHash, SealToken, UnixMillis};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::failure::{Failure, Kind, OrFail, Outcome};
use crate::secrets::{Origin, create_private, make_private_folder};

/// What a token file's name ends with.
const EXTENSION: &str = "token";
/// What a pending token's name ends with.
const PENDING: &str = "pending";

/// The tokens on this machine.
#[derive(Debug, Clone)]
pub struct Seals {
    folder: PathBuf,
}

/// Why a pending token was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Purpose {
    /// For a new seal.
    Stake,
    /// To replace an old token.
    Refresh,
}

/// A token whose transaction is under way, or was when something went wrong.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Pending {
    /// Its hash.
    pub hash: String,
    /// Who signs.
    pub owner: Address,
    /// Where the token goes once the record is there.
    pub destination: PathBuf,
    /// Why it was made.
    pub purpose: Purpose,
    /// When.
    pub since: UnixMillis,
}

/// A token file and the hash of what it holds.
#[derive(Debug, Clone)]
pub struct Known {
    /// The file.
    pub path: PathBuf,
    /// The hash of its token.
    pub hash: CredentialHash,
}

/// A new token from the operating system's randomness.
pub fn new_token() -> Outcome<SealToken> {
    let mut bytes = Zeroizing::new([0u8; 32]);
    rand::rngs::OsRng
        .try_fill_bytes(bytes.as_mut_slice())
        .or_fail(Kind::Failed, "the system gives no randomness")?;
    Ok(SealToken::from_bytes(*bytes))
}

/// Local time.
pub fn now() -> UnixMillis {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

impl Seals {
    /// The tokens in this folder.
    pub fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
        }
    }

    /// Where the token of this name goes; by its hash when it has none.
    pub fn path(&self, name: Option<&str>, hash: &CredentialHash) -> PathBuf {
        let short: String = hash.to_string().chars().take(12).collect();
        let name = name.unwrap_or(&short);
        self.folder.join(format!("{name}.{EXTENSION}"))
    }

    fn pending_path(&self, hash: &str) -> PathBuf {
        self.folder
            .join("pending")
            .join(format!("{hash}.{PENDING}"))
    }

    /// Keeps a token before its transaction is sent.
    pub fn keep_pending(&self, token: &SealToken, pending: &Pending) -> Outcome {
        let path = self.pending_path(&pending.hash);
        let purpose = serde_json::to_string(pending)
            .or_fail(Kind::Failed, "the pending token can't be written")?;
        let text = Zeroizing::new(format!("{}\n{purpose}\n", token.reveal().as_str()));
        create_private(&path, text.as_bytes()).or_fail(
            Kind::Failed,
            format!(
                "can't keep the new token in {}; nothing was staked",
                path.display()
            ),
        )
    }

    /// Gives a pending token its place and forgets that it was pending.
    pub fn settle(&self, token: &SealToken, pending: &Pending) -> Outcome {
        let path = &pending.destination;
        let text = Zeroizing::new(format!("{}\n", token.reveal().as_str()));
        let written = match pending.purpose {
            Purpose::Stake => create_private(path, text.as_bytes())
                // Whoever was ended between the two steps has given it its place already.
                .or_else(|error| {
                    if holds(path, token) {
                        Ok(())
                    } else {
                        Err(error)
                    }
                }),
            Purpose::Refresh => crate::secrets::write_private(path, text.as_bytes()),
        };
        written.or_fail(
            Kind::Failed,
            format!(
                "can't write {}; the token is kept in {}",
                path.display(),
                self.pending_path(&pending.hash).display()
            ),
        )?;
        self.forget_pending(&pending.hash)
    }

    /// Removes a pending token for good.
    pub fn forget_pending(&self, hash: &str) -> Outcome {
        let path = self.pending_path(hash);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Failure::new(Kind::Failed, error)
                    .context(format!("can't remove {}", path.display())))
            }
            _ => Ok(()),
        }
    }

    /// All pending tokens, oldest first.
    pub fn pending(&self) -> Outcome<Vec<(SealToken, Pending)>> {
        let mut all = Vec::new();
        for path in files(&self.folder.join("pending"), PENDING)? {
            let doing = format!("can't read {}", path.display());
            let text = std::fs::read_to_string(&path)
                .map(Zeroizing::new)
                .or_fail(Kind::Failed, doing.clone())?;
            let (token, purpose) = text.split_once('\n').unwrap_or((&text, ""));
            let token = SealToken::parse(token).or_fail(Kind::Failed, doing.clone())?;
            // The parser's own error could repeat the text, and a broken file may hold a secret.
            let pending: Pending = serde_json::from_str(purpose)
                .map_err(|_| Failure::message(Kind::Failed, "it does not say what it is for"))
                .map_err(|failure| failure.context(doing))?;
            all.push((token, pending));
        }
        all.sort_by_key(|(_, pending)| pending.since);
        Ok(all)
    }

    /// All token files that hold a token. Others are left out.
    pub fn known(&self) -> Outcome<Vec<Known>> {
        let known = files(&self.folder, EXTENSION)?
            .into_iter()
            .filter_map(|path| {
                let token = Origin::File(path.clone()).seal_token().ok()?;
                let hash = token.credential_hash();
                Some(Known { path, hash })
            });
        Ok(known.collect())
    }

    /// Makes the folder and says whether it can be written to, before anything is paid.
    pub fn prepare(&self, destination: &Path) -> Outcome {
        let doing = format!("can't make {}", self.folder.display());
        make_private_folder(&self.folder.join("pending")).or_fail(Kind::Failed, doing)?;
        if destination.exists() {
            return Err(Failure::message(
                Kind::Usage,
                format!("{} exists already", destination.display()),
            )
            .next("choose another --name or --token-file; a token is never overwritten"));
        }
        Ok(())
    }
}

/// Whether a file holds this token.
fn holds(path: &Path, token: &SealToken) -> bool {
    let found = Origin::File(path.to_owned()).seal_token();
    found.is_ok_and(|found| found.credential_hash().ct_eq(&token.credential_hash()))
}

/// The files of a folder with this extension, sorted; none when there is no folder.
fn files(folder: &Path, extension: &str) -> Outcome<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => {
            let failure = Failure::new(Kind::Failed, error);
            return Err(failure.context(format!("can't read {}", folder.display())));
        }
    };
    let mut paths: Vec<PathBuf> = entries
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pending(seals: &Seals, token: &SealToken, purpose: Purpose) -> Pending {
        let hash = token.credential_hash();
        Pending {
            hash: hash.to_string(),
            owner: Address::from_bytes([1; 32]),
            destination: seals.path(Some("mine"), &hash),
            purpose,
            since: UnixMillis(5),
        }
    }

    #[test]
    fn a_token_survives_between_keeping_and_settling() {
        let folder = tempfile::tempdir().unwrap();
        let seals = Seals::new(&folder.path().join("seals"));
        let token = new_token().unwrap();
        seals
            .keep_pending(&token, &pending(&seals, &token, Purpose::Stake))
            .unwrap();

        let found = seals.pending().unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(*found[0].0.reveal(), *token.reveal());
        assert!(seals.known().unwrap().is_empty());

        seals.settle(&found[0].0, &found[0].1).unwrap();
        assert!(seals.pending().unwrap().is_empty());
        let known = seals.known().unwrap();
        assert_eq!(known.len(), 1);
        assert_eq!(known[0].hash, token.credential_hash());
        assert!(!crate::secrets::open_to_others(&known[0].path).unwrap());
    }

    #[test]
    fn a_new_seals_token_overwrites_no_other_and_stays_pending() {
        let folder = tempfile::tempdir().unwrap();
        let seals = Seals::new(folder.path());
        let token = new_token().unwrap();
        let pending = pending(&seals, &token, Purpose::Stake);
        std::fs::write(&pending.destination, "somebody's token").unwrap();
        seals.keep_pending(&token, &pending).unwrap();
        assert!(seals.prepare(&pending.destination).is_err());
        assert!(seals.settle(&token, &pending).is_err());
        assert_eq!(
            std::fs::read(&pending.destination).unwrap(),
            b"somebody's token"
        );
        assert_eq!(seals.pending().unwrap().len(), 1);
    }

    #[test]
    fn what_was_ended_between_its_two_steps_is_finished() {
        let folder = tempfile::tempdir().unwrap();
        let seals = Seals::new(folder.path());
        let token = new_token().unwrap();
        let pending = pending(&seals, &token, Purpose::Stake);
        seals.keep_pending(&token, &pending).unwrap();
        seals.settle(&token, &pending).unwrap();
        seals.keep_pending(&token, &pending).unwrap();
        seals.settle(&token, &pending).unwrap();
        assert!(seals.pending().unwrap().is_empty());
        assert_eq!(seals.known().unwrap().len(), 1);
    }

    #[test]
    fn a_broken_pending_file_is_reported_without_its_text() {
        let folder = tempfile::tempdir().unwrap();
        let seals = Seals::new(folder.path());
        std::fs::create_dir(folder.path().join("pending")).unwrap();
        std::fs::write(folder.path().join("pending/x.pending"), "topsecret").unwrap();
        let failure = seals.pending().unwrap_err();
        assert!(!format!("{failure} {failure:?}").contains("topsecret"));
    }
}
