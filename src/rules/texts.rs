//! What rules order, held against what can be sent: a channel that is configured, and texts that can be made.
//!
//! What can't is refused: a rule that looks live and never acts would be worse.

use std::{collections::HashMap, ops::Range};

use crate::{
    source::{Diagnostic, Files},
    template::Templates,
};

use super::{Action, Context, rule_reading::Draft};

/// The different texts of one set together: each is rendered for several customers before a set is loaded.
const MAX_BYTES: usize = 4 << 20;

/// Mails that nobody sends.
pub(super) fn without_channel(drafts: &[Draft], context: &Context, into: &mut Vec<Diagnostic>) {
    if context.email {
        return;
    }
    for (draft, action, at) in ordered(drafts) {
        if matches!(action, Action::Email { .. }) {
            into.push(
                Diagnostic::error("channel", &*draft.rule.file, "the configuration says nothing about sending mails")
                    .at(at.clone())
                    .help("write `email:` with `from` and `transport` in the configuration"),
            );
        }
    }
}

/// Gives the templates the texts that stand in rules.
pub(super) fn add(
    drafts: &[Draft],
    files: &Files,
    context: &Context,
    templates: &mut Templates,
    into: &mut Vec<Diagnostic>,
) {
    // Many rules may say the same.
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
                format!("the texts in rules together have more than {most} MB"),
            );
            into.push(error.at(at.clone()).help("say the same in several rules, or say less"));
            return;
        }
        let wrong = found.entry(text).or_insert_with(|| templates.add_text(text, &context.attributes));
        let file = &*draft.rule.file;
        let written = files.get(file).and_then(|whole| whole.get(at.clone()));
        // Where it stands as it is; in a text with escapes or line breaks the whole action is the place.
        let start = written.and_then(|written| written.find(&**text)).map(|found| at.start + found);
        for mut wrong in wrong.iter().cloned() {
            let place = |span: &Range<usize>| start.map(|start| start + span.start..start + span.end);
            wrong.span = Some(wrong.span.as_ref().and_then(place).unwrap_or_else(|| at.clone()));
            wrong.file = file.into();
            into.push(wrong);
        }
    }
}

fn ordered(drafts: &[Draft]) -> impl Iterator<Item = (&Draft, &Action, &Range<usize>)> {
    drafts
        .iter()
        .flat_map(|draft| draft.rule.actions.iter().zip(&draft.actions_at).map(move |(action, at)| (draft, action, at)))
}
