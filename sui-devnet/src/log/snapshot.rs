//! One stored state.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use sui_sdk_types::hash::Hasher;

use crate::ledger::Snapshot;

const MAGIC: &[u8; 8] = b"K3DSNAP1";
const CHECKSUM_BYTES: usize = 32;

/// Writes a state whole or not at all.
pub(super) fn write(directory: &Path, path: &Path, snapshot: &Snapshot) -> io::Result<()> {
    let body = bcs::to_bytes(snapshot).map_err(io::Error::other)?;
    let unfinished = path.with_extension("unfinished");
    let mut file = File::create(&unfinished)?;
    file.write_all(MAGIC)?;
    file.write_all(Hasher::digest(&body).inner())?;
    file.write_all(&body)?;
    file.sync_all()?;
    drop(file);
    std::fs::rename(&unfinished, path)?;
    // The name is on the disk only once the directory is.
    File::open(directory)?.sync_all()
}

/// Reads a state.
pub(super) fn read(path: &Path) -> io::Result<Snapshot> {
    let damaged = || io::Error::new(io::ErrorKind::InvalidData, "damaged, or of another version");
    let mut bytes = Vec::new();
    File::open(path)?.read_to_end(&mut bytes)?;
    let rest = bytes.strip_prefix(MAGIC.as_slice()).ok_or_else(damaged)?;
    let (sum, body) = rest.split_at_checked(CHECKSUM_BYTES).ok_or_else(damaged)?;
    if Hasher::digest(body).inner().as_slice() != sum {
        return Err(damaged());
    }
    bcs::from_bytes(body).map_err(|_| damaged())
}
