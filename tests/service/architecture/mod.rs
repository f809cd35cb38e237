//! Checks the layers of the modules: a file uses only modules of lower layers, and pure modules do no I/O.

use std::{fs, path::PathBuf};

use crate::support::repository;

mod circles;
mod modules;

/// The layers, from the lowest. Modules of one layer do not use each other.
const FLOORS: &[&[&str]] = &[
    &["clock", "yaml", "throttle", "stack", "untrusted", "zone"],
    &["domain", "template"],
    &["providers"],
    &["rules"],
    &["outbox", "schema", "graph"],
    &["decide"],
    &["rule_tests", "explain", "api"],
    &["backtest", "judge"],
    &["store", "outbound"],
    &["telemetry"],
    &["channels", "rules_dir", "shipped", "contacts", "reload_preview"],
    &["rulebook", "directory"],
    &["provider"],
    &["services"],
    &["http", "dispatch", "timers"],
    &["config"],
    &["channel_setup"],
    &["app"],
    &["cli"],
];

/// The pure modules, and the words that must not occur in them outside tests.
const PURE: &[&str] = &[
    "yaml",
    "domain",
    "providers",
    "template",
    "rules",
    "schema",
    "graph",
    "outbox",
    "decide",
    "rule_tests",
    "explain",
    "backtest",
    "judge",
    "untrusted",
    "api",
];
const IMPURE_WORDS: &[&str] =
    &["async ", "tokio::", "sled::", "warp::", "reqwest::", "std::fs", "std::net", "std::thread", "SystemTime"];

fn floor_of(room: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&room))
}

/// Each file below src, its top-level module, and its text without tests and comments.
fn files() -> Vec<(PathBuf, String, String)> {
    let src = repository::path("src");
    let mut files = Vec::new();
    for path in repository::sources() {
        let relative = path.strip_prefix(&src).expect("below src").to_owned();
        let first = relative.components().next().expect("a name").as_os_str().to_string_lossy().into_owned();
        let room = first.trim_end_matches(".rs").to_owned();
        if matches!(&*room, "lib" | "main") || relative.ends_with("tests.rs") {
            continue;
        }
        let text = fs::read_to_string(&path).expect("text");
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        let code: Vec<&str> = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        files.push((relative, room, code.join("\n")));
    }
    files
}

/// The modules named in `use crate::…` and in paths.
fn named(code: &str) -> Vec<String> {
    let mut rooms = Vec::new();
    let word = |text: &str| -> String {
        text.trim_start().chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect()
    };
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let Some(group) = rest.strip_prefix('{') else {
            rooms.push(word(rest));
            continue;
        };
        let mut depth = 0;
        let mut part = String::new();
        for c in group.chars() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => rooms.push(word(&std::mem::take(&mut part))),
                _ if depth == 0 => part.push(c),
                _ => {}
            }
        }
        rooms.push(word(&part));
    }
    rooms.retain(|room| !room.is_empty());
    rooms
}

#[test]
fn a_file_uses_only_lower_layers() {
    let mut wrong = Vec::new();
    for (path, room, code) in files() {
        let Some(floor) = floor_of(&room) else {
            wrong.push(format!("{}: {room} is in no layer; add it to FLOORS", path.display()));
            continue;
        };
        for other in named(&code) {
            if other != room && floor_of(&other).is_some_and(|other| other >= floor) {
                wrong.push(format!("{} uses {other}", path.display()));
            }
        }
    }
    wrong.dedup();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn pure_modules_do_no_io() {
    let mut wrong = Vec::new();
    for (path, room, code) in files() {
        if PURE.contains(&&*room) {
            for word in IMPURE_WORDS.iter().filter(|word| code.contains(**word)) {
                wrong.push(format!("{} contains {word:?}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_document_lists_the_layers() {
    let document = fs::read_to_string(repository::path("docs/ARCHITECTURE.md")).expect("text");
    let section = document.split("## The layers").nth(1).expect("the section");
    let listed: Vec<&str> = section.split("```").nth(1).expect("the list").trim().lines().collect();
    let layers: Vec<String> = FLOORS.iter().rev().map(|layer| layer.join(" · ")).collect();
    assert_eq!(listed, layers);
}

#[test]
fn every_file_begins_with_a_module_comment() {
    let silent: Vec<_> = repository::sources()
        .into_iter()
        .filter(|path| !fs::read_to_string(path).expect("text").starts_with("//!"))
        .collect();
    assert!(silent.is_empty(), "{silent:?}");
}

#[test]
fn the_files_named_in_the_documents_exist() {
    let mut missing = Vec::new();
    for document in ["docs/ARCHITECTURE.md", "CONTRIBUTING.md"] {
        let text = fs::read_to_string(repository::path(document)).expect("text");
        // Each second part is between backquotes.
        let names = text.split('`').skip(1).step_by(2).filter(|name| name.ends_with(".rs") || name.ends_with('/'));
        // Not a made-up channel, a directory of the running service, or a pattern.
        let is_no_file = |name: &str| name == "channels/sms/" || name.starts_with("data/") || name.contains([' ', '*']);
        for name in names.filter(|name| !is_no_file(name)) {
            let is_there = repository::path(name).exists()
                || repository::path("src").join(name).exists()
                || repository::sources().iter().any(|path| path.ends_with(name));
            if !is_there {
                missing.push(format!("{document}: {name}"));
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn the_reader_of_paths_finds_all_modules() {
    let code = "use crate::{\n    clock::Timestamp,\n    domain::{A, B},\n};\nfn f() { crate::store::x() }";
    assert_eq!(named(code), ["clock", "domain", "store"]);
}

/// The enums whose variants each `match` must name, so that the compiler finds each place when a variant is added.
const NAMED_IN_FULL: &[&str] = &["Action", "ActionEffect", "ChannelKind"];

/// The files in which `Self` is one of them.
const HOMES: &[(&str, &str)] = &[("rules/action/mod.rs", "Action"), ("rules/channel_kind.rs", "ChannelKind")];

/// The code without the content of string and character literals, whose braces do not count.
fn unquoted(code: &str) -> String {
    let mut plain = String::new();
    let mut rest = code.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '"' => {
                while let Some(inside) = rest.next().filter(|c| *c != '"') {
                    if inside == '\\' {
                        rest.next();
                    }
                }
                plain.push_str("\"\"");
            }
            '\'' => {
                let ahead: Vec<char> = rest.clone().take(4).collect();
                let length = match ahead.as_slice() {
                    ['\\', _, '\'', ..] => 3,
                    ['\\', 'u', ..] => rest.clone().position(|c| c == '\'').map_or(0, |end| end + 1),
                    [_, '\'', ..] => 2,
                    // A lifetime.
                    _ => 0,
                };
                rest.by_ref().take(length).for_each(drop);
                plain.push(' ');
            }
            c => plain.push(c),
        }
    }
    plain
}

/// The patterns of each `match`, with their guards.
fn matches(code: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for (at, word) in code.match_indices("match ") {
        let before = code[..at].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let Some(body) = body(&code[at + word.len()..]) else { continue };
        found.push(patterns(body));
    }
    found
}

/// The text between the braces after the scrutinee.
fn body(code: &str) -> Option<&str> {
    let (mut depth, mut begin) = (0_i32, None);
    for (at, c) in code.char_indices() {
        match (c, begin) {
            ('(' | '[', None) => depth += 1,
            (')' | ']', None) => depth -= 1,
            ('{', None) if depth == 0 => {
                begin = Some(at + 1);
                depth = 1;
            }
            ('{', Some(_)) => depth += 1,
            ('}', Some(begin)) => {
                depth -= 1;
                if depth == 0 {
                    return Some(&code[begin..at]);
                }
            }
            _ => {}
        }
    }
    None
}

fn patterns(body: &str) -> Vec<String> {
    let (mut depth, mut pattern, mut found, mut in_pattern) = (0_i32, String::new(), Vec::new(), true);
    let mut rest = body.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            _ => {}
        }
        if in_pattern && depth == 0 && c == '=' && rest.peek() == Some(&'>') {
            rest.next();
            found.push(std::mem::take(&mut pattern).trim().to_owned());
            in_pattern = false;
        } else if in_pattern {
            pattern.push(c);
        } else if depth == 0 && (c == ',' || c == '}') {
            while rest.peek().is_some_and(|c| c.is_whitespace() || *c == ',') {
                rest.next();
            }
            in_pattern = true;
        }
    }
    found
}

/// The alternatives of a pattern, each as the parts of its tuple.
fn parts(pattern: &str) -> Vec<Vec<String>> {
    let pattern = pattern.split(" if ").next().unwrap_or_default().trim();
    let inner = |one: &str| one.strip_prefix('(').and_then(|one| one.strip_suffix(')')).map(str::to_owned);
    let tuple = |one: String| inner(&one).map_or_else(|| vec![one.clone()], |inner| split(&inner, ','));
    split(pattern, '|').into_iter().map(tuple).collect()
}

/// Splits at a character outside all brackets.
fn split(text: &str, at: char) -> Vec<String> {
    let (mut depth, mut found) = (0_i32, vec![String::new()]);
    for c in text.chars() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            _ => {}
        }
        if c == at && depth == 0 {
            found.push(String::new());
        } else if let Some(last) = found.last_mut() {
            last.push(c);
        }
    }
    found.into_iter().map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
}

/// Whether the part is `_`, or a name that matches any value.
fn is_wild(part: &str) -> bool {
    let is_name = |c: char| c == '_' || c.is_ascii_alphanumeric();
    part.starts_with(|c: char| c == '_' || c.is_ascii_lowercase())
        && part.chars().all(is_name)
        && !matches!(part, "true" | "false")
}

/// The pattern of a match over this enum that matches variants which it does not name.
fn wild<'p>(patterns: &'p [String], of: &str) -> Option<&'p String> {
    let names = |part: &str| {
        let word = |at: usize| !part[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        // Its own variants, not those inside another pattern.
        part.match_indices(&format!("{of}::"))
            .any(|(at, _)| at == 0 || part[..at].ends_with("@ ") || word(at) && part[..at].ends_with('&'))
    };
    let all: Vec<_> = patterns.iter().flat_map(|pattern| parts(pattern)).collect();
    let longest = all.iter().map(Vec::len).max().unwrap_or_default();
    let place = (0..longest).find(|place| all.iter().any(|parts| parts.get(*place).is_some_and(|part| names(part))))?;
    let takes_all = |parts: &Vec<String>| {
        let rest = parts.iter().position(|part| part == "..").is_some_and(|at| at <= place);
        let alone = longest > 1 && parts.len() == 1 && is_wild(&parts[0]);
        rest || alone || parts.get(place).is_some_and(|part| is_wild(part))
    };
    patterns.iter().find(|pattern| parts(pattern).iter().any(takes_all))
}

#[test]
fn no_arm_matches_unnamed_actions_or_channels() {
    let mut wrong = Vec::new();
    for (path, _, code) in files() {
        let home = HOMES.iter().find(|(file, _)| path.ends_with(file)).map(|(_, of)| *of);
        for patterns in matches(&unquoted(&code)) {
            for of in NAMED_IN_FULL {
                let own = wild(&patterns, "Self").filter(|_| home == Some(*of));
                if let Some(wild) = wild(&patterns, of).or(own) {
                    wrong.push(format!("{}: `{wild} =>` beside {of}: {patterns:?}", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn an_arm_that_matches_the_rest_is_found() {
    let code =
        "let x = match f(|a| { a }) { Action::Tag(_) => \"}\", Action::Email { to, .. } if to => { 1 } _ => 2, };";
    let found = matches(&unquoted(code));
    assert_eq!(found, [["Action::Tag(_)", "Action::Email { to, .. } if to", "_"]]);
    let takes_rest = |patterns: &[&str]| {
        let patterns: Vec<String> = patterns.iter().map(|pattern| (*pattern).to_owned()).collect();
        wild(&patterns, "Action").is_some()
    };
    for takes_the_rest in [
        &["Action::Tag(_)", "_"][..],
        &["Action::Tag(_)", "other"],
        &["(Action::Tag(_), Some(x))", "(action, _)"],
        &["(None, Action::Tag(_))", "(None, _)"],
        &["(Action::Tag(_), 1)", "(..)"],
        &["Action::Tag(_) | Action::Record", "_ if x"],
    ] {
        assert!(takes_rest(takes_the_rest), "{takes_the_rest:?}");
    }
    for whole in [
        &["Action::Tag(_)", "Action::Record"][..],
        &["(Action::Tag(_), Some(x))", "(Action::Tag(_) | Action::Record, _)"],
        &["Some(Action::Record)", "_"],
        &["Fraction::Half", "_"],
        &["Kind::of(Action::Record)", "_"],
    ] {
        assert!(!takes_rest(whole), "{whole:?}");
    }
}
