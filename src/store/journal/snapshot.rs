//! Reads a data directory as it is on the disk, for commands that only read, while no process writes there.
//!
//! Nothing is created, locked, changed or recorded. Bytes that the last process had not acknowledged are ignored; a
//! damaged or missing record is an error, as it is on opening.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{disk::Disk, open_error::OpenError, rule_files, scan::Scanned, tail};
use crate::{
    decide::GlobalState,
    domain::{Contact, CustomerId},
    store::record::{self, Record},
    yaml::Files,
};

pub struct Snapshot {
    path: PathBuf,
    disk: Disk,
    segments: Vec<Scanned>,
    /// The number of the last record.
    last: u64,
    active_set: Option<String>,
    standing: Arc<GlobalState>,
}

impl Snapshot {
    /// Reads every record once. Without a store there are no records.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let (disk, journal) = (Disk::default(), path.join("journal"));
        let segments = match fs::metadata(&journal) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            _ => tail::look(&disk, path, &journal)?.scanned,
        };
        let unread =
            Self { path: path.to_owned(), disk, segments, last: 0, active_set: None, standing: Arc::default() };
        let (mut last, mut active_set, mut standing) = (0, None, Arc::default());
        unread.each(&mut |Record { header, effects }| {
            last = header.n;
            if effects.who.is_none() {
                active_set = effects.set.or(active_set.take());
                standing = effects.standing.unwrap_or(std::mem::take(&mut standing));
            }
        })?;
        Ok(Self { last, active_set: active_set.map(String::from), standing, ..unread })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The number of the last record; 0: there is none.
    pub const fn last(&self) -> u64 {
        self.last
    }

    /// The hash of the latest active rule set.
    pub fn active_set(&self) -> Option<&str> {
        self.active_set.as_deref()
    }

    /// The state that applies to all customers.
    pub fn global_state(&self) -> &GlobalState {
        &self.standing
    }

    /// The files of a rule set that a record names.
    pub fn rule_set(&self, hash: &str) -> Result<Option<Files>, OpenError> {
        let dir = self.path.join("rule-sets");
        rule_files::read(&self.disk, &dir, hash).map_err(|text| reading(&dir, io::Error::other(text)))
    }

    /// Calls `each` with every record in order.
    pub fn each(&self, each: &mut dyn FnMut(Record)) -> Result<(), OpenError> {
        for segment in &self.segments {
            let failed = |error| reading(&segment.path, error);
            let bytes = self.disk.read(&segment.path).map_err(failed)?;
            let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !record::is_seal(line));
            for (line, number) in lines.zip(segment.first..segment.next) {
                let record = record::decode(line).ok().filter(|record| record.header.n == number);
                let unreadable =
                    || failed(io::Error::other(format!("record {number} is of a version that this one cannot read")));
                each(record.ok_or_else(unreadable)?);
            }
        }
        Ok(())
    }

    /// Each customer's contact, ordered by customer id.
    pub fn contacts(&self) -> Result<BTreeMap<CustomerId, Contact>, OpenError> {
        let mut contacts = BTreeMap::new();
        self.each(&mut |Record { effects, .. }| {
            if let (Some(who), Some(contact)) = (effects.who, effects.contact) {
                contacts.insert(who, contact);
            }
        })?;
        Ok(contacts)
    }
}

fn reading(path: &Path, error: io::Error) -> OpenError {
    OpenError::io(format_args!("reading {}", path.display()), error)
}
