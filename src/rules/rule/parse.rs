//! Parses one rules file.
//!
//! Each rule and each key is parsed separately, so that one error does not hide others.

use std::{ops::Range, sync::Arc};

use crate::yaml::{Document, LineIndex, MapFields, Node, Report, Value, did_you_mean};

use crate::rules::{Condition, Rule, RuleId, RuleMode, Trigger, action, condition, context::RuleNames, trigger};

const RULE_KEYS: &[&str] = &["id", "about", "group", "mode", "when", "if", "do"];

/// A rule with the byte ranges that later checks report.
pub(in crate::rules) struct RuleDraft {
    pub rule: Rule,
    pub id_at: Range<usize>,
    pub group_at: Range<usize>,
    /// One range for each trigger.
    pub triggers_at: Vec<Range<usize>>,
    /// One range for each action.
    pub actions_at: Vec<Range<usize>>,
}

/// A rule id and its place. Rules with errors have one, too.
pub(in crate::rules) struct NamedRule {
    pub id: RuleId,
    pub at: Range<usize>,
    pub line: u32,
}

#[derive(Default)]
pub(in crate::rules) struct RulesFile {
    pub named: Vec<NamedRule>,
    pub drafts: Vec<RuleDraft>,
}

pub(in crate::rules) fn read(names: &RuleNames<'_>, report: &mut Report<'_>) -> RulesFile {
    let mut found = RulesFile::default();
    let Some(document) = Document::read(report) else { return found };
    let root = &document.root;
    match &root.value {
        Value::Null => {
            report
                .error("format", 0..0, "this file is empty")
                .help("start the file with the lines `format: 1` and `rules:`");
            return found;
        }
        Value::List(_) => {
            report
                .error("format", root.span.start..root.span.start + 1, "the rules must be under the key `rules`")
                .help("start the file with the lines `format: 1` and `rules:`");
            return found;
        }
        _ => {}
    }
    let Some(fields) = MapFields::of(root, "a file of rules", &["format", "rules"], report) else { return found };
    fields.format(report);
    let Some(rules) = fields.need("rules", report) else { return found };
    if !matches!(rules.value, Value::List(_) | Value::Null) {
        rules.wrong("`rules`", "a list in which each rule starts with `- id:`", report);
        return found;
    }
    let file: Arc<str> = report.file().into();
    let lines = LineIndex::of(report.text());
    for node in rules.items() {
        rule(node, &file, &lines, names, report, &mut found);
    }
    found
}

fn rule(
    node: &Node<'_>,
    file: &Arc<str>,
    lines: &LineIndex,
    names: &RuleNames<'_>,
    report: &mut Report<'_>,
    found: &mut RulesFile,
) {
    let Some(fields) = MapFields::of(node, "a rule", RULE_KEYS, report) else { return };
    let line = lines.line(node.span.start);
    let id = fields.need("id", report).and_then(|node| id(node, report));
    let id_at = fields.get("id").map_or(node.span.start..node.span.start, |node| node.span.clone());
    if let Some(id) = &id {
        found.named.push(NamedRule { id: id.clone(), at: id_at.clone(), line });
    }
    let about = fields.get("about").map(|node| node.text("`about`", report).map(str::to_owned));
    let group = fields.get("group").map(|node| group(node, report));
    let mode = fields.get("mode").map(|node| mode(node, report));
    let triggers = fields.need("when", report).and_then(|node| triggers(node, names, report));
    let condition = match fields.get("if") {
        None => Some(Condition::default()),
        Some(node) => condition::parse::read(node, "`if`", names, report),
    };
    let actions = fields.need("do", report).and_then(|node| action::parse::read(node, names, report));
    let (Some(id), Some((triggers, triggers_at)), Some(condition), Some(actions)) = (id, triggers, condition, actions)
    else {
        return;
    };
    if matches!(about, Some(None)) || matches!(group, Some(None)) || matches!(mode, Some(None)) {
        return;
    }
    let (actions, actions_at) = actions.into_iter().unzip();
    let rule = Rule {
        id,
        about: about.flatten(),
        group: group.flatten(),
        mode: mode.flatten().unwrap_or_default(),
        triggers,
        condition,
        actions,
        file: Arc::clone(file),
        line,
    };
    let group_at = fields.get("group").map_or(id_at.clone(), |node| node.span.clone());
    found.drafts.push(RuleDraft { rule, id_at, group_at, triggers_at, actions_at });
}

fn id(node: &Node<'_>, report: &mut Report<'_>) -> Option<RuleId> {
    let text = node.text("`id`", report)?;
    let id = RuleId::new(text);
    if id.is_none() {
        let fits =
            |c: char| if c.is_ascii_alphanumeric() || matches!(c, '_' | '.') { c.to_ascii_lowercase() } else { '-' };
        let better: String = text.chars().map(fits).take(RuleId::MAX_BYTES).collect();
        let note =
            report.error("id", node.span.clone(), "an id has at most 64 characters: letters, digits, `-`, `_` and `.`");
        let better = better.trim_matches('-');
        if better.chars().any(|c| c.is_ascii_alphanumeric()) {
            note.label(format!("write `{better}`"));
        }
    }
    id
}

fn group(node: &Node<'_>, report: &mut Report<'_>) -> Option<Arc<str>> {
    let text = node.text("`group`", report)?.trim();
    if RuleId::new(text).is_none() {
        report.error(
            "group",
            node.span.clone(),
            "a group name has at most 64 characters: letters, digits, `-`, `_` and `.`",
        );
        return None;
    }
    Some(text.into())
}

fn mode(node: &Node<'_>, report: &mut Report<'_>) -> Option<RuleMode> {
    let text = node.text("`mode`", report)?;
    let mode = RuleMode::ALL.iter().find(|(name, _)| *name == text).map(|(_, mode)| *mode);
    if mode.is_none() {
        let note = report.error("mode", node.span.clone(), format!("unknown mode {text}"));
        match did_you_mean(text, RuleMode::ALL.iter().map(|(name, _)| *name)) {
            Some(meant) => note.label(format!("did you mean {meant}?")),
            None => note.label("write live, shadow or paused"),
        };
    }
    mode
}

/// Maximum number of triggers in one rule.
const MAX_TRIGGERS: usize = 64;

/// Parses one trigger, or a list of triggers of one kind.
fn triggers(
    node: &Node<'_>,
    names: &RuleNames<'_>,
    report: &mut Report<'_>,
) -> Option<(Vec<Trigger>, Vec<Range<usize>>)> {
    if let Value::Map(_) = node.value {
        node.wrong("`when`", "a trigger such as `A -> B`, or a list of triggers", report);
        return None;
    }
    let items = node.list("`when`", report)?;
    if items.len() > MAX_TRIGGERS {
        report.error("trigger", node.span.clone(), format!("a rule has at most {MAX_TRIGGERS} triggers"));
        return None;
    }
    let mut triggers: Vec<Trigger> = Vec::with_capacity(items.len());
    let mut places = Vec::with_capacity(items.len());
    let mut complete = true;
    for item in items {
        let Some(trigger) = trigger::grammar::read(item, names, report) else {
            complete = false;
            continue;
        };
        if let Some(first) = triggers.first()
            && first.kind() != trigger.kind()
        {
            report
                .error(
                    "trigger",
                    item.span.clone(),
                    format!("{} next to {}: all triggers of a rule must be of one kind", trigger.kind(), first.kind()),
                )
                .label("write a separate rule for it");
            complete = false;
            continue;
        }
        triggers.push(trigger);
        places.push(item.span.clone());
    }
    complete.then_some((triggers, places))
}
