//! Reads one file of tests.
//!
//! As with rules, each test is read by itself: an error in one test does not hide an error in the next.

use std::{collections::HashMap, sync::Arc};

use super::test;
use crate::rule_tests::{known::KnownNames, test::RuleTest};
use crate::yaml::{Diagnostic, Document, LineIndex, MapFields, Report, Value};

const BEGINS: &str = "a file of tests begins with the lines `format: 1` and `tests:`";

/// Returns the file's tests if they have no error; and the diagnostics.
pub(in crate::rule_tests) fn read(
    path: &str,
    text: &str,
    known: &KnownNames<'_>,
) -> (Option<Vec<RuleTest>>, Vec<Diagnostic>) {
    let mut report = Report::new(path, text);
    let tests = tests(known, &mut report);
    let right = !report.has_errors();
    (tests.filter(|_| right), report.into_diagnostics())
}

fn tests(known: &KnownNames<'_>, report: &mut Report<'_>) -> Option<Vec<RuleTest>> {
    let document = Document::read(report)?;
    let root = &document.root;
    match &root.value {
        Value::Null => {
            report.error("format", 0..0, "this file is empty").help(BEGINS);
            return None;
        }
        Value::List(_) => {
            let at = root.span.start..root.span.start + 1;
            report.error("format", at, "the tests must be under the key `tests`").help(BEGINS);
            return None;
        }
        _ => {}
    }
    let fields = MapFields::of(root, "a file of tests", &["format", "tests"], report)?;
    fields.format(report);
    let list = fields.need("tests", report)?;
    match &list.value {
        Value::List(items) if !items.is_empty() => {}
        Value::List(_) | Value::Null => {
            let at = fields.entry("tests").map_or(list.span.clone(), |entry| entry.key_span.clone());
            report.error("idle", at, "there are no tests here").help("remove the file, or write a test");
            return None;
        }
        _ => {
            list.wrong("`tests`", "a list, each test beginning with `- name:`", report);
            return None;
        }
    }
    let file: Arc<str> = report.file().into();
    let lines = LineIndex::of(report.text());
    let mut names: HashMap<String, u32> = HashMap::new();
    let mut tests = Vec::new();
    for node in list.items() {
        let before = report.found().len();
        let read = test::read(node, &file, &lines, known, report);
        // A test that is not run must not appear to have passed.
        if read.is_none() && report.found().len() == before {
            report.error("test", node.span.clone(), "this test cannot be read");
        }
        let (Some(name), line) = (test::name_of(node), lines.line(node.span.start)) else { continue };
        if let Some(first) = names.get(name) {
            report
                .error(
                    "duplicate",
                    node.get("name").unwrap_or(node).span.clone(),
                    format!("a second test named {name}"),
                )
                .label("give it another name")
                .help(format!("the first one is in line {first}"));
        } else {
            names.insert(name.to_owned(), line);
        }
        tests.extend(read);
    }
    Some(tests)
}
