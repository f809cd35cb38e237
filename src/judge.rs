//! The one judge of rules: whether a directory's files can be loaded, and everything that is to be said about them.
//!
//! A reload, the start, `check`, `doctor` and the admin API ask this function, so they say the same. What a reload adds to it depends on
//! the running server and is no property of the files: how many jobs the set would order at once (`rulebook.rs`).
//!
//! Pure. It runs on the large stack, and reads nothing but what it is given.

use crate::{
    cases::{Results, Tests, no_tests, untested},
    decide::Policy,
    rules::{Context, RuleSet},
    source::{Diagnostic, Files, Lines, Severity, Sources, bounded, render},
    stack::caught,
};

/// The code of a test that fails; its differences are in [`Results`].
const FAILED: &str = "test";

/// What the configuration says that the verdict depends on.
#[derive(Clone, Debug, Default)]
pub struct Terms {
    pub context: Context,
    /// As decisions have it.
    pub policy: Policy,
    pub failing_tests: FailingTests,
}

/// What becomes of rules whose tests fail, or can't be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FailingTests {
    /// They are as wrong as rules that can't be read.
    #[default]
    Refuse,
    /// They are loaded, with a warning.
    Warn,
}

/// What the judge says about a directory's files.
#[derive(Debug, Default)]
pub struct Verdict {
    /// The rules, where nothing is wrong with them or what they depend on; they can be looked at though a test fails.
    pub rules: Option<RuleSet>,
    /// `None` where anything is wrong with the tests.
    pub tests: Option<Tests>,
    /// How the tests went; `None` where they were not run.
    pub results: Option<Results>,
    of_rules: Vec<Diagnostic>,
    of_tests: Vec<Diagnostic>,
    failing_tests: FailingTests,
}

/// Judges these files.
pub fn judge(files: &Files, terms: &Terms) -> Verdict {
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

/// Reads the rules and their tests, and runs no test.
pub fn read(files: &Files, terms: &Terms) -> Verdict {
    whole(terms, || {
        let compiled = RuleSet::compile(files, &terms.context);
        let (tests, of_tests) = Tests::read(files, compiled.set.as_ref(), &terms.context);
        Verdict {
            rules: compiled.set,
            tests,
            results: None,
            of_rules: compiled.diagnostics,
            of_tests,
            failing_tests: terms.failing_tests,
        }
    })
}

/// Judges as a whole. A panic that no part has said of its file, refuses the files too.
fn whole(terms: &Terms, work: impl FnOnce() -> Verdict + Send) -> Verdict {
    caught("judging the files", work).unwrap_or_else(|panic| Verdict {
        of_rules: vec![Diagnostic::error("judge", "", panic)],
        failing_tests: terms.failing_tests,
        ..Verdict::default()
    })
}

impl Verdict {
    /// The files can't be loaded: one of the diagnostics is an error.
    pub fn is_refused(&self) -> bool {
        let is_wrong = |found: &[Diagnostic]| found.iter().any(|one| one.severity == Severity::Error);
        self.rules.is_none()
            || is_wrong(&self.of_rules)
            || self.failing_tests == FailingTests::Refuse && is_wrong(&self.of_tests)
    }

    /// Everything that is to be said; where failing tests are only warned of, what is wrong with tests is a warning.
    pub fn diagnostics(&self) -> Vec<Diagnostic> {
        let mut diagnostics = self.of_tests.clone();
        if self.failing_tests == FailingTests::Warn {
            diagnostics.iter_mut().for_each(|one| one.severity = Severity::Warning);
        }
        diagnostics.extend(self.of_rules.iter().cloned());
        diagnostics
    }

    /// All of it as a merchant reads it in the log, the differences of failing tests last; empty where there is nothing to say.
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

fn failed(test: &crate::cases::Tested, files: &Files) -> Diagnostic {
    let error = Diagnostic::error(FAILED, &*test.file, format!("this test fails: {}", test.name));
    let first = test.failures.first().and_then(|failure| Some((failure.line, failure.differences.first()?)));
    let help = first.map(|(line, difference)| {
        let (nothing, or) = ("nothing".to_owned(), |text: &Option<String>| text.clone());
        let expected = or(&difference.expected).unwrap_or_else(|| nothing.clone());
        let got = or(&difference.got).unwrap_or(nothing);
        format!("line {line} expects {expected}, and got {got}; `kyc-rules test` shows all of it")
    });
    let place = files.get(&test.file).and_then(|text| Lines::of(text).span(text, test.line));
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

    fn errors(verdict: &Verdict) -> Vec<&str> {
        let found = verdict.diagnostics();
        let errors = found.iter().filter(|one| one.severity == Severity::Error);
        errors.map(|one| one.code).collect()
    }

    const TESTS: &str = "format: 1\ntests:\n  - name: greeted\n    start: 2026-03-03T21:30[Europe/Lisbon]\n    steps:\n      \
                         - callback: {status: FULL_USER}\n      - expect: [{rule: greet, tag: first}]\n";

    #[test]
    fn a_failing_test_refuses_the_rules_unless_the_configuration_only_wants_a_warning() {
        let mut terms = Terms { context: Context::assumed_by(&files("first", TESTS)), ..Terms::default() };
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
