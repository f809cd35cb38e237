//! Tests of rules, which merchants write beside the rules in `*.test.yaml`.
//!
//! ```text
//! Files --Tests::read--> Tests --run(RuleSet)--> Results
//! ```
//!
//! A test describes events of one customer: callbacks of the provider, time that passes, and what must have been sent
//! by then. It is run in a simulation of one customer (`simulation.rs`) with its own clock. The simulation makes every
//! decision with the same [`decide`](crate::decide::decide()) as the service. The module is pure: what would be sent is
//! only recorded. A test that cannot fail is rejected when it is read, because it would check nothing.

mod comparison;
mod coverage;
mod known;
mod moment;
mod parse;
mod reasons;
mod results;
mod run;
mod sent;
mod simulation;
mod test;
#[cfg(test)]
mod tests;

pub use coverage::{no_tests, untested};
pub use results::{Difference, ExpectationFailure, TestResult, TestResults};
pub use sent::Sent;
pub use simulation::Simulation;

use crate::{
    decide::Policy,
    rules::{Environment, RuleSet},
    stack::{catch_panic, with_deep_stack},
    yaml::{Diagnostic, Files, bounded},
};

/// The tests of one directory, in the order of their files.
#[derive(Debug, Default)]
pub struct RuleTests(Vec<test::RuleTest>);

impl RuleTests {
    /// Parses every file of tests; or returns every error in them. `rules` are the rules beside the tests; `None` if
    /// the rules cannot be read, and then every valid rule id is accepted. Warnings may come with either result.
    pub fn read(files: &Files, rules: Option<&RuleSet>, context: &Environment) -> (Option<Self>, Vec<Diagnostic>) {
        let known = known::KnownNames::new(rules, context);
        let mut diagnostics = Vec::new();
        let mut tests = Some(Vec::new());
        for (path, text) in files.iter().filter(|(path, _)| is_test_file(path)) {
            let (read, found) = catch_panic("reading", || parse::file::read(path, text, &known))
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

    /// Keeps the tests whose name contains this text; case is ignored.
    #[must_use]
    pub fn named(mut self, part: &str) -> Self {
        let part = part.to_lowercase();
        self.0.retain(|test| test.name.to_lowercase().contains(&part));
        self
    }

    /// Runs every test. The rules must be those with which the tests were read.
    pub fn run(&self, rules: &RuleSet, policy: &Policy) -> TestResults {
        with_deep_stack(|| run::run(&self.0, rules, policy))
    }
}

/// Whether the path is a file of tests. It must be directly in the directory, as the files of rules.
pub fn is_test_file(path: &str) -> bool {
    path.ends_with(".test.yaml") && !path.contains('/')
}
