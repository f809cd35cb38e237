//! A data directory read as it lies on the disk, for commands that only read and while no process writes there.
//!
//! Nothing is made, locked, changed or recorded: no view, no rights, no torn end, no record of an opening. What the last process
//! had not acknowledged is passed over; a record that is damaged or missing is an error, as it is on opening.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    open::{OpenError, read_rule_set},
    scan::scan,
};
use crate::{
    decide::Standing,
    kyc::{Contact, CustomerId},
    source::Files,
    store::record::{self, Record},
};

pub struct Snapshot {
    path: PathBuf,
    /// The number of the last record.
    last: u64,
    active_set: Option<String>,
    standing: Arc<Standing>,
}

impl Snapshot {
    /// Reads every record once. Where there is no store yet, there are no records.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let empty = Self { path: path.to_owned(), last: 0, active_set: None, standing: Arc::default() };
        let (mut last, mut active_set, mut standing) = (0, None, Arc::default());
        empty.each(&mut |Record { header, effects }| {
            last = header.n;
            if effects.who.is_none() {
                active_set = effects.set.or(active_set.take());
                standing = effects.standing.unwrap_or(std::mem::take(&mut standing));
            }
        })?;
        Ok(Self { last, active_set: active_set.map(String::from), standing, ..empty })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The number of the last record; 0: there is none.
    pub const fn last(&self) -> u64 {
        self.last
    }

    /// The hash of the rule set that was active last.
    pub fn active_set(&self) -> Option<&str> {
        self.active_set.as_deref()
    }

    /// What holds for all customers.
    pub fn standing(&self) -> &Standing {
        &self.standing
    }

    /// The texts of a rule set that a record names.
    pub fn rule_set(&self, hash: &str) -> Result<Option<Files>, OpenError> {
        let dir = self.path.join("rule-sets");
        read_rule_set(&dir, hash).map_err(io_error(&dir))
    }

    /// Hands over each record in order.
    pub fn each(&self, each: &mut dyn FnMut(Record)) -> Result<(), OpenError> {
        let journal = self.path.join("journal");
        if fs::metadata(&journal).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
            return Ok(());
        }
        let scanned = scan(&journal, &mut |header, line| {
            let unreadable =
                || io::Error::other(format!("record {} is of a version that this one can't read", header.n));
            each(record::decode(line).map_err(|_| unreadable())?);
            Ok(())
        });
        scanned.map_err(io_error(&journal))?.map_err(OpenError::Damage)?;
        Ok(())
    }

    /// Each customer's contact, in the order of their ids.
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

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> OpenError {
    let doing = format!("reading {}", path.display());
    move |error| OpenError::Io { doing, error }
}
