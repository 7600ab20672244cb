//! `k3s-daas worker` goes on as the worker's own program where that lies beside this one.
//!
//! Shape:  the same process with the same command line, environment and files; a third less of the
//!         machine's memory. The process list goes on to show what was typed.
//! Errors: where the other program can't be started this one does the same.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use k3s_configs::WORKER_BINARY;

use crate::output;

/// Comes back only where there is no other program, or it can't be started.
pub(crate) fn to_the_workers_own(args: &[OsString]) {
    let Some(own) = std::env::current_exe().ok().and_then(|this| beside(&this)) else {
        return;
    };
    let Some((name, rest)) = args.split_first() else {
        return;
    };
    let error = Command::new(&own).arg0(name).args(rest).exec();
    output::warn(&format!("{} can't be started: {error}", own.display()));
}

/// The worker's own program in the same folder.
pub(crate) fn beside(this: &Path) -> Option<PathBuf> {
    let own = this.with_file_name(WORKER_BINARY);
    own.is_file().then_some(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workers_own_program_is_taken_where_it_lies_beside_this_one() {
        let folder = tempfile::tempdir().unwrap();
        let this = folder.path().join("k3s-daas");
        assert_eq!(beside(&this), None);
        let own = folder.path().join(WORKER_BINARY);
        std::fs::write(&own, "").unwrap();
        assert_eq!(beside(&this), Some(own));
    }
}
