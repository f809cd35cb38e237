//! Contacts, marks, memory on going live, and what people do to jobs.

use super::{Case, Decision, Effects, FateChange, Given, Kind, Looked, MAX_OPEN_JOBS, Memory, Receipt, Timers};
use crate::{
    kyc::{Change, Contact, Customer, CustomerId, Observation, Source, Verdict},
    outbox::{Fate, JobId, State},
};

/// A contact came: mails that waited for it are due.
pub fn contact(case: &Case, who: &CustomerId, contact: &Contact, given: Given<'_>) -> Decision {
    if case.contact.as_ref() == Some(contact) {
        return Decision::nothing(Receipt::Unchanged);
    }
    let mut effects = Effects::of(Kind::Contact, who);
    take_contact(case, contact, given, &mut effects);
    Decision::record(effects, Receipt::Recorded)
}

pub(super) fn take_contact(case: &Case, contact: &Contact, given: Given<'_>, effects: &mut Effects) {
    effects.contact = Some(contact.clone());
    // Told by hand it is as fresh as if the directory had said it.
    effects.looked = given.policy.looks_up.map(|_| Looked::told(given.now));
    for job in case.open.iter().filter(|job| job.lacks_contact()) {
        let fate = job.fate.standing_still(given.now).queued(given.now);
        effects.fates.push(FateChange { id: job.id(), fate, letter: None });
    }
}

/// On going live: what the merchant's records say of a customer. Memory only where no source has said anything yet; no rule sees
/// it, and what its timers would have done by now is backlog.
pub fn import(
    case: &Case,
    who: &CustomerId,
    contact: Option<&Contact>,
    memory: Option<&Memory>,
    given: Given<'_>,
) -> Decision {
    let mut effects = Effects::of(Kind::Import, who);
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
        effects.timers = Some(Timers::imported(given.now.since_ms(since)));
        effects.tags = Some(memory.tags.clone()).filter(|tags| !tags.is_empty());
        effects.verdict = Some(Verdict::Imported);
        receipt = Receipt::Seen(Verdict::Imported);
    }
    match receipt {
        Receipt::Unchanged => Decision::nothing(receipt),
        _ => Decision::record(effects, receipt),
    }
}

pub fn tag(case: &Case, who: &CustomerId, name: &str) -> Decision {
    match case.tags.with(name) {
        Ok(Some(tags)) => {
            Decision::record(Effects { tags: Some(tags), ..Effects::of(Kind::Operator, who) }, Receipt::Recorded)
        }
        Ok(None) => Decision::nothing(Receipt::Unchanged),
        Err(_) => Decision::nothing(Receipt::Gone),
    }
}

pub fn untag(case: &Case, who: &CustomerId, name: &str) -> Decision {
    match case.tags.without(name) {
        Some(tags) => {
            Decision::record(Effects { tags: Some(tags), ..Effects::of(Kind::Operator, who) }, Receipt::Recorded)
        }
        None => Decision::nothing(Receipt::Unchanged),
    }
}

/// A problem, or what waits for its next attempt, is tried again at once, with 24 hours before it. What was never tried goes when
/// its time has come: a rule's `settle` is not a person's to skip.
pub fn retry(case: &Case, who: &CustomerId, id: JobId, given: Given<'_>) -> Decision {
    let Some(job) = case.job(id) else { return Decision::nothing(Receipt::Gone) };
    match job.fate.state {
        State::Queued if job.is_untried() => Decision::nothing(Receipt::Unchanged),
        // The job itself is in sight, and is not one of the open ones.
        State::Problem if job.is_flood() && case.open.len() > MAX_OPEN_JOBS => Decision::nothing(Receipt::NotNow),
        State::Problem | State::Queued => {
            let fate = Fate { first_attempt_at: None, ..job.fate.queued(given.now) };
            let mut decision = act(who, id, fate, "retried by hand");
            if let Some(effects) = &mut decision.effects
                && job.lacks_contact()
            {
                // Who tries it again may have mended the directory.
                effects.looked = given.policy.looks_up.map(|_| Looked::never());
            }
            decision
        }
        _ => Decision::nothing(Receipt::Unchanged),
    }
}

pub fn drop(case: &Case, who: &CustomerId, id: JobId, given: Given<'_>) -> Decision {
    let Some(job) = case.job(id) else { return Decision::nothing(Receipt::Gone) };
    match job.fate.state {
        // It may be on its way this moment; nobody can take it back.
        State::Running => Decision::nothing(Receipt::NotNow),
        _ => act(who, id, job.fate.cancelled(given.now, "dropped by hand"), "dropped by hand"),
    }
}

fn act(who: &CustomerId, id: JobId, fate: Fate, note: &str) -> Decision {
    let mut effects = Effects::of(Kind::Operator, who);
    effects.note = Some(note.into());
    effects.fates.push(FateChange { id, fate, letter: None });
    Decision::record(effects, Receipt::Recorded)
}
