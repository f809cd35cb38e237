//! Decides whether the files of a rules directory can be loaded, and collects all errors and warnings.
//!
//! A reload, the start, `check`, `doctor` and the admin API all call this module, so they report the same. A reload
//! adds one check that depends on the running server: the number of jobs that the set would order within an hour
//! (`rulebook/`).
//!
//! The functions are pure: they read only their arguments. They run on a thread with a large stack.

use crate::{
    decide::Policy,
    rule_tests::{RuleTests, TestResults, no_tests, untested},
    rules::{Environment, RuleSet},
    stack::catch_panic,
    yaml::{Diagnostic, Files, LineIndex, Severity, Sources, bounded, render},
};

/// The code of a failing test. [`TestResults`] holds its differences.
const FAILED: &str = "test";

/// The part of the configuration that the verdict depends on.
#[derive(Clone, Debug, Default)]
pub struct JudgeOptions {
    pub context: Environment,
    /// The policy that the service uses for decisions.
    pub policy: Policy,
    pub failing_tests: FailingTests,
}

/// How to treat rules whose tests fail or have errors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FailingTests {
    /// The rules are refused.
    #[default]
    Refuse,
    /// The rules are loaded, with a warning.
    Warn,
}

/// The result of checking the files of a rules directory.
#[derive(Debug, Default)]
pub struct Judgement {
    /// The rules, if they and their templates and labels have no error. Present also if a test fails.
    pub rules: Option<RuleSet>,
    /// `None` if a file of tests has an error.
    pub tests: Option<RuleTests>,
    /// The results of the tests; `None` if they were not run.
    pub results: Option<TestResults>,
    of_rules: Vec<Diagnostic>,
    of_tests: Vec<Diagnostic>,
    failing_tests: FailingTests,
}

/// Checks these files and runs their tests.
pub fn judge(files: &Files, terms: &JudgeOptions) -> Judgement {
    whole(terms, || {
        let mut verdict = read(files, terms);
        let (Some(rules), Some(tests)) = (&verdict.rules, &verdict.tests) else { return verdict };
        let results = tests.run(rules, &terms.policy);
        let failing = results.tests.iter().filter(|test| !test.passed());
        verdict.of_tests.extend(failing.map(|test| failed(test, files)));
        bounded(&mut verdict.of_tests);
        verdict.of_rules.extend(match tests.is_empty() {
            true => vec![no_tests(rules)],
            false => untested(&results.untested, rules),
        });
        verdict.results = Some(results);
        verdict
    })
}

/// Checks these files without running their tests.
pub fn read(files: &Files, terms: &JudgeOptions) -> Judgement {
    whole(terms, || {
        let compiled = RuleSet::compile(files, &terms.context);
        let (tests, of_tests) = RuleTests::read(files, compiled.set.as_ref(), &terms.context);
        Judgement {
            rules: compiled.set,
            tests,
            results: None,
            of_rules: compiled.diagnostics,
            of_tests,
            failing_tests: terms.failing_tests,
        }
    })
}

/// Runs the work on the large stack. A panic becomes an error, so that the files are refused.
fn whole(terms: &JudgeOptions, work: impl FnOnce() -> Judgement + Send) -> Judgement {
    catch_panic("checking the files", work).unwrap_or_else(|panic| Judgement {
        of_rules: vec![Diagnostic::error("judge", "", panic)],
        failing_tests: terms.failing_tests,
        ..Judgement::default()
    })
}

impl Judgement {
    /// Whether the files cannot be loaded, because a diagnostic is an error.
    pub fn is_refused(&self) -> bool {
        let is_wrong = |found: &[Diagnostic]| found.iter().any(|one| one.severity == Severity::Error);
        self.rules.is_none()
            || is_wrong(&self.of_rules)
            || self.failing_tests == FailingTests::Refuse && is_wrong(&self.of_tests)
    }

    /// All errors and warnings. With [`FailingTests::Warn`], errors of tests become warnings.
    pub fn diagnostics(&self) -> Vec<Diagnostic> {
        let mut diagnostics = self.of_tests.clone();
        if self.failing_tests == FailingTests::Warn {
            diagnostics.iter_mut().for_each(|one| one.severity = Severity::Warning);
        }
        diagnostics.extend(self.of_rules.iter().cloned());
        diagnostics
    }

    /// All errors and warnings as text for the log, with the differences of failing tests at the end. Empty if there
    /// are none.
    pub fn text(&self, files: &Files, dir: &str) -> String {
        let of_tests = self.of_tests.iter().filter(|one| one.code != FAILED);
        let said: Vec<Diagnostic> = self.of_rules.iter().chain(of_tests).cloned().collect();
        let mut text = render(&said, &Sources::default().directory(dir, files), false);
        if let Some(results) = self.results.as_ref().filter(|results| results.failed() > 0) {
            let gap = if text.is_empty() { "" } else { "\n" };
            text.push_str(&format!("{gap}the tests of the rules fail\n\n{}", results.clone().shown_in(dir).text()));
        }
        text
    }
}

fn failed(test: &crate::rule_tests::TestResult, files: &Files) -> Diagnostic {
    let error = Diagnostic::error(FAILED, &*test.file, format!("this test fails: {}", test.name));
    let first = test.failures.first().and_then(|failure| Some((failure.line, failure.differences.first()?)));
    let help = first.map(|(line, difference)| {
        let (nothing, or) = ("nothing".to_owned(), |text: &Option<String>| text.clone());
        let expected = or(&difference.expected).unwrap_or_else(|| nothing.clone());
        let got = or(&difference.got).unwrap_or(nothing);
        format!("line {line} expects {expected}, but got {got}; `kyc-rules test` shows all differences")
    });
    let place = files.get(&test.file).and_then(|text| LineIndex::of(text).span(text, test.line));
    let error = match place {
        Some(place) => error.at(place),
        None => error,
    };
    match help {
        Some(help) => error.help(help),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(tag: &str, tests: &str) -> Files {
        let rules = format!("format: 1\nrules:\n  - {{id: greet, when: any -> FULL_USER, do: [tag: {tag}]}}\n");
        [("kyc.yaml".to_owned(), rules), ("kyc.test.yaml".to_owned(), tests.to_owned())].into_iter().collect()
    }

    fn errors(verdict: &Judgement) -> Vec<&str> {
        let found = verdict.diagnostics();
        let errors = found.iter().filter(|one| one.severity == Severity::Error);
        errors.map(|one| one.code).collect()
    }

    const TESTS: &str = "format: 1\ntests:\n  - name: greeted\n    start: 2026-03-03T21:30[Europe/Lisbon]\n    steps:\n      \
                         - callback: {status: FULL_USER}\n      - expect: [{rule: greet, tag: first}]\n";

    #[test]
    fn a_failing_test_refuses_the_rules_unless_the_configuration_asks_for_a_warning() {
        let mut terms =
            JudgeOptions { context: Environment::assumed_by(&files("first", TESTS)), ..JudgeOptions::default() };
        assert!(!judge(&files("first", TESTS), &terms).is_refused());
        let wrong = files("other", TESTS);
        let verdict = judge(&wrong, &terms);
        assert!(verdict.is_refused() && verdict.rules.is_some());
        assert_eq!(errors(&verdict), ["test"]);
        let text = verdict.text(&wrong, "rules");
        assert!(
            text.contains("FAILED rules/kyc.test.yaml:3: greeted") && text.contains("expected: tag first by greet"),
            "{text}"
        );
        let unreadable = files("first", &TESTS.replace("rule: greet", "rule: great"));
        assert_eq!(errors(&judge(&unreadable, &terms)), ["rule"]);

        terms.failing_tests = FailingTests::Warn;
        for files in [&wrong, &unreadable] {
            let verdict = judge(files, &terms);
            assert!(!verdict.is_refused(), "{:?}", verdict.diagnostics());
            assert_eq!(errors(&verdict), [""; 0]);
            assert!(!verdict.diagnostics().is_empty());
        }
    }
}
