//! Tests of the exact text of errors and warnings. Each directory in `tests/cases/err` is a rules directory, with tests
//! of rules, and `expected.txt` holds the text. `UPDATE_EXPECTED=1` rewrites that file; review its diff like code.
//!
//! A file `NAME.repeat` with the line `60000 [` means a file `NAME` of 60,000 brackets.

use std::{
    fs,
    path::{Path, PathBuf},
};

use kyc_rules::{
    rule_tests::RuleTests,
    rules::{Environment, RuleSet},
    yaml::{Files, Sources, render},
};

use crate::support::repository;

const EXPECTED: &str = "expected.txt";

fn context() -> Environment {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Environment {
        configuration: "kyc-rules.yaml".to_owned(),
        webhooks: names(&["shop"]),
        chats: names(&["kyc-ops"]),
        attributes: names(&["plan"]),
        locale: "en".to_owned(),
        email: true,
        directory: true,
        api_key: true,
        ..Environment::default()
    }
}

fn read(directory: &Path, below: &str, files: &mut Files) {
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        if path.is_dir() {
            read(&path, &format!("{below}{name}/"), files);
        } else if let Some(name) = name.strip_suffix(".repeat") {
            let text = fs::read_to_string(&path).expect("a text");
            let (times, what) = text.trim_end_matches('\n').split_once(' ').expect("times and what");
            files.insert(format!("{below}{name}"), what.repeat(times.parse().expect("a number")));
        } else if name != EXPECTED {
            files.insert(format!("{below}{name}"), fs::read_to_string(&path).expect("a text"));
        }
    }
}

#[test]
fn every_case_gives_its_expected_text() {
    let update = std::env::var_os("UPDATE_EXPECTED").is_some();
    let mut cases: Vec<PathBuf> = fs::read_dir(repository::path("tests/cases/err"))
        .expect("cases")
        .map(|entry| entry.expect("a case").path())
        .collect();
    cases.sort();
    let mut differing = Vec::new();
    for case in &cases {
        let mut files = Files::default();
        read(case, "", &mut files);
        let mut compiled = RuleSet::compile(&files, &context());
        let (_, of_tests) = RuleTests::read(&files, compiled.set.as_ref(), &context());
        compiled.diagnostics.extend(of_tests);
        let found = render(&compiled.diagnostics, &Sources::default().directory("rules", &files), false);
        let expected = case.join(EXPECTED);
        if update {
            fs::write(&expected, &found).expect("written");
        } else if fs::read_to_string(&expected).unwrap_or_default() != found {
            differing.push(format!("{}:\n{found}", case.display()));
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

#[test]
fn the_shipped_rules_have_no_errors_or_warnings() {
    let mut files = Files::default();
    read(&repository::path("rules"), "", &mut files);
    let compiled = RuleSet::compile(&files, &context());
    let found = render(&compiled.diagnostics, &Sources::default().directory("rules", &files), false);
    assert!(compiled.diagnostics.is_empty(), "{found}");
}
