//! Warnings about rules that no test fires.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    rules::{RuleId, RuleSet},
    yaml::{Diagnostic, Document, Files, Node, Report, bounded},
};

/// One warning for all rules, if there are no tests.
pub fn no_tests(rules: &RuleSet) -> Diagnostic {
    let message = format!("no test fires any rule here ({}): there are no tests", rules.rules().len());
    Diagnostic::warning("untested", "", message).help("put tests beside the rules, in files such as kyc.test.yaml")
}

/// Returns one warning for each of these rules, at its id.
pub fn untested(ids: &[RuleId], rules: &RuleSet) -> Vec<Diagnostic> {
    let ids: BTreeSet<&RuleId> = ids.iter().collect();
    let mut by_file: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for rule in rules.rules().iter().filter(|rule| ids.contains(&rule.id)) {
        by_file.entry(&rule.file).or_default().insert(rule.id.as_str());
    }
    let mut warnings = by_file.iter().flat_map(|(file, ids)| untested_in_file(file, ids, rules.files())).collect();
    bounded(&mut warnings);
    warnings
}

/// A rule does not store the span of its id, so its file is parsed again.
fn untested_in_file(file: &str, ids: &BTreeSet<&str>, files: &Files) -> Vec<Diagnostic> {
    let Some(text) = files.get(file) else { return Vec::new() };
    let Some(document) = Document::read(&mut Report::new(file, text)) else { return Vec::new() };
    let nodes = document.root.get("rules").map_or(&[][..], Node::items).iter().filter_map(|rule| rule.get("id"));
    let silent = nodes.filter_map(|node| Some((node, node.scalar()?))).filter(|(_, id)| ids.contains(id));
    silent
        .map(|(node, id)| Diagnostic::warning("untested", file, format!("no test fires {id}")).at(node.span.clone()))
        .collect()
}
