//! Control groups that a machine leaves behind.

use std::path::Path;
use std::time::Duration;

/// Removes a group and those below it in every hierarchy, the deepest first.
pub(super) fn remove(group: &str) -> std::io::Result<()> {
    let root = Path::new("/sys/fs/cgroup");
    let group = group.trim_start_matches('/');
    let mut tops = vec![root.join(group)];
    for entry in std::fs::read_dir(root)? {
        tops.push(entry?.path().join(group));
    }
    for top in tops.into_iter().filter(|top| top.is_dir()) {
        let mut folders = vec![top];
        let mut next = 0;
        while let Some(folder) = folders.get(next).cloned() {
            next += 1;
            for entry in std::fs::read_dir(folder)?.flatten() {
                if entry.file_type()?.is_dir() {
                    folders.push(entry.path());
                }
            }
        }
        for folder in folders.iter().rev() {
            // Its last process may still be ending.
            for _ in 0..50 {
                if std::fs::remove_dir(folder).is_ok() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }
    Ok(())
}
