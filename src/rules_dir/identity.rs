//! A fingerprint of the directory's state that needs no reading of file contents.

use std::{fs, path::Path};

/// Name, size, times and inode of each file that the program reads, and of each other file with a git conflict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FileIdentity(Vec<(String, u64, i128, i128, u64)>);

/// Computes the fingerprint. `None`: the directory cannot be listed.
pub(super) fn of(dir: &Path) -> Option<FileIdentity> {
    use std::os::unix::fs::MetadataExt;
    let ns = |seconds: i64, ns: i64| i128::from(seconds) * 1_000_000_000 + i128::from(ns);
    let mut seen = Vec::new();
    let strays = super::strays::in_conflict(dir, "").into_iter().map(|(name, path, _)| (name, path));
    for (name, path) in super::list(dir).ok()?.into_iter().chain(strays) {
        // A broken link or a deleted file must not hide changes of the other files.
        let Ok(metadata) = fs::metadata(path) else {
            seen.push((name, 0, 0, 0, 0));
            continue;
        };
        // A program can set the modification time, but not the time of the last inode change.
        let modified = ns(metadata.mtime(), metadata.mtime_nsec());
        let changed = ns(metadata.ctime(), metadata.ctime_nsec());
        seen.push((name, metadata.len(), modified, changed, metadata.ino()));
    }
    Some(FileIdentity(seen))
}
