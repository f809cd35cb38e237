//! Lives tests through, and says of each how it went.

use std::collections::BTreeSet;

use super::{
    comparison,
    results::{Failure, Results, Tested},
    test::{Does, Test},
    world::World,
};
use crate::{
    clock::Timestamp,
    decide::{Command, Policy, Ruled, Standing},
    rules::{Mode, RuleId, RuleSet},
};

pub(super) fn run(tests: &[Test], rules: &RuleSet, policy: &Policy) -> Results {
    let mut fired = BTreeSet::new();
    let standing = standing(rules);
    let tested = tests.iter().map(|test| one(test, (rules, &standing), policy, &mut fired)).collect();
    // A paused rule can't be fired by any test.
    let silent = rules.rules().iter().filter(|rule| rule.mode != Mode::Paused && !fired.contains(&rule.id));
    Results { tests: tested, untested: silent.map(|rule| rule.id.clone()).collect() }
}

/// The rules have always been there, and nobody has paused any.
fn standing(rules: &RuleSet) -> Standing {
    Standing::since(rules, Timestamp::from_millis(i64::MIN))
}

fn one(
    test: &Test,
    (rules, standing_of_all): (&RuleSet, &Standing),
    policy: &Policy,
    fired: &mut BTreeSet<RuleId>,
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
    // Where the last look was.
    let mut since = None;
    for step in &test.steps {
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
    Tested { name: test.name.clone(), file: test.file.to_string(), line: test.line, failures }
}
