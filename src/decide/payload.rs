//! The content of a webhook or a chat message: created with the decision that orders it, and never changed.

use super::{DecisionContext, facts::FactsInput};
use crate::{
    outbox::{Payload, WebhookFacts},
    rules::Action,
    template::RenderError,
};

/// The maximum length of a chat message in bytes; the job stores the message.
const MAX_TEXT_BYTES: usize = 3_000;

/// Returns the content of a webhook or a chat message. `None`: the action has no content, or its content is created at
/// the first attempt. Returns an error if the text cannot be rendered from these facts.
pub fn payload_for(
    action: &Action,
    about: &FactsInput<'_>,
    given: DecisionContext<'_>,
) -> Result<Option<Payload>, RenderError> {
    match action {
        Action::Webhook { .. } => {
            let customer = about.customer;
            Ok(Some(Payload::Facts(WebhookFacts {
                missing_docs: customer.missing_docs.clone().unwrap_or_default(),
                reject_labels: customer.reject_labels.clone().unwrap_or_default(),
                message: customer.message.clone().unwrap_or_default(),
                processing: customer.processing.clone(),
                tags: about.tags.clone(),
                entered_at: customer.entered_at,
                set: given.rules.hash().into(),
            })))
        }
        Action::Chat { text, .. } => {
            let text = given.rules.templates().render_text(text, &about.facts(given))?;
            Ok(Some(Payload::Text(text.cut(MAX_TEXT_BYTES))))
        }
        Action::Email { .. } | Action::Tag(_) | Action::Untag(_) | Action::Record => Ok(None),
    }
}

/// Returns the action as a job stores it, without the chat template, which is no longer needed.
pub fn bounded_payload(action: &Action) -> Action {
    match action {
        Action::Chat { to, limit, .. } => Action::Chat { to: to.clone(), text: "".into(), limit: *limit },
        Action::Email { .. } | Action::Webhook { .. } | Action::Tag(_) | Action::Untag(_) | Action::Record => {
            action.clone()
        }
    }
}
