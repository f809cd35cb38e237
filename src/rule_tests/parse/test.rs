//! Reads one test: its customer, start and steps; and rejects a test that cannot fail.

use std::{collections::HashSet, sync::Arc};

use super::{customer::TestCustomer, step};
use crate::rule_tests::{
    known::KnownNames,
    moment,
    test::{RuleTest, StepAction, TestStep},
};
use crate::{
    rules::RuleId,
    yaml::{LineIndex, MapFields, Node, Report, Value},
};

const KEYS: &[&str] = &["name", "start", "customer", "rules", "steps"];

/// The name of a test, if it has one.
pub(in crate::rule_tests) fn name_of<'n>(node: &'n Node<'_>) -> Option<&'n str> {
    node.get("name").and_then(Node::scalar).map(str::trim).filter(|name| !name.is_empty())
}

pub(in crate::rule_tests) fn read(
    node: &Node<'_>,
    file: &Arc<str>,
    lines: &LineIndex,
    known: &KnownNames<'_>,
    report: &mut Report<'_>,
) -> Option<RuleTest> {
    let fields = MapFields::of(node, "a test", KEYS, report)?;
    let name =
        fields.need("name", report).and_then(|node| node.text("`name`", report)).map(|name| name.trim().to_owned());
    let start = moment::start(fields.get("start"), report);
    let customer = TestCustomer::read(fields.get("customer"), known, report);
    let rules = fields.get("rules").map(|node| rules(node, known, report));
    let only = rules.as_ref().and_then(Option::as_deref);
    // Errors in the customer have been reported; the steps are read nevertheless.
    let complete = customer.is_some();
    let mut person = customer.or_else(TestCustomer::unnamed)?;
    let (id, contact) = (person.id.clone(), person.contact());
    let steps = fields.need("steps", report).and_then(|node| steps(node, &mut person, only, lines, known, report));
    let (Some(name), Some(start), Some(steps), true) = (name, start, steps, complete) else { return None };
    if matches!(rules, Some(None)) {
        return None;
    }
    let line = lines.line(node.span.start);
    Some(RuleTest { name, file: Arc::clone(file), line, start, customer: id, contact, rules: rules.flatten(), steps })
}

/// The rules that the test uses; all others count as absent.
fn rules(node: &Node<'_>, known: &KnownNames<'_>, report: &mut Report<'_>) -> Option<Vec<RuleId>> {
    if let Value::Map(_) = node.value {
        node.wrong("`rules`", "a list of ids", report);
        return None;
    }
    let items = node.list("`rules`", report)?;
    let mut ids: Vec<RuleId> = Vec::with_capacity(items.len());
    let mut there = HashSet::new();
    for item in items {
        let Some(id) = known.rule(item, "an id", report) else { continue };
        if !there.insert(id.clone()) {
            report.error("duplicate", item.span.clone(), format!("{id} appears twice here"));
        }
        ids.push(id);
    }
    (ids.len() == items.len()).then_some(ids)
}

fn steps(
    node: &Node<'_>,
    person: &mut TestCustomer,
    only: Option<&[RuleId]>,
    lines: &LineIndex,
    known: &KnownNames<'_>,
    report: &mut Report<'_>,
) -> Option<Vec<TestStep>> {
    if !matches!(node.value, Value::List(_) | Value::Null) {
        node.wrong("`steps`", "a list, each step beginning with `- `", report);
        return None;
    }
    let items = node.list("`steps`", report)?;
    let mut steps = Vec::with_capacity(items.len());
    for item in items {
        let does = step::read(item, person, only, known, report);
        steps.extend(does.map(|does| TestStep { line: lines.line(item.span.start), does }));
    }
    // A step that could not be read may be the one that makes the other steps valid.
    if steps.len() < items.len() {
        return None;
    }
    idle(&steps, items, report);
    Some(steps)
}

/// Rejects steps that check nothing.
fn idle(steps: &[TestStep], items: &[Node<'_>], report: &mut Report<'_>) {
    let mut called_back = false;
    // Whether anything could have been sent since the last `expect`.
    let mut something = false;
    let mut checked = None;
    for (nth, (step, item)) in steps.iter().zip(items).enumerate() {
        match &step.does {
            StepAction::Callback(_) => (called_back, something) = (true, true),
            StepAction::Wait(_) | StepAction::Contact(_) => something = true,
            StepAction::Tag(_) | StepAction::Untag(_) => {}
            StepAction::Expect(_) if !called_back => {
                report
                    .error("idle", place(item), "nothing can have been sent before the first `callback`")
                    .help("move it after the step that can send something");
            }
            StepAction::Expect(_) if !something => {
                report
                    .error("idle", place(item), "nothing can have been sent since the last `expect`")
                    .help("put a `callback`, a `wait` or a `contact` between the two");
            }
            StepAction::Expect(_) => {}
        }
        if let StepAction::Expect(_) = step.does {
            (something, checked) = (false, Some(nth));
        }
    }
    let unchecked = checked.map_or(0, |nth| nth + 1);
    let Some(item) = items.get(unchecked) else { return };
    if checked.is_none() {
        report
            .error("idle", place(item), "this test cannot fail: it has no `expect`")
            .help("end with `- expect: nothing`, or with what must have been sent");
    } else {
        report
            .error("idle", place(item), "no `expect` checks this step and the steps after it")
            .help("end with `- expect: nothing`, or with what must have been sent");
    }
}

/// The span of a step's key.
fn place(item: &Node<'_>) -> std::ops::Range<usize> {
    match &item.value {
        Value::Map(entries) => entries.first().map_or(item.span.clone(), |entry| entry.key_span.clone()),
        _ => item.span.clone(),
    }
}
