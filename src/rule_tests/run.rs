//! Runs tests and returns their results.

use std::collections::BTreeSet;

use super::{
    comparison,
    results::{Difference, ExpectationFailure, TestResult, TestResults},
    simulation::Simulation,
    test::{RuleTest, StepAction},
};
use crate::{
    clock::Timestamp,
    decide::{Command, GlobalState, Policy, RuleOutcome},
    rules::{RuleId, RuleMode, RuleSet},
    stack::catch_panic,
};

/// Maximum work of all tests of a directory together, as counted by [`Simulation::worked`]: 20,000 mails.
const MAX_WORK: u64 = if cfg!(test) { 100_000 } else { 1_000_000 };

pub(super) fn run(tests: &[RuleTest], rules: &RuleSet, policy: &Policy) -> TestResults {
    let mut fired = BTreeSet::new();
    let standing = standing(rules);
    let mut room = MAX_WORK;
    let tested = tests.iter().map(|test| {
        let tested = catch_panic("the test", || run_test(test, (rules, &standing), policy, &mut fired, &mut room));
        tested.unwrap_or_else(|panic| panicked(test, panic))
    });
    let tested = tested.collect();
    // No test can fire a paused rule.
    let silent = rules.rules().iter().filter(|rule| rule.mode != RuleMode::Paused && !fired.contains(&rule.id));
    TestResults { tests: tested, untested: silent.map(|rule| rule.id.clone()).collect() }
}

fn panicked(test: &RuleTest, panic: String) -> TestResult {
    let difference = Difference { expected: None, got: None, why: Some(panic), text: None };
    let at = test.start.shown(test.start.at);
    let failure =
        ExpectationFailure { line: test.line, at, zone: test.start.zone_name(), differences: vec![difference] };
    TestResult { name: test.name.clone(), file: test.file.to_string(), line: test.line, failures: vec![failure] }
}

/// A global state in which the rules have always existed, and none is paused by an operator.
fn standing(rules: &RuleSet) -> GlobalState {
    GlobalState::since(rules, Timestamp::from_millis(i64::MIN))
}

fn run_test(
    test: &RuleTest,
    (rules, standing_of_all): (&RuleSet, &GlobalState),
    policy: &Policy,
    fired: &mut BTreeSet<RuleId>,
    room: &mut u64,
) -> TestResult {
    let part = test.rules.as_ref().map(|ids| rules.only(ids));
    let part = part.map(|rules| (standing(&rules), rules));
    let rules = part.as_ref().map_or((rules, standing_of_all), |(standing, rules)| (rules, standing));
    let mut world = Simulation::new(rules, policy, test.customer.clone(), test.start.at);
    let customer = || test.customer.clone();
    if let Some(contact) = test.contact.clone() {
        world.apply_step(&Command::Contact { customer: customer(), contact });
    }
    let mut failures = Vec::new();
    // The line of the last `expect`.
    let mut since = None;
    let room_before = *room;
    for step in &test.steps {
        *room = room_before.saturating_sub(world.worked());
        if *room == 0 {
            failures.push(too_much(step.line, test, &world));
            break;
        }
        match &step.does {
            StepAction::Callback(saw) => world.apply_step(&Command::Observe { customer: customer(), saw: saw.clone() }),
            StepAction::Wait(duration) => world.advance(duration.ms()),
            StepAction::Contact(contact) => {
                world.apply_step(&Command::Contact { customer: customer(), contact: contact.clone() });
            }
            StepAction::Tag(name) => world.apply_step(&Command::Tag { customer: customer(), name: name.clone() }),
            StepAction::Untag(name) => world.apply_step(&Command::Untag { customer: customer(), name: name.clone() }),
            StepAction::Expect(expected) => {
                let seen = world.take_seen();
                let acted = seen.rulings.iter().filter(|(_, ruling)| {
                    matches!(ruling.outcome, RuleOutcome::Fired | RuleOutcome::Shadow | RuleOutcome::Limited)
                });
                fired.extend(acted.map(|(_, ruling)| ruling.id.clone()));
                let differences = comparison::differences(expected, &seen, &world, &test.start, since);
                if !differences.is_empty() {
                    let at = test.start.shown(world.now());
                    failures.push(ExpectationFailure {
                        line: step.line,
                        at,
                        zone: test.start.zone_name(),
                        differences,
                    });
                }
                since = Some(step.line);
            }
        }
    }
    *room = room_before.saturating_sub(world.worked());
    TestResult { name: test.name.clone(), file: test.file.to_string(), line: test.line, failures }
}

/// The failure for tests that need too much work to be run to their end.
fn too_much(line: u32, test: &RuleTest, world: &Simulation<'_>) -> ExpectationFailure {
    let why = "the tests of this directory need too much work and are stopped: use fewer callbacks, shorter waits and \
               fewer mails"
        .to_owned();
    let differences = vec![Difference { expected: None, got: None, why: Some(why), text: None }];
    ExpectationFailure { line, at: test.start.shown(world.now()), zone: test.start.zone_name(), differences }
}
