//! The file by which version 0.1 refuses a journal of format 2: a segment numbered 0.
//!
//! Version 0.1 knows no witness and would go on writing without one. Its rules of opening take the segment with the lowest number
//! first, expect record 0 in this one, and find a later record instead that proves record 0 durable: damage, exit code 74,
//! nothing cut. The file has no other content, and is written again where it is missing or different.

use std::{io, path::Path};

use super::{disk::Disk, segment::name_of, witness::FORMAT};
use crate::store::record;

/// Whether the journal says that it is of format 2 or a later one.
pub fn is_there(dir: &Path) -> bool {
    dir.join(name_of(0)).exists()
}

/// Makes the marker last. The witness has to be durable before: format 2 without one is refused.
pub fn ensure(disk: &Disk, dir: &Path) -> io::Result<()> {
    let (path, content) = (dir.join(name_of(0)), content());
    match disk.read(&path) {
        Ok(bytes) if bytes == content => return Ok(()),
        Ok(_) => {
            tracing::warn!(file = %path.display(), "the file that names the journal's format is damaged; it is written again")
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

    /// The rules of version 0.1: a line counts as record 0 if its checksum and number are right; the journal is damaged if a line
    /// behind the last that counts proves record 0 durable.
    #[test]
    fn by_the_rules_of_0_1_it_is_damage() {
        let content = content();
        let line = content.strip_suffix(b"\n").expect("a line");
        let header = record::verify(line).expect("a whole record by its checksum");
        assert_ne!(header.n, 0, "it is not the record that is expected");
        assert!(header.d >= 1, "it proves a record durable");
        assert!(!record::is_seal(line));
        assert!(serde_json::from_slice::<serde_json::Value>(line).is_ok(), "readable with jq");
    }

    #[test]
    fn it_is_written_once_and_mended() {
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
        assert_eq!(super::super::segment::list(dir.path()).expect("listed"), [], "it is no segment");
    }
}
