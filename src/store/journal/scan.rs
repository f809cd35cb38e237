//! The rules of opening: where the journal ends, and whether the rest was ever acknowledged.
//!
//! The journal ends at the first invalid line, unless a later valid line proves that this line was durable. The bytes
//! after the end were never acknowledged, and are cut off. If a later line does prove it, the disk has lost data: that
//! is damage, and the program does not guess. A segment that is followed by another needs no seal: if the next one
//! begins with the expected number, nothing is missing.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use super::disk::Disk;
use crate::{
    decide::RecordKind,
    store::record::{self, Record},
};

/// An acknowledged record that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    pub file: PathBuf,
    /// The position in bytes from the start of the file.
    pub offset: u64,
    /// The number of the record expected there.
    pub number: u64,
    pub what: &'static str,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, offset, number, what } = self;
        write!(f, "the journal is damaged: {}, byte {offset}, record {number}: {what}", file.display())
    }
}

/// The content of one segment.
#[derive(Clone, Debug)]
pub struct Scanned {
    pub path: PathBuf,
    pub first: u64,
    /// The number after its last record.
    pub next: u64,
    /// The end of its last record's line, in bytes.
    pub end: u64,
    /// How many bytes after the last record and the seal are not newlines: never acknowledged, and cut off.
    pub torn: u64,
    /// Whether its last line is a seal, which says that it is complete.
    pub sealed: bool,
    /// The kind of its last record.
    pub last_kind: Option<RecordKind>,
}

/// Checks every line of these consecutive segments.
pub fn scan(disk: &Disk, segments: &[(u64, PathBuf)]) -> io::Result<Result<Vec<Scanned>, Damage>> {
    let mut scanned: Vec<Scanned> = Vec::with_capacity(segments.len());
    for (first, path) in segments {
        if let Some(before) = scanned.last().filter(|before| before.next != *first) {
            let (file, offset, number) = (before.path.clone(), before.end, before.next);
            return Ok(Err(match before.sealed {
                true => {
                    Damage { file: path.clone(), offset: 0, number, what: "the segment before this one is missing" }
                }
                false => Damage { file, offset, number, what: "the records up to the next segment are missing" },
            }));
        }
        match scan_one(path, *first, &disk.read(path)?) {
            Ok(one) => scanned.push(one),
            Err(damage) => return Ok(Err(damage)),
        }
    }
    Ok(Ok(scanned))
}

fn scan_one(path: &Path, first: u64, bytes: &[u8]) -> Result<Scanned, Damage> {
    let (mut next, mut end, mut rest_at) = (first, 0, 0);
    let mut last_line: Option<&[u8]> = None;
    let mut sealed = false;
    while let Some(length) = bytes[end..].iter().position(|byte| *byte == b'\n') {
        let line = &bytes[end..end + length];
        let Ok(header) = record::verify(line) else { break };
        if header.n != next {
            break;
        }
        rest_at = end + length + 1;
        if record::is_seal(line) {
            sealed = true;
            break;
        }
        last_line = Some(line);
        next += 1;
        end = rest_at;
    }
    let rest = &bytes[rest_at..];
    let torn = rest.iter().rposition(|byte| *byte != b'\n').map_or(0, |last| last + 1);
    if proven(rest).is_some_and(|durable| durable >= next) {
        let what = "a later record proves that it was written";
        return Err(Damage { file: path.to_owned(), offset: end as u64, number: next, what });
    }
    Ok(Scanned {
        path: path.to_owned(),
        first,
        next,
        end: end as u64,
        torn: torn as u64,
        sealed,
        last_kind: last_line.and_then(|line| record::decode(line).ok()).map(|record: Record| record.effects.kind),
    })
}

/// The highest number that valid records in `rest` prove durable. The search looks for the first bytes of a record, not
/// for newlines, because a newline may be damaged. Text within a record cannot look like these bytes, because its
/// quotes are escaped.
fn proven(rest: &[u8]) -> Option<u64> {
    let line_at = |at: usize| rest[at..].split(|byte| *byte == b'\n').next().unwrap_or_default();
    let begins = rest.windows(record::BEGIN.len()).enumerate().filter(|(_, window)| *window == record::BEGIN);
    begins.filter_map(|(at, _)| record::verify(line_at(at)).ok()).map(|header| header.d).max()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::Timestamp, decide::Changes, store::record::RecordHeader};

    const RECORDS: u64 = 6;

    /// Records like a writer's: each proves the one before it durable, and newlines follow the last.
    fn some_journal() -> Vec<u8> {
        let mut bytes = Vec::new();
        for n in 1..=RECORDS {
            let header = RecordHeader { n, d: n - 1, p: 0, at: Timestamp::from_millis(1_795_419_000_000) };
            let kind = if n == RECORDS { RecordKind::Closed } else { RecordKind::Callback };
            record::encode(&mut bytes, header, &Changes::mark(kind)).expect("encoded");
        }
        bytes.extend_from_slice(&[b'\n'; 64]);
        bytes
    }

    fn scanned(bytes: &[u8]) -> Result<Scanned, Damage> {
        scan_one(Path::new("1.jsonl"), 1, bytes)
    }

    #[test]
    fn a_flipped_bit_is_damage_before_the_last_record_and_a_torn_end_in_it() {
        let whole = some_journal();
        assert_eq!(scanned(&whole).expect("whole").next, RECORDS + 1);
        let content = whole.len() - 64;
        for bit in 0..content * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let before = whole[..bit / 8].iter().filter(|byte| **byte == b'\n').count() as u64;
            match scanned(&bytes) {
                Err(damage) => assert_eq!((damage.number, before < RECORDS - 1), (before + 1, true), "bit {bit}"),
                Ok(scanned) => assert_eq!((scanned.next, before), (RECORDS, RECORDS - 1), "bit {bit}"),
            }
        }
    }

    /// Segments with these numbers of records, each with or without a seal.
    fn segments(dir: &Path, counts: &[(u64, bool)]) -> Vec<(u64, PathBuf)> {
        let mut segments = Vec::new();
        let mut n = 1;
        for (count, sealed) in counts {
            let (first, mut bytes) = (n, Vec::new());
            let header = |n| RecordHeader { n, d: n - 1, p: 0, at: Timestamp::from_millis(1_795_419_000_000) };
            for _ in 0..*count {
                record::encode(&mut bytes, header(n), &Changes::mark(RecordKind::Callback)).expect("encoded");
                n += 1;
            }
            if *sealed {
                record::encode(&mut bytes, header(n), &Changes::mark(RecordKind::Sealed)).expect("encoded");
            }
            bytes.extend_from_slice(&[b'\n'; 64]);
            let path = dir.join(super::super::segment::name_of(first));
            std::fs::write(&path, bytes).expect("written");
            segments.push((first, path));
        }
        segments
    }

    #[test]
    fn a_missing_seal_is_no_damage_but_missing_records_are() {
        let dir = tempfile::tempdir().expect("directory");
        let looked = |segments: &[(u64, PathBuf)]| scan(&Disk::default(), segments).expect("readable");
        let whole = segments(dir.path(), &[(3, true), (2, false), (4, true), (1, false)]);
        let scanned = looked(&whole).expect("the second segment has no seal, and the third begins where it ends");
        assert_eq!(scanned.iter().map(|one| one.next).collect::<Vec<_>>(), [4, 6, 10, 11]);
        assert_eq!(scanned.iter().map(|one| one.sealed).collect::<Vec<_>>(), [true, false, true, false]);

        let gap = [&whole[..1], &whole[2..]].concat();
        let damage = looked(&gap).expect_err("the second segment is missing");
        assert_eq!((damage.number, damage.what), (4, "the segment before this one is missing"));

        let cut = segments(dir.path(), &[(3, true), (2, false), (4, true), (1, false)]);
        let bytes = std::fs::read(&cut[1].1).expect("bytes");
        let line = bytes.iter().position(|byte| *byte == b'\n').expect("a line") + 1;
        std::fs::write(&cut[1].1, &bytes[..line]).expect("cut");
        let damage = looked(&cut).expect_err("a record is missing");
        assert_eq!((damage.number, damage.offset), (5, line as u64));
        assert_eq!(damage.file, cut[1].1);
    }
}
