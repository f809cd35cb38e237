//! Compares the messages about a wrong configuration with approved texts: each `tests/cases/config/NAME.yaml` has the
//! exact text in `NAME.txt`. After a change of wording, `UPDATE=1 cargo test --test service config::` writes the texts
//! again; review them like code.

use std::{fs, path::Path};

use kyc_rules::{
    config::{Config, LoadedConfig, OnMissing},
    yaml::{Sources, render},
};

use crate::support::repository;

const DIRECTORY: &str = "tests/cases/config";

fn variable(name: &str) -> Option<String> {
    let value = match name {
        "KYC_RULES_SECRET" | "NEW_SECRET" => "a-secret-that-is-long-enough-for-anybody",
        "SMTP_PASSWORD" | "PG_PASSWORD" => "p@ss:word",
        "SLACK_URL" => "https://hooks.slack.com/services/T/B/X",
        "SHOP_TOKEN" => "sesame",
        "ADMIN_TOKEN" | "XGATEWAY_API_KEY" => "0123456789abcdef0123456789abcdef",
        "EMPTY" => "",
        _ => return None,
    };
    Some(value.to_owned())
}

fn read(name: &str) -> LoadedConfig {
    let text = fs::read_to_string(Path::new(DIRECTORY).join(name)).expect("readable");
    let unfilled = if name.contains("-in-ci") { OnMissing::Allow } else { OnMissing::Error };
    Config::read(&text, name, Path::new(DIRECTORY), &variable, unfilled)
}

#[test]
fn every_message_is_as_approved() {
    let mut names: Vec<String> = fs::read_dir(DIRECTORY)
        .expect("directory")
        .filter_map(|entry| entry.expect("entry").file_name().into_string().ok())
        .filter(|name| name.ends_with(".yaml"))
        .collect();
    names.sort();
    assert!(names.len() > 8);
    let mut different = Vec::new();
    for name in names {
        let loaded = read(&name);
        let shown = render(&loaded.diagnostics, &Sources::default().file(&loaded.file, &loaded.text), false);
        let approved = Path::new(DIRECTORY).join(name.replace(".yaml", ".txt"));
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&approved, &shown).expect("written");
        } else if fs::read_to_string(&approved).unwrap_or_default() != shown {
            different.push(format!("{name}:\n{shown}"));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}

#[test]
fn no_message_and_no_debug_output_shows_a_secret() {
    let loaded = read("secrets-written-down.yaml");
    let shown = render(&loaded.diagnostics, &Sources::default().file(&loaded.file, &loaded.text), false);
    let everything = format!("{shown}{}{:?}{:?}", loaded.text, loaded.diagnostics, loaded.config);
    for secret in
        ["correct-horse", "written down", "hunter2", "aaaaaaaa", "p@ssword", "tiny", "XXXX", "sesame", "literal-key"]
    {
        assert!(!everything.contains(secret), "{secret}");
    }
    let debug = format!("{:?}", read("every-key.yaml").config.expect("right"));
    for secret in ["a-secret", "p@ss", "hooks.slack.com", "sesame", "0123456789"] {
        assert!(!debug.contains(secret), "{secret}: {debug}");
    }
}

/// A key that no code reads would have no effect.
#[test]
fn each_value_of_the_configuration_is_read_somewhere() {
    let declared = fs::read_to_string(repository::path("src/config/mod.rs")).expect("text");
    let field = |line: &str| Some(line.strip_prefix("    pub ")?.split_once(": ")?.0.to_owned());
    let fields: Vec<String> = declared.lines().filter_map(field).filter(|name| !name.contains(' ')).collect();
    assert!(fields.len() > 40 && fields.contains(&"view_cache_bytes".to_owned()), "{fields:?}");
    let mut paths = repository::sources();
    paths.retain(|path| path.file_name() != Some("tests.rs".as_ref()) && !path.ends_with("config/sections.rs"));
    let code: String = paths.iter().map(|path| fs::read_to_string(path).expect("text")).collect();
    let is_read = |name: &String| {
        let read = format!(".{name}");
        code.match_indices(&read)
            .any(|(at, _)| !code[at + read.len()..].starts_with(|c: char| c.is_alphanumeric() || c == '_'))
    };
    let unread: Vec<_> = fields.iter().filter(|name| !is_read(name)).collect();
    assert!(unread.is_empty(), "{unread:?}");
}
