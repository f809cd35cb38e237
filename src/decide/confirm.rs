//! Confirmation of callbacks: where the provider's API is configured, a callback waits for its answer, and rules see
//! the answer.
//!
//! Each customer has at most one open question; its answer settles the callbacks that were committed before the request
//! was sent. Status, documents and message come from the API; processing status and labels come from the newest
//! callback that agrees with it. The API may be outdated: while it returns the remembered status and a callback has
//! another one, the request is repeated before the callback is called stale. If the API does not know the customer
//! (404, or a `null` status), the request is repeated in the same way; this counts as the status `none` only if a
//! callback also has `null`.

use super::{
    ApiAnswer, Changes, ConfirmationUpdate, CustomerState, Decision, DecisionContext, PendingCallback, Receipt,
    RecordKind, advance::advance,
};
use crate::domain::{CallbackOutcome, Change, CustomerId, Observation};

/// The delays before the API is asked again when its answer may be outdated.
const LAGS_MS: [i64; 3] = [5_000, 30_000, 120_000];

/// The maximum number of waiting callbacks of one customer. Above it, the second oldest becomes stale; the oldest is
/// kept because it shows since when no decision was made.
const MAX_WAITING: usize = 16;

/// Whether an equal callback is already waiting for confirmation.
pub fn waits_already(case: &CustomerState, saw: &Observation) -> bool {
    case.question.as_ref().is_some_and(|question| question.waiting.iter().any(|pending| pending.saw == *saw))
}

fn wants_contact(case: &CustomerState) -> bool {
    case.question.as_ref().is_some_and(|question| question.contact)
}

/// Records a callback that waits for an answer of the API, or of the directory if `contact` is set.
pub fn pending(
    case: &CustomerState,
    who: &CustomerId,
    saw: &Observation,
    contact: bool,
    given: DecisionContext<'_>,
) -> Decision {
    let mut effects = Changes {
        verdict: Some(CallbackOutcome::Pending),
        saw: Some(saw.clone()),
        ..Changes::of(RecordKind::Callback, who)
    };
    let before = case.question.iter().flat_map(|question| &question.waiting).map(|pending| pending.number);
    let mut waiting: Vec<u64> = before.collect();
    if waiting.len() >= MAX_WAITING {
        effects.settled.push((waiting.remove(1), CallbackOutcome::Stale));
    }
    waiting.push(given.number);
    let contact = contact || wants_contact(case);
    effects.question = Some(ConfirmationUpdate { waiting, asked: 0, next_at: given.now, contact });
    Decision::record(effects, Receipt::Seen(CallbackOutcome::Pending))
}

/// Decides the API's answer to a request that was sent when `up_to` was the customer's latest record.
pub fn answered(
    case: &CustomerState,
    who: &CustomerId,
    up_to: u64,
    answer: &ApiAnswer,
    given: DecisionContext<'_>,
) -> Decision {
    let waiting = case.question.as_ref().map_or(&[][..], |question| &question.waiting);
    let (covered, later): (Vec<&PendingCallback>, Vec<&PendingCallback>) =
        waiting.iter().partition(|pending| pending.number <= up_to);
    let none = answer.as_none(&covered);
    let answer = none.as_ref().unwrap_or(answer);
    match lag(case, (&covered, &later), answer, given) {
        Lag::None => {}
        // The request was sent before `next_at`, so the answer does not count as a repetition.
        Lag::Early => return Decision::nothing(Receipt::NotNow),
        Lag::Again(again) => {
            let effects = Changes { question: Some(again), ..Changes::of(RecordKind::Answer, who) };
            return Decision::record(effects, Receipt::NotNow);
        }
    }
    let mut effects = Changes::of(RecordKind::Answer, who);
    let (covered, ahead) = if is_repeat(case, answer) { (covered, Vec::new()) } else { answer.split(covered) };
    if case.question.is_some() {
        effects.question = Some(asked_on(&ahead, &later, wants_contact(case), given));
    }
    let verdict = match answer {
        ApiAnswer::Unknown => {
            effects.verdict = Some(CallbackOutcome::Unconfirmed);
            effects.settled = covered.iter().map(|pending| (pending.number, CallbackOutcome::Unconfirmed)).collect();
            CallbackOutcome::Unconfirmed
        }
        ApiAnswer::Known(said) => {
            let (saw, agreeing, best) = combined(case, said, &covered);
            // The stay began when the first agreeing callback arrived.
            let since = agreeing.iter().map(|pending| pending.at).min().unwrap_or(given.now);
            let change = Change::of(case.customer.as_ref(), &saw);
            let verdict = advance(case, who, (&saw, &change), since, &mut effects, given);
            effects.settled = covered
                .iter()
                .map(|pending| {
                    let settled = match best {
                        Some(best) if best == pending.number => verdict,
                        _ if agreeing.iter().any(|other| other.number == pending.number) => CallbackOutcome::Duplicate,
                        _ => CallbackOutcome::Stale,
                    };
                    (pending.number, settled)
                })
                .collect();
            verdict
        }
    };
    if covered.is_empty() && matches!(verdict, CallbackOutcome::Duplicate | CallbackOutcome::Unconfirmed) {
        // No callback waited for this answer, and it contains nothing new.
        return Decision::nothing(Receipt::Unchanged);
    }
    Decision::record(effects, Receipt::Seen(verdict))
}

/// Returns the question that remains after an answer: due at once if callbacks arrived in the meantime, otherwise after
/// the first delay.
fn asked_on(
    ahead: &[&PendingCallback],
    later: &[&PendingCallback],
    contact: bool,
    given: DecisionContext<'_>,
) -> ConfirmationUpdate {
    let waiting = ahead.iter().chain(later).map(|pending| pending.number).collect();
    let (asked, lag_ms) = if later.is_empty() && !ahead.is_empty() { (1, LAGS_MS[0]) } else { (0, 0) };
    ConfirmationUpdate { waiting, asked, next_at: given.now.plus_ms(lag_ms), contact }
}

/// Whether the API's answer may be outdated.
enum Lag {
    None,
    /// It may be, and the next request is not due yet.
    Early,
    /// It may be, and the question continues in this form.
    Again(ConfirmationUpdate),
}

/// Whether the API returns the remembered state.
fn is_repeat(case: &CustomerState, answer: &ApiAnswer) -> bool {
    let ApiAnswer::Known(said) = answer else { return false };
    case.customer.is_some() && Change::of(case.customer.as_ref(), said).verdict() == CallbackOutcome::Duplicate
}

fn lag(
    case: &CustomerState,
    (covered, later): (&[&PendingCallback], &[&PendingCallback]),
    answer: &ApiAnswer,
    given: DecisionContext<'_>,
) -> Lag {
    let Some(question) = &case.question else { return Lag::None };
    let may_be_late = match answer {
        ApiAnswer::Unknown => !covered.is_empty(),
        ApiAnswer::Known(said) => {
            is_repeat(case, answer) && covered.iter().any(|pending| pending.saw.status != said.status)
        }
    };
    if !may_be_late {
        return Lag::None;
    }
    if given.now < question.next_at {
        return Lag::Early;
    }
    let waiting = question.waiting.iter().map(|pending| pending.number).collect();
    if !later.is_empty() {
        // The callbacks that arrived in the meantime cause a request at once, for all of them, and restart the delays.
        return Lag::Again(ConfirmationUpdate { waiting, asked: 0, next_at: given.now, contact: question.contact });
    }
    let lag_ms = usize::try_from(question.asked).ok().and_then(|asked| LAGS_MS.get(asked));
    lag_ms.map_or(Lag::None, |lag_ms| {
        let asked = question.asked.saturating_add(1);
        Lag::Again(ConfirmationUpdate {
            waiting,
            asked,
            next_at: given.now.plus_ms(*lag_ms),
            contact: question.contact,
        })
    })
}

/// Combines the API's answer with the callbacks that agree with it. Returns the result, the agreeing callbacks, and the
/// record number of the callback that was used.
///
/// The API leaves out empty fields. A field that it leaves out and that is not remembered for this stay is empty if the
/// callback says so; a document or a message that only the callback contains is ignored.
fn combined<'p>(
    case: &CustomerState,
    said: &Observation,
    covered: &[&'p PendingCallback],
) -> (Observation, Vec<&'p PendingCallback>, Option<u64>) {
    let agreeing: Vec<&PendingCallback> =
        covered.iter().copied().filter(|pending| pending.saw.status == said.status).collect();
    let same_docs = |pending: &&&PendingCallback| pending.saw.missing_docs == said.missing_docs;
    let best = agreeing.iter().rev().find(same_docs).or(agreeing.last());
    let stay = case.customer.as_ref().filter(|customer| customer.status == said.status);
    let saw = Observation {
        processing: best.and_then(|best| best.saw.processing.clone()).or(said.processing.clone()),
        reject_labels: best.and_then(|best| best.saw.reject_labels.clone()).or(said.reject_labels.clone()),
        missing_docs: said.missing_docs.clone().or_else(|| {
            let claimed = best.and_then(|best| best.saw.missing_docs.clone());
            claimed.filter(|docs| docs.is_empty() && stay.is_none_or(|customer| customer.missing_docs.is_none()))
        }),
        message: said.message.clone().or_else(|| {
            let claimed = best.and_then(|best| best.saw.message.clone());
            claimed.filter(|message| message.is_empty() && stay.is_none_or(|customer| customer.message.is_none()))
        }),
        ..said.clone()
    };
    let best = best.map(|best| best.number);
    (saw, agreeing, best)
}

/// Decides the oldest waiting callback as it was received, without confirmation.
pub fn decide_waiting(case: &CustomerState, who: &CustomerId, given: DecisionContext<'_>) -> Decision {
    let Some(first) = case.question.as_ref().and_then(|question| question.waiting.first()) else {
        return Decision::nothing(Receipt::Unchanged);
    };
    take(case, who, first, &[], given)
}

/// Decides the newest waiting callback as it was received, on behalf of an operator, whatever the API returns.
pub fn accept_waiting(case: &CustomerState, who: &CustomerId, given: DecisionContext<'_>) -> Decision {
    let Some((newest, older)) = case.question.as_ref().and_then(|question| question.waiting.split_last()) else {
        return Decision::nothing(Receipt::Unchanged);
    };
    let mut decision = take(case, who, newest, older, given);
    if let Some(effects) = &mut decision.effects {
        effects.note = Some("believed by hand".into());
    }
    decision
}

/// Decides one waiting callback; the callbacks in `stale` become stale.
fn take(
    case: &CustomerState,
    who: &CustomerId,
    pending: &PendingCallback,
    stale: &[PendingCallback],
    given: DecisionContext<'_>,
) -> Decision {
    let mut effects = Changes::of(RecordKind::Answer, who);
    let change = Change::of(case.customer.as_ref(), &pending.saw);
    let verdict = advance(case, who, (&pending.saw, &change), pending.at, &mut effects, given);
    effects.settled = stale.iter().map(|stale| (stale.number, CallbackOutcome::Stale)).collect();
    effects.settled.push((pending.number, verdict));
    let settled = |number: u64| effects.settled.iter().any(|(of, _)| *of == number);
    let rest = case.question.iter().flat_map(|question| &question.waiting).map(|pending| pending.number);
    let waiting = rest.filter(|number| !settled(*number)).collect();
    effects.question = Some(ConfirmationUpdate { waiting, asked: 0, next_at: given.now, contact: wants_contact(case) });
    Decision::record(effects, Receipt::Seen(verdict))
}
