//! Contacts from the merchant's directory: when a lookup must come first, and what its answer changes.
//!
//! An answer of the directory is fresh for a configured time, also if the directory does not know the customer. A
//! mail's first attempt waits for a fresh answer, and so does a callback if a matching rule reads the contact. A
//! contact that is no longer fresh stays in use: an answer without a contact does not delete it.

use super::{
    Changes, CustomerState, Decision, DecisionContext, JobUpdate, LookupState, Receipt, RecordKind,
    operate::take_contact,
};
use crate::{
    clock::Timestamp,
    domain::{Change, Contact, CustomerId, Observation},
    outbox::{Job, JobState, ProblemKind},
    rules::{Rule, RuleMode},
};

impl CustomerState {
    /// Whether the directory's last answer about this customer is no longer fresh.
    pub fn is_stale(&self, now: Timestamp, cache_ms: i64) -> bool {
        self.looked.as_ref().is_none_or(|looked| now.since_ms(looked.at) >= cache_ms)
    }

    /// Whether a mail is due for the first time and may be waiting for the contact.
    pub fn awaits_contact(&self, now: Timestamp) -> bool {
        let is_due = |job: &Job| matches!(job.fate.state, JobState::Queued | JobState::Held) && job.fate.next_at <= now;
        self.open.iter().any(|job| job.order.is_mail_to_customer() && job.is_untried() && is_due(job))
    }

    /// Whether a mail is a problem because the customer's address is unknown.
    pub fn lacks_contact(&self) -> bool {
        self.open.iter().any(|job| job.lacks_contact())
    }
}

/// Whether the directory must be asked before the contact is used.
pub(super) fn is_wanted(case: &CustomerState, given: DecisionContext<'_>) -> bool {
    given.policy.looks_up.is_some_and(|cache_ms| case.is_stale(given.now, cache_ms))
}

/// Whether a rule is live and its condition reads the contact.
pub(super) fn reads_contact(rule: &Rule, given: DecisionContext<'_>) -> bool {
    rule.condition.reads_contact() && given.standing.mode(rule) == RuleMode::Live
}

/// Whether an observation must wait for the directory. Where the provider's API confirms callbacks, the final status is
/// not known yet, so every rule that reads the contact counts.
pub(super) fn is_wanted_for(case: &CustomerState, saw: &Observation, given: DecisionContext<'_>) -> bool {
    if !is_wanted(case, given) {
        return false;
    }
    if given.policy.confirms {
        return given.rules.that_read_contact().any(|rule| reads_contact(rule, given));
    }
    let change = Change::of(case.customer.as_ref(), saw);
    let mut matching = given.rules.matching(&change);
    std::iter::from_fn(|| matching.next()).any(|rule| reads_contact(rule, given))
}

/// Records the directory's answer: a contact, or why there is none. An answer that is not new and that no job waits for
/// is not recorded.
pub fn looked_up(
    case: &CustomerState,
    who: &CustomerId,
    found: &Result<Contact, Box<str>>,
    given: DecisionContext<'_>,
) -> Decision {
    let mut effects = Changes::of(RecordKind::Contact, who);
    let missing = match found {
        Ok(contact) => {
            if case.contact.as_ref() != Some(contact) {
                take_contact(case, contact, given, &mut effects);
            }
            None
        }
        Err(why) => Some(why.clone()),
    };
    let is_new = effects.contact.is_some() || case.looked.as_ref().is_none_or(|looked| looked.missing != missing);
    let awaited = case.awaits_contact(given.now) || case.question.as_ref().is_some_and(|question| question.contact);
    if !is_new && !awaited {
        return Decision::nothing(Receipt::Unchanged);
    }
    if missing.is_some() && case.contact.is_none() {
        let reason = no_contact(missing.as_deref());
        for job in case.open.iter().filter(|job| job.lacks_contact()) {
            if job.fate.reason.as_deref() != Some(&*reason) {
                let fate = job.fate.problem(ProblemKind::NoContact, &*reason);
                effects.fates.push(JobUpdate { id: job.id(), fate, letter: None });
            }
        }
    }
    effects.looked = Some(LookupState { at: given.now, missing });
    Decision::record(effects, Receipt::Recorded)
}

/// Returns why a mail cannot be sent, and what an operator can do.
pub(super) fn no_contact(missing: Option<&str>) -> String {
    match missing {
        Some(why) => format!("the address of this customer is unknown: {why}; the mail is sent when it is known"),
        None => "the address of this customer is unknown: import it or PUT the contact, then the mail is sent".into(),
    }
}
