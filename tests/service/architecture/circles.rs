//! Checks that no public type name is used twice, and that no files use each other in a circle.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use super::modules::Modules;

/// The uses that still close a circle: the module, and the module that it uses. The list may only shrink.
const CIRCLES: &[(&str, &str)] = &[
    // A part needs a type or a function that the file above it defines. The type belongs in a file of its own.
    ("template::check", "template"),
    ("template::load", "template"),
    ("rules_dir::identity", "rules_dir"),
    ("rules_dir::overlooked", "rules_dir"),
    ("rules_dir::strays", "rules_dir"),
    ("channels::email::connection", "channels::email"),
    ("channels::email::eml", "channels::email"),
    ("channels::email::smtp", "channels::email"),
    ("channels::chat::payload", "channels::chat"),
    ("dispatch::trials", "dispatch"),
    ("config::channels", "config"),
    ("config::sections", "config"),
    ("explain::recorded", "explain"),
    ("contacts::memory", "contacts"),
    ("contacts::table", "contacts"),
    ("app::startup", "app"),
    ("cli::completions", "cli"),
    // The same, for many parts: `RuleGraph` and `AdminContext` are defined beside the code that calls the parts.
    ("graph", "graph::dot"),
    ("graph", "graph::mermaid"),
    ("graph", "graph::svg"),
    ("http::admin", "http::admin::channels"),
    ("http::admin", "http::admin::confirm"),
    ("http::admin", "http::admin::explain"),
    ("http::admin", "http::admin::history"),
    ("http::admin", "http::admin::jobs"),
    ("http::admin", "http::admin::pause"),
    ("http::admin", "http::admin::unanswered"),
    // Two files that describe each other.
    ("domain::transition", "domain::customer"),
    // A line `not` contains a condition.
    ("rules::condition::line", "rules::condition"),
    ("provider::reconcile", "provider::asker"),
    ("store::journal::applier", "store::journal::shared"),
    ("channels::email::message", "channels::email::failure"),
    ("channels::email::phrases", "channels::email::scope"),
    ("channels::email::steps", "channels::email::failure"),
    ("channels::email::steps", "channels::email::scope"),
];

type Uses = BTreeMap<String, BTreeSet<String>>;

fn modules() -> Modules {
    Modules::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))
}

/// The shortest way along the uses from one module to another, with both ends.
fn way(uses: &Uses, from: &str, to: &str) -> Option<Vec<String>> {
    let mut ways = vec![vec![from.to_owned()]];
    let mut seen = BTreeSet::new();
    while !ways.is_empty() {
        let mut longer = Vec::new();
        for way in ways {
            let last = &way[way.len() - 1];
            if last == to {
                return Some(way);
            }
            for next in uses.get(last).into_iter().flatten() {
                if seen.insert(next.clone()) {
                    longer.push([&*way, std::slice::from_ref(next)].concat());
                }
            }
        }
        ways = longer;
    }
    None
}

/// The shortest circle through each use that is part of a circle.
fn circles(uses: &Uses) -> Vec<Vec<String>> {
    let pairs = uses.iter().flat_map(|(user, used)| used.iter().map(move |used| (user, used)));
    let circle =
        |(user, used): (&String, &String)| way(uses, used, user).map(|way| [std::slice::from_ref(user), &way].concat());
    pairs.filter_map(circle).collect()
}

#[test]
fn files_do_not_use_each_other_in_a_circle() {
    let mut uses = modules().uses();
    let mut ended = Vec::new();
    for (user, used) in CIRCLES {
        if !uses.get_mut(*user).is_some_and(|all| all.remove(*used)) {
            ended.push(format!("{user} does not use {used}"));
        }
    }
    for (user, used) in CIRCLES {
        if way(&uses, used, user).is_none() {
            ended.push(format!("{user} and {used} are no circle"));
        }
    }
    assert!(ended.is_empty(), "remove these pairs from CIRCLES:\n{}", ended.join("\n"));
    let circles: Vec<String> = circles(&uses).iter().map(|circle| circle.join(" -> ")).collect();
    assert!(circles.is_empty(), "{} uses are part of a circle:\n{}", circles.len(), circles.join("\n"));
}

#[test]
fn no_public_type_name_is_used_twice() {
    let mut homes: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, file) in modules().public_types() {
        homes.entry(name).or_default().push(file.display().to_string());
    }
    assert!(homes.len() > 100, "the reader finds only {} types", homes.len());
    let twice: Vec<String> = homes
        .iter()
        .filter(|(_, files)| files.len() > 1)
        .map(|(name, files)| format!("{name}: {}", files.join(", ")))
        .collect();
    assert!(twice.is_empty(), "{}", twice.join("\n"));
}

#[test]
fn the_reader_of_uses_finds_the_file_that_defines_an_item() {
    let dir = tempfile::tempdir().expect("a directory");
    let files = [
        ("lib.rs", "mod a;\nmod b;"),
        (
            "a/mod.rs",
            "mod child;\npub use child::Child;\n#[cfg(test)] mod tests;\npub struct Parent(char); // crate::b::X",
        ),
        ("a/child.rs", "use super::Parent;\nfn f() { let _ = ('\"', \"crate::b::B\", crate::b::B::new()); }"),
        ("b.rs", "use crate::a::{self, Child as C};\nuse http::a;\n#[cfg(test)]\nmod tests { use crate::a::Parent; }"),
    ];
    std::fs::create_dir(dir.path().join("a")).expect("created");
    for (file, text) in files {
        std::fs::write(dir.path().join(file), text).expect("written");
    }
    let uses = Modules::read(dir.path()).uses();
    let used = |module: &str| uses[module].iter().map(|used| &**used).collect::<Vec<_>>().join(" ");
    assert_eq!([used("a"), used("a::child"), used("b")], ["", "a b", "a::child"]);
    assert_eq!(circles(&uses), [["a::child", "b", "a::child"], ["b", "a::child", "b"]]);
}
