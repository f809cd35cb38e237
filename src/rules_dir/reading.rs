//! One file of the rules directory, read so that nothing which lies there can hold the process up or fill its memory.
//!
//! Under a name of ours may stand a pipe, a device, a disk's image, or a link to one. It is opened without waiting, asked what it
//! is, and no more of it is read than a file may have.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use rustix::fs::{Mode, OFlags, open};

use crate::source::{Diagnostic, MAX_FILE_BYTES};

/// The file's text; `shown` is its path as merchants know it.
pub(super) fn text(path: &Path, shown: &str) -> Result<String, Box<Diagnostic>> {
    let wrong = |code, problem: String, help: &str| Box::new(Diagnostic::error(code, shown, problem).help(help));
    let unreadable = |error: io::Error| Box::new(Diagnostic::error("file", shown, format!("can't be read: {error}")));
    let fd = open(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|error| unreadable(error.into()))?;
    let file = File::from(fd);
    if !file.metadata().map_err(unreadable)?.is_file() {
        let problem = "this is no file, but a pipe, a device or the like".to_owned();
        return Err(wrong("file", problem, "put a file in its place, or take it out of the directory"));
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() > MAX_FILE_BYTES {
        let most = MAX_FILE_BYTES / 1024;
        let problem = format!("this file has more than the {most} KiB that are read");
        return Err(wrong("size", problem, "split it into several files, or take it out of the directory"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
        wrong("encoding", format!("line {line} is not UTF-8, at byte {at} of the file"), "save the file as UTF-8")
    })
}
