//! The names that a test may use.

use std::collections::BTreeSet;

use crate::{
    kyc::{Processing, Status, is_known_doc, is_known_label, known_docs},
    rules::{Context, RuleId, RuleSet},
    source::{Node, Report, did_you_mean},
};

/// How many findings of a file are looked at for what was meant.
const GUESSED: usize = 200;

pub(super) struct Known<'a> {
    /// `None`: the rules can't be read, so nobody knows which there are.
    pub rules: Option<&'a RuleSet>,
    pub context: &'a Context,
    /// The codes that have words, and those that the configuration knows.
    codes: BTreeSet<&'a str>,
}

impl<'a> Known<'a> {
    pub fn new(rules: Option<&'a RuleSet>, context: &'a Context) -> Self {
        let worded = rules.into_iter().flat_map(|rules| rules.templates().label_codes());
        let codes = worded.chain(context.labels.iter().map(String::as_str)).collect();
        Self { rules, context, codes }
    }

    /// The id of a rule that is there.
    pub fn rule(&self, node: &Node<'_>, what: &str, report: &mut Report<'_>) -> Option<RuleId> {
        let text = node.text(what, report)?;
        let known = match self.rules {
            Some(rules) => rules.rule(text).map(|rule| rule.id.clone()),
            None => RuleId::new(text),
        };
        if known.is_none() {
            // There may be a hundred thousand rules, and as many slips: nobody reads them all.
            let ids = self.rules.filter(|_| report.found().len() < GUESSED).into_iter().flat_map(RuleSet::rules);
            let meant = did_you_mean(text, ids.map(|rule| rule.id.as_str())).map(|id| format!("did you mean {id}?"));
            report.error("rule", node.span.clone(), format!("there is no rule {text}")).maybe_label(meant);
        }
        known
    }

    /// The name of a status that the provider may send. Any may come, but what is nearly one that is known is a slip.
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

    /// Warns where a document's type is nearly one that is known.
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

/// What the wire says: a name, or null, which rules write as `none`.
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
            .help(format!(
                "a name that the provider really sends is declared in the configuration, under `{declared}`"
            ));
        return None;
    }
    Some(Some(name))
}
