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
    /// The number of the record that answered for this callback.
    pub answered_by: Option<u64>,
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

    /// Whether the job was ordered by this.
    pub fn ordered(&self, job: &Job) -> bool {
        job.order.number == self.number || self.answered_by == Some(job.order.number)
    }

    pub fn rules(&self) -> &[Ruling] {
        &self.effects.rules
    }
}

pub fn timeline_entry(record: Record) -> Entry {
    let Record { header, effects } = record;
    Entry { number: header.n, at: header.at, kind: effects.kind, effects, answered_by: None }
}

/// A page of a timeline in which each callback that was confirmed says what became of it: its own verdict, and with the one that
/// counted stands what changed and what the rules made of it. Answers that changed something by themselves keep their entries.
pub fn settled(page: Page<Entry, u64>) -> Page<Entry, u64> {
    let mut rows = page.rows;
    let answers: Vec<Entry> = rows.iter().filter(|entry| !entry.effects.settled.is_empty()).cloned().collect();
    for answer in answers {
        let change = answer.effects.verdict;
        let mut told = false;
        for (number, verdict) in &answer.effects.settled {
            let Some(callback) = rows.iter_mut().find(|entry| entry.number == *number) else { continue };
            callback.effects.verdict = Some(*verdict);
            callback.answered_by = Some(answer.number);
            if Some(*verdict) == change {
                told = true;
                let Effects { now, rules, more_rules, set, note, .. } = &answer.effects;
                callback.effects.now.clone_from(now);
                callback.effects.rules.clone_from(rules);
                callback.effects.set.clone_from(set);
                callback.effects.more_rules = *more_rules;
                callback.effects.note.clone_from(note);
            }
        }
        if told {
            rows.retain(|entry| entry.number != answer.number);
        }
    }
    Page { rows, next: page.next }
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
