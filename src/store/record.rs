//! One line of the journal: a number, a checksum, and the changes of one decision.
//!
//! `{"c":"5be0217d","n":12345,"d":12310,"p":11870,"at":1795419000123,"k":"callback",…}` and a newline. `c` is the
//! CRC-32C of the rest of the line; `n` counts without gaps; `d` is the latest number that was known to be durable when
//! the line was written; `p` is the number of the same customer's previous record.

use std::io::Write;

use serde::Deserialize;

use crate::{clock::Timestamp, decide::Changes};

/// The first bytes of every line.
pub const BEGIN: &[u8] = b"{\"c\":\"";

/// [`BEGIN`], eight hexadecimal digits, `",`.
const PREFIX_BYTES: usize = 16;

/// The fields before the changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct RecordHeader {
    pub n: u64,
    pub d: u64,
    #[serde(default)]
    pub p: u64,
    pub at: Timestamp,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    pub header: RecordHeader,
    pub effects: Changes,
}

/// The reason why a line is not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordError {
    /// The checksum does not match.
    Checksum,
    /// The checksum matches, but this program cannot read the content.
    Unreadable,
}

/// Appends one line, with its newline.
pub fn encode(into: &mut Vec<u8>, header: RecordHeader, effects: &Changes) -> serde_json::Result<()> {
    let start = into.len();
    into.extend_from_slice(b"{\"c\":\"00000000\",");
    let RecordHeader { n, d, p, at } = header;
    let io = |error: std::io::Error| serde_json::Error::io(error);
    write!(into, "\"n\":{n},\"d\":{d},").map_err(io)?;
    if p != 0 {
        write!(into, "\"p\":{p},").map_err(io)?;
    }
    write!(into, "\"at\":{},", at.millis()).map_err(io)?;
    // The changes are a non-empty object; its opening brace is removed, because the line has one already.
    let brace = into.len();
    serde_json::to_writer(&mut *into, effects)?;
    into.remove(brace);
    finish(into, start);
    Ok(())
}

/// A line with a checksum, like a record's, from the text of one non-empty JSON object.
pub fn with_checksum(object: &[u8]) -> Vec<u8> {
    let mut line = b"{\"c\":\"00000000\",".to_vec();
    line.extend_from_slice(object.strip_prefix(b"{").unwrap_or(object));
    finish(&mut line, 0);
    line
}

/// Fills in the checksum of the line that begins at `start`, and appends the newline.
fn finish(into: &mut Vec<u8>, start: usize) {
    let sum = crc32c::crc32c(&into[start + PREFIX_BYTES..]);
    let digits = format!("{sum:08x}");
    into[start + 6..start + 14].copy_from_slice(digits.as_bytes());
    into.push(b'\n');
}

/// Whether the checksum of a line (without its newline) matches.
pub fn is_whole(line: &[u8]) -> bool {
    claimed_sum(line).is_some_and(|sum| crc32c::crc32c(&line[PREFIX_BYTES..]) == sum)
}

/// Returns the header of a line (without its newline) whose checksum matches.
pub fn verify(line: &[u8]) -> Result<RecordHeader, RecordError> {
    if !is_whole(line) {
        return Err(RecordError::Checksum);
    }
    header(line).ok_or(RecordError::Unreadable)
}

pub fn decode(line: &[u8]) -> Result<Record, RecordError> {
    let header = verify(line)?;
    let effects = serde_json::from_slice(line).map_err(|_| RecordError::Unreadable)?;
    Ok(Record { header, effects })
}

fn claimed_sum(line: &[u8]) -> Option<u32> {
    if line.len() <= PREFIX_BYTES || !line.starts_with(BEGIN) || &line[14..16] != b"\"," {
        return None;
    }
    let digits = std::str::from_utf8(&line[6..14]).ok()?;
    // Accepts only what `encode` writes: no sign, no upper case.
    if !digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    u32::from_str_radix(digits, 16).ok()
}

/// The numbers at the front of a line, in the order in which `encode` writes them.
fn header(line: &[u8]) -> Option<RecordHeader> {
    let mut rest = &line[PREFIX_BYTES..];
    let mut field = |key: &[u8]| -> Option<i64> {
        let digits = rest.strip_prefix(key)?;
        let end = digits.iter().position(|byte| *byte == b',')?;
        let value = std::str::from_utf8(&digits[..end]).ok()?.parse().ok()?;
        rest = &digits[end + 1..];
        Some(value)
    };
    let n = u64::try_from(field(b"\"n\":")?).ok()?;
    let d = u64::try_from(field(b"\"d\":")?).ok()?;
    let p = match field(b"\"p\":") {
        Some(p) => u64::try_from(p).ok()?,
        None => 0,
    };
    Some(RecordHeader { n, d, p, at: Timestamp(field(b"\"at\":")?) })
}

/// Whether this line ends a segment. Its number is that of the first record of the next segment.
pub fn is_seal(line: &[u8]) -> bool {
    line.ends_with(b",\"k\":\"sealed\"}")
}

/// The number of a line, without checking the checksum.
pub fn number(line: &[u8]) -> Option<u64> {
    header_number(line.get(PREFIX_BYTES..)?)
}

fn header_number(rest: &[u8]) -> Option<u64> {
    let digits = rest.strip_prefix(b"\"n\":")?;
    let end = digits.iter().position(|byte| *byte == b',')?;
    std::str::from_utf8(&digits[..end]).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{decide::RecordKind, domain::CustomerId};

    fn line() -> Vec<u8> {
        let mut line = Vec::new();
        let effects = Changes::of(RecordKind::Callback, &CustomerId::new("müller-漢字").expect("id"));
        encode(&mut line, RecordHeader { n: 12, d: 10, p: 7, at: Timestamp(1_795_419_000_123) }, &effects)
            .expect("encodes");
        line
    }

    #[test]
    fn an_encoded_record_decodes_to_the_same_record() {
        let line = line();
        let (newline, line) = line.split_last().expect("not empty");
        assert_eq!(*newline, b'\n');
        let record = decode(line).expect("whole");
        assert_eq!(record.header, RecordHeader { n: 12, d: 10, p: 7, at: Timestamp(1_795_419_000_123) });
        assert_eq!(record.effects.who.expect("who").as_str(), "müller-漢字");
        assert_eq!(number(line), Some(12));
        assert!(serde_json::from_slice::<serde_json::Value>(line).is_ok(), "readable with any JSON tool");
    }

    #[test]
    fn every_flipped_bit_is_detected() {
        let line = line();
        let line = &line[..line.len() - 1];
        for at in 0..line.len() {
            for bit in 0..8 {
                let mut flipped = line.to_vec();
                flipped[at] ^= 1 << bit;
                assert!(verify(&flipped).is_err(), "byte {at}, bit {bit}");
            }
        }
        for length in 0..line.len() {
            assert!(verify(&line[..length]).is_err(), "cut to {length}");
        }
    }
}
