//! A customer's history, read backwards: each record names the same customer's record before it.

use super::{Page, StoreError, record::Record};
use crate::{
    clock::Timestamp,
    decide::{Effects, Kind, Ruling},
    kyc::{Status, Verdict},
    outbox::Job,
};

/// One record of a customer's history.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub number: u64,
    pub at: Timestamp,
    pub kind: Kind,
    pub effects: Effects,
}

impl Entry {
    /// What became of the observation; `None` where the record is about something else.
    pub const fn verdict(&self) -> Option<Verdict> {
        self.effects.verdict
    }

    /// The status before and after. Outside `None`: there was no observation before.
    pub fn edge(&self) -> Option<(Option<&Status>, &Status)> {
        let now = self.effects.now.as_ref()?;
        match self.effects.verdict? {
            Verdict::Moved => Some((now.from.as_ref(), &now.status)),
            _ => Some((Some(&now.status), &now.status)),
        }
    }

    pub fn rules(&self) -> &[Ruling] {
        &self.effects.rules
    }
}

pub fn timeline_entry(record: Record) -> Entry {
    let Record { header, effects } = record;
    Entry { number: header.n, at: header.at, kind: effects.kind, effects }
}

/// The jobs that these entries (the newest first) ordered, as the latest of them left each.
pub fn jobs(entries: &[Entry]) -> Vec<Job> {
    let mut jobs: Vec<Job> = Vec::new();
    for entry in entries.iter().rev() {
        jobs.extend(entry.effects.ordered(entry.number, entry.at));
        for change in &entry.effects.fates {
            if let Some(job) = jobs.iter_mut().find(|job| job.id() == change.id) {
                job.fate = change.fate.clone();
                if change.letter.is_some() {
                    job.letter = change.letter.clone();
                }
            }
        }
    }
    jobs
}

/// Walks from record `last` back over at most `max` records.
pub fn walk(
    read: impl Fn(u64) -> Result<Option<Record>, StoreError>,
    last: u64,
    max: usize,
) -> Result<Page<Entry, u64>, StoreError> {
    let mut rows = Vec::new();
    let mut number = last;
    while number != 0 && rows.len() < max {
        // History before the retention is gone.
        let Some(record) = read(number)? else { return Ok(Page { rows, next: None }) };
        // A chain goes strictly back; whatever else a damaged one did would never end.
        number = record.header.p.min(number - 1);
        rows.push(timeline_entry(record));
    }
    Ok(Page { rows, next: (number != 0).then_some(number) })
}
