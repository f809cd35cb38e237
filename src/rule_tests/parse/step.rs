//! Reads one step of a test.

use super::{callback, customer::TestCustomer, expectation};
use crate::rule_tests::{known::KnownNames, test::StepAction};
use crate::{
    domain::Codes,
    rules::RuleId,
    yaml::{MapFields, Node, Report, Value},
};

const KEYS: &[&str] = &["callback", "wait", "contact", "tag", "untag", "expect"];

pub(in crate::rule_tests) fn read(
    node: &Node<'_>,
    person: &mut TestCustomer,
    only: Option<&[RuleId]>,
    known: &KnownNames<'_>,
    report: &mut Report<'_>,
) -> Option<StepAction> {
    if !matches!(node.value, Value::Map(_) | Value::Refused) {
        node.wrong("a step", "a map of one key, such as `wait: 2d`", report);
        return None;
    }
    let before = report.found().len();
    MapFields::of(node, "a step", KEYS, report)?;
    let entries = node.entries("a step", report)?;
    let entry = match entries {
        [] => {
            report.error("step", node.span.clone(), "a step needs a key, such as `callback`, `wait` or `expect`");
            return None;
        }
        [entry] => entry,
        // An unknown key has been reported already.
        _ if report.found().len() > before => return None,
        [_, second, ..] => {
            report
                .error("step", second.key_span.clone(), "a step has only one key")
                .label(format!("write a separate step: `- {}:`", second.key));
            return None;
        }
    };
    let value = &entry.value;
    match &*entry.key {
        "callback" => callback::read(value, &person.id.clone(), known, report).map(StepAction::Callback),
        "wait" => value.duration("`wait`", report).map(StepAction::Wait),
        "contact" => person.read_field(value, known, report).map(StepAction::Contact),
        "tag" => mark(value, "`tag`", report).map(StepAction::Tag),
        "untag" => mark(value, "`untag`", report).map(StepAction::Untag),
        "expect" => expectation::read(value, only, known, report).map(StepAction::Expect),
        _ => None,
    }
}

fn mark(node: &Node<'_>, what: &str, report: &mut Report<'_>) -> Option<Box<str>> {
    let text = node.text(what, report)?.trim();
    match Codes::new([text]) {
        Ok(_) => Some(text.into()),
        Err(problem) => {
            report.error("tag", node.span.clone(), format!("{what} {problem}"));
            None
        }
    }
}
