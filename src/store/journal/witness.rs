//! `data/witness.json`: the numbers of the journal's first and last segment, kept outside the journal.
//!
//! The segments alone cannot show that the first or the last of them is missing. The witness names the first segment,
//! the newest one, and a record that is known to be durable; it may lag behind the journal but is never ahead of it. It
//! is replaced as a whole (temporary file, sync, rename, sync of the directory) on opening, when a segment joins, and
//! on closing. It also contains the fingerprint of `job.key`, so that a different key is detected before it is used.

use std::{
    io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{disk::Disk, marker::FORMAT, open_error::OpenError, scan::Scanned, segment};
use crate::store::record;

pub const FILE: &str = "witness.json";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Witness {
    pub format: u64,
    /// The number of the first segment.
    pub first: u64,
    /// Reserved for a later version: what replaces the records before `first`; null: there are none, and `first` is 1.
    pub base: Option<serde_json::Value>,
    /// The number of the newest segment.
    pub active: u64,
    /// A record that is known to be durable; later records may be durable too.
    pub last: u64,
    /// The SHA-256 of `job.key`, in hexadecimal digits.
    pub job_key: String,
}

impl Witness {
    /// Reads the witness; `None`: there is no such file.
    pub fn read(disk: &Disk, data: &Path) -> Result<Option<Self>, OpenError> {
        let path = data.join(FILE);
        let bytes = match disk.read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(OpenError::io(format_args!("reading {}", path.display()), error)),
        };
        Self::parse(path, &bytes).map(Some)
    }

    fn parse(path: PathBuf, bytes: &[u8]) -> Result<Self, OpenError> {
        let line = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        // A later version may write other fields, but it always writes its format.
        let format = serde_json::from_slice::<serde_json::Value>(line).ok().and_then(|value| value["format"].as_u64());
        if let Some(format) = format.filter(|format| *format > FORMAT) {
            return Err(OpenError::Later { format });
        }
        let witness: Option<Self> = serde_json::from_slice(line).ok().filter(|_| record::is_whole(line));
        match witness {
            Some(witness) if witness.base.is_some() => Err(OpenError::Later { format: FORMAT }),
            Some(witness) if witness.format == FORMAT && witness.first == 1 => Ok(witness),
            _ => Err(OpenError::WitnessDamaged(path)),
        }
    }

    /// Replaces the previous witness, durably.
    pub fn write(&self, disk: &Disk, data: &Path) -> io::Result<()> {
        disk.replace(&data.join(FILE), &record::with_checksum(&serde_json::to_vec(self)?))
    }

    /// Checks that the segments begin and end with the numbers in this witness.
    pub fn check_segments(&self, segments: &[(u64, PathBuf)], dir: &Path) -> Result<(), OpenError> {
        let first = segments.first().map(|(first, _)| *first);
        if first != Some(self.first) {
            return Err(OpenError::FirstSegment { found: first, expected: self.first, dir: dir.to_owned() });
        }
        match segments.last() {
            Some((newest, _)) if *newest < self.active => Err(OpenError::NewestSegment {
                found: *newest,
                expected: self.active,
                file: dir.join(segment::name_of(self.active)),
            }),
            _ => Ok(()),
        }
    }

    /// Checks that the records reach at least up to the number in this witness.
    pub fn check_end(&self, scanned: &[Scanned]) -> Result<(), OpenError> {
        let Some(newest) = scanned.last() else { return Ok(()) };
        if newest.next <= self.last {
            return Err(OpenError::End { found: newest.next - 1, expected: self.last, file: newest.path.clone() });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn witness() -> Witness {
        Witness { format: FORMAT, first: 1, base: None, active: 40, last: 57, job_key: "ab".repeat(32) }
    }

    fn parsed(bytes: &[u8]) -> Result<Witness, OpenError> {
        Witness::parse(PathBuf::from(FILE), bytes)
    }

    #[test]
    fn a_witness_is_read_back_unchanged_and_every_flipped_bit_is_detected() {
        let dir = tempfile::tempdir().expect("directory");
        let disk = Disk::default();
        assert_eq!(Witness::read(&disk, dir.path()).expect("readable"), None);
        witness().write(&disk, dir.path()).expect("written");
        assert_eq!(Witness::read(&disk, dir.path()).expect("readable"), Some(witness()));
        let bytes = std::fs::read(dir.path().join(FILE)).expect("bytes");
        for bit in 0..(bytes.len() - 1) * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(parsed(&flipped).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_witness_of_a_later_version_is_reported_as_such() {
        for later in [
            &br#"{"c":"00000000","format":3,"epoch":7}"#[..],
            &record::with_checksum(&serde_json::to_vec(&Witness { base: Some(40.into()), ..witness() }).expect("JSON")),
        ] {
            assert!(matches!(parsed(later), Err(OpenError::Later { .. })), "{}", String::from_utf8_lossy(later));
        }
        for damaged in [&b""[..], b"\n", b"{}", b"nonsense"] {
            assert!(matches!(parsed(damaged), Err(OpenError::WitnessDamaged(_))));
        }
    }

    #[test]
    fn an_error_about_missing_segments_names_both_numbers() {
        let check = |numbers: &[u64]| {
            let segments: Vec<_> =
                numbers.iter().map(|first| (*first, PathBuf::from(segment::name_of(*first)))).collect();
            witness().check_segments(&segments, Path::new("journal")).map_err(|error| error.to_string())
        };
        assert_eq!(check(&[1, 20, 40]), Ok(()));
        assert_eq!(check(&[1, 20, 40, 60]), Ok(()), "the witness may lag behind");
        let told = |numbers: &[u64]| check(numbers).expect_err("refused");
        assert!(
            told(&[20, 40]).contains("begins with record 20") && told(&[20, 40]).contains("record 1"),
            "{}",
            told(&[20, 40])
        );
        assert!(told(&[]).contains("no segment"), "{}", told(&[]));
        let newest = told(&[1, 20]);
        assert!(newest.contains("record 20") && newest.contains("record 40"), "{newest}");
    }
}
