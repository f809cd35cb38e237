//! The `test` command: runs the tests of the rules on a virtual clock, and lists the rules that no test fires.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::{CommandError, Exit, Output, workspace::Workspace};
use crate::{
    rule_tests::TestResults,
    rules::RuleId,
    yaml::{Severity, json, render},
};

#[derive(Debug, Args)]
pub struct TestArgs {
    /// Run only the tests whose name contains this text.
    name: Option<String>,

    /// Test the rules in this directory instead of the configured one. Works without a configuration.
    #[arg(long, value_name = "DIR")]
    rules: Option<PathBuf>,
}

impl TestArgs {
    pub fn run(self, given: Option<&Path>, output: &mut Output) -> Result<(), CommandError> {
        let mut offline = Workspace::read(given, self.rules.as_deref())?;
        let tests = offline.tests.take().filter(|_| offline.count(Severity::Error) == 0);
        let (Some(tests), Some(rules)) = (tests, &offline.rules) else { return Err(unreadable(&mut offline, output)) };
        let all = tests.len();
        let tests = match &self.name {
            Some(part) => tests.named(part),
            None => tests,
        };
        if let Some(part) = self.name.as_deref().filter(|_| tests.is_empty()) {
            return Err(CommandError::new(Exit::Failed, format!("no test has {part:?} in its name (of {all})")));
        }
        let mut results = tests.run(rules, &offline.policy).shown_in(&offline.dir());
        // A part of the tests does not show which rules no test fires.
        if self.name.is_some() {
            results.untested.clear();
        }
        let failed = results.failed();
        if output.is_json() {
            let passed = results.tests.len() - failed;
            output.json(&json!({
                "passed": passed, "failed": failed, "tests": results.tests, "untested": results.untested,
            }));
        } else {
            say(&results, output);
        }
        if failed > 0 { Err(CommandError::new(Exit::Failed, "")) } else { Ok(()) }
    }
}

fn say(results: &TestResults, output: &mut Output) {
    if results.tests.is_empty() {
        output.line("there are no tests; write them beside the rules, in files such as kyc.test.yaml");
    } else {
        output.text(results.text());
    }
    if !results.untested.is_empty() {
        output.line(format!("no test fires {}", listed(&results.untested)));
    }
}

fn listed(ids: &[RuleId]) -> String {
    const SHOWN: usize = 20;
    let shown: Vec<&str> = ids.iter().take(SHOWN).map(RuleId::as_str).collect();
    match ids.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// Prints the diagnostics because of which the tests cannot run. Warnings are left to `check`.
fn unreadable(offline: &mut Workspace, output: &mut Output) -> CommandError {
    // Tests that cannot be parsed may be warnings only; then these warnings are the reason.
    if offline.count(Severity::Error) > 0 {
        offline.diagnostics.retain(|one| one.severity == Severity::Error);
    }
    let (found, sources) = (&offline.diagnostics, offline.sources());
    if output.is_json() {
        json(found, &sources).iter().for_each(|one| output.json(one));
    } else {
        output.text(render(found, &sources, false));
    }
    CommandError::new(Exit::Config, "")
}
