//! Contacts, marks, and what people do to jobs.

use super::{Case, Decision, Effects, FateChange, Given, Kind, Receipt};
use crate::{
    kyc::{Contact, CustomerId},
    outbox::{Fate, JobId, State, Trouble},
};

/// A contact came: mails that waited for it are due.
pub fn contact(case: &Case, who: &CustomerId, contact: &Contact, given: Given<'_>) -> Decision {
    if case.contact.as_ref() == Some(contact) {
        return Decision::nothing(Receipt::Unchanged);
    }
    let mut effects = Effects::of(Kind::Contact, who);
    effects.contact = Some(contact.clone());
    for job in &case.open {
        if job.fate.state == State::Problem && job.fate.trouble == Some(Trouble::NoContact) {
            effects.fates.push(FateChange { id: job.id(), fate: job.fate.queued(given.now), letter: None });
        }
    }
    Decision::record(effects, Receipt::Recorded)
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

/// A problem is tried again at once, with 24 hours before it.
pub fn retry(case: &Case, who: &CustomerId, id: JobId, given: Given<'_>) -> Decision {
    let Some(job) = case.job(id) else { return Decision::nothing(Receipt::Gone) };
    match job.fate.state {
        State::Problem | State::Queued => {
            let fate = Fate { first_attempt_at: None, ..job.fate.queued(given.now) };
            act(who, id, fate, "retried by hand")
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
