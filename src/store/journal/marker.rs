//! The format marker: a segment with number 0, which makes version 0.1 refuse a journal of format 2.
//!
//! Version 0.1 does not know the witness and would write without one. It reads the segment with the lowest number
//! first, expects record 0 there, and finds a later record that proves record 0 durable. For version 0.1 that is
//! damage: it ends with exit code 74 and cuts nothing. The file has no other content, and is rewritten if it is missing
//! or different.

use std::{io, path::Path};

use super::{disk::Disk, segment::name_of};
use crate::store::record;

/// The format that this version writes. Version 0.1 wrote format 1, which has no witness.
pub const FORMAT: u64 = 2;

/// Whether the journal is marked as format 2 or later.
pub fn is_there(dir: &Path) -> bool {
    dir.join(name_of(0)).exists()
}

/// Makes the marker durable. The witness must be durable before: format 2 without a witness is refused.
pub fn ensure(disk: &Disk, dir: &Path) -> io::Result<()> {
    let (path, content) = (dir.join(name_of(0)), content());
    match disk.read(&path) {
        Ok(bytes) if bytes == content => return Ok(()),
        Ok(_) => {
            tracing::warn!(file = %path.display(), "the marker of the journal's format is damaged; it is rewritten")
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    disk.replace(&path, &content)
}

fn content() -> Vec<u8> {
    let about = "the journal of kyc-rules in a format that version 0.1 can't read";
    record::with_checksum(
        format!("{{\"n\":{FORMAT},\"d\":{FORMAT},\"at\":0,\"k\":\"format\",\"note\":\"{about}\"}}").as_bytes(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In version 0.1 a line is record 0 if its checksum and number are right; the journal is damaged if a line after
    /// the last valid one proves record 0 durable.
    #[test]
    fn version_0_1_treats_the_marker_as_damage() {
        let content = content();
        let line = content.strip_suffix(b"\n").expect("a line");
        let header = record::verify(line).expect("the checksum matches");
        assert_ne!(header.n, 0, "it is not the expected record");
        assert!(header.d >= 1, "it proves a record durable");
        assert!(!record::is_seal(line));
        assert!(serde_json::from_slice::<serde_json::Value>(line).is_ok(), "readable with jq");
    }

    #[test]
    fn the_marker_is_written_and_a_damaged_one_is_rewritten() {
        let dir = tempfile::tempdir().expect("directory");
        let disk = Disk::default();
        assert!(!is_there(dir.path()));
        for harm in [None, Some("scribbled")] {
            if let Some(harm) = harm {
                std::fs::write(dir.path().join(name_of(0)), harm).expect("written");
            }
            ensure(&disk, dir.path()).expect("written");
            assert_eq!(std::fs::read(dir.path().join(name_of(0))).expect("bytes"), content());
        }
        assert_eq!(super::super::segment::list(dir.path()).expect("listed"), [], "the marker is not a segment");
    }
}
