//! The house's floors: a file names only what stands lower, and what is pure says no word of I/O.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// From the ground up. Rooms on one floor don't name each other.
const FLOORS: &[&[&str]] = &[
    &["clock", "source", "pace", "stack"],
    &["kyc", "template"],
    &["rules"],
    &["outbox", "schema", "graph"],
    &["decide"],
    &["cases", "explain"],
    &["backtest", "judge"],
    &["store", "outbound"],
    &["telemetry", "actions", "rules_dir", "shipped", "contacts", "impact"],
    &["rulebook", "directory"],
    &["provider"],
    &["house"],
    &["http", "dispatch", "timers"],
    &["config"],
    &["ways"],
    &["app"],
    &["cli"],
];

/// What is pure, and what it never says outside its tests.
const PURE: &[&str] = &[
    "source", "kyc", "template", "rules", "schema", "graph", "outbox", "decide", "cases", "explain", "backtest",
    "judge",
];
const IMPURE_WORDS: &[&str] =
    &["async ", "tokio::", "sled::", "warp::", "reqwest::", "std::fs", "std::net", "std::thread", "SystemTime"];

fn floor_of(room: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&room))
}

fn sources(dir: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("readable") {
        let path = entry.expect("entry").path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

/// Each file below src, the room it stands in, and its text without tests and comments.
fn files() -> Vec<(PathBuf, String, String)> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    sources(&src, &mut paths);
    let mut files = Vec::new();
    for path in paths {
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

/// The rooms named in `use crate::…` and in paths.
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
fn a_file_names_only_what_stands_lower() {
    let mut wrong = Vec::new();
    for (path, room, code) in files() {
        let Some(floor) = floor_of(&room) else {
            wrong.push(format!("{}: {room} stands on no floor; add it to FLOORS", path.display()));
            continue;
        };
        for other in named(&code) {
            if other != room && floor_of(&other).is_some_and(|other| other >= floor) {
                wrong.push(format!("{} names {other}", path.display()));
            }
        }
    }
    wrong.dedup();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_pure_says_no_word_of_io() {
    let mut wrong = Vec::new();
    for (path, room, code) in files() {
        if PURE.contains(&&*room) {
            for word in IMPURE_WORDS.iter().filter(|word| code.contains(**word)) {
                wrong.push(format!("{} says {word:?}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_file_says_what_it_is_for() {
    let mut paths = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut paths);
    let silent: Vec<_> =
        paths.into_iter().filter(|path| !fs::read_to_string(path).expect("text").starts_with("//!")).collect();
    assert!(silent.is_empty(), "{silent:?}");
}

#[test]
fn the_reader_of_paths_finds_what_is_named() {
    let code = "use crate::{\n    clock::Timestamp,\n    kyc::{A, B},\n};\nfn f() { crate::store::x() }";
    assert_eq!(named(code), ["clock", "kyc", "store"]);
}
