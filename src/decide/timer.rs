//! Timers: a stay has reached a duration of a rule.
//!
//! A caller that proposes a timer only names the customer; this module decides which timer is due, and whether it still
//! is. One event is one pair (stay, duration). A duration is used up when it comes due, whether or not a rule fires. If
//! several durations of one rule are overdue, only the longest counts. A duration that came due before its timer was
//! live is backlog: it fires once, when an operator sends it.

use std::collections::BTreeMap;

use super::{
    Changes, CustomerState, Decision, DecisionContext, DueTimer, GlobalState, Receipt, RecordKind, StayTimers,
    TimerKey,
    contact_lookup::{is_wanted, reads_contact},
    event::{Event, MatchedRules},
};
use crate::{
    clock::Timestamp,
    domain::{Customer, CustomerId, Details},
    outbox::ProcessingStay,
    rules::{Rule, RuleId, RuleMode, RuleSet, RuleTimer, TimerState},
};

/// Returns the customer's stays that timers refer to, at most two, and the time at which each began.
pub fn stays(customer: &Customer) -> impl Iterator<Item = (TimerState, Timestamp)> {
    let processing =
        customer.processing.clone().map(|it| (TimerState::Processing(it), customer.processing_entered_at()));
    std::iter::once((TimerState::Status(customer.status.clone()), customer.entered_at)).chain(processing)
}

/// The timers of one stay that come due together: one event.
struct DueEvent<'a> {
    stay: TimerState,
    after_ms: i64,
    at: Timestamp,
    timers: Vec<&'a RuleTimer>,
}

/// Returns every live timer of the stay that is not yet decided, with the time at which it comes due.
fn ahead<'a>(
    case: &CustomerState,
    (stay, entered_at): (&TimerState, Timestamp),
    rules: &'a RuleSet,
    standing: &'a GlobalState,
) -> impl Iterator<Item = (&'a RuleTimer, Timestamp)> {
    let decided_ms = case.timers.decided_ms(stay);
    rules.timers_of(stay).filter(move |timer| timer.after.ms() > decided_ms).filter_map(move |timer| {
        let due_at = entered_at.plus_ms(timer.after.ms());
        let live = standing.live(&key_of(timer))?;
        (live.since <= due_at).then_some((timer, due_at))
    })
}

fn key_of(timer: &RuleTimer) -> TimerKey {
    TimerKey { rule: timer.rule.clone(), stay: timer.stay.clone(), after_ms: timer.after.ms() }
}

/// Returns the earliest due event. If several durations of a rule are overdue, only the longest is included.
fn due<'a>(case: &CustomerState, given: DecisionContext<'a>) -> Option<DueEvent<'a>> {
    let customer = case.customer.as_ref()?;
    let mut first: Option<DueEvent<'a>> = None;
    for (stay, entered_at) in stays(customer) {
        let mut longest: BTreeMap<usize, &RuleTimer> = BTreeMap::new();
        let ahead = ahead(case, (&stay, entered_at), given.rules, given.standing);
        for (timer, _) in ahead.filter(|(_, due_at)| *due_at <= given.now) {
            // Shorter durations come first, so that the longest remains.
            longest.insert(timer.index, timer);
        }
        let Some(after_ms) = longest.values().map(|timer| timer.after.ms()).min() else { continue };
        let at = entered_at.plus_ms(after_ms);
        if first.as_ref().is_none_or(|first| at < first.at) {
            let timers = longest.into_values().filter(|timer| timer.after.ms() == after_ms).collect();
            first = Some(DueEvent { stay, after_ms, at, timers });
        }
    }
    first
}

/// Returns when the next timer of this customer comes due, which may be in the past; `None`: no timer is pending.
pub fn next_timer(case: &CustomerState, rules: &RuleSet, standing: &GlobalState) -> Option<Timestamp> {
    let of = |(stay, entered_at): (TimerState, Timestamp)| {
        // The shortest duration comes first.
        ahead(case, (&stay, entered_at), rules, standing).map(|(_, due_at)| due_at).next()
    };
    case.customer.iter().flat_map(stays).filter_map(of).min()
}

/// Decides the earliest due event; the caller repeats the command until none is due.
pub fn timer(case: &CustomerState, who: &CustomerId, confirmed: bool, given: DecisionContext<'_>) -> Decision {
    if given.clock_in_doubt {
        return Decision::nothing(Receipt::NotNow);
    }
    let (Some(due), Some(customer)) = (due(case, given), &case.customer) else {
        return Decision::nothing(Receipt::NotNow);
    };
    if !confirmed {
        let mut rules = due.timers.iter().filter_map(|timer| given.rules.rules().get(timer.index));
        if is_wanted(case, given) && rules.any(|rule| reads_contact(rule, given)) {
            return Decision::nothing(Receipt::LookUp);
        }
        if given.policy.confirms {
            return Decision::nothing(Receipt::AskFirst);
        }
    }
    if case.question.is_some() {
        // A callback arrived while the API was being asked.
        return Decision::nothing(Receipt::NotNow);
    }
    let mut timers = case.timers.clone().decided(&due.stay, due.after_ms);
    for timer in &due.timers {
        let live = given.standing.live(&key_of(timer)).is_some_and(|live| !live.shadow);
        if live {
            timers = timers.with_used(&timer.rule, &timer.stay, due.after_ms);
        }
    }
    let came_due = DueTimer {
        stay: due.stay.clone(),
        after_ms: due.after_ms,
        at: due.at,
        from: customer.from.clone(),
        to: customer.status.clone(),
        backlog: false,
    };
    // In file order. Includes the paused rules that this event would trigger, for the history.
    let paused = given.rules.timers_of(&due.stay).filter(|timer| timer.after.ms() == due.after_ms);
    let paused = paused.filter(|timer| {
        given.rules.rules().get(timer.index).is_some_and(|rule| given.standing.mode(rule) == RuleMode::Paused)
    });
    let triggered: BTreeMap<usize, u32> =
        due.timers.iter().copied().chain(paused).map(|timer| (timer.index, timer.step)).collect();
    let rules = triggered.into_iter().filter_map(|(index, step)| Some((given.rules.rules().get(index)?, step)));
    fire(case, who, customer, came_due, timers, rules.collect(), given)
}

/// Returns the longest duration of a rule that has passed for this customer without an evaluation of the rule, and the
/// time at which it passed. This is what `backlog` lists and sends.
pub fn backlog_of<'a>(
    case: &CustomerState,
    rule: &RuleId,
    rules: &'a RuleSet,
    standing: &GlobalState,
    now: Timestamp,
) -> Option<(&'a RuleTimer, Timestamp)> {
    let overdue = |(stay, entered_at): (TimerState, Timestamp)| {
        let of_rule = rules.timers_of(&stay).filter(|timer| timer.rule == *rule);
        let passed = of_rule.map(|timer| (timer, entered_at.plus_ms(timer.after.ms()))).filter(|(_, due)| *due <= now);
        let (timer, due_at) = passed.last()?;
        let after_ms = timer.after.ms();
        let live = standing.live(&key_of(timer)).filter(|live| !live.shadow)?;
        let fires_by_itself = after_ms > case.timers.decided_ms(&stay) && live.since <= due_at;
        let backlog = !fires_by_itself && !case.timers.is_used(rule, &stay, after_ms);
        backlog.then_some((timer, due_at))
    };
    case.customer.iter().flat_map(stays).find_map(overdue)
}

/// Sends a rule's backlog on behalf of an operator.
pub fn send_backlog(case: &CustomerState, who: &CustomerId, rule: &RuleId, given: DecisionContext<'_>) -> Decision {
    let backlog = backlog_of(case, rule, given.rules, given.standing, given.now);
    let (Some((timer, at)), Some(customer)) = (backlog, &case.customer) else {
        return Decision::nothing(Receipt::NotNow);
    };
    let rule = given.rules.rules().get(timer.index).filter(|rule| given.standing.mode(rule) == RuleMode::Live);
    let Some(rule) = rule else { return Decision::nothing(Receipt::NotNow) };
    let after_ms = timer.after.ms();
    let timers = case.timers.clone().with_used(&timer.rule, &timer.stay, after_ms);
    let came_due = DueTimer {
        stay: timer.stay.clone(),
        after_ms,
        at,
        from: customer.from.clone(),
        to: customer.status.clone(),
        backlog: true,
    };
    fire(case, who, customer, came_due, timers, vec![(rule, timer.step)], given)
}

fn fire<'a>(
    case: &'a CustomerState,
    who: &'a CustomerId,
    customer: &'a Customer,
    came_due: DueTimer,
    timers: StayTimers,
    rules: Vec<(&'a Rule, u32)>,
    given: DecisionContext<'a>,
) -> Decision {
    let (visit, after) = (customer.visit(), came_due.after_ms);
    let (cause, processing_stay) = match &came_due.stay {
        TimerState::Status(status) => (format!("visit {visit} of {status} for {after} ms"), None),
        TimerState::Processing(processing) => {
            let since = customer.processing_entered_at();
            let cause = format!("processing {processing} since {} for {after} ms", since.millis());
            (cause, Some(ProcessingStay { processing: processing.clone(), since }))
        }
    };
    let mut effects = Changes::of(RecordKind::Timer, who);
    effects.set = Some(given.rules.hash().into());
    effects.timers = Some(timers);
    let from = customer.from.clone();
    let event = Event { case, who, customer, from, changed: Details::default(), cause, processing_stay, given };
    event.rule(MatchedRules::Timer(rules.into_iter()), &mut effects);
    effects.came_due = Some(came_due);
    Decision::record(effects, Receipt::Recorded)
}
