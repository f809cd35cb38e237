//! Reads a record of the journal by its number.
//!
//! Numbers rise without gaps and lines are short, so a record is found by binary search in its segment. Only one open
//! file per segment is kept in memory.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufRead, BufReader, Read},
    os::unix::fs::FileExt,
    sync::{Arc, PoisonError, RwLock},
};

use super::{scan::Scanned, segment::Segment};
use crate::store::record::{self, Record};

/// The binary search ends with a piece of this size, which is read from its start.
const PIECE_BYTES: u64 = 16 * 1024;

#[derive(Default)]
pub struct JournalReader {
    /// By the number of their first record.
    segments: RwLock<BTreeMap<u64, Arc<File>>>,
}

impl JournalReader {
    pub fn open(scanned: &[Scanned]) -> io::Result<Self> {
        let reader = Self::default();
        for one in scanned {
            reader.insert(one.first, File::open(&one.path)?);
        }
        Ok(reader)
    }

    fn insert(&self, first: u64, file: File) {
        self.segments.write().unwrap_or_else(PoisonError::into_inner).insert(first, Arc::new(file));
    }

    pub fn joined(&self, first: u64, segment: &Segment) -> io::Result<()> {
        self.insert(first, segment.reader()?);
        Ok(())
    }

    /// Reads a record that is known to be durable. `None`: it is older than the oldest segment.
    pub fn read(&self, number: u64) -> io::Result<Option<Record>> {
        let file = {
            let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
            segments.range(..=number).next_back().map(|(_, file)| Arc::clone(file))
        };
        let Some(file) = file else { return Ok(None) };
        find(&file, number)?.map(|line| record::decode(&line)).transpose().map_err(|_| damaged(number))
    }

    /// Reads up to `max` records in order, from `first` (or the oldest record) to `last`, which must be durable.
    /// Returns fewer at the end of a segment.
    pub fn read_on(&self, first: u64, last: u64, max: usize) -> io::Result<Vec<Record>> {
        let (number, last, file) = {
            let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
            let oldest = segments.keys().next().copied().unwrap_or(first);
            let number = first.max(oldest);
            let file = segments.range(..=number).next_back().map(|(_, file)| Arc::clone(file));
            // The seal may be missing; the segment ends where the next one begins.
            let next = number.checked_add(1).and_then(|after| segments.range(after..).next()).map(|(next, _)| *next);
            (number, next.map_or(last, |next| last.min(next - 1)), file)
        };
        let Some(file) = file.filter(|_| number <= last) else { return Ok(Vec::new()) };
        let Some((offset, _)) = locate(&file, number)? else { return Err(damaged(number)) };
        let mut lines = BufReader::with_capacity(1 << 20, SegmentReader { file: &file, offset });
        let mut records = Vec::new();
        let mut line = Vec::new();
        for number in (number..=last).take(max) {
            line.clear();
            lines.read_until(b'\n', &mut line)?;
            let whole = line.strip_suffix(b"\n").unwrap_or(&line);
            if record::is_seal(whole) {
                break;
            }
            let record = record::decode(whole).ok().filter(|record| record.header.n == number);
            records.push(record.ok_or_else(|| damaged(number))?);
        }
        Ok(records)
    }
}

fn damaged(number: u64) -> io::Error {
    io::Error::other(format!("record {number} of the journal is damaged"))
}

/// Reads a file from an offset, independently of the file's own position.
struct SegmentReader<'a> {
    file: &'a File,
    offset: u64,
}

impl Read for SegmentReader<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = self.file.read_at(into, self.offset)?;
        self.offset += length as u64;
        Ok(length)
    }
}

/// The line with this number.
fn find(file: &File, number: u64) -> io::Result<Option<Vec<u8>>> {
    Ok(locate(file, number)?.map(|(_, line)| line))
}

/// The offset of the line with this number, and the line.
fn locate(file: &File, number: u64) -> io::Result<Option<(u64, Vec<u8>)>> {
    let (mut low, mut high) = (0, file.metadata()?.len());
    // The line is the one that begins at `low`, or a later one that begins before `high`.
    while high - low > PIECE_BYTES {
        let middle = low + (high - low) / 2;
        match line_from(file, middle, high)? {
            Some((start, found)) if found <= number => low = start,
            // Later lines, or the newlines after the last line.
            _ => high = middle,
        }
    }
    let mut offset = low;
    while let Some((start, line)) = read_line(file, offset)? {
        match record::number(&line) {
            Some(found) if found == number => return Ok(Some((start, line))),
            Some(found) if found < number => offset = start + line.len() as u64 + 1,
            _ => break,
        }
    }
    Ok(None)
}

/// The start and number of the first line that begins after `offset`; `None` if no line begins before `end`.
fn line_from(file: &File, offset: u64, end: u64) -> io::Result<Option<(u64, u64)>> {
    let mut at = offset;
    let mut piece = vec![0; 4096];
    while at < end {
        let length = file.read_at(&mut piece, at)?;
        let Some(newline) = piece[..length].iter().position(|byte| *byte == b'\n') else {
            if length == 0 {
                return Ok(None);
            }
            at += length as u64;
            continue;
        };
        let start = at + newline as u64 + 1;
        if start >= end {
            return Ok(None);
        }
        let mut head = [0; 64];
        let length = file.read_at(&mut head, start)?;
        return Ok(record::number(&head[..length]).map(|number| (start, number)));
    }
    Ok(None)
}

/// The line that begins at `offset`, without its newline.
fn read_line(file: &File, offset: u64) -> io::Result<Option<(u64, Vec<u8>)>> {
    let mut line = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let length = file.read_at(&mut piece, offset + line.len() as u64)?;
        if let Some(newline) = piece[..length].iter().position(|byte| *byte == b'\n') {
            line.extend_from_slice(&piece[..newline]);
            return Ok((!line.is_empty()).then_some((offset, line)));
        }
        if length == 0 {
            return Ok(None);
        }
        line.extend_from_slice(&piece[..length]);
    }
}
