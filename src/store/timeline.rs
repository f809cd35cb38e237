//! A customer's history, read backwards: each record names the previous record of the same customer.

use super::{Page, StoreError, record::Record};
use crate::{
    clock::Timestamp,
    decide::{Changes, RecordKind, RuleResult},
    domain::{CallbackOutcome, Status},
    outbox::Job,
};

/// One record of a customer's history.
#[derive(Clone, Debug, PartialEq)]
pub struct TimelineEntry {
    pub number: u64,
    pub at: Timestamp,
    pub kind: RecordKind,
    pub effects: Changes,
    /// The number of the record with the provider's answer that decided this callback.
    pub answered_by: Option<u64>,
}

impl TimelineEntry {
    /// The verdict on the observation; `None` if the record is about something else.
    pub const fn verdict(&self) -> Option<CallbackOutcome> {
        self.effects.verdict
    }

    /// The status before and after. The first part is `None` if there was no observation before.
    pub fn edge(&self) -> Option<(Option<&Status>, &Status)> {
        let now = self.effects.now.as_ref()?;
        match self.effects.verdict? {
            CallbackOutcome::Moved => Some((now.from.as_ref(), &now.status)),
            _ => Some((Some(&now.status), &now.status)),
        }
    }

    /// Whether this record ordered the job.
    pub fn ordered(&self, job: &Job) -> bool {
        job.order.number == self.number || self.answered_by == Some(job.order.number)
    }

    pub fn rules(&self) -> &[RuleResult] {
        &self.effects.rules
    }
}

pub fn timeline_entry(record: Record) -> TimelineEntry {
    let Record { header, effects } = record;
    TimelineEntry { number: header.n, at: header.at, kind: effects.kind, effects, answered_by: None }
}

/// A page of a timeline in which each confirmed callback has its own verdict; the callback that counted also has the
/// change and the outcomes of the rules. An answer keeps an entry of its own if it changed something by itself.
pub fn settled(page: Page<TimelineEntry, u64>) -> Page<TimelineEntry, u64> {
    let mut rows = page.rows;
    let answers: Vec<TimelineEntry> = rows.iter().filter(|entry| !entry.effects.settled.is_empty()).cloned().collect();
    for answer in answers {
        let change = answer.effects.verdict;
        let mut told = false;
        for (number, verdict) in &answer.effects.settled {
            let Some(callback) = rows.iter_mut().find(|entry| entry.number == *number) else { continue };
            callback.effects.verdict = Some(*verdict);
            callback.answered_by = Some(answer.number);
            if Some(*verdict) == change {
                told = true;
                let Changes { now, rules, more_rules, set, note, .. } = &answer.effects;
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

/// The jobs that these entries (newest first) ordered, in their latest state.
pub fn jobs(entries: &[TimelineEntry]) -> Vec<Job> {
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

/// Reads at most `max` records backwards, from record `last`.
pub fn walk(
    read: impl Fn(u64) -> Result<Option<Record>, StoreError>,
    last: u64,
    max: usize,
) -> Result<Page<TimelineEntry, u64>, StoreError> {
    let mut rows = Vec::new();
    let mut number = last;
    while number != 0 && rows.len() < max {
        // The record is older than the retention and was deleted.
        let Some(record) = read(number)? else { return Ok(Page { rows, next: None }) };
        // The numbers of a chain always fall. This keeps a damaged chain from looping forever.
        number = record.header.p.min(number - 1);
        rows.push(timeline_entry(record));
    }
    Ok(Page { rows, next: (number != 0).then_some(number) })
}
