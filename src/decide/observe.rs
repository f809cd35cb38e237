//! An observation: whether it is a repetition, waits for an answer, or is decided at once.

use super::{
    Changes, CustomerState, Decision, DecisionContext, Receipt, RecordKind,
    advance::advance,
    confirm::{pending, waits_already},
    contact_lookup::is_wanted_for,
};
use crate::domain::{CallbackOutcome, Change, CustomerId, Observation, Source};

/// The shortest interval at which duplicates of a customer are recorded, in milliseconds; duplicates in between are
/// counted.
pub const REPEAT_MS: i64 = 60_000;

pub fn observe(case: &CustomerState, who: &CustomerId, saw: &Observation, given: DecisionContext<'_>) -> Decision {
    let change = Change::of(case.customer.as_ref(), saw);
    let repeats = match &case.question {
        None => change.verdict() == CallbackOutcome::Duplicate,
        Some(_) => waits_already(case, saw),
    };
    if repeats && given.duplicate_at.is_some_and(|at| given.now.since_ms(at) < REPEAT_MS) {
        return Decision::nothing(Receipt::Seen(CallbackOutcome::Duplicate));
    }
    let kind = match saw.source {
        Source::Import => RecordKind::Import,
        Source::Callback | Source::Api => RecordKind::Callback,
    };
    let contact = !repeats && is_wanted_for(case, saw, given);
    // A callback that arrives while an earlier one waits is decided after it.
    let waits = given.policy.confirms || contact || case.question.is_some();
    if waits && saw.source == Source::Callback {
        if !repeats {
            return pending(case, who, saw, contact, given);
        }
        if case.question.is_some() {
            // The repetition is recorded at most once a minute; the waiting callback receives the verdict.
            let (verdict, set) = (Some(CallbackOutcome::Duplicate), Some(given.rules.hash().into()));
            let effects = Changes { verdict, set, ..Changes::of(kind, who) };
            return Decision::record(effects, Receipt::Seen(CallbackOutcome::Duplicate));
        }
    }
    let mut effects = Changes::of(kind, who);
    let verdict = advance(case, who, (saw, &change), given.now, &mut effects, given);
    Decision::record(effects, Receipt::Seen(verdict))
}
