//! Corrections to the files that sled leaves on the disk.

use std::{fs, io, os::unix::fs::PermissionsExt, path::Path};

pub(super) fn throw_away(path: &Path) -> io::Result<()> {
    // The path may be a file instead of a directory.
    let is_file = fs::symlink_metadata(path).is_ok_and(|there| !there.is_dir());
    match if is_file { fs::remove_file(path) } else { fs::remove_dir_all(path) } {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Removes the unfinished snapshot of a sled that crashed; with it, every later open fails. The caller holds the lock.
pub(super) fn forget_unfinished_snapshots(path: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// Restricts sled's files to their owner; sled creates them readable for all users.
pub(super) fn make_private(path: &Path) -> io::Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(path)? {
        let path = entry?.path();
        if path.is_dir() {
            make_private(&path)?;
        } else {
            fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        }
    }
    Ok(())
}
