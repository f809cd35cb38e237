//! The names that a test may use.

use std::collections::BTreeSet;

use crate::{
    domain::{Processing, Status, is_known_doc, is_known_label, known_docs},
    rules::{Environment, RuleId, RuleSet},
    yaml::{Node, Report, did_you_mean},
};

/// Maximum number of errors in a file for which a suggestion is searched.
const GUESSED: usize = 200;

pub(super) struct KnownNames<'a> {
    /// `None`: the rules cannot be read, so every valid rule id is accepted.
    pub rules: Option<&'a RuleSet>,
    pub context: &'a Environment,
    /// The codes that have a label, and those of the configuration.
    codes: BTreeSet<&'a str>,
}

impl<'a> KnownNames<'a> {
    pub fn new(rules: Option<&'a RuleSet>, context: &'a Environment) -> Self {
        let worded = rules.into_iter().flat_map(|rules| rules.templates().label_codes());
        let codes = worded.chain(context.labels.iter().map(String::as_str)).collect();
        Self { rules, context, codes }
    }

    /// Returns the id of an existing rule.
    pub fn rule(&self, node: &Node<'_>, what: &str, report: &mut Report<'_>) -> Option<RuleId> {
        let text = node.text(what, report)?;
        let known = match self.rules {
            Some(rules) => rules.rule(text).map(|rule| rule.id.clone()),
            None => RuleId::new(text),
        };
        if known.is_none() {
            // A file may have many errors and a set many rules, so suggestions are searched only for the first errors.
            let ids = self.rules.filter(|_| report.found().len() < GUESSED).into_iter().flat_map(RuleSet::rules);
            let meant = did_you_mean(text, ids.map(|rule| rule.id.as_str())).map(|id| format!("did you mean {id}?"));
            report.error("rule", node.span.clone(), format!("there is no rule {text}")).maybe_label(meant);
        }
        known
    }

    /// The name of a status that the provider may send. Any name is accepted, except one that is similar to a known
    /// name.
    pub fn status<'n>(&self, node: &'n Node<'_>, report: &mut Report<'_>) -> Option<Option<&'n str>> {
        let known: Vec<&str> =
            Status::KNOWN.iter().copied().chain(self.context.statuses.iter().map(String::as_str)).collect();
        wire_name(node, "`status`", &known, "statuses", report)
    }

    pub fn processing<'n>(&self, node: &'n Node<'_>, report: &mut Report<'_>) -> Option<Option<&'n str>> {
        let known: Vec<&str> =
            Processing::KNOWN.iter().copied().chain(self.context.processing.iter().map(String::as_str)).collect();
        wire_name(node, "`kycProcessingStatus`", &known, "processing_statuses", report)
    }

    /// Warns if a document's type is similar to a known one, but unknown.
    pub fn document(&self, code: &str, node: &Node<'_>, report: &mut Report<'_>) {
        if !is_known_doc(code) && !self.codes.contains(code) {
            let known = known_docs().iter().copied().chain(self.codes.iter().copied());
            warn(node, "document", code, did_you_mean(code, known), report);
        }
    }

    pub fn label(&self, code: &str, node: &Node<'_>, report: &mut Report<'_>) {
        if !is_known_label(code) && !self.codes.contains(code) {
            warn(node, "label", code, did_you_mean(code, self.codes.iter().copied()), report);
        }
    }
}

fn warn(node: &Node<'_>, what: &str, code: &str, meant: Option<&str>, report: &mut Report<'_>) {
    if let Some(meant) = meant {
        let place = node.scalar().and_then(|text| text.find(code)).map(|at| node.part(at..at + code.len(), report));
        report
            .warning("code", place.unwrap_or(node.span.clone()), format!("unknown {what} code {code}"))
            .label(format!("did you mean {meant}?"));
    }
}

/// Reads a name in a callback, or null, which rules write as `none`.
fn wire_name<'n>(
    node: &'n Node<'_>,
    what: &str,
    known: &[&str],
    declared: &str,
    report: &mut Report<'_>,
) -> Option<Option<&'n str>> {
    if node.is_null() {
        return Some(None);
    }
    let name = node.text(what, report)?;
    if name == "none" {
        return Some(None);
    }
    if !known.contains(&name)
        && let Some(meant) = did_you_mean(name, known.iter().copied())
    {
        report
            .error("status", node.span.clone(), format!("unknown status {name}"))
            .label(format!("did you mean {meant}?"))
            .help(format!("if the provider sends this name, declare it in the configuration, under `{declared}`"));
        return None;
    }
    Some(Some(name))
}
