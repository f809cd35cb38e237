//! Checks that the ordered actions can be sent: their channel is configured, and their texts render.
//!
//! An action that cannot be sent is an error, because the rule would look live and never act.

use std::{collections::HashMap, ops::Range};

use crate::{
    template::Templates,
    yaml::{Diagnostic, Files},
};

use super::{Action, Environment, rule::parse::RuleDraft};

/// Maximum total size of the distinct texts of one set. Each is rendered for several customers before a set is loaded.
const MAX_BYTES: usize = 4 << 20;

/// Reports mails if no mail transport is configured.
pub(super) fn without_channel(drafts: &[RuleDraft], context: &Environment, into: &mut Vec<Diagnostic>) {
    if context.email {
        return;
    }
    for (draft, action, at) in ordered(drafts) {
        if matches!(action, Action::Email { .. }) {
            into.push(
                Diagnostic::error(
                    "channel",
                    &*draft.rule.file,
                    "the configuration has no `email` section, so mails cannot be sent",
                )
                .at(at.clone())
                .help("add `email:` with `from` and `transport` to the configuration"),
            );
        }
    }
}

/// Adds the texts in rules to the templates.
pub(super) fn add(
    drafts: &[RuleDraft],
    files: &Files,
    context: &Environment,
    templates: &mut Templates,
    into: &mut Vec<Diagnostic>,
) {
    // Many rules may have the same text.
    let mut found: HashMap<&str, Vec<Diagnostic>> = HashMap::new();
    let mut bytes = 0;
    for (draft, action, at) in ordered(drafts) {
        let Action::Chat { text, .. } = action else { continue };
        if !found.contains_key(&**text) {
            bytes += text.len();
        }
        if bytes > MAX_BYTES {
            let most = MAX_BYTES >> 20;
            let error = Diagnostic::error(
                "size",
                &*draft.rule.file,
                format!("the texts of all rules together are larger than {most} MiB"),
            );
            into.push(error.at(at.clone()).help("use the same text in several rules, or shorten the texts"));
            return;
        }
        let wrong = found.entry(text).or_insert_with(|| templates.add_text(text, &context.attributes));
        let file = &*draft.rule.file;
        let written = files.get(file).and_then(|whole| whole.get(at.clone()));
        // The text's position if the file holds it verbatim. If it has escapes or line breaks, the whole action is
        // marked.
        let start = written.and_then(|written| written.find(&**text)).map(|found| at.start + found);
        for mut wrong in wrong.iter().cloned() {
            let place = |span: &Range<usize>| start.map(|start| start + span.start..start + span.end);
            wrong.span = Some(wrong.span.as_ref().and_then(place).unwrap_or_else(|| at.clone()));
            wrong.file = file.into();
            into.push(wrong);
        }
    }
}

fn ordered(drafts: &[RuleDraft]) -> impl Iterator<Item = (&RuleDraft, &Action, &Range<usize>)> {
    drafts
        .iter()
        .flat_map(|draft| draft.rule.actions.iter().zip(&draft.actions_at).map(move |(action, at)| (draft, action, at)))
}
