//! Contacts that the merchant's own directory is asked for: when one is wanted first, and what its answer changes.
//!
//! What the directory has said is fresh for a time, also that it knows nobody. A mail's first attempt waits for a fresh answer, and
//! so does a callback that a rule can't decide about without. A contact that is not fresh any more is still the best there is:
//! an answer without one takes none away.

use serde::{Deserialize, Serialize};

use super::{Case, Decision, Effects, FateChange, Given, Kind, Receipt, operate::take_contact};
use crate::{
    clock::Timestamp,
    kyc::{Change, Contact, CustomerId, Observation},
    outbox::{Job, State, Trouble},
    rules::{Mode, Rule},
};

/// How the directory was asked about a customer last, or somebody told it in its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Looked {
    pub at: Timestamp,
    /// Why it gave no contact, for a person.
    #[serde(default, rename = "why", skip_serializing_if = "Option::is_none")]
    pub missing: Option<Box<str>>,
}

impl Looked {
    /// A contact was told just now.
    pub(super) fn told(now: Timestamp) -> Self {
        Self { at: now, missing: None }
    }

    /// It is to be asked again, whatever it has said.
    pub(super) fn never() -> Self {
        Self { at: Timestamp(i64::MIN), missing: None }
    }
}

impl Case {
    /// Nothing that the directory has said about this customer is fresh any more.
    pub fn is_stale(&self, now: Timestamp, cache_ms: i64) -> bool {
        self.looked.as_ref().is_none_or(|looked| now.since_ms(looked.at) >= cache_ms)
    }

    /// A mail is due, for the first time, and may be waiting for the contact.
    pub fn awaits_contact(&self, now: Timestamp) -> bool {
        let is_due = |job: &Job| matches!(job.fate.state, State::Queued | State::Held) && job.fate.next_at <= now;
        self.open.iter().any(|job| job.order.is_mail_to_customer() && job.is_untried() && is_due(job))
    }

    /// A mail has become a problem because nobody knows the address.
    pub fn lacks_contact(&self) -> bool {
        self.open.iter().any(|job| job.lacks_contact())
    }
}

/// Whether the directory is to be asked before anything is done with the contact.
pub(super) fn is_wanted(case: &Case, given: Given<'_>) -> bool {
    given.policy.looks_up.is_some_and(|cache_ms| case.is_stale(given.now, cache_ms))
}

/// A rule that acts and wants to know the contact.
pub(super) fn reads_contact(rule: &Rule, given: Given<'_>) -> bool {
    rule.condition.reads_contact() && given.standing.mode(rule) == Mode::Live
}

/// Whether an observation is to be decided only once the directory has been asked. Where the provider's API has the last word
/// about what has happened, any rule may be the one.
pub(super) fn is_wanted_for(case: &Case, saw: &Observation, given: Given<'_>) -> bool {
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

/// The directory has answered: with a contact, or why there is none. What nobody waits for and what is not new is not recorded.
pub fn looked_up(case: &Case, who: &CustomerId, found: &Result<Contact, Box<str>>, given: Given<'_>) -> Decision {
    let mut effects = Effects::of(Kind::Contact, who);
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
                let fate = job.fate.problem(Trouble::NoContact, &*reason);
                effects.fates.push(FateChange { id: job.id(), fate, letter: None });
            }
        }
    }
    effects.looked = Some(Looked { at: given.now, missing });
    Decision::record(effects, Receipt::Recorded)
}

/// Why a mail can't go, and what a person can do.
pub(super) fn no_contact(missing: Option<&str>) -> String {
    match missing {
        Some(why) => format!("nobody knows this customer's address: {why}; the mail goes when the contact comes"),
        None => "nobody knows this customer's address: import it or PUT the contact, and the mail goes".to_owned(),
    }
}
