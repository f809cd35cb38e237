//! Reads the step `expect`: `nothing`, or a list of what must have been sent.

use crate::rule_tests::{
    known::KnownNames,
    moment,
    test::{Expectation, SentKind},
};
use crate::{
    rules::RuleId,
    yaml::{MapFields, Node, Report, Value, did_you_mean},
};

const NOTHING: &str = "nothing";

pub(in crate::rule_tests) fn read(
    node: &Node<'_>,
    only: Option<&[RuleId]>,
    known: &KnownNames<'_>,
    report: &mut Report<'_>,
) -> Option<Vec<Expectation>> {
    match &node.value {
        Value::Null => {
            report.error("expect", node.span.clone(), "`expect` needs a value").label("write `nothing`, or a list");
            None
        }
        Value::List(items) if items.is_empty() => {
            report.error("expect", node.span.clone(), "an empty list").label("to expect nothing, write `nothing`");
            None
        }
        Value::List(_) | Value::Map(_) => {
            let items = node.items();
            let read: Vec<Expectation> = items.iter().filter_map(|item| one(item, only, known, report)).collect();
            (read.len() == items.len()).then_some(read)
        }
        _ if node.scalar() == Some(NOTHING) => Some(Vec::new()),
        _ => {
            no_expectation(node, report);
            None
        }
    }
}

fn no_expectation(node: &Node<'_>, report: &mut Report<'_>) {
    let Some(text) = node.scalar() else { return node.wrong("`expect`", "`nothing`, or a list", report) };
    let meant = did_you_mean(text, [NOTHING, "none"]).is_some() || text == "none";
    let label = if meant { "write `nothing`" } else { "write `nothing`, or a list of `{rule: ID, email: TEMPLATE}`" };
    report.error("expect", node.span.clone(), format!("`expect` does not take `{text}`")).label(label);
}

fn one(
    node: &Node<'_>,
    only: Option<&[RuleId]>,
    known: &KnownNames<'_>,
    report: &mut Report<'_>,
) -> Option<Expectation> {
    if node.scalar() == Some(NOTHING) {
        report.error("expect", node.span.clone(), "`nothing` cannot be in a list").label("write `expect: nothing`");
        return None;
    }
    let before = report.found().len();
    let others = ["at", "to", "contains", "subject", "event", "shadow"];
    let keys: Vec<&str> = ["rule"].into_iter().chain(SentKind::all().map(SentKind::name)).chain(others).collect();
    let fields = MapFields::of(node, "an expectation", &keys, report)?;
    let misspelt = report.found().len() > before;
    let rule = fields.need("rule", report).and_then(|node| rule(node, only, known, report));
    let (kind, name) = aim(&fields, misspelt, report)?;
    let shadow = fields.get("shadow").is_some_and(|node| node.bool("`shadow`", report) == Some(true));
    for key in ["to", "subject", "contains", "event"] {
        let Some(entry) = fields.entry(key) else { continue };
        if !kind.has(key) {
            report.error("expect", entry.key_span.clone(), format!("`{key}`: {}", without(kind, key)));
        } else if shadow && matches!(key, "subject" | "contains") {
            let message = format!("`{key}`: the texts of a rule in shadow are not rendered");
            report.error("expect", entry.key_span.clone(), message);
        }
    }
    let at = fields.get("at").and_then(|node| moment::at(node, report));
    let mut text = |key: &str| {
        fields.get(key).and_then(|node| node.text(&format!("`{key}`"), report)).map(|text| text.trim().into())
    };
    let (to, subject, event) = (text("to"), text("subject"), text("event"));
    let contains = fields.get("contains").and_then(|node| node.texts("`contains`", report)).unwrap_or_default();
    if report.found().len() > before {
        return None;
    }
    let contains = contains.into_iter().map(Into::into).collect();
    Some(Expectation { rule: rule?, kind, name, at, to, subject, contains, event, shadow })
}

fn rule(node: &Node<'_>, only: Option<&[RuleId]>, known: &KnownNames<'_>, report: &mut Report<'_>) -> Option<RuleId> {
    let id = known.rule(node, "`rule`", report)?;
    if only.is_some_and(|only| !only.contains(&id)) {
        report
            .error("rule", node.span.clone(), format!("{id} is not among this test's `rules`"))
            .label("this test does not use the rule");
        return None;
    }
    Some(id)
}

/// Returns the kind of action and its name.
fn aim(fields: &MapFields<'_, '_>, misspelt: bool, report: &mut Report<'_>) -> Option<(SentKind, Box<str>)> {
    let named: Vec<SentKind> = SentKind::all().filter(|kind| fields.get(kind.name()).is_some()).collect();
    match named[..] {
        [kind] => {
            let name = fields.get(kind.name())?.text(&format!("`{kind}`"), report)?;
            Some((kind, name.trim().into()))
        }
        [] if misspelt => None,
        [] => {
            report
                .error("expect", fields.span(), "an expectation needs an action")
                .label("`email`, `webhook`, `chat`, `tag` or `untag`, with its name");
            None
        }
        [_, second, ..] => {
            let at = fields.entry(second.name()).map_or(fields.span(), |entry| entry.key_span.clone());
            report.error("expect", at, "an expectation has only one action").label("write a separate expectation");
            None
        }
    }
}

fn without(kind: SentKind, key: &str) -> &'static str {
    match (key, kind) {
        ("to", SentKind::Message(_)) => "the name of the target or room is the recipient",
        ("to", SentKind::Tag | SentKind::Untag) => "a tag has no recipient",
        ("subject", _) => "only an email has a subject",
        ("contains", _) => "only an email and a chat have a text",
        _ => "only a webhook has an event",
    }
}
