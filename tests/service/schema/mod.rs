//! Tests that the schemas agree with the parsers: a schema accepts what the parser accepts, and refuses what the parser
//! refuses. Exceptions that only the parser can detect are listed with a reason.

mod cases;
mod command;
mod config;
mod rules;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use kyc_rules::{
    rules::{Environment, RuleSet, Vocabulary},
    schema::{self, SchemaNames},
    yaml::{Document, Files, Report, Severity},
};
use serde_json::Value;

use crate::support::repository;

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn context() -> Environment {
    Environment {
        statuses: names(&["SUSPENDED"]),
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

/// Returns the schema of rules files with the same names as the parser's context.
fn rules_schema(templates: BTreeSet<String>) -> jsonschema::Validator {
    let context = context();
    let names = SchemaNames {
        statuses: context.statuses,
        processing: context.processing,
        webhooks: context.webhooks,
        chats: context.chats,
        attributes: context.attributes,
        templates: templates.into_iter().collect(),
        ..SchemaNames::default()
    };
    validator(&schema::rules(&names))
}

fn validator(schema: &Value) -> jsonschema::Validator {
    jsonschema::draft7::meta::validate(schema).expect("a schema of draft 07");
    jsonschema::draft7::new(schema).expect("a schema")
}

/// Returns the text as a JSON value for the schema; `None` if the text is not valid YAML for the parser.
fn parsed(text: &str) -> Option<Value> {
    let mut report = Report::new("a.yaml", text);
    let document = Document::read(&mut report)?;
    (!report.has_errors()).then(|| serde_json::to_value(document.root.to_value()).expect("JSON"))
}

fn is_refused(files: &Files, path: &str) -> bool {
    let found = RuleSet::compile(files, &context()).diagnostics;
    found.iter().any(|one| one.file == path && one.severity == Severity::Error)
}

fn templates(files: &Files) -> BTreeSet<String> {
    let name = |path: &str| {
        path.strip_prefix("templates/")?.strip_suffix(".md")?.rsplit_once('.').map(|(name, _)| name.to_owned())
    };
    files.iter().filter_map(|(path, _)| name(path)).collect()
}

fn read(directory: &Path, below: &str, files: &mut Files) {
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        if path.is_dir() {
            read(&path, &format!("{below}{name}/"), files);
        } else if name.ends_with(".yaml") || name.ends_with(".md") {
            files.insert(format!("{below}{name}"), fs::read_to_string(&path).expect("a text"));
        }
    }
}

fn assert_passes(schema: &jsonschema::Validator, text: &str) {
    let value = parsed(text).expect("YAML");
    let wrong: Vec<String> =
        schema.iter_errors(&value).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(wrong.is_empty(), "{wrong:#?}\n{text}");
}
