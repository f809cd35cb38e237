//! Files of this repository that tests read.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The path of a file or directory, given from the root of the repository.
pub fn path(below: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(below)
}

/// The paths of all files below `src`.
pub fn sources() -> Vec<PathBuf> {
    let mut paths = Vec::new();
    let mut dirs = vec![path("src")];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).expect("readable") {
            let path = entry.expect("entry").path();
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                paths.push(path);
            }
        }
    }
    paths
}

/// The files of a data directory that version 0.1 (commit 80a69e8) has written, each with its path in that directory.
/// `tests/data/v0.1/README.md` describes how.
pub fn data_of_version_0_1() -> Vec<(PathBuf, Vec<u8>)> {
    let data = path("tests/data/v0.1/data");
    let mut files = Vec::new();
    for below in ["", "journal", "rule-sets"] {
        for entry in fs::read_dir(data.join(below)).expect("recorded") {
            let path = entry.expect("entry").path();
            if path.is_file() {
                files.push((path.strip_prefix(&data).expect("below").to_owned(), fs::read(&path).expect("bytes")));
            }
        }
    }
    files
}
