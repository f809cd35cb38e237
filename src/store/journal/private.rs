//! Restricts the files in the data directory to their owner: they contain customers, addresses and keys.
//!
//! All files are created that way. A copy or a restored backup may have other permissions, which are corrected on
//! opening, before anything is read.

use std::{fs, io, os::unix::fs::PermissionsExt, path::Path};

/// This program's directories and files in the data directory; other files there are left alone.
const DIRECTORIES: [&str; 3] = ["journal", "rule-sets", "view"];
const FILES: [&str; 4] = ["LOCK", "job.key", "admin.token", "witness.json"];

/// Removes all permissions of group and others. Returns the number of files and directories that were changed.
pub fn tighten(data: &Path) -> io::Result<usize> {
    let mut tightened = one(data)?;
    for name in FILES {
        tightened += one(&data.join(name))?;
    }
    for name in DIRECTORIES {
        tightened += tree(&data.join(name))?;
    }
    Ok(tightened)
}

fn tree(path: &Path) -> io::Result<usize> {
    let mut tightened = one(path)?;
    if !path.is_dir() {
        return Ok(tightened);
    }
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        tightened += if entry.file_type()?.is_dir() { tree(&entry.path())? } else { one(&entry.path())? };
    }
    Ok(tightened)
}

/// Changes one file or directory. A missing one is skipped; it will be created private.
fn one(path: &Path) -> io::Result<usize> {
    let mode = match fs::metadata(path) {
        Ok(metadata) => metadata.permissions().mode(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    if mode & 0o077 == 0 {
        return Ok(0);
    }
    fs::set_permissions(path, fs::Permissions::from_mode(mode & 0o700)).map(|()| 1)
}
