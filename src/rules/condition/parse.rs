//! Reads `if` into a [`Condition`].

use std::borrow::Cow;

use crate::{
    domain::{Detail, is_known_doc, is_known_label, known_docs},
    yaml::{MapEntry, MapFields, Node, Report, Value, did_you_mean, one_of},
};

use crate::rules::{
    Condition,
    condition::line::{CountRange, LineTest, Subject, ValueTest},
    context::RuleNames,
};

const LINES: &[&str] = &[
    "missing_docs",
    "reject_labels",
    "message",
    "processing",
    "visit",
    "changed",
    "tags",
    "customer.locale",
    "customer.country",
    "not",
];
/// The prefix of an attribute's name.
pub(in crate::rules) const ATTRIBUTE: &str = "customer.attributes.";
const MAX_VALUES: usize = 256;
const TESTS: &[&str] = &["any_of", "all_of", "none_of", "only", "exists", "contains"];

pub(in crate::rules) fn read(
    node: &Node<'_>,
    what: &str,
    names: &RuleNames<'_>,
    report: &mut Report<'_>,
) -> Option<Condition> {
    if let Value::List(_) = node.value {
        report
            .error("condition", node.span.clone(), format!("{what} must be a map, not a list"))
            .help("every line must hold; for \"this or that\", write two rules in one `group`");
        return None;
    }
    let entries = node.entries(what, report)?;
    if entries.is_empty() {
        report.error("condition", node.span.clone(), format!("{what} is empty")).label("remove it, or write a line");
        return None;
    }
    let mut lines = Vec::with_capacity(entries.len());
    for entry in entries {
        lines.push(line(entry, names, report));
    }
    let lines: Option<Vec<LineTest>> = lines.into_iter().collect();
    lines.map(|lines| Condition { lines })
}

fn line(entry: &MapEntry<'_>, names: &RuleNames<'_>, report: &mut Report<'_>) -> Option<LineTest> {
    let subject = match &*entry.key {
        "not" => return read(&entry.value, "`not`", names, report).map(LineTest::Not),
        "missing_docs" => Subject::MissingDocs,
        "reject_labels" => Subject::RejectLabels,
        "message" => Subject::Message,
        "processing" => Subject::Processing,
        "visit" => Subject::Visit,
        "changed" => Subject::Changed,
        "tags" => Subject::Tags,
        "customer.locale" => Subject::Locale,
        "customer.country" => Subject::Country,
        key => match key.strip_prefix(ATTRIBUTE) {
            Some(name) => attribute(name, entry, names, report)?,
            None => {
                unknown(entry, names, report);
                return None;
            }
        },
    };
    tests(&subject, &entry.value, names, report).map(|tests| LineTest::Of(subject, tests))
}

fn attribute(name: &str, entry: &MapEntry<'_>, names: &RuleNames<'_>, report: &mut Report<'_>) -> Option<Subject> {
    let declared = &names.context.attributes;
    if declared.iter().any(|known| known == name) {
        return Some(Subject::Attribute(name.into()));
    }
    let start = entry.key_span.end.saturating_sub(name.len()).max(entry.key_span.start);
    let note = report.error("attribute", start..entry.key_span.end, format!("unknown attribute {name}"));
    match did_you_mean(name, declared.iter().map(String::as_str)) {
        Some(meant) => note.label(format!("did you mean {meant}?")),
        None => note.help("declare attributes in the configuration under `directory.attributes`"),
    };
    None
}

fn unknown(entry: &MapEntry<'_>, names: &RuleNames<'_>, report: &mut Report<'_>) {
    let attributes: Vec<String> = names.context.attributes.iter().map(|name| format!("{ATTRIBUTE}{name}")).collect();
    let known = || LINES.iter().copied().chain(attributes.iter().map(String::as_str));
    let note = report.error("key", entry.key_span.clone(), format!("unknown condition `{}`", entry.key));
    match &*entry.key {
        "customer" => note.label("write `customer.locale: de`"),
        "status" | "from" | "to" => note.label("the status belongs in `when`"),
        "any_of" | "all_of" | "none_of" | "or" | "and" => {
            note.help("every line must hold; for \"this or that\", write two rules in one `group`")
        }
        key => match did_you_mean(key, known()) {
            Some(meant) => note.label(format!("did you mean `{meant}`?")),
            None => {
                let known = one_of(LINES.iter().copied().chain(["customer.attributes.NAME"]));
                note.help(format!("known here: {known}"))
            }
        },
    };
}

fn tests(subject: &Subject, node: &Node<'_>, names: &RuleNames<'_>, report: &mut Report<'_>) -> Option<Vec<ValueTest>> {
    let name = subject.name();
    let what = format!("`{name}`");
    if !matches!(node.value, Value::Map(_)) {
        return any_of(subject, node, &what, names, report).map(|test| vec![test]);
    }
    let allowed: Vec<&str> = TESTS.iter().copied().filter(|test| suits(subject, test)).collect();
    let fields = MapFields::of(node, &what, &allowed, report)?;
    let mut found = Vec::new();
    let mut complete = true;
    for key in &allowed {
        let Some(value) = fields.get(key) else { continue };
        let what = format!("`{name}: {key}`");
        let test = match *key {
            "any_of" => any_of(subject, value, &what, names, report),
            "none_of" if *subject == Subject::Visit => counts(value, &what, report).map(ValueTest::CountsNot),
            "all_of" => values(subject, value, &what, names, report).map(ValueTest::AllOf),
            "none_of" => values(subject, value, &what, names, report).map(ValueTest::NoneOf),
            "only" => values(subject, value, &what, names, report).map(ValueTest::Only),
            "contains" => texts(value, &what, report).map(ValueTest::Contains),
            _ => value.bool(&what, report).map(ValueTest::Exists),
        };
        match test {
            Some(test) => found.push(test),
            None => complete = false,
        }
    }
    if found.is_empty() && complete {
        let Value::Map(entries) = &node.value else { return None };
        if entries.is_empty() {
            report.error("condition", node.span.clone(), format!("{what} is empty"));
        }
        return None;
    }
    complete.then_some(found)
}

/// Whether a test applies to a subject: a single value has no "all of"; a count and a set of details have no text.
fn suits(subject: &Subject, test: &str) -> bool {
    match test {
        "all_of" | "only" => subject.is_set(),
        "exists" => *subject != Subject::Visit,
        "contains" => !matches!(subject, Subject::Visit | Subject::Changed),
        _ => true,
    }
}

fn any_of(
    subject: &Subject,
    node: &Node<'_>,
    what: &str,
    names: &RuleNames<'_>,
    report: &mut Report<'_>,
) -> Option<ValueTest> {
    if *subject == Subject::Visit {
        return counts(node, what, report).map(ValueTest::Counts);
    }
    values(subject, node, what, names, report).map(ValueTest::AnyOf)
}

fn texts(node: &Node<'_>, what: &str, report: &mut Report<'_>) -> Option<Box<[Box<str>]>> {
    Some(node.texts(what, report)?.into_iter().map(Box::from).collect())
}

fn values(
    subject: &Subject,
    node: &Node<'_>,
    what: &str,
    names: &RuleNames<'_>,
    report: &mut Report<'_>,
) -> Option<Box<[Box<str>]>> {
    let items = node.list(what, report)?;
    if items.len() > MAX_VALUES {
        report.error("condition", node.span.clone(), format!("{what} has more than {MAX_VALUES} values"));
        return None;
    }
    let mut values = Vec::with_capacity(items.len());
    for item in items {
        values.push(value(subject, item, what, names, report));
    }
    values.into_iter().collect()
}

/// Reads one value and checks that its subject can have it.
fn value(
    subject: &Subject,
    node: &Node<'_>,
    what: &str,
    names: &RuleNames<'_>,
    report: &mut Report<'_>,
) -> Option<Box<str>> {
    let text: Cow<'_, str> = match (subject, &node.value) {
        // An attribute is compared with the text as written, so that `vip: true` needs no quotes.
        (Subject::Attribute(_), Value::Bool(_)) => node.scalar()?.to_owned().into(),
        _ => node.text(what, report)?.trim().to_owned().into(),
    };
    let place = node.span.clone();
    match subject {
        Subject::MissingDocs if !is_known_doc(&text) && !is_labelled(names, &text) => {
            let known = known_docs().iter().copied().chain(names.labels.iter().map(String::as_str));
            code_warning("document", &text, did_you_mean(&text, known), place, report);
        }
        Subject::RejectLabels if !is_known_label(&text) && !is_labelled(names, &text) => {
            let meant = did_you_mean(&text, names.labels.iter().map(String::as_str));
            code_warning("label", &text, meant, place, report);
        }
        Subject::Processing if names.processing_status(&text).is_none() => {
            let note = report.error("status", place, format!("unknown processing status {text}"));
            match did_you_mean(&text, names.processing().chain(["none"])) {
                Some(meant) => note.label(format!("did you mean {meant}?")),
                None => {
                    let known = one_of(names.processing().chain(["none"]));
                    note.help(format!(
                        "known names: {known}; declare others in the configuration, in `processing_statuses`"
                    ))
                }
            };
            return None;
        }
        Subject::Changed if !Detail::ALL.iter().any(|(name, _)| *name == &*text) => {
            let known = || Detail::ALL.iter().map(|(name, _)| *name);
            let note = report.error("condition", place, format!("unknown detail `{text}` in `changed`"));
            match did_you_mean(&text, known()) {
                Some(meant) => note.label(format!("did you mean `{meant}`?")),
                None => note.help(format!("known here: {}", one_of(known()))),
            };
            return None;
        }
        Subject::Country if !(text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_uppercase())) => {
            let upper = text.to_uppercase();
            let label =
                if upper.len() == 2 { format!("write {upper}") } else { "write two letters, such as DE".to_owned() };
            report.error("country", place, format!("{text} is not a country code")).label(label);
            return None;
        }
        Subject::Locale if !is_locale(&text) => {
            report.error("locale", place, format!("{text} is not a language tag")).label("write `de` or `de-AT`");
            return None;
        }
        Subject::Locale => return Some(text.replace('_', "-").into()),
        _ => {}
    }
    Some(text.into())
}

fn is_labelled(names: &RuleNames<'_>, code: &str) -> bool {
    names.labels.contains(code) || names.context.labels.iter().any(|known| known == code)
}

fn code_warning(kind: &str, code: &str, meant: Option<&str>, place: std::ops::Range<usize>, report: &mut Report<'_>) {
    let note = report.warning("code", place, format!("unknown {kind} code {code}"));
    match meant {
        Some(meant) => note.label(format!("did you mean {meant}?")),
        None => note.help("if the code is right, add its plain words to labels/LOCALE.yaml"),
    };
}

fn is_locale(text: &str) -> bool {
    let mut parts = text.split(['-', '_']);
    let language = parts.next().unwrap_or_default();
    (2..=3).contains(&language.len())
        && language.bytes().all(|byte| byte.is_ascii_alphabetic())
        && parts.all(|part| (2..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

/// Parses `3`, `">= 3"`, or a list of these.
fn counts(node: &Node<'_>, what: &str, report: &mut Report<'_>) -> Option<Box<[CountRange]>> {
    let items = node.list(what, report)?;
    let mut counts = Vec::with_capacity(items.len());
    for item in items {
        counts.push(count(item, what, report));
    }
    counts.into_iter().collect()
}

fn count(node: &Node<'_>, what: &str, report: &mut Report<'_>) -> Option<CountRange> {
    let text = node.text(what, report)?.trim();
    let digits = text.find(|c: char| c.is_ascii_digit()).unwrap_or(text.len());
    let (sign, number) = text.split_at(digits);
    let count = number.parse::<u32>().ok().and_then(|number| match sign.trim() {
        "" | "=" | "==" => Some(CountRange { least: number, most: number }),
        ">=" => Some(CountRange { least: number, most: u32::MAX }),
        ">" => Some(CountRange { least: number.saturating_add(1), most: u32::MAX }),
        "<=" => Some(CountRange { least: 0, most: number }),
        "<" => {
            number.checked_sub(1).map(|most| CountRange { least: 0, most }).or(Some(CountRange { least: 1, most: 0 }))
        }
        _ => None,
    });
    if count.is_none() {
        report
            .error("condition", node.span.clone(), format!("{what}: `{text}` is not a count"))
            .label("write a number such as 3, or \">= 3\"");
    }
    let count = count?;
    if !count.is_possible() {
        report.warning("never", node.span.clone(), format!("{what}: the first visit is 1, so this never holds"));
    }
    Some(count)
}
