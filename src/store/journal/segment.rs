//! The journal's files: segments, named by the number of their first record, and filled with newlines in advance.
//!
//! Filling a segment in advance pays for its metadata once: overwriting costs half as much as appending. A segment
//! joins the journal by a rename and an fsync of the directory, before any record is written to it. This module does
//! not read records.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use super::disk::{Disk, DiskFile};

/// The sizes of segments, in bytes: each segment is twice as large as the previous one, within these limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentSizes {
    pub smallest: u64,
    pub largest: u64,
}

impl Default for SegmentSizes {
    fn default() -> Self {
        Self { smallest: 1 << 20, largest: 64 << 20 }
    }
}

impl SegmentSizes {
    /// The size of the segment after one of this size.
    pub fn next(&self, size: u64) -> u64 {
        size.saturating_mul(2).clamp(self.smallest, self.largest)
    }
}

const SUFFIX: &str = ".jsonl";

/// Space reserved for the line that seals a segment.
pub const SEAL_BYTES: u64 = 256;

pub fn name_of(first: u64) -> String {
    format!("{first:020}{SUFFIX}")
}

/// The journal's segments, by the number of their first record. Number 0 is not a segment, but the format marker.
pub fn list(dir: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let first = name.strip_suffix(SUFFIX).and_then(|digits| digits.parse().ok());
        if let Some(first) = first.filter(|first| *first > 0) {
            found.push((first, path));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// A durable file filled with newlines, under a name that no segment has.
#[derive(Debug)]
pub struct Prepared {
    path: PathBuf,
    file: DiskFile,
    size: u64,
}

impl Prepared {
    /// Writes `head`, and newlines up to `size`. A file that could not be written completely is removed.
    pub fn write(disk: &Disk, dir: &Path, name: &str, head: &[u8], size: u64) -> io::Result<Self> {
        let path = dir.join(name);
        let size = size.max(head.len() as u64 + SEAL_BYTES);
        let file = disk.create(&path)?;
        match fill(&file, head, size) {
            Ok(()) => Ok(Self { path, file, size }),
            Err(error) => {
                let _ = disk.remove(&path);
                Err(error)
            }
        }
    }

    /// Joins the journal as the segment that begins with record `first`.
    pub fn join(self, disk: &Disk, dir: &Path, first: u64, written: u64) -> io::Result<Segment> {
        disk.rename(&self.path, &dir.join(name_of(first)))?;
        disk.sync_dir(dir)?;
        Ok(Segment { file: self.file, first, size: self.size, written })
    }
}

fn fill(file: &DiskFile, head: &[u8], size: u64) -> io::Result<()> {
    if !head.is_empty() {
        file.write_all_at(head, 0)?;
    }
    let blank = vec![b'\n'; 256 * 1024];
    let mut at = head.len() as u64;
    while at < size {
        let part = usize::try_from(size - at).map_or(blank.len(), |left| left.min(blank.len()));
        file.write_all_at(&blank[..part], at)?;
        at += part as u64;
    }
    file.sync()
}

/// The segment that records are written to.
#[derive(Debug)]
pub struct Segment {
    file: DiskFile,
    first: u64,
    size: u64,
    written: u64,
}

impl Segment {
    /// Continues in a segment that is known to be durable.
    pub fn resume(disk: &Disk, path: &Path, first: u64, written: u64) -> io::Result<Self> {
        let file = disk.open(path)?;
        let size = file.length()?;
        Ok(Self { file, first, size, written })
    }

    /// The number of its first record.
    pub const fn first(&self) -> u64 {
        self.first
    }

    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The free space, without the space for the seal, in bytes.
    pub const fn room(&self) -> u64 {
        self.size.saturating_sub(self.written).saturating_sub(SEAL_BYTES)
    }

    /// Writes whole lines after the last one; they are durable only after [`Segment::sync`].
    pub fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        self.file.write_all_at(lines, self.written)?;
        self.written += lines.len() as u64;
        Ok(())
    }

    pub fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }

    pub fn reader(&self) -> io::Result<File> {
        self.file.reader()
    }
}
