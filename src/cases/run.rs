//! Runs tests and returns their results.

use std::collections::BTreeSet;

use super::{
    comparison,
    results::{Difference, Failure, Results, Tested},
    test::{Does, Test},
    world::World,
};
use crate::{
    clock::Timestamp,
    decide::{Command, Policy, Ruled, Standing},
    rules::{Mode, RuleId, RuleSet},
    stack::caught,
};

/// Maximum work of all tests of a directory together, as counted by [`World::worked`]: 20,000 mails.
const MAX_WORK: u64 = if cfg!(test) { 100_000 } else { 1_000_000 };

pub(super) fn run(tests: &[Test], rules: &RuleSet, policy: &Policy) -> Results {
    let mut fired = BTreeSet::new();
    let standing = standing(rules);
    let mut room = MAX_WORK;
    let tested = tests.iter().map(|test| {
        let tested = caught("the test", || one(test, (rules, &standing), policy, &mut fired, &mut room));
        tested.unwrap_or_else(|panic| panicked(test, panic))
    });
    let tested = tested.collect();
    // No test can fire a paused rule.
    let silent = rules.rules().iter().filter(|rule| rule.mode != Mode::Paused && !fired.contains(&rule.id));
    Results { tests: tested, untested: silent.map(|rule| rule.id.clone()).collect() }
}

fn panicked(test: &Test, panic: String) -> Tested {
    let difference = Difference { expected: None, got: None, why: Some(panic), text: None };
    let at = test.start.shown(test.start.at);
    let failure = Failure { line: test.line, at, zone: test.start.zone_name(), differences: vec![difference] };
    Tested { name: test.name.clone(), file: test.file.to_string(), line: test.line, failures: vec![failure] }
}

/// A standing in which the rules have always existed, and none is paused by an operator.
fn standing(rules: &RuleSet) -> Standing {
    Standing::since(rules, Timestamp::from_millis(i64::MIN))
}

fn one(
    test: &Test,
    (rules, standing_of_all): (&RuleSet, &Standing),
    policy: &Policy,
    fired: &mut BTreeSet<RuleId>,
    room: &mut u64,
) -> Tested {
    let part = test.rules.as_ref().map(|ids| rules.only(ids));
    let part = part.map(|rules| (standing(&rules), rules));
    let rules = part.as_ref().map_or((rules, standing_of_all), |(standing, rules)| (rules, standing));
    let mut world = World::new(rules, policy, test.customer.clone(), test.start.at);
    let customer = || test.customer.clone();
    if let Some(contact) = test.contact.clone() {
        world.happens(&Command::Contact { customer: customer(), contact });
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
            Does::Callback(saw) => world.happens(&Command::Observe { customer: customer(), saw: saw.clone() }),
            Does::Wait(duration) => world.pass(duration.ms()),
            Does::Contact(contact) => {
                world.happens(&Command::Contact { customer: customer(), contact: contact.clone() });
            }
            Does::Tag(name) => world.happens(&Command::Tag { customer: customer(), name: name.clone() }),
            Does::Untag(name) => world.happens(&Command::Untag { customer: customer(), name: name.clone() }),
            Does::Expect(expected) => {
                let seen = world.take_seen();
                let acted = seen
                    .rulings
                    .iter()
                    .filter(|(_, ruling)| matches!(ruling.outcome, Ruled::Fired | Ruled::Shadow | Ruled::Limited));
                fired.extend(acted.map(|(_, ruling)| ruling.id.clone()));
                let differences = comparison::differences(expected, &seen, &world, &test.start, since);
                if !differences.is_empty() {
                    let at = test.start.shown(world.now());
                    failures.push(Failure { line: step.line, at, zone: test.start.zone_name(), differences });
                }
                since = Some(step.line);
            }
        }
    }
    *room = room_before.saturating_sub(world.worked());
    Tested { name: test.name.clone(), file: test.file.to_string(), line: test.line, failures }
}

/// The failure for tests that need too much work to be run to their end.
fn too_much(line: u32, test: &Test, world: &World<'_>) -> Failure {
    let why = "the tests of this directory need too much work and are stopped: use fewer callbacks, shorter waits and \
               fewer mails"
        .to_owned();
    let differences = vec![Difference { expected: None, got: None, why: Some(why), text: None }];
    Failure { line, at: test.start.shown(world.now()), zone: test.start.zone_name(), differences }
}
