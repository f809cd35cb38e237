//! From files to a set of rules, or to everything that is wrong with them.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use crate::{
    source::{Diagnostic, Document, Files, Node, Report, Severity, Value, bounded, conflicts},
    stack::{caught, deep},
    template::{Options, Templates},
};

use super::{
    Context, RuleId, RuleSet,
    context::Names,
    rule_reading::{self, Draft, Named},
    texts, warnings,
};

/// What became of a directory of rules.
#[derive(Debug)]
pub struct Compiled {
    /// `None` where there is any error.
    pub set: Option<RuleSet>,
    /// Errors and warnings, in no order that means anything.
    pub diagnostics: Vec<Diagnostic>,
}

impl RuleSet {
    /// Reads every file. Pure and total.
    pub fn compile(files: &Files, context: &Context) -> Compiled {
        deep(|| Self::compiled(files, context))
    }

    fn compiled(files: &Files, context: &Context) -> Compiled {
        let mut diagnostics = Vec::new();
        let labels = label_codes(files);
        let names = Names::new(context, files, labels);
        let mut drafts: Vec<Draft> = Vec::new();
        let mut ids: HashMap<RuleId, (Arc<str>, u32)> = HashMap::new();
        for (path, text) in files.iter() {
            match kind(path) {
                Kind::Rules => {}
                Kind::Misnamed(right) => {
                    diagnostics.extend(conflicts(path, text));
                    diagnostics.push(
                        Diagnostic::error("file", path, "a file that ends in .yml is not read")
                            .help(format!("call it {right}")),
                    );
                    continue;
                }
                Kind::Astray => {
                    diagnostics.push(
                        Diagnostic::warning("file", path, "this file is not read")
                            .help("rules lie directly in the rules directory"),
                    );
                    continue;
                }
                Kind::Other => continue,
            }
            let mut report = Report::new(path, text);
            let read = caught("reading", || rule_reading::read(&names, &mut report));
            diagnostics.extend(report.into_diagnostics());
            let read = match read {
                Ok(read) => read,
                Err(panic) => {
                    diagnostics.push(Diagnostic::error("file", path, panic));
                    continue;
                }
            };
            repeated(path, read.named, &mut ids, &mut diagnostics);
            drafts.extend(read.drafts);
        }
        groups_of_two_files(&drafts, &mut diagnostics);
        texts::without_channel(&drafts, context, &mut diagnostics);
        let options =
            Options { brand: &context.brand, default_locale: &context.locale, attributes: &context.attributes };
        let (mut templates, mut wrong) = match Templates::compile(files, &options) {
            Ok(templates) => (templates, Vec::new()),
            // Where a mail is wrong the texts in rules are looked at all the same.
            Err(wrong) => (Templates::default(), wrong),
        };
        texts::add(&drafts, files, context, &mut templates, &mut wrong);
        diagnostics.append(&mut wrong);
        let errors = diagnostics.iter().any(|found| found.severity == Severity::Error);
        if !errors {
            warnings::find(&drafts, &names, &mut diagnostics);
        }
        bounded(&mut diagnostics);
        if errors {
            return Compiled { set: None, diagnostics };
        }
        let rules = drafts.into_iter().map(|draft| draft.rule).collect();
        Compiled { set: Some(RuleSet::of(rules, templates, files)), diagnostics }
    }
}

enum Kind {
    Rules,
    /// Ends in `.yml`; with the name it should have.
    Misnamed(String),
    /// YAML in a directory that nobody reads.
    Astray,
    /// Tests, templates, labels, and what else lies there.
    Other,
}

fn kind(path: &str) -> Kind {
    // What lies in `labels/`, the templates say themselves.
    if let Some(stem) = path.strip_suffix(".yml").filter(|stem| !stem.starts_with("labels/")) {
        return Kind::Misnamed(format!("{stem}.yaml"));
    }
    if !path.ends_with(".yaml") {
        return Kind::Other;
    }
    match path.split_once('/') {
        None if path.ends_with(".test.yaml") => Kind::Other,
        None => Kind::Rules,
        Some(("templates" | "labels", _)) => Kind::Other,
        Some(_) => Kind::Astray,
    }
}

/// Whether rules stand in the file of this path.
pub(super) fn is_rules(path: &str) -> bool {
    matches!(kind(path), Kind::Rules)
}

/// Every code that has words in some language. What else is wrong with these files, the templates say.
pub(super) fn label_codes(files: &Files) -> BTreeSet<String> {
    fn keys(node: &Node<'_>, codes: &mut BTreeSet<String>) {
        if let Value::Map(entries) = &node.value {
            for entry in entries {
                codes.insert(entry.key.clone().into_owned());
                keys(&entry.value, codes);
            }
        }
    }
    let mut codes = BTreeSet::new();
    for (path, text) in files.iter().filter(|(path, _)| path.starts_with("labels/") && path.ends_with(".yaml")) {
        if let Some(document) = Document::read(&mut Report::new(path, text)) {
            keys(&document.root, &mut codes);
        }
    }
    codes
}

fn repeated(
    path: &str,
    named: Vec<Named>,
    ids: &mut HashMap<RuleId, (Arc<str>, u32)>,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let file: Arc<str> = path.into();
    for Named { id, at, line } in named {
        if let Some((other, line)) = ids.get(&id) {
            diagnostics.push(
                Diagnostic::error("duplicate", path, format!("a second rule with the id {id}"))
                    .at(at)
                    .label("give it another name")
                    .help(format!("the first stands in {other}, line {line}")),
            );
        } else {
            ids.insert(id, (Arc::clone(&file), line));
        }
    }
}

/// The order of files should decide nothing.
fn groups_of_two_files(drafts: &[Draft], diagnostics: &mut Vec<Diagnostic>) {
    let mut homes: HashMap<&str, &Arc<str>> = HashMap::new();
    let mut told: BTreeSet<(&str, &str)> = BTreeSet::new();
    for draft in drafts {
        let Some(group) = draft.rule.group.as_deref() else { continue };
        let home = homes.entry(group).or_insert(&draft.rule.file);
        if **home != draft.rule.file && told.insert((group, &draft.rule.file)) {
            diagnostics.push(
                Diagnostic::error("group", &*draft.rule.file, format!("the group {group} is in {home} already"))
                    .at(draft.group_at.clone())
                    .label("a group lives in one file"),
            );
        }
    }
}
