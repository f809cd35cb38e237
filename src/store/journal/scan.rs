//! The rules of opening: where a journal ends, and whether what follows was ever acknowledged.
//!
//! The first line that doesn't verify ends the log if no later valid line proves that it was durable: what follows was never
//! acknowledged, and is cut. If one does, the disk has lost something: that is damage, and nobody guesses about it.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

use super::segment;
use crate::{
    decide::Kind,
    store::record::{self, Header, Record},
};

/// Something acknowledged can't be read any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    pub file: PathBuf,
    /// In bytes from the file's start.
    pub offset: u64,
    /// The number of the record that should stand there.
    pub number: u64,
    pub what: &'static str,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, offset, number, what } = self;
        write!(f, "the journal is damaged: {}, byte {offset}, record {number}: {what}", file.display())
    }
}

/// What one segment holds.
#[derive(Clone, Debug)]
pub struct Scanned {
    pub path: PathBuf,
    pub first: u64,
    /// The number after its last record.
    pub next: u64,
    /// Where its last whole line ends.
    pub end: u64,
    /// How many bytes behind that are no newlines: never acknowledged, to be cut.
    pub torn: u64,
    /// Its last line says that it is complete.
    pub sealed: bool,
    /// What its last record is.
    pub last_kind: Option<Kind>,
}

/// Looks at every line of every segment and hands each record's line to `each`.
pub fn scan(
    dir: &Path,
    each: &mut dyn FnMut(Header, &[u8]) -> io::Result<()>,
) -> io::Result<Result<Vec<Scanned>, Damage>> {
    let segments = segment::list(dir)?;
    let count = segments.len();
    let mut scanned = Vec::with_capacity(count);
    let mut expected = segments.first().map_or(1, |(first, _)| *first);
    for (nth, (first, path)) in segments.into_iter().enumerate() {
        let damage = |offset, number, what| Damage { file: path.clone(), offset, number, what };
        if first != expected {
            return Ok(Err(damage(0, expected, "the segment before this one is missing")));
        }
        let bytes = fs::read(&path)?;
        let one = match scan_one(&path, first, &bytes, each)? {
            Ok(one) => one,
            Err(damage) => return Ok(Err(damage)),
        };
        // A segment is sealed, durably, before the next one joins.
        if nth + 1 < count && (!one.sealed) {
            return Ok(Err(damage(one.end, one.next, "the records up to the segment's seal are missing")));
        }
        expected = one.next;
        scanned.push(one);
    }
    Ok(Ok(scanned))
}

fn scan_one(
    path: &Path,
    first: u64,
    bytes: &[u8],
    each: &mut dyn FnMut(Header, &[u8]) -> io::Result<()>,
) -> io::Result<Result<Scanned, Damage>> {
    let mut next = first;
    let mut end = 0;
    let mut last_line: Option<&[u8]> = None;
    let mut sealed = false;
    while let Some(length) = bytes[end..].iter().position(|byte| *byte == b'\n') {
        let line = &bytes[end..end + length];
        let Ok(header) = record::verify(line) else { break };
        if header.n != next {
            break;
        }
        if record::is_seal(line) {
            sealed = true;
            end += length + 1;
            break;
        }
        each(header, line)?;
        last_line = Some(line);
        next += 1;
        end += length + 1;
    }
    let rest = &bytes[end..];
    let torn = rest.iter().rposition(|byte| *byte != b'\n').map_or(0, |last| last + 1);
    if proven(rest).is_some_and(|durable| durable >= next) {
        let what = "a later record proves that it was written";
        return Ok(Err(Damage { file: path.to_owned(), offset: end as u64, number: next, what }));
    }
    Ok(Ok(Scanned {
        path: path.to_owned(),
        first,
        next,
        end: end as u64,
        torn: torn as u64,
        sealed,
        last_kind: last_line.and_then(|line| record::decode(line).ok()).map(|record: Record| record.effects.kind),
    }))
}

/// The last number that whole records in `rest` prove durable. They are found where they begin, not where a line does: a
/// newline may be what was harmed. No text within a record looks like one's beginning, since its
/// quotes are escaped.
fn proven(rest: &[u8]) -> Option<u64> {
    let line_at = |at: usize| rest[at..].split(|byte| *byte == b'\n').next().unwrap_or_default();
    let begins = rest.windows(record::BEGIN.len()).enumerate().filter(|(_, window)| *window == record::BEGIN);
    begins.filter_map(|(at, _)| record::verify(line_at(at)).ok()).map(|header| header.d).max()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::Timestamp, decide::Effects};

    const RECORDS: u64 = 6;

    /// Records as a writer leaves them, each proving the one before it, with newlines written ahead.
    fn some_journal() -> Vec<u8> {
        let mut bytes = Vec::new();
        for n in 1..=RECORDS {
            let header = Header { n, d: n - 1, p: 0, at: Timestamp::from_millis(1_795_419_000_000) };
            let kind = if n == RECORDS { Kind::Closed } else { Kind::Callback };
            record::encode(&mut bytes, header, &Effects::mark(kind)).expect("encoded");
        }
        bytes.extend_from_slice(&[b'\n'; 64]);
        bytes
    }

    fn scanned(bytes: &[u8]) -> Result<Scanned, Damage> {
        scan_one(Path::new("1.jsonl"), 1, bytes, &mut |_, _| Ok(())).expect("nothing is read from a disk")
    }

    #[test]
    fn a_bit_that_flipped_before_the_last_record_is_damage_and_in_it_a_torn_end() {
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
}
