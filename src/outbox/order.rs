//! An order of a rule, and the facts from which its message is made.

use serde::{Deserialize, Serialize};

use super::{Channel, JobId};
use crate::{
    clock::Timestamp,
    domain::{Codes, Details, Processing, Status, double_option},
    rules::{Action, RuleId},
    template::Phrase,
};

/// The limit on the orders of one event: more than any merchant needs, and small enough for one record.
pub const MAX_ORDERS: usize = 64;

/// The stay in a processing status that an order belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessingStay {
    pub processing: Processing,
    /// The start of the stay; it distinguishes stays in the same processing status.
    pub since: Timestamp,
}

/// An order of a rule for a customer. It never changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    pub id: JobId,
    pub rule: RuleId,
    pub action: Action,
    /// The number of the record that ordered it, and its index there: together they are the outbox's order. In that
    /// record itself, they and the time are omitted.
    #[serde(default, rename = "n", skip_serializing_if = "is_zero_u64")]
    pub number: u64,
    #[serde(default, rename = "i", skip_serializing_if = "is_zero")]
    pub index: u32,
    #[serde(default, skip_serializing_if = "is_unset")]
    pub at: Timestamp,
    /// The stay that must still last when a mail is sent; `None`: the visit to the status `to`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processing_stay: Option<ProcessingStay>,
    /// `None`: there was no observation before.
    #[serde(default, with = "crate::domain::double_option", skip_serializing_if = "Option::is_none")]
    pub from: Option<Status>,
    pub to: Status,
    pub visit: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub step: u32,
    #[serde(default, skip_serializing_if = "nothing_changed")]
    pub changed: Details,
    /// The content of a webhook or a chat. The content of a mail is fixed at its first attempt, in a
    /// [`MailSnapshot`](super::MailSnapshot).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub said: Option<Box<Payload>>,
}

/// The content of a message, fixed by the decision: neither time nor new rules change it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Payload {
    /// The facts for a webhook that are not in the order itself.
    Facts(WebhookFacts),
    /// The text of a chat.
    Text(Phrase),
}

/// The facts about the customer when a webhook was ordered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookFacts {
    #[serde(default, rename = "docs", skip_serializing_if = "Codes::is_empty")]
    pub missing_docs: Codes,
    #[serde(default, rename = "labels", skip_serializing_if = "Codes::is_empty")]
    pub reject_labels: Codes,
    /// The provider's text for the customer; may be empty.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub message: Box<str>,
    #[serde(default, with = "double_option", skip_serializing_if = "Option::is_none")]
    pub processing: Option<Processing>,
    #[serde(default, skip_serializing_if = "Codes::is_empty")]
    pub tags: Codes,
    /// The start of the stay in the status.
    #[serde(rename = "entered")]
    pub entered_at: Timestamp,
    /// The rule set that decided.
    pub set: Box<str>,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

fn is_zero_u64(number: &u64) -> bool {
    *number == 0
}

fn is_unset(at: &Timestamp) -> bool {
    at.millis() == 0
}

fn nothing_changed(details: &Details) -> bool {
    details.is_empty()
}

impl Order {
    /// Whether it is a mail to the customer, to which additional conditions apply.
    pub fn is_mail_to_customer(&self) -> bool {
        self.action.mails_customer()
    }

    /// Whether it is a mail with the same template and recipient; a newer one replaces it while it is untried.
    pub fn is_same_mail(&self, other: &Action) -> bool {
        let Action::Email { template, to, .. } = &self.action else { return false };
        let Action::Email { template: newer, to: newer_to, .. } = other else { return false };
        template == newer && to == newer_to
    }

    pub fn channel(&self) -> Channel {
        // An order is always of an action that is sent; the other value is not used.
        Channel::of(&self.action).unwrap_or_else(Channel::email)
    }
}
