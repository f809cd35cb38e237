//! What is under the data directory is its owner's alone: customers, addresses, the keys.
//!
//! Everything is made so. A copy or a restored backup may not be, and is put right on opening, before anything is read.

use std::{fs, io, os::unix::fs::PermissionsExt, path::Path};

/// The directories and files of ours below the data directory; whatever else lies there is not ours to change.
const DIRECTORIES: [&str; 3] = ["journal", "rule-sets", "view"];
const FILES: [&str; 4] = ["LOCK", "job.key", "admin.token", "witness.json"];

/// Takes every right from group and others. Answers of how many files and directories.
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

/// What is missing is made private later.
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
