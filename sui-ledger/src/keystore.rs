//! Wallet keys in the file format of the `sui` command line, so that a wallet made by either
//! works with the other.
//!
//! Shape:  a JSON array of base64 texts, each one byte of scheme and 32 bytes of secret
//!         (`sui.keystore`). Scheme 0 is ed25519, 1 secp256k1, 2 secp256r1; only ed25519 keys
//!         are used here, the others stay in the file untouched.
//! Errors: an entry's text is never part of an error. The operator is to blame.
//! Source: Sui `sui-keys` (`FileBasedKeystore`), the CLI's `client.yaml`.

mod client_config;

use std::fmt;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rand::TryRngCore;
use rand::rngs::OsRng;
use seal::Address;
use sui_crypto::SuiSigner;
use sui_crypto::ed25519::Ed25519PrivateKey;
use sui_sdk_types::{Transaction, UserSignature};
use zeroize::Zeroizing;

pub use client_config::ClientConfig;

use crate::ids;

/// A keystore with hundreds of keys is far smaller; a longer file is something else.
const MAX_FILE_BYTES: u64 = 1024 * 1024;
const ED25519: u8 = 0;
const SECRET_BYTES: usize = 32;

/// Why a key can't be had.
#[derive(Debug, thiserror::Error)]
pub enum KeystoreError {
    /// The file can't be read.
    #[error("keystore {path} can't be read")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// The file can't be written.
    #[error("keystore {path} can't be written")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// Not a JSON array of texts, or far too long. Says nothing of the contents.
    #[error("keystore {path} is no JSON array of base64 texts")]
    Shape {
        /// The file.
        path: PathBuf,
    },
    /// An entry that is no key.
    #[error("keystore entry {position} is not base64 of one byte of scheme and 32 bytes of key")]
    Entry {
        /// Its place in the array, from 0.
        position: usize,
    },
    /// There is no ed25519 key for the address.
    #[error(
        "the keystore has no ed25519 key for {address} ({others} keys of other schemes were not tried)"
    )]
    NotFound {
        /// The address asked for.
        address: Address,
        /// How many keys are of schemes that are not used here.
        others: usize,
    },
    /// No address was named and there is not exactly one key.
    #[error("the keystore has {found} ed25519 keys: name the address to use")]
    Ambiguous {
        /// How many there are.
        found: usize,
    },
    /// The system gave no random bytes.
    #[error("the system gave no random bytes")]
    Random(#[source] rand::rand_core::OsError),
    /// The CLI's configuration names no usable address.
    #[error("{path} has no `{field}`")]
    ClientConfig {
        /// The file.
        path: PathBuf,
        /// The missing or malformed field.
        field: &'static str,
    },
    /// The key refused to sign.
    #[error("signing failed")]
    Sign(#[source] sui_crypto::SignatureError),
}

/// An ed25519 key that signs transactions. Zeroised when dropped; `Debug` shows the address.
#[derive(Clone)]
pub struct WalletKey {
    // The signing key inside zeroises itself (ed25519-dalek, feature `zeroize`, on by default).
    key: Ed25519PrivateKey,
    address: Address,
}

impl WalletKey {
    /// Makes a new key from the system's randomness.
    pub fn generate() -> Result<Self, KeystoreError> {
        let mut secret = Zeroizing::new([0u8; SECRET_BYTES]);
        OsRng
            .try_fill_bytes(secret.as_mut_slice())
            .map_err(KeystoreError::Random)?;
        Ok(Self::from_secret(&secret))
    }

    /// Takes 32 secret bytes as a key.
    #[must_use]
    pub fn from_secret(secret: &[u8; SECRET_BYTES]) -> Self {
        let key = Ed25519PrivateKey::new(*secret);
        let address = ids::address(key.public_key().derive_address());
        Self { key, address }
    }

    /// Reads an entry of a keystore: base64 of scheme and secret. None if it is no ed25519 key.
    #[must_use]
    pub fn from_base64(text: &str) -> Option<Self> {
        match parse_entry(text)? {
            Entry::Ed25519(key) => Some(*key),
            Entry::Other => None,
        }
    }

    /// The account this key signs for.
    #[must_use]
    pub const fn address(&self) -> Address {
        self.address
    }

    /// Signs a transaction.
    pub fn sign(&self, transaction: &Transaction) -> Result<UserSignature, KeystoreError> {
        self.key
            .sign_transaction(transaction)
            .map_err(KeystoreError::Sign)
    }

    /// The entry of a keystore.
    fn to_base64(&self) -> Zeroizing<String> {
        Zeroizing::new(self.key.to_base64())
    }
}

impl fmt::Debug for WalletKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WalletKey")
            .field("address", &self.address)
            .field("key", &format_args!("[redacted]"))
            .finish()
    }
}

/// The keys of one file.
#[derive(Debug, Clone)]
pub struct Keystore {
    keys: Vec<WalletKey>,
    others: usize,
}

impl Keystore {
    /// Reads a file. Keys of other schemes are counted, not used.
    pub fn load(path: &Path) -> Result<Self, KeystoreError> {
        warn_if_others_can_read(path);
        let mut keys = Vec::new();
        let mut others = 0;
        for (position, text) in read_entries(path)?.iter().enumerate() {
            match parse_entry(text).ok_or(KeystoreError::Entry { position })? {
                Entry::Ed25519(key) => keys.push(*key),
                Entry::Other => others += 1,
            }
        }
        Ok(Self { keys, others })
    }

    /// The addresses that can sign, in the file's order.
    pub fn addresses(&self) -> impl Iterator<Item = Address> {
        self.keys.iter().map(WalletKey::address)
    }

    /// The key of an address.
    pub fn key(&self, address: &Address) -> Result<&WalletKey, KeystoreError> {
        self.keys
            .iter()
            .find(|key| key.address == *address)
            .ok_or(KeystoreError::NotFound {
                address: *address,
                others: self.others,
            })
    }

    /// The only key, for when no address was named. With more than one there is no guessing.
    pub fn only_key(&self) -> Result<&WalletKey, KeystoreError> {
        match self.keys.as_slice() {
            [key] => Ok(key),
            keys => Err(KeystoreError::Ambiguous { found: keys.len() }),
        }
    }
}

/// Writes a new keystore with one key, mode 0600. A file that is there is never touched.
pub fn create(path: &Path, key: &WalletKey) -> Result<(), KeystoreError> {
    let text = to_json(&[key.to_base64()]);
    write_new(path, &text).map_err(|source| KeystoreError::Write {
        path: path.to_owned(),
        source,
    })
}

/// Adds a key to a keystore; all other entries, of whatever scheme, stay as they are.
/// The file is replaced whole, mode 0600. A key that is there already changes nothing.
pub fn add(path: &Path, key: &WalletKey) -> Result<(), KeystoreError> {
    let mut entries = read_entries(path)?;
    let entry = key.to_base64();
    if entries.contains(&entry) {
        return Ok(());
    }
    entries.push(entry);
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let draft = PathBuf::from(name);
    let written =
        write_new(&draft, &to_json(&entries)).and_then(|()| std::fs::rename(&draft, path));
    if written.is_err() {
        // The draft holds secrets: it must not stay.
        let _ = std::fs::remove_file(&draft);
    }
    written.map_err(|source| KeystoreError::Write {
        path: path.to_owned(),
        source,
    })
}

enum Entry {
    Ed25519(Box<WalletKey>),
    Other,
}

fn parse_entry(text: &str) -> Option<Entry> {
    let bytes = Zeroizing::new(STANDARD.decode(text).ok()?);
    let (scheme, secret) = bytes.split_first()?;
    // All three schemes of the format have secrets of 32 bytes.
    let secret: &[u8; SECRET_BYTES] = secret.try_into().ok()?;
    Some(if *scheme == ED25519 {
        Entry::Ed25519(Box::new(WalletKey::from_secret(secret)))
    } else {
        Entry::Other
    })
}

fn read_entries(path: &Path) -> Result<Vec<Zeroizing<String>>, KeystoreError> {
    let text = read_bounded(path)?;
    // Moved, not copied, into what zeroises itself.
    serde_json::from_str::<Vec<String>>(&text)
        .map(|entries| entries.into_iter().map(Zeroizing::new).collect())
        .map_err(|_| KeystoreError::Shape {
            path: path.to_owned(),
        })
}

fn read_bounded(path: &Path) -> Result<Zeroizing<String>, KeystoreError> {
    let read = |source| KeystoreError::Read {
        path: path.to_owned(),
        source,
    };
    let file = std::fs::File::open(path).map_err(read)?;
    let length = file.metadata().map_err(read)?.len();
    // The room is made beforehand, so that no half of a secret stays behind in a smaller buffer.
    let mut text = Zeroizing::new(String::with_capacity(
        usize::try_from(length.min(MAX_FILE_BYTES)).unwrap_or_default() + 1,
    ));
    file.take(MAX_FILE_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(read)?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(KeystoreError::Shape {
            path: path.to_owned(),
        });
    }
    Ok(text)
}

/// Base64 needs no escapes in JSON, so the text is put together here and zeroised with care.
fn to_json(entries: &[Zeroizing<String>]) -> Zeroizing<String> {
    let length: usize = entries.iter().map(|entry| entry.len() + 8).sum();
    let mut text = Zeroizing::new(String::with_capacity(length + 8));
    text.push_str("[\n");
    for (position, entry) in entries.iter().enumerate() {
        text.push_str(if position == 0 { "  \"" } else { ",\n  \"" });
        text.push_str(entry);
        text.push('"');
    }
    text.push_str("\n]");
    text
}

fn write_new(path: &Path, text: &str) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(unix)]
fn warn_if_others_can_read(path: &Path) {
    use std::os::unix::fs::PermissionsExt;

    let mode = std::fs::metadata(path).map(|metadata| metadata.permissions().mode());
    if mode.is_ok_and(|mode| mode & 0o077 != 0) {
        tracing::warn!(path = %path.display(), "the keystore can be read by others: chmod 600 it");
    }
}

#[cfg(not(unix))]
fn warn_if_others_can_read(_path: &Path) {}

#[cfg(test)]
mod tests;
