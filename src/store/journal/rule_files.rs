//! `data/rule-sets/`: the files of each rule set that a record names, stored under the hash of their content.
//!
//! Each read compares the content with the hash in the name. So a file that was edited, or damaged by the disk, is
//! never used under a hash that is not its own.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::disk::Disk;
use crate::yaml::Files;

fn path_of(dir: &Path, hash: &str) -> PathBuf {
    dir.join(format!("{hash}.json"))
}

/// Stores the files of a rule set under their hash, durably. An existing file with other content is rewritten.
pub fn keep(disk: &Disk, dir: &Path, hash: &str, files: &Files) -> io::Result<()> {
    let path = path_of(dir, hash);
    match disk.read(&path) {
        // The process that wrote the file may have ended before the name was durable.
        Ok(bytes) if is_of(hash, &bytes).is_some() => return disk.sync_dir(dir),
        Ok(_) => {
            tracing::warn!(file = %path.display(), "the stored rule set does not match its hash; it is rewritten")
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    disk.replace(&path, &serde_json::to_vec(files)?)
}

/// Reads the rule set with this hash; `None`: there is no such file. The error contains advice to the operator.
pub fn read(disk: &Disk, dir: &Path, hash: &str) -> Result<Option<Files>, String> {
    if !hash.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(None);
    }
    let path = path_of(dir, hash);
    match disk.read(&path) {
        Ok(bytes) => is_of(hash, &bytes).map(Some).ok_or_else(|| {
            format!(
                "{} is damaged or was edited: its content is not that of rule set {hash}. Restore it from a backup; if \
                 the files in the rules' directory are those of this set, loading them rewrites it",
                path.display()
            )
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}

/// Parses a rule set; `None` if its content does not match the hash.
fn is_of(hash: &str, bytes: &[u8]) -> Option<Files> {
    serde_json::from_slice(bytes).ok().filter(|files: &Files| files.hash() == hash)
}

/// Whether any rule set is stored here, which means that there were records.
pub fn are_there(dir: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(dir)? {
        if entry?.path().extension().is_some_and(|extension| extension == "json") {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_set_is_checked_against_its_hash() {
        let dir = tempfile::tempdir().expect("directory");
        let disk = Disk::default();
        let files = |text: &str| -> Files { [("kyc.yaml".to_owned(), text.to_owned())].into_iter().collect() };
        let (one, other) = (files("one"), files("other"));
        let hash = one.hash();
        assert_eq!(read(&disk, dir.path(), &hash), Ok(None));
        keep(&disk, dir.path(), &hash, &one).expect("stored");
        assert_eq!(read(&disk, dir.path(), &hash), Ok(Some(one.clone())));
        let path = path_of(dir.path(), &hash);
        for harm in [serde_json::to_vec(&other).expect("JSON"), b"{\"kyc.yaml\":\"on".to_vec(), Vec::new()] {
            fs::write(&path, harm).expect("written");
            let error = read(&disk, dir.path(), &hash).expect_err("changed");
            assert!(error.contains(&hash) && error.contains("Restore"), "{error}");
        }
        keep(&disk, dir.path(), &hash, &one).expect("stored");
        assert_eq!(read(&disk, dir.path(), &hash), Ok(Some(one)), "the file is rewritten");
        assert_eq!(read(&disk, dir.path(), "../../etc/passwd"), Ok(None));
    }
}
