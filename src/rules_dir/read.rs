//! Reads one file of the rules directory with bounded time and memory.
//!
//! The name may belong to a pipe, a device, a disk image, or a link to one of these. The file is opened without
//! blocking, its type is checked, and at most the maximum file size is read.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use rustix::fs::{Mode, OFlags, open};

use crate::yaml::{Diagnostic, MAX_FILE_BYTES};

/// Returns the file's text. `shown` is the path for diagnostics.
pub(super) fn text(path: &Path, shown: &str) -> Result<String, Box<Diagnostic>> {
    let wrong = |code, problem: String, help: &str| Box::new(Diagnostic::error(code, shown, problem).help(help));
    let unreadable = |error: io::Error| Box::new(Diagnostic::error("file", shown, format!("cannot be read: {error}")));
    let fd = open(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|error| unreadable(error.into()))?;
    let file = File::from(fd);
    if !file.metadata().map_err(unreadable)?.is_file() {
        let problem = "this is not a regular file, but a pipe, a device or the like".to_owned();
        return Err(wrong("file", problem, "replace it with a regular file, or remove it from the directory"));
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() > MAX_FILE_BYTES {
        let most = MAX_FILE_BYTES / 1024;
        let problem = format!("this file is larger than {most} KiB");
        return Err(wrong("size", problem, "split it into several files, or remove it from the directory"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
        wrong("encoding", format!("line {line} is not UTF-8, at byte {at} of the file"), "save the file as UTF-8")
    })
}
