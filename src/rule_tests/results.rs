//! The results of tests, as text and as JSON.

use std::fmt::Write;

use serde::Serialize;

use super::{
    sent::Sent,
    test::{Expectation, TestStart},
};
use crate::rules::RuleId;

/// The results of all tests.
#[derive(Clone, Debug, Default, Serialize)]
pub struct TestResults {
    pub tests: Vec<TestResult>,
    /// The rules that no test fires, in file order, without paused rules.
    pub untested: Vec<RuleId>,
}

/// The result of one test.
#[derive(Clone, Debug, Serialize)]
pub struct TestResult {
    pub name: String,
    /// The path below the rules directory, or as changed by [`TestResults::shown_in`].
    pub file: String,
    pub line: u32,
    /// One for each `expect` that was not met; empty if the test passed.
    pub failures: Vec<ExpectationFailure>,
}

/// An `expect` that was not met.
#[derive(Clone, Debug, Serialize)]
pub struct ExpectationFailure {
    pub line: u32,
    /// The local time in the zone of the test, as all times below.
    pub at: String,
    pub zone: String,
    pub differences: Vec<Difference>,
}

/// An expected action that was not sent as expected, or an action that was not expected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    pub expected: Option<String>,
    pub got: Option<String>,
    /// The reason nothing was sent.
    pub why: Option<String>,
    /// The text of a mail or a chat that lacks an expected part.
    pub text: Option<String>,
}

impl TestResults {
    pub fn failed(&self) -> usize {
        self.tests.iter().filter(|test| !test.passed()).count()
    }

    /// Puts the directory before the path of each file.
    #[must_use]
    pub fn shown_in(mut self, dir: &str) -> Self {
        let dir = dir.strip_prefix("./").unwrap_or(dir).trim_end_matches('/');
        for test in self.tests.iter_mut().filter(|_| !dir.is_empty()) {
            test.file = format!("{dir}/{}", test.file);
        }
        self
    }

    /// Formats every failed test with its differences, and the number of tests.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for test in self.tests.iter().filter(|test| !test.passed()) {
            test.write(&mut text);
            text.push('\n');
        }
        let count = self.tests.len();
        let tests = if count == 1 { "test" } else { "tests" };
        let _ = match self.failed() {
            0 => writeln!(text, "{count} {tests} passed"),
            failed => writeln!(text, "{count} {tests}: {failed} failed"),
        };
        text
    }
}

impl TestResult {
    pub fn passed(&self) -> bool {
        self.failures.is_empty()
    }

    fn write(&self, into: &mut String) {
        let _ = writeln!(into, "FAILED {}:{}: {}", self.file, self.line, self.name);
        for failure in &self.failures {
            let _ = writeln!(into, "  line {}, {} ({}):", failure.line, failure.at, failure.zone);
            for difference in &failure.differences {
                difference.write(into);
            }
        }
    }
}

impl Difference {
    /// An action that was sent, but not as expected.
    pub(super) fn of(expected: &Expectation, left: &Sent, start: &TestStart) -> Self {
        let lacks: Vec<String> = expected
            .contains
            .iter()
            .filter(|part| !left.contains(part))
            .map(|part| format!(", without {part:?}"))
            .collect();
        let mut got = named(&left.rule, left.kind.name(), &left.name, left.shadow);
        // Only the fields in the expectation are shown, because others would hide the difference.
        if expected.at.is_some() {
            let _ = write!(got, ", at {}", start.shown(left.at));
        }
        if expected.to.is_some() {
            let _ = write!(got, ", to {}", left.to.as_deref().unwrap_or("no address"));
        }
        if expected.subject.is_some() {
            let _ = write!(got, ", subject {:?}", left.subject.as_deref().unwrap_or_default());
        }
        if expected.event.is_some() {
            let _ = write!(got, ", event {}", left.event.as_deref().unwrap_or_default());
        }
        let text = left.text.clone().filter(|_| !lacks.is_empty());
        got.extend(lacks);
        Self { expected: Some(expected_text(expected, start)), got: Some(got), why: None, text }
    }

    pub(super) fn missing(expected: &Expectation, why: String, start: &TestStart) -> Self {
        Self { expected: Some(expected_text(expected, start)), got: None, why: Some(why), text: None }
    }

    pub(super) fn more(left: &Sent, start: &TestStart) -> Self {
        let mut got = named(&left.rule, left.kind.name(), &left.name, left.shadow);
        if let Some(to) = &left.to {
            let _ = write!(got, ", to {to}");
        }
        if let Some(event) = &left.event {
            let _ = write!(got, ", event {event}");
        }
        let _ = write!(got, ", at {}", start.shown(left.at));
        Self { expected: None, got: Some(got), why: None, text: None }
    }

    fn write(&self, into: &mut String) {
        let nothing = || "nothing".to_owned();
        let _ = writeln!(into, "    expected: {}", self.expected.clone().unwrap_or_else(nothing));
        let why = self.why.as_ref().map(|why| format!("; {why}")).unwrap_or_default();
        let _ = writeln!(into, "    got:      {}{why}", self.got.clone().unwrap_or_else(nothing));
        for line in self.text.iter().flat_map(|text| text.lines()) {
            into.push_str(format!("              | {line}").trim_end());
            into.push('\n');
        }
    }
}

fn named(rule: &RuleId, kind: &str, name: &str, shadow: bool) -> String {
    let shadow = if shadow { ", in shadow" } else { "" };
    format!("{kind} {name} by {rule}{shadow}")
}

fn expected_text(expected: &Expectation, start: &TestStart) -> String {
    let mut text = named(&expected.rule, expected.kind.name(), &expected.name, expected.shadow);
    if let Some(at) = &expected.at {
        let _ = write!(text, ", at {}", start.shown_moment(at));
    }
    if let Some(to) = &expected.to {
        let _ = write!(text, ", to {to}");
    }
    if let Some(subject) = &expected.subject {
        let _ = write!(text, ", subject {subject:?}");
    }
    if let Some(event) = &expected.event {
        let _ = write!(text, ", event {event}");
    }
    text.extend(expected.contains.iter().map(|part| format!(", containing {part:?}")));
    text
}
