//! Reads `do` into [`Action`]s.

use std::{ops::Range, str::FromStr, sync::Arc};

use crate::{
    domain::{MAX_TAG_BYTES, is_tag},
    yaml::{MapEntry, MapFields, Node, Report, Value, did_you_mean, one_of},
};

use crate::rules::{Action, Limit, QuietHours, Recipient, context::RuleNames};

const MAX_ACTIONS: usize = 32;

/// An action and its place in the file.
pub(in crate::rules) type PlacedAction = (Action, Range<usize>);

pub(in crate::rules) fn read(
    node: &Node<'_>,
    names: &RuleNames<'_>,
    report: &mut Report<'_>,
) -> Option<Vec<PlacedAction>> {
    if let Value::Refused = node.value {
        return None;
    }
    let items = node.items();
    if items.is_empty() {
        let note = report.error("action", node.span.clone(), "`do` is empty");
        note.label("write at least `record`");
        return None;
    }
    if items.len() > MAX_ACTIONS {
        report.error("action", node.span.clone(), format!("a rule has at most {MAX_ACTIONS} actions"));
        return None;
    }
    let mut actions = Vec::with_capacity(items.len());
    for item in items {
        actions.push(action(item, names, report).map(|action| (action, item.span.clone())));
    }
    actions.into_iter().collect()
}

fn action(node: &Node<'_>, names: &RuleNames<'_>, report: &mut Report<'_>) -> Option<Action> {
    let entries = match &node.value {
        Value::Text(text) if &**text == "record" => return Some(Action::Record),
        Value::Text(text) => {
            let meant = did_you_mean(text, Action::kinds());
            let known = meant.unwrap_or("email");
            let label = match known {
                "record" => "did you mean `record`?".to_owned(),
                _ if names.templates.contains(&**text) => format!("write `email: {text}`"),
                _ => format!("write `{known}: …`"),
            };
            report.error("action", node.span.clone(), format!("`{text}` is not an action")).label(label);
            return None;
        }
        Value::Map(entries) => entries,
        Value::Refused => return None,
        _ => {
            node.wrong("an action", "a map such as `email: TEMPLATE`", report);
            return None;
        }
    };
    let [entry] = &entries[..] else {
        several(node, entries, report);
        return None;
    };
    match &*entry.key {
        "email" => email(&entry.value, names, report),
        "webhook" => webhook(&entry.value, names, report),
        "chat" => chat(&entry.value, names, report),
        "tag" => tag(&entry.value, "`tag`", report).map(Action::Tag),
        "untag" => tag(&entry.value, "`untag`", report).map(Action::Untag),
        "record" if matches!(entry.value.value, Value::Null | Value::Bool(true)) => Some(Action::Record),
        "record" => {
            report.error("action", entry.value.span.clone(), "`record` takes no value").label("write `record` alone");
            None
        }
        key => {
            let note = report.error("action", entry.key_span.clone(), format!("unknown action `{key}`"));
            match did_you_mean(key, Action::kinds()) {
                Some(meant) => note.label(format!("did you mean `{meant}`?")),
                None => note.help(format!("known actions: {}", one_of(Action::kinds()))),
            };
            None
        }
    }
}

fn several(node: &Node<'_>, entries: &[MapEntry<'_>], report: &mut Report<'_>) {
    let Some(second) = entries.get(1) else {
        report.error("action", node.span.clone(), "an action is missing here");
        return;
    };
    let first = &entries[0].key;
    if Action::kinds().any(|kind| *kind == *second.key) {
        report
            .error("action", second.key_span.clone(), "two actions in one entry of `do`")
            .label(format!("start a new entry: `- {}: …`", second.key));
    } else {
        report
            .error("action", second.key_span.clone(), format!("`{}` is next to `{first}`, not inside it", second.key))
            .label("indent it further")
            .help(format!("write `{first}: {{…, {}: …}}`", second.key));
    }
}

/// Returns the name if it is in `names`; reports an error otherwise.
fn known<'n>(
    node: &Node<'_>,
    what: &str,
    kind: &'static str,
    names: impl Iterator<Item = &'n str> + Clone,
    absent: &str,
    report: &mut Report<'_>,
) -> Option<Arc<str>> {
    let name = node.text(what, report)?;
    if names.clone().any(|known| known == name) {
        return Some(name.into());
    }
    let note = report.error(kind, node.span.clone(), format!("unknown {kind} {name}"));
    match did_you_mean(name, names.clone()) {
        Some(meant) => note.label(format!("did you mean {meant}?")),
        None if names.clone().next().is_none() => note.help(absent),
        None => note.help(format!("known names: {}; {absent}", one_of(names))),
    };
    None
}

fn template(node: &Node<'_>, names: &RuleNames<'_>, report: &mut Report<'_>) -> Option<Arc<str>> {
    let locale = if names.context.locale.is_empty() { "en" } else { &names.context.locale };
    let name = node.scalar().unwrap_or("NAME").chars().filter(|c| !c.is_control() && *c != '/').collect::<String>();
    let absent = format!("to add a template, create the file templates/{name}.{locale}.md");
    known(node, "`email`", "template", names.templates.iter().copied(), &absent, report)
}

fn email(node: &Node<'_>, names: &RuleNames<'_>, report: &mut Report<'_>) -> Option<Action> {
    if !matches!(node.value, Value::Map(_)) {
        let template = template(node, names, report)?;
        return Some(Action::Email { template, to: Recipient::Customer, limit: None, settle: None, quiet_hours: None });
    }
    let fields = MapFields::of(node, "`email`", &["template", "to", "limit", "settle", "quiet_hours"], report)?;
    let template = fields.need("template", report).and_then(|node| template(node, names, report));
    let to = fields.get("to").map(|node| recipient(node, report));
    let limit = fields.get("limit").map(|node| parsed::<Limit>(node, "`limit`", "limit", report));
    let settle = fields.get("settle").map(|node| node.duration("`settle`", report));
    let quiet_hours =
        fields.get("quiet_hours").map(|node| parsed::<QuietHours>(node, "`quiet_hours`", "hours", report));
    if let Some(Some(Recipient::Address(_))) = &to {
        for key in ["settle", "quiet_hours"] {
            if let Some(entry) = fields.entry(key) {
                report
                    .warning(
                        "action",
                        entry.key_span.clone(),
                        format!("`{key}` has no effect on a mail to a fixed address"),
                    )
                    .help("a mail to a fixed address is sent at once; only mails to the customer wait");
            }
        }
    }
    Some(Action::Email {
        template: template?,
        to: optional(to)?.unwrap_or_default(),
        limit: optional(limit)?,
        settle: optional(settle)?.map(|settle| settle.ms()),
        quiet_hours: optional(quiet_hours)?,
    })
}

/// `None`: the key is present and its value is wrong. `Some(None)`: the key is absent.
fn optional<T>(read: Option<Option<T>>) -> Option<Option<T>> {
    match read {
        None => Some(None),
        Some(read) => read.map(Some),
    }
}

fn recipient(node: &Node<'_>, report: &mut Report<'_>) -> Option<Recipient> {
    let text = node.text("`to`", report)?;
    if text == "customer" {
        return Some(Recipient::Customer);
    }
    if text.is_ascii() && lettre::Address::from_str(text).is_ok() {
        return Some(Recipient::Address(text.to_owned()));
    }
    let label = match did_you_mean(text, ["customer"]) {
        Some(_) => "did you mean customer?",
        None => "write `customer`, or an address such as ops@shop.example",
    };
    report.error("address", node.span.clone(), format!("{text} is not an email address")).label(label);
    None
}

fn parsed<T: FromStr<Err = String>>(
    node: &Node<'_>,
    what: &str,
    code: &'static str,
    report: &mut Report<'_>,
) -> Option<T> {
    let text = node.text(what, report)?;
    match text.parse() {
        Ok(value) => Some(value),
        Err(why) => {
            report.error(code, node.span.clone(), why);
            None
        }
    }
}

fn webhook(node: &Node<'_>, names: &RuleNames<'_>, report: &mut Report<'_>) -> Option<Action> {
    if node.scalar().is_some() {
        report
            .error("action", node.span.clone(), "a webhook needs a target and an event")
            .label("write, for example, `webhook: {to: shop, event: kyc.reversed}`");
        return None;
    }
    let fields = MapFields::of(node, "`webhook`", &["to", "event"], report)?;
    let targets = names.context.webhooks.iter().map(String::as_str);
    let absent = "configure targets under `webhooks:`";
    let to = fields.need("to", report).and_then(|node| known(node, "`to`", "webhook", targets, absent, report));
    let event = fields.need("event", report).and_then(|node| {
        let event = node.text("`event`", report)?;
        let fits = event.len() <= 128 && event.bytes().all(|byte| byte.is_ascii_graphic());
        if !fits {
            report
                .error("action", node.span.clone(), "an event has at most 128 ASCII characters and no spaces")
                .label("write, for example, `kyc.reversed`");
        }
        fits.then(|| Arc::from(event))
    });
    Some(Action::Webhook { to: to?, event: event? })
}

fn chat(node: &Node<'_>, names: &RuleNames<'_>, report: &mut Report<'_>) -> Option<Action> {
    if node.scalar().is_some() {
        report
            .error("action", node.span.clone(), "a chat message needs a room and a text")
            .label("write, for example, `chat: {to: kyc-ops, text: \"{{ customer.id }} needs help\"}`");
        return None;
    }
    let fields = MapFields::of(node, "`chat`", &["to", "text", "limit"], report)?;
    let rooms = names.context.chats.iter().map(String::as_str);
    let absent = "configure rooms under `chats:`";
    let to = fields.need("to", report).and_then(|node| known(node, "`to`", "chat", rooms, absent, report));
    let text = fields.need("text", report).and_then(|node| node.text("`text`", report).map(Arc::from));
    let limit = fields.get("limit").map(|node| parsed::<Limit>(node, "`limit`", "limit", report));
    Some(Action::Chat { to: to?, text: text?, limit: optional(limit)? })
}

fn tag(node: &Node<'_>, what: &str, report: &mut Report<'_>) -> Option<Arc<str>> {
    let text = node.text(what, report)?.trim();
    if !is_tag(text) {
        report.error(
            "action",
            node.span.clone(),
            format!("{what} takes a name of at most {MAX_TAG_BYTES} bytes, without commas"),
        );
        return None;
    }
    Some(text.into())
}
