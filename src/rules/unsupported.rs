//! What the language has and this version, or the configuration, can't carry out. It is refused: a rule that looks live and
//! never acts would be worse.

use crate::source::Diagnostic;

use super::{Action, Context, rule_reading::Draft};

pub(super) fn find(drafts: &[Draft], context: &Context, into: &mut Vec<Diagnostic>) {
    for draft in drafts {
        let file = &*draft.rule.file;
        for (action, at) in draft.rule.actions.iter().zip(&draft.actions_at) {
            if matches!(action, Action::Email { .. }) && !context.email {
                into.push(
                    Diagnostic::error("channel", file, "the configuration says nothing about sending mails")
                        .at(at.clone())
                        .help("write `email:` with `from` and `transport` in the configuration"),
                );
            }
            if matches!(action, Action::Webhook { .. } | Action::Chat { .. }) {
                let message = format!("this version can't send a {}", action.kind());
                into.push(
                    Diagnostic::error("unsupported", file, message)
                        .at(at.clone())
                        .help("it can send an `email`, also to a fixed address, and set a `tag`"),
                );
            }
        }
    }
}
