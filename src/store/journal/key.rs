//! `job.key`: the 32-byte key from which a store derives the ids of its jobs, and the key's fingerprint.
//!
//! With a different key, the same order would get a different id: a job that was sent already would be ordered and sent
//! again. So the key is created once, before the first record, and never again once there are records.

use std::{io, path::Path};

use sha2::{Digest, Sha256};

use super::{disk::Disk, open_error::OpenError, witness::Witness};
use crate::outbox::JobKey;

pub const FILE: &str = "job.key";

const KEY_BYTES: usize = 32;

/// Returns the key and its fingerprint. `last` is the number of the journal's last record.
pub fn open(disk: &Disk, data: &Path, witness: Option<&Witness>, last: u64) -> Result<(JobKey, String), OpenError> {
    let path = data.join(FILE);
    let reading = |error| OpenError::io(format_args!("reading {}", path.display()), error);
    let bytes = match disk.read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound && witness.is_none() && last == 0 => {
            make(disk, &path).map_err(|error| OpenError::io(format_args!("creating {}", path.display()), error))?
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(OpenError::Key(format!(
                "{} is missing: with another key, jobs that were sent already would be sent again under other ids. \
                 Restore it from a backup of this data directory",
                path.display()
            )));
        }
        Err(error) => return Err(reading(error)),
    };
    let key: [u8; KEY_BYTES] = bytes.as_slice().try_into().map_err(|_| {
        OpenError::Key(format!(
            "{} has {} bytes, and a key has {KEY_BYTES}. Restore it from a backup of this data directory",
            path.display(),
            bytes.len()
        ))
    })?;
    let found = fingerprint(&key);
    match witness {
        Some(witness) if witness.job_key != found => Err(OpenError::Key(format!(
            "{} is not the key that this data directory was created with (its fingerprint is {}…, and should be {}…): \
             with another key, jobs that were sent already would be sent again under other ids. Restore it from a \
             backup of this data directory",
            path.display(),
            short(&found),
            short(&witness.job_key)
        ))),
        _ => Ok((JobKey::new(&key), found)),
    }
}

fn make(disk: &Disk, path: &Path) -> io::Result<Vec<u8>> {
    let mut key = vec![0; KEY_BYTES];
    getrandom::fill(&mut key).map_err(io::Error::other)?;
    disk.replace(path, &key)?;
    Ok(key)
}

/// The SHA-256 of the key. It does not reveal the key, which is 32 random bytes.
fn fingerprint(key: &[u8; KEY_BYTES]) -> String {
    Sha256::digest(key).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn short(fingerprint: &str) -> &str {
    fingerprint.get(..12).unwrap_or(fingerprint)
}
