//! Operators' acts on one customer: contacts, tags, imported memory, and jobs.

use super::{
    Changes, CustomerState, Decision, DecisionContext, ImportedState, JobUpdate, LookupState, MAX_OPEN_JOBS, Receipt,
    RecordKind, StayTimers,
};
use crate::{
    domain::{CallbackOutcome, Change, Contact, Customer, CustomerId, Observation, Source},
    outbox::{JobId, JobState, JobStatus},
};

/// Stores a contact; mails that waited for it become due.
pub fn contact(case: &CustomerState, who: &CustomerId, contact: &Contact, given: DecisionContext<'_>) -> Decision {
    if case.contact.as_ref() == Some(contact) {
        return Decision::nothing(Receipt::Unchanged);
    }
    let mut effects = Changes::of(RecordKind::Contact, who);
    take_contact(case, contact, given, &mut effects);
    Decision::record(effects, Receipt::Recorded)
}

pub(super) fn take_contact(case: &CustomerState, contact: &Contact, given: DecisionContext<'_>, effects: &mut Changes) {
    effects.contact = Some(contact.clone());
    // A contact that was set by hand is as fresh as an answer of the directory.
    effects.looked = given.policy.looks_up.map(|_| LookupState::set_by_operator(given.now));
    for job in case.open.iter().filter(|job| job.lacks_contact()) {
        let fate = job.fate.standing_still(given.now).queued(given.now);
        effects.fates.push(JobUpdate { id: job.id(), fate, letter: None });
    }
}

/// Imports what the merchant's records contain about a customer, when the merchant goes live. Memory is set only if no
/// observation exists; no rule sees it, and durations that have already passed are backlog.
pub fn import(
    case: &CustomerState,
    who: &CustomerId,
    contact: Option<&Contact>,
    memory: Option<&ImportedState>,
    given: DecisionContext<'_>,
) -> Decision {
    let mut effects = Changes::of(RecordKind::Import, who);
    let mut receipt = Receipt::Unchanged;
    if let Some(contact) = contact.filter(|contact| case.contact.as_ref() != Some(contact)) {
        take_contact(case, contact, given, &mut effects);
        receipt = Receipt::Recorded;
    }
    if let Some(memory) = memory.filter(|_| case.customer.is_none()) {
        let saw = Observation {
            source: Source::Import,
            status: memory.status.clone(),
            processing: None,
            missing_docs: memory.missing_docs.clone(),
            reject_labels: None,
            message: memory.message.clone(),
        };
        let since = memory.since.unwrap_or(given.now).min(given.now);
        effects.now = Some(Customer::after(None, &saw, &Change::of(None, &saw), since));
        effects.timers = Some(StayTimers::imported(given.now.since_ms(since)));
        effects.tags = Some(memory.tags.clone()).filter(|tags| !tags.is_empty());
        effects.verdict = Some(CallbackOutcome::Imported);
        receipt = Receipt::Seen(CallbackOutcome::Imported);
    }
    match receipt {
        Receipt::Unchanged => Decision::nothing(receipt),
        _ => Decision::record(effects, receipt),
    }
}

pub fn tag(case: &CustomerState, who: &CustomerId, name: &str) -> Decision {
    match case.tags.with(name) {
        Ok(Some(tags)) => {
            Decision::record(Changes { tags: Some(tags), ..Changes::of(RecordKind::Operator, who) }, Receipt::Recorded)
        }
        Ok(None) => Decision::nothing(Receipt::Unchanged),
        Err(_) => Decision::nothing(Receipt::Gone),
    }
}

pub fn untag(case: &CustomerState, who: &CustomerId, name: &str) -> Decision {
    match case.tags.without(name) {
        Some(tags) => {
            Decision::record(Changes { tags: Some(tags), ..Changes::of(RecordKind::Operator, who) }, Receipt::Recorded)
        }
        None => Decision::nothing(Receipt::Unchanged),
    }
}

/// Tries a job again at once, with a new period of 24 hours: a problem, or a job that waits for its next attempt. A
/// queued job without an attempt keeps its due time: an operator cannot skip a rule's `settle`.
pub fn retry(case: &CustomerState, who: &CustomerId, id: JobId, given: DecisionContext<'_>) -> Decision {
    let Some(job) = case.job(id) else { return Decision::nothing(Receipt::Gone) };
    match job.fate.state {
        JobState::Queued if job.is_untried() => Decision::nothing(Receipt::Unchanged),
        // `open` includes the job itself, which is not one of the open jobs.
        JobState::Problem if job.is_flood() && case.open.len() > MAX_OPEN_JOBS => Decision::nothing(Receipt::NotNow),
        JobState::Problem | JobState::Queued => {
            let fate = JobStatus { first_attempt_at: None, ..job.fate.queued(given.now) };
            let mut decision = operate(who, id, fate, "retried by hand");
            if let Some(effects) = &mut decision.effects
                && job.lacks_contact()
            {
                // The operator may have corrected the directory before the retry.
                effects.looked = given.policy.looks_up.map(|_| LookupState::never_asked());
            }
            decision
        }
        _ => Decision::nothing(Receipt::Unchanged),
    }
}

pub fn drop(case: &CustomerState, who: &CustomerId, id: JobId, given: DecisionContext<'_>) -> Decision {
    let Some(job) = case.job(id) else { return Decision::nothing(Receipt::Gone) };
    match job.fate.state {
        // The message may be in transmission and cannot be recalled.
        JobState::Running => Decision::nothing(Receipt::NotNow),
        _ => operate(who, id, job.fate.cancelled(given.now, "dropped by hand"), "dropped by hand"),
    }
}

fn operate(who: &CustomerId, id: JobId, fate: JobStatus, note: &str) -> Decision {
    let mut effects = Changes::of(RecordKind::Operator, who);
    effects.note = Some(note.into());
    effects.fates.push(JobUpdate { id, fate, letter: None });
    Decision::record(effects, Receipt::Recorded)
}
