//! `job.key`: the 32 bytes that make the ids of a store's jobs, and the fingerprint by which the store knows them again.
//!
//! Under another key the same order would get another id: a job that has gone already would be ordered and sent again. So the key
//! is made once, before the first record, and never made again for records that are there.

use std::{io, path::Path};

use sha2::{Digest, Sha256};

use super::{disk::Disk, open_error::OpenError, witness::Witness};
use crate::outbox::JobKey;

pub const FILE: &str = "job.key";

const KEY_BYTES: usize = 32;

/// The key and its fingerprint. `last` is the number of the journal's last record.
pub fn open(disk: &Disk, data: &Path, witness: Option<&Witness>, last: u64) -> Result<(JobKey, String), OpenError> {
    let path = data.join(FILE);
    let reading = |error| OpenError::io(format_args!("reading {}", path.display()), error);
    let bytes = match disk.read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound && witness.is_none() && last == 0 => {
            make(disk, &path).map_err(|error| OpenError::io(format_args!("making {}", path.display()), error))?
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(OpenError::Key(format!(
                "{} is missing: with another key, jobs that have gone would go again under other ids. Restore it from a \
                 backup of this data directory",
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
            "{} is not the key that this data directory was made with (its fingerprint is {}…, and should be {}…): with another \
             key, jobs that have gone would go again under other ids. Restore it from a backup of this data directory",
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

/// Says nothing about the key: it is 32 random bytes.
fn fingerprint(key: &[u8; KEY_BYTES]) -> String {
    Sha256::digest(key).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn short(fingerprint: &str) -> &str {
    fingerprint.get(..12).unwrap_or(fingerprint)
}
