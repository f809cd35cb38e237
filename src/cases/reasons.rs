//! Why something that was expected has not left.

use super::{
    test::{Expected, Start},
    world::{Seen, World},
};
use crate::{
    clock::Timestamp,
    decide::{Ruled, stays},
    outbox::State,
    rules::{Mode, Rule, Stay, Trigger},
    source::did_you_mean,
};

/// In one line. `since` is the line of the look before.
pub(super) fn why_not(
    expected: &Expected,
    seen: &Seen,
    world: &World<'_>,
    start: &Start,
    since: Option<u32>,
) -> String {
    let Some(rule) = world.rules().rule(expected.rule.as_str()) else { return "the rule is not there".to_owned() };
    if let Some(reason) = never(expected, rule) {
        return reason;
    }
    waits(expected, world, start)
        .or_else(|| lost(expected, seen, start))
        .or_else(|| ruled(expected, seen, start))
        .or_else(|| ahead(rule, world, start))
        .unwrap_or_else(|| unmatched(rule, seen, start, since))
}

/// This rule, as it stands, can't make it leave.
fn never(expected: &Expected, rule: &Rule) -> Option<String> {
    let id = &rule.id;
    if !rule.actions.iter().any(|action| expected.is_of(action)) {
        let same_kind = rule.actions.iter().filter(|action| action.kind() == expected.kind.name());
        let meant = did_you_mean(&expected.name, same_kind.map(|action| action.name()));
        let actions: Vec<String> = rule.actions.iter().map(|action| action.to_string().trim_end().to_owned()).collect();
        let meant = meant.map(|name| format!("; did you mean {name}?")).unwrap_or_default();
        return Some(format!("{id} only has: {}{meant}", actions.join(", ")));
    }
    match (rule.mode, expected.shadow) {
        (Mode::Paused, _) => Some(format!("{id} is paused")),
        (Mode::Shadow, false) => Some(format!("{id} is in shadow; `shadow: true` compares what it would have ordered")),
        (Mode::Live, true) => Some(format!("{id} is live, not in shadow")),
        (Mode::Live, false) | (Mode::Shadow, true) => None,
    }
}

/// It has been ordered, and is still there.
fn waits(expected: &Expected, world: &World<'_>, start: &Start) -> Option<String> {
    let mut jobs = world.case().open.iter();
    let job = jobs.find(|job| job.order.rule == expected.rule && expected.is_of(&job.order.action))?;
    let reason = job.fate.reason.as_deref().unwrap_or_default();
    Some(match job.fate.state {
        State::Queued => {
            format!("it was ordered at {} and waits until {}", start.shown(job.order.at), start.shown(job.fate.next_at))
        }
        _ => format!("it was ordered at {} and waits: {reason}", start.shown(job.order.at)),
    })
}

/// It had been ordered, and was taken back.
fn lost(expected: &Expected, seen: &Seen, start: &Start) -> Option<String> {
    let mut lost = seen.lost.iter().rev();
    let job = lost.find(|job| job.rule == expected.rule && expected.is_of(&job.action))?;
    Some(format!("it was cancelled at {}: {}", start.shown(job.at), job.reason))
}

/// What became of the rule when it was last looked at.
fn ruled(expected: &Expected, seen: &Seen, start: &Start) -> Option<String> {
    let (at, ruling) = seen.rulings.iter().rev().find(|(_, ruling)| ruling.id == expected.rule)?;
    let (at, why) = (start.shown(*at), ruling.reason());
    Some(match (ruling.outcome, why) {
        (Ruled::Paused, _) => format!("the rule was paused at {at}"),
        (Ruled::No, Some(why)) => format!("the rule did not fire at {at}: {why}"),
        (Ruled::Undecidable, Some(why)) => format!("nobody could tell at {at}: {why}"),
        (Ruled::Limited | Ruled::Fired, Some(why)) => format!("the rule fired at {at}: {why}"),
        (Ruled::Shadow, Some(why)) => format!("at {at} it {why}"),
        (Ruled::Fired, None) if expected.kind.is_mark() => {
            format!("the rule fired at {at}, and the customer was marked so already")
        }
        (_, None) => format!("the rule fired at {at}, and nothing else has left"),
    })
}

/// The stay goes on, and has not lasted long enough.
fn ahead(rule: &Rule, world: &World<'_>, start: &Start) -> Option<String> {
    let timers_of = |(stay, entered_at): (Stay, Timestamp)| {
        let timers = world.rules().timers_of(&stay).filter(|timer| timer.rule == rule.id);
        timers.map(move |timer| (timer, entered_at.plus_ms(timer.after.ms())))
    };
    let timers = world.case().customer.iter().flat_map(stays).flat_map(timers_of);
    let (timer, due_at) = timers.filter(|(_, due_at)| *due_at > world.now()).min_by_key(|(_, due_at)| *due_at)?;
    Some(format!("`{} for {}` comes due at {}", timer.stay, timer.after, start.shown(due_at)))
}

fn unmatched(rule: &Rule, seen: &Seen, start: &Start, since: Option<u32>) -> String {
    let when: Vec<String> = rule.triggers.iter().map(Trigger::to_string).collect();
    let since = since.map_or_else(|| format!("the start at {}", start.shown(start.at)), |line| format!("line {line}"));
    let many = if seen.more_rulings { "; or the rule was one of many that did not fire" } else { "" };
    format!("nothing since {since} was `{}`{many}", when.join("`, `"))
}
