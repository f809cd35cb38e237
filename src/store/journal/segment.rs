//! The journal's files: segments, each named by the number of its first record, written ahead with newlines.
//!
//! A segment that is filled ahead costs its metadata once: overwriting is half the price of appending. It joins the journal by
//! a rename and an fsync of the directory, before any record goes in. Nothing in here knows what a record means.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

pub const SMALLEST_BYTES: u64 = 1 << 20;
pub const LARGEST_BYTES: u64 = 64 << 20;

const SUFFIX: &str = ".jsonl";

/// Room for the line that seals a segment.
pub const SEAL_BYTES: u64 = 256;

/// A private directory, with those above it that are missing.
pub fn make_dir(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Makes renames and new files in a directory last.
pub fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Creates a private file, or empties it.
pub fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(path)
}

pub fn name_of(first: u64) -> String {
    format!("{first:020}{SUFFIX}")
}

/// The journal's segments, by the number of their first record.
pub fn list(dir: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if let Some(first) = name.strip_suffix(SUFFIX).and_then(|digits| digits.parse().ok()) {
            found.push((first, path));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Removes what a process that ended had not finished: files that never joined.
pub fn remove_unfinished(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "tmp") {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// How large the segment after one of this size is.
pub fn next_size(size: u64) -> u64 {
    size.saturating_mul(2).clamp(SMALLEST_BYTES, LARGEST_BYTES)
}

/// A file filled with newlines, durable, under a name that is no segment's.
#[derive(Debug)]
pub struct Prepared {
    path: PathBuf,
    file: File,
    size: u64,
}

impl Prepared {
    /// Begins with `head`, and goes on with newlines up to `size`.
    pub fn write(dir: &Path, name: &str, head: &[u8], size: u64) -> io::Result<Self> {
        let path = dir.join(name);
        let mut file = create(&path)?;
        let size = size.max(head.len() as u64 + SEAL_BYTES);
        file.write_all(head)?;
        let blank = vec![b'\n'; 256 * 1024];
        let mut left = size - head.len() as u64;
        while left > 0 {
            let part = usize::try_from(left).map_or(blank.len(), |left| left.min(blank.len()));
            file.write_all(&blank[..part])?;
            left -= part as u64;
        }
        file.sync_all()?;
        Ok(Self { path, file, size })
    }

    /// Joins the journal as the segment that begins with this number.
    pub fn join(self, dir: &Path, first: u64, written: u64) -> io::Result<Segment> {
        let path = dir.join(name_of(first));
        fs::rename(&self.path, &path)?;
        sync_dir(dir)?;
        Ok(Segment { file: self.file, size: self.size, written })
    }
}

/// The segment that records go into.
#[derive(Debug)]
pub struct Segment {
    file: File,
    size: u64,
    written: u64,
}

impl Segment {
    /// Goes on in a segment that ended in good order.
    pub fn resume(path: &Path, written: u64) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let size = file.metadata()?.len();
        Ok(Self { file, size, written })
    }

    pub const fn size(&self) -> u64 {
        self.size
    }

    /// What still goes in, beside the line that seals it.
    pub const fn room(&self) -> u64 {
        self.size.saturating_sub(self.written).saturating_sub(SEAL_BYTES)
    }

    /// Writes whole lines behind the last; durable only after [`Segment::sync`].
    pub fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        self.file.write_all_at(lines, self.written)?;
        self.written += lines.len() as u64;
        Ok(())
    }

    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    pub fn reader(&self) -> io::Result<File> {
        self.file.try_clone()
    }
}
