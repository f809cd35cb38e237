//! Tests of rules, as merchants write them beside the rules: `*.test.yaml`.
//!
//! ```text
//! Files --Tests::read--> Tests --run(RuleSet)--> Results
//! ```
//!
//! A test is a customer's story: what the provider says, how time passes, and what must have left by then. It is lived in a
//! world of one customer (`world.rs`) on a clock of its own, where everything is decided by the same
//! [`decide`](crate::decide::decide()) as in the service. Pure: what would be sent is only noted. A test that can't fail is
//! refused when it is read, since it would only look like safety.

mod callback_reading;
mod comparison;
mod coverage;
mod customer_reading;
mod expectation_reading;
mod file_reading;
mod known;
mod left;
mod moment;
mod reasons;
mod results;
mod run;
mod step_reading;
mod test;
mod test_reading;
#[cfg(test)]
mod tests;
mod world;

pub use coverage::{no_tests, untested};
pub use left::Left;
pub use results::{Difference, Failure, Results, Tested};
pub use world::World;

use crate::{
    decide::Policy,
    rules::{Context, RuleSet},
    source::{Diagnostic, Files, bounded},
    stack::{caught, deep},
};

/// The tests of one directory, in the order of their files.
#[derive(Debug, Default)]
pub struct Tests(Vec<test::Test>);

impl Tests {
    /// Reads every file of tests; or says everything that is wrong with any of them. `rules` is what stands beside them;
    /// `None` where that can't be read itself, and then no name of a rule is wrong. Warnings may come with either.
    pub fn read(files: &Files, rules: Option<&RuleSet>, context: &Context) -> (Option<Self>, Vec<Diagnostic>) {
        let known = known::Known::new(rules, context);
        let mut diagnostics = Vec::new();
        let mut tests = Some(Vec::new());
        for (path, text) in files.iter().filter(|(path, _)| is_test_file(path)) {
            let (read, found) = caught("reading", || file_reading::read(path, text, &known))
                .unwrap_or_else(|panic| (None, vec![Diagnostic::error("file", path, panic)]));
            diagnostics.extend(found);
            match (&mut tests, read) {
                (Some(tests), Some(read)) => tests.extend(read),
                _ => tests = None,
            }
        }
        bounded(&mut diagnostics);
        (tests.map(Self), diagnostics)
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those whose name has this text in it, in capitals or not.
    #[must_use]
    pub fn named(mut self, part: &str) -> Self {
        let part = part.to_lowercase();
        self.0.retain(|test| test.name.to_lowercase().contains(&part));
        self
    }

    /// Lives every test through. The rules must be those that the tests were read with.
    pub fn run(&self, rules: &RuleSet, policy: &Policy) -> Results {
        deep(|| run::run(&self.0, rules, policy))
    }
}

/// Directly in the directory, as the rules.
pub fn is_test_file(path: &str) -> bool {
    path.ends_with(".test.yaml") && !path.contains('/')
}
