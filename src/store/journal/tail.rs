//! Opens the journal: checks that it is complete, finds its end, and returns the segment to continue in.
//!
//! A read may return bytes from the page cache that are not on the disk: a sync before this start may have failed. The
//! last segment is known to be durable only if the witness was written after the closing record. Otherwise the segment
//! is rewritten, sealed or not, before anything is added to it.

use std::{io, path::Path};

use super::{
    disk::{Disk, is_no_room},
    disk_space::free_bytes,
    marker,
    open_error::OpenError,
    rule_files,
    scan::{Scanned, scan},
    segment::{self, Prepared, Segment, SegmentSizes},
    witness::{self, Witness},
};
use crate::decide::RecordKind;

/// A journal that was read and not changed.
pub struct JournalTail {
    /// `None`: the journal is new, or was written by version 0.1.
    pub witness: Option<Witness>,
    pub scanned: Vec<Scanned>,
}

impl JournalTail {
    /// The number of the last record; 0: there is none.
    pub fn last(&self) -> u64 {
        self.scanned.last().map_or(0, |one| one.next - 1)
    }

    /// Whether the last segment is known to be durable: it was closed, and the witness was written after that.
    fn ended_well(&self, newest: &Scanned) -> bool {
        let known = self.witness.as_ref().is_some_and(|witness| witness.last == self.last());
        known && newest.last_kind == Some(RecordKind::Closed) && !newest.sealed && newest.torn == 0
    }
}

/// Reads the journal in this data directory; returns an error if anything is missing or damaged. Changes no file.
pub fn look(disk: &Disk, data: &Path, dir: &Path) -> Result<JournalTail, OpenError> {
    let reading = |error| OpenError::io(format_args!("reading {}", dir.display()), error);
    let witness = Witness::read(disk, data)?;
    let segments = segment::list(dir).map_err(reading)?;
    match &witness {
        Some(witness) => witness.check_segments(&segments, dir)?,
        None if marker::is_there(dir) => return Err(OpenError::WitnessMissing(data.join(witness::FILE))),
        None => {
            let found = segments.first().map(|(first, _)| *first);
            // Version 0.1 stored rule sets only when there was a segment for the record that names them.
            let is_new = found.is_none() && !rule_files::are_there(&data.join("rule-sets")).map_err(reading)?;
            if found != Some(1) && !is_new {
                return Err(OpenError::FirstSegment { found, expected: 1, dir: dir.to_owned() });
            }
        }
    }
    let scanned = scan(disk, &segments).map_err(reading)?.map_err(OpenError::Damage)?;
    if let Some(witness) = &witness {
        witness.check_end(&scanned)?;
    }
    Ok(JournalTail { witness, scanned })
}

/// Returns the segment to continue in. When it returns, all records that were found are durable.
pub fn go_on(
    disk: &Disk,
    dir: &Path,
    found: &mut JournalTail,
    sizes: &SegmentSizes,
    min_free_bytes: u64,
) -> Result<Segment, OpenError> {
    let Some(newest) = found.scanned.last() else {
        let doing = format!("starting the journal in {}", dir.display());
        let begun = Prepared::write(disk, dir, "first.tmp", &[], sizes.smallest)
            .and_then(|prepared| prepared.join(disk, dir, 1, 0))
            .map_err(|error| no_room(doing, error, sizes.smallest))?;
        let path = dir.join(segment::name_of(1));
        found.scanned.push(Scanned { path, first: 1, next: 1, end: 0, torn: 0, sealed: false, last_kind: None });
        return Ok(begun);
    };
    if found.ended_well(newest) {
        return Segment::resume(disk, &newest.path, newest.first, newest.end)
            .map_err(|error| OpenError::io(format_args!("opening {}", newest.path.display()), error));
    }
    write_anew(disk, dir, newest, sizes, min_free_bytes)
}

/// Copies the records of the last segment to a new file that replaces it. The bytes that were never acknowledged are
/// cut off; so is the seal, because the segment continues.
fn write_anew(
    disk: &Disk,
    dir: &Path,
    newest: &Scanned,
    sizes: &SegmentSizes,
    min_free_bytes: u64,
) -> Result<Segment, OpenError> {
    let doing = || format!("rewriting {} after an unclean end", newest.path.display());
    let bytes = disk.read(&newest.path).map_err(|error| OpenError::io(doing(), error))?;
    let records = usize::try_from(newest.end).ok().and_then(|end| bytes.get(..end));
    let records = records.ok_or_else(|| OpenError::io(doing(), io::Error::other("the file has become shorter")))?;
    let size = (bytes.len() as u64).max(sizes.smallest);
    let needed_bytes = min_free_bytes.max(size);
    if free_bytes(dir).is_ok_and(|free| free < needed_bytes) {
        return Err(OpenError::NoRoom { doing: doing(), needed_bytes });
    }
    if newest.torn > 0 {
        tracing::warn!(
            file = %newest.path.display(), offset = newest.end, bytes = newest.torn,
            "the journal ends with bytes that were never acknowledged; they are cut off"
        );
    }
    Prepared::write(disk, dir, "anew.tmp", records, size)
        .and_then(|prepared| prepared.join(disk, dir, newest.first, newest.end))
        .map_err(|error| no_room(doing(), error, needed_bytes))
}

fn no_room(doing: String, error: io::Error, needed_bytes: u64) -> OpenError {
    if is_no_room(&error) { OpenError::NoRoom { doing, needed_bytes } } else { OpenError::Io { doing, error } }
}
