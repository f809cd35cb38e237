//! Reads one step of a test.

use super::{callback_reading, customer_reading::Person, expectation_reading, known::Known, test::Does};
use crate::{
    kyc::Codes,
    rules::RuleId,
    source::{Fields, Node, Report, Value},
};

const KEYS: &[&str] = &["callback", "wait", "contact", "tag", "untag", "expect"];

pub(super) fn read(
    node: &Node<'_>,
    person: &mut Person,
    only: Option<&[RuleId]>,
    known: &Known<'_>,
    report: &mut Report<'_>,
) -> Option<Does> {
    if !matches!(node.value, Value::Map(_) | Value::Refused) {
        node.wrong("a step", "a map of one key, such as `wait: 2d`", report);
        return None;
    }
    let before = report.found().len();
    Fields::of(node, "a step", KEYS, report)?;
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
        "callback" => callback_reading::read(value, &person.id.clone(), known, report).map(Does::Callback),
        "wait" => value.duration("`wait`", report).map(Does::Wait),
        "contact" => person.learned(value, known, report).map(Does::Contact),
        "tag" => mark(value, "`tag`", report).map(Does::Tag),
        "untag" => mark(value, "`untag`", report).map(Does::Untag),
        "expect" => expectation_reading::read(value, only, known, report).map(Does::Expect),
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
