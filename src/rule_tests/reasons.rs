//! Explains why an expected action was not sent.

use super::{
    simulation::{NewOutcomes, Simulation},
    test::{Expectation, TestStart},
};
use crate::{
    clock::Timestamp,
    decide::{RuleOutcome, stays},
    outbox::JobState,
    rules::{Rule, RuleMode, TimerState, Trigger},
    yaml::did_you_mean,
};

/// Returns the reason in one line. `since` is the line of the previous `expect`.
pub(super) fn why_not(
    expected: &Expectation,
    seen: &NewOutcomes,
    world: &Simulation<'_>,
    start: &TestStart,
    since: Option<u32>,
) -> String {
    let Some(rule) = world.rules().rule(expected.rule.as_str()) else { return "there is no such rule".to_owned() };
    if let Some(reason) = never(expected, rule) {
        return reason;
    }
    waiting_job(expected, world, start)
        .or_else(|| dropped_order(expected, seen, start))
        .or_else(|| rule_result(expected, seen, start))
        .or_else(|| ahead(rule, world, start))
        .unwrap_or_else(|| unmatched(rule, seen, start, since))
}

/// The reason if this rule cannot cause the action at all.
fn never(expected: &Expectation, rule: &Rule) -> Option<String> {
    let id = &rule.id;
    if !rule.actions.iter().any(|action| expected.is_of(action)) {
        let same_kind = rule.actions.iter().filter(|action| action.kind() == expected.kind.name());
        let meant = did_you_mean(&expected.name, same_kind.map(|action| action.name()));
        let actions: Vec<String> = rule.actions.iter().map(|action| action.to_string().trim_end().to_owned()).collect();
        let meant = meant.map(|name| format!("; did you mean {name}?")).unwrap_or_default();
        return Some(format!("{id} only has: {}{meant}", actions.join(", ")));
    }
    match (rule.mode, expected.shadow) {
        (RuleMode::Paused, _) => Some(format!("{id} is paused")),
        (RuleMode::Shadow, false) => {
            Some(format!("{id} is in shadow; add `shadow: true` to compare what it would have ordered"))
        }
        (RuleMode::Live, true) => Some(format!("{id} is live, not in shadow")),
        (RuleMode::Live, false) | (RuleMode::Shadow, true) => None,
    }
}

/// The reason if the action was ordered and its job is still open.
fn waiting_job(expected: &Expectation, world: &Simulation<'_>, start: &TestStart) -> Option<String> {
    let mut jobs = world.case().open.iter();
    let job = jobs.find(|job| job.order.rule == expected.rule && expected.is_of(&job.order.action))?;
    let reason = job.fate.reason.as_deref().unwrap_or_default();
    Some(match job.fate.state {
        JobState::Queued => {
            format!("it was ordered at {} and waits until {}", start.shown(job.order.at), start.shown(job.fate.next_at))
        }
        _ => format!("it was ordered at {} and waits: {reason}", start.shown(job.order.at)),
    })
}

/// The reason if the action was ordered and its job was cancelled.
fn dropped_order(expected: &Expectation, seen: &NewOutcomes, start: &TestStart) -> Option<String> {
    let mut lost = seen.lost.iter().rev();
    let job = lost.find(|job| job.rule == expected.rule && expected.is_of(&job.action))?;
    Some(format!("it was cancelled at {}: {}", start.shown(job.at), job.reason))
}

/// The reason from the last evaluation of the rule.
fn rule_result(expected: &Expectation, seen: &NewOutcomes, start: &TestStart) -> Option<String> {
    let (at, ruling) = seen.rulings.iter().rev().find(|(_, ruling)| ruling.id == expected.rule)?;
    let (at, why) = (start.shown(*at), ruling.reason());
    Some(match (ruling.outcome, why) {
        (RuleOutcome::Paused, _) => format!("the rule was paused at {at}"),
        (RuleOutcome::No, Some(why)) => format!("the rule did not fire at {at}: {why}"),
        (RuleOutcome::Undecidable, Some(why)) => format!("the rule could not be decided at {at}: {why}"),
        (RuleOutcome::Limited | RuleOutcome::Fired, Some(why)) => format!("the rule fired at {at}: {why}"),
        (RuleOutcome::Shadow, Some(why)) => format!("at {at} the rule {why}"),
        (RuleOutcome::Fired, None) if expected.kind.is_mark() => {
            format!("the rule fired at {at}, and the customer's tags were already as it sets them")
        }
        (_, None) => format!("the rule fired at {at}, and nothing more was sent"),
    })
}

/// The reason if the stay continues and has not lasted long enough.
fn ahead(rule: &Rule, world: &Simulation<'_>, start: &TestStart) -> Option<String> {
    let timers_of = |(stay, entered_at): (TimerState, Timestamp)| {
        let timers = world.rules().timers_of(&stay).filter(|timer| timer.rule == rule.id);
        timers.map(move |timer| (timer, entered_at.plus_ms(timer.after.ms())))
    };
    let timers = world.case().customer.iter().flat_map(stays).flat_map(timers_of);
    let (timer, due_at) = timers.filter(|(_, due_at)| *due_at > world.now()).min_by_key(|(_, due_at)| *due_at)?;
    Some(format!("`{} for {}` is due at {}", timer.stay, timer.after, start.shown(due_at)))
}

fn unmatched(rule: &Rule, seen: &NewOutcomes, start: &TestStart, since: Option<u32>) -> String {
    let when: Vec<String> = rule.triggers.iter().map(Trigger::to_string).collect();
    let since = since.map_or_else(|| format!("the start at {}", start.shown(start.at)), |line| format!("line {line}"));
    let many = if seen.more_rulings { "; or too many rules were evaluated to record the outcome of each" } else { "" };
    format!("no event since {since} matched `{}`{many}", when.join("`, `"))
}
