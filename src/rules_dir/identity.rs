//! What tells one state of the directory from the next without reading it.

use std::{fs, path::Path};

/// Of each of our files, and of other files with a conflict of git, its name, size, times and inode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity(Vec<(String, u64, i128, i128, u64)>);

/// `None`: the directory can't be listed.
pub(super) fn of(dir: &Path) -> Option<Identity> {
    use std::os::unix::fs::MetadataExt;
    let ns = |seconds: i64, ns: i64| i128::from(seconds) * 1_000_000_000 + i128::from(ns);
    let mut seen = Vec::new();
    let strays = super::strays::in_conflict(dir, "").into_iter().map(|(name, path, _)| (name, path));
    for (name, path) in super::list(dir).ok()?.into_iter().chain(strays) {
        // A link to nowhere, or a file that has just gone, does not hide what happens to the others.
        let Ok(metadata) = fs::metadata(path) else {
            seen.push((name, 0, 0, 0, 0));
            continue;
        };
        // The time of the last change of the inode can't be set back by the one who writes.
        let modified = ns(metadata.mtime(), metadata.mtime_nsec());
        let changed = ns(metadata.ctime(), metadata.ctime_nsec());
        seen.push((name, metadata.len(), modified, changed, metadata.ino()));
    }
    Some(Identity(seen))
}
