//! Compiles the files of a rules directory into a [`RuleSet`], or reports every error in them.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use crate::{
    stack::{catch_panic, with_deep_stack},
    template::{TemplateOptions, Templates},
    yaml::{Diagnostic, Document, Files, Node, Report, Severity, Value, bounded, conflicts},
};

use super::{
    Environment, RuleId, RuleSet,
    context::RuleNames,
    rule::{
        self,
        parse::{NamedRule, RuleDraft},
    },
    texts, warnings,
};

/// The result of compiling a rules directory.
#[derive(Debug)]
pub struct CompiledRules {
    /// `None` if there is an error.
    pub set: Option<RuleSet>,
    /// Errors and warnings, in no particular order.
    pub diagnostics: Vec<Diagnostic>,
}

impl RuleSet {
    /// Compiles all files. Pure: it reads nothing but its arguments. Accepts any text.
    pub fn compile(files: &Files, context: &Environment) -> CompiledRules {
        with_deep_stack(|| Self::compiled(files, context))
    }

    fn compiled(files: &Files, context: &Environment) -> CompiledRules {
        let mut diagnostics = Vec::new();
        let labels = label_codes(files);
        let names = RuleNames::new(context, files, labels);
        let mut drafts: Vec<RuleDraft> = Vec::new();
        let mut ids: HashMap<RuleId, (Arc<str>, u32)> = HashMap::new();
        for (path, text) in files.iter() {
            match kind(path) {
                FileKind::Rules => {}
                FileKind::Misnamed(right) => {
                    diagnostics.extend(conflicts(path, text));
                    diagnostics.push(
                        Diagnostic::error("file", path, "a file that ends in .yml is not read")
                            .help(format!("rename it to {right}")),
                    );
                    continue;
                }
                FileKind::Astray => {
                    diagnostics.push(
                        Diagnostic::warning("file", path, "this file is not read")
                            .help("put rules files directly into the rules directory"),
                    );
                    continue;
                }
                FileKind::Other => continue,
            }
            let mut report = Report::new(path, text);
            let read = catch_panic("reading", || rule::parse::read(&names, &mut report));
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
            TemplateOptions { brand: &context.brand, default_locale: &context.locale, attributes: &context.attributes };
        let (mut templates, mut wrong) = match Templates::compile(files, &options) {
            Ok(templates) => (templates, Vec::new()),
            // The texts in rules are checked even if a mail template has errors.
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
            return CompiledRules { set: None, diagnostics };
        }
        let rules = drafts.into_iter().map(|draft| draft.rule).collect();
        CompiledRules { set: Some(RuleSet::of(rules, templates, files)), diagnostics }
    }
}

enum FileKind {
    Rules,
    /// The path ends in `.yml`. Holds the correct name.
    Misnamed(String),
    /// A YAML file in a directory that the program does not read.
    Astray,
    /// Tests, templates, labels and other files.
    Other,
}

fn kind(path: &str) -> FileKind {
    // The templates module reports wrong names in `labels/`.
    if let Some(stem) = path.strip_suffix(".yml").filter(|stem| !stem.starts_with("labels/")) {
        return FileKind::Misnamed(format!("{stem}.yaml"));
    }
    if !path.ends_with(".yaml") {
        return FileKind::Other;
    }
    match path.split_once('/') {
        None if path.ends_with(".test.yaml") => FileKind::Other,
        None => FileKind::Rules,
        Some(("templates" | "labels", _)) => FileKind::Other,
        Some(_) => FileKind::Astray,
    }
}

/// Whether the file at this path holds rules.
pub(super) fn is_rules(path: &str) -> bool {
    matches!(kind(path), FileKind::Rules)
}

/// Every code that `labels/` translates in at least one language. The templates module reports errors in these files.
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
    named: Vec<NamedRule>,
    ids: &mut HashMap<RuleId, (Arc<str>, u32)>,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let file: Arc<str> = path.into();
    for NamedRule { id, at, line } in named {
        if let Some((other, line)) = ids.get(&id) {
            diagnostics.push(
                Diagnostic::error("duplicate", path, format!("a second rule has the id {id}"))
                    .at(at)
                    .label("choose another id")
                    .help(format!("the first one is in {other}, line {line}")),
            );
        } else {
            ids.insert(id, (Arc::clone(&file), line));
        }
    }
}

/// Reports groups that span two files: the order of files must not decide which rule of a group acts.
fn groups_of_two_files(drafts: &[RuleDraft], diagnostics: &mut Vec<Diagnostic>) {
    let mut homes: HashMap<&str, &Arc<str>> = HashMap::new();
    let mut told: BTreeSet<(&str, &str)> = BTreeSet::new();
    for draft in drafts {
        let Some(group) = draft.rule.group.as_deref() else { continue };
        let home = homes.entry(group).or_insert(&draft.rule.file);
        if **home != draft.rule.file && told.insert((group, &draft.rule.file)) {
            diagnostics.push(
                Diagnostic::error("group", &*draft.rule.file, format!("the group {group} is already in {home}"))
                    .at(draft.group_at.clone())
                    .label("all rules of a group must be in one file"),
            );
        }
    }
}
