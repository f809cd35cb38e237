//! A callback is a hint where the provider's API can be asked: it waits until somebody has, and the answer is what rules see.
//!
//! One question a customer at a time; it answers the callbacks that were committed before it was sent. The status, documents and
//! message are the API's; processing and labels come from the newest callback that agrees with it. The API may lag: while it
//! repeats what is remembered and a callback claims something else, it is asked again before the callback is called stale. A customer
//! of whom it knows nothing (404, or a `null` status) is asked about again likewise; only together with a callback that claims `null` is
//! that the status `none`.

use super::{Answer, Asking, Case, Decision, Effects, Given, Kind, Pending, Receipt, observe::advance};
use crate::kyc::{Change, CustomerId, Observation, Verdict};

/// How long to wait before the API is asked again, when it may only be late.
const LAGS_MS: [i64; 3] = [5_000, 30_000, 120_000];

/// So many callbacks of one customer wait at most. Past it the second is called stale: the first says since when nothing is decided.
const MAX_WAITING: usize = 16;

/// What is already waiting to be confirmed, and comes again.
pub fn waits_already(case: &Case, saw: &Observation) -> bool {
    case.question.as_ref().is_some_and(|question| question.waiting.iter().any(|pending| pending.saw == *saw))
}

fn wants_contact(case: &Case) -> bool {
    case.question.as_ref().is_some_and(|question| question.contact)
}

/// A callback that is not decided before the API was asked, or the directory for the `contact`.
pub fn pending(case: &Case, who: &CustomerId, saw: &Observation, contact: bool, given: Given<'_>) -> Decision {
    let mut effects =
        Effects { verdict: Some(Verdict::Pending), saw: Some(saw.clone()), ..Effects::of(Kind::Callback, who) };
    let before = case.question.iter().flat_map(|question| &question.waiting).map(|pending| pending.number);
    let mut waiting: Vec<u64> = before.collect();
    if waiting.len() >= MAX_WAITING {
        effects.settled.push((waiting.remove(1), Verdict::Stale));
    }
    waiting.push(given.number);
    let contact = contact || wants_contact(case);
    effects.question = Some(Asking { waiting, asked: 0, next_at: given.now, contact });
    Decision::record(effects, Receipt::Seen(Verdict::Pending))
}

/// The API has answered a question that was sent when `up_to` was the customer's latest record.
pub fn answered(case: &Case, who: &CustomerId, up_to: u64, answer: &Answer, given: Given<'_>) -> Decision {
    let waiting = case.question.as_ref().map_or(&[][..], |question| &question.waiting);
    let (covered, later): (Vec<&Pending>, Vec<&Pending>) = waiting.iter().partition(|pending| pending.number <= up_to);
    let none = answer.as_none(&covered);
    let answer = none.as_ref().unwrap_or(answer);
    match lag(case, (&covered, &later), answer, given) {
        Lag::None => {}
        // Somebody has asked before it was time: the API is as late as it was.
        Lag::Early => return Decision::nothing(Receipt::NotNow),
        Lag::Again(again) => {
            let effects = Effects { question: Some(again), ..Effects::of(Kind::Answer, who) };
            return Decision::record(effects, Receipt::NotNow);
        }
    }
    let mut effects = Effects::of(Kind::Answer, who);
    let (covered, ahead) = if repeats(case, answer) { (covered, Vec::new()) } else { answer.split(covered) };
    if case.question.is_some() {
        effects.question = Some(asked_on(&ahead, &later, wants_contact(case), given));
    }
    let verdict = match answer {
        Answer::Unknown => {
            effects.verdict = Some(Verdict::Unconfirmed);
            effects.settled = covered.iter().map(|pending| (pending.number, Verdict::Unconfirmed)).collect();
            Verdict::Unconfirmed
        }
        Answer::Known(said) => {
            let (saw, agreeing, best) = together(case, said, &covered);
            // The stay began when the first callback said so.
            let since = agreeing.iter().map(|pending| pending.at).min().unwrap_or(given.now);
            let change = Change::of(case.customer.as_ref(), &saw);
            let verdict = advance(case, who, (&saw, &change), since, &mut effects, given);
            effects.settled = covered
                .iter()
                .map(|pending| {
                    let settled = match best {
                        Some(best) if best == pending.number => verdict,
                        _ if agreeing.iter().any(|other| other.number == pending.number) => Verdict::Duplicate,
                        _ => Verdict::Stale,
                    };
                    (pending.number, settled)
                })
                .collect();
            verdict
        }
    };
    if covered.is_empty() && matches!(verdict, Verdict::Duplicate | Verdict::Unconfirmed) {
        // Asked without a callback's need, and nothing is new.
        return Decision::nothing(Receipt::Unchanged);
    }
    Decision::record(effects, Receipt::Seen(verdict))
}

/// The question that goes on after an answer: at once for what came meanwhile, else as one that may be late.
fn asked_on(ahead: &[&Pending], later: &[&Pending], contact: bool, given: Given<'_>) -> Asking {
    let waiting = ahead.iter().chain(later).map(|pending| pending.number).collect();
    let (asked, lag_ms) = if later.is_empty() && !ahead.is_empty() { (1, LAGS_MS[0]) } else { (0, 0) };
    Asking { waiting, asked, next_at: given.now.plus_ms(lag_ms), contact }
}

/// Whether the API may only be late.
enum Lag {
    None,
    /// It may, and it is not time to ask it again.
    Early,
    /// It may, and the question goes on like this.
    Again(Asking),
}

/// The API says what is remembered.
fn repeats(case: &Case, answer: &Answer) -> bool {
    let Answer::Known(said) = answer else { return false };
    case.customer.is_some() && Change::of(case.customer.as_ref(), said).verdict() == Verdict::Duplicate
}

fn lag(case: &Case, (covered, later): (&[&Pending], &[&Pending]), answer: &Answer, given: Given<'_>) -> Lag {
    let Some(question) = &case.question else { return Lag::None };
    let may_be_late = match answer {
        Answer::Unknown => !covered.is_empty(),
        Answer::Known(said) => repeats(case, answer) && covered.iter().any(|pending| pending.saw.status != said.status),
    };
    if !may_be_late {
        return Lag::None;
    }
    if given.now < question.next_at {
        return Lag::Early;
    }
    let waiting = question.waiting.iter().map(|pending| pending.number).collect();
    if !later.is_empty() {
        // What came meanwhile asks at once, for all of them, and has its own three times.
        return Lag::Again(Asking { waiting, asked: 0, next_at: given.now, contact: question.contact });
    }
    let lag_ms = usize::try_from(question.asked).ok().and_then(|asked| LAGS_MS.get(asked));
    lag_ms.map_or(Lag::None, |lag_ms| {
        let asked = question.asked.saturating_add(1);
        Lag::Again(Asking { waiting, asked, next_at: given.now.plus_ms(*lag_ms), contact: question.contact })
    })
}

/// What the API and the callbacks that agree with it say together, those callbacks, and the number of the one that counts.
///
/// The API leaves empty fields out. What it leaves out and is not remembered of this stay is empty where that callback says so; a
/// document or a message that the callback alone claims is not believed.
fn together<'p>(
    case: &Case,
    said: &Observation,
    covered: &[&'p Pending],
) -> (Observation, Vec<&'p Pending>, Option<u64>) {
    let agreeing: Vec<&Pending> = covered.iter().copied().filter(|pending| pending.saw.status == said.status).collect();
    let same_docs = |pending: &&&Pending| pending.saw.missing_docs == said.missing_docs;
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

/// The oldest waiting callback is decided as it came: nobody has to be asked about it any more.
pub fn decide_waiting(case: &Case, who: &CustomerId, given: Given<'_>) -> Decision {
    let Some(first) = case.question.as_ref().and_then(|question| question.waiting.first()) else {
        return Decision::nothing(Receipt::Unchanged);
    };
    take(case, who, first, &[], given)
}

/// A person says that the newest waiting callback is right, whatever the API says.
pub fn believe(case: &Case, who: &CustomerId, given: Given<'_>) -> Decision {
    let Some((newest, older)) = case.question.as_ref().and_then(|question| question.waiting.split_last()) else {
        return Decision::nothing(Receipt::Unchanged);
    };
    let mut decision = take(case, who, newest, older, given);
    if let Some(effects) = &mut decision.effects {
        effects.note = Some("believed by hand".into());
    }
    decision
}

/// Decides one waiting callback; `stale` are passed over.
fn take(case: &Case, who: &CustomerId, pending: &Pending, stale: &[Pending], given: Given<'_>) -> Decision {
    let mut effects = Effects::of(Kind::Answer, who);
    let change = Change::of(case.customer.as_ref(), &pending.saw);
    let verdict = advance(case, who, (&pending.saw, &change), pending.at, &mut effects, given);
    effects.settled = stale.iter().map(|stale| (stale.number, Verdict::Stale)).collect();
    effects.settled.push((pending.number, verdict));
    let settled = |number: u64| effects.settled.iter().any(|(of, _)| *of == number);
    let rest = case.question.iter().flat_map(|question| &question.waiting).map(|pending| pending.number);
    let waiting = rest.filter(|number| !settled(*number)).collect();
    effects.question = Some(Asking { waiting, asked: 0, next_at: given.now, contact: wants_contact(case) });
    Decision::record(effects, Receipt::Seen(verdict))
}
