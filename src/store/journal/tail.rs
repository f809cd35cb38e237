//! Opening the journal: whether all of it is there, where it ends, and the segment to go on in.
//!
//! Bytes that a read returns may come from the page cache, and are no proof that they are on the disk: a sync before this
//! start may have failed. Only where the witness was written after the closing record is the last segment known to be durable.
//! Otherwise it is written anew, sealed or not, before anything is built on it.

use std::{io, path::Path};

use super::{
    ahead::free_bytes,
    disk::{Disk, is_no_room},
    marker,
    open_error::OpenError,
    rule_files,
    scan::{Scanned, scan},
    segment::{self, Prepared, Segment, SegmentSizes},
    witness::{self, Witness},
};
use crate::decide::Kind;

/// A journal that was looked through, and nothing of it changed.
pub struct Found {
    /// `None`: the journal is new, or version 0.1 has written it.
    pub witness: Option<Witness>,
    pub scanned: Vec<Scanned>,
}

impl Found {
    /// The number of the last record; 0: there is none.
    pub fn last(&self) -> u64 {
        self.scanned.last().map_or(0, |one| one.next - 1)
    }

    /// The last segment is on the disk as it was read: it was closed, and the witness was written after that.
    fn ended_well(&self, newest: &Scanned) -> bool {
        let known = self.witness.as_ref().is_some_and(|witness| witness.last == self.last());
        known && newest.last_kind == Some(Kind::Closed) && !newest.sealed && newest.torn == 0
    }
}

/// Looks through the journal in this data directory, and refuses it where something is missing or damaged. No file is changed.
pub fn look(disk: &Disk, data: &Path, dir: &Path) -> Result<Found, OpenError> {
    let reading = |error| OpenError::io(format_args!("reading {}", dir.display()), error);
    let witness = Witness::read(disk, data)?;
    let segments = segment::list(dir).map_err(reading)?;
    match &witness {
        Some(witness) => witness.check_segments(&segments, dir)?,
        None if marker::is_there(dir) => return Err(OpenError::WitnessMissing(data.join(witness::FILE))),
        None => {
            let found = segments.first().map(|(first, _)| *first);
            // Version 0.1 kept rule sets only when there was a segment for the record that names them.
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
    Ok(Found { witness, scanned })
}

/// The segment to go on in. When it returns, all that was found is on the disk.
pub fn go_on(
    disk: &Disk,
    dir: &Path,
    found: &mut Found,
    sizes: &SegmentSizes,
    min_free_bytes: u64,
) -> Result<Segment, OpenError> {
    let Some(newest) = found.scanned.last() else {
        let doing = format!("beginning the journal in {}", dir.display());
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

/// Copies the records of the last segment into a new file that takes its place. What was never acknowledged is cut; so is the
/// seal, since the segment goes on.
fn write_anew(
    disk: &Disk,
    dir: &Path,
    newest: &Scanned,
    sizes: &SegmentSizes,
    min_free_bytes: u64,
) -> Result<Segment, OpenError> {
    let doing = || format!("writing {} anew after an unclean end", newest.path.display());
    let bytes = disk.read(&newest.path).map_err(|error| OpenError::io(doing(), error))?;
    let records = usize::try_from(newest.end).ok().and_then(|end| bytes.get(..end));
    let records = records.ok_or_else(|| OpenError::io(doing(), io::Error::other("it is shorter than a moment ago")))?;
    let size = (bytes.len() as u64).max(sizes.smallest);
    let needed_bytes = min_free_bytes.max(size);
    if free_bytes(dir).is_ok_and(|free| free < needed_bytes) {
        return Err(OpenError::NoRoom { doing: doing(), needed_bytes });
    }
    if newest.torn > 0 {
        tracing::warn!(
            file = %newest.path.display(), offset = newest.end, bytes = newest.torn,
            "the journal ends in what was never acknowledged; it is cut"
        );
    }
    Prepared::write(disk, dir, "anew.tmp", records, size)
        .and_then(|prepared| prepared.join(disk, dir, newest.first, newest.end))
        .map_err(|error| no_room(doing(), error, needed_bytes))
}

fn no_room(doing: String, error: io::Error, needed_bytes: u64) -> OpenError {
    if is_no_room(&error) { OpenError::NoRoom { doing, needed_bytes } } else { OpenError::Io { doing, error } }
}
