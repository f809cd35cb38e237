//! What a rule has ordered, and what its words are made from.

use serde::{Deserialize, Serialize};

use super::{Channel, JobId};
use crate::{
    clock::Timestamp,
    kyc::{Codes, Details, Processing, Status, said},
    rules::{Action, RuleId},
    template::Phrase,
};

/// More than anybody means to order in one event, and small enough for one record.
pub const MAX_ORDERS: usize = 64;

/// The stay in a processing status that an order belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessingStay {
    pub processing: Processing,
    /// When it began; what tells it from another stay in the same one.
    pub since: Timestamp,
}

/// What a rule has ordered for a customer, as it was ordered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    pub id: JobId,
    pub rule: RuleId,
    pub action: Action,
    /// The number of the record that ordered it, and its place in there: the outbox's order. The record itself does not say it
    /// again, and neither its time.
    #[serde(default, rename = "n", skip_serializing_if = "is_zero_u64")]
    pub number: u64,
    #[serde(default, rename = "i", skip_serializing_if = "is_zero")]
    pub index: u32,
    #[serde(default, skip_serializing_if = "is_unset")]
    pub at: Timestamp,
    /// What must last for a mail to be sent still; `None`: the visit to the status `to`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processing_stay: Option<ProcessingStay>,
    /// `None`: there was no observation before.
    #[serde(default, with = "crate::kyc::said", skip_serializing_if = "Option::is_none")]
    pub from: Option<Status>,
    pub to: Status,
    pub visit: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub step: u32,
    #[serde(default, skip_serializing_if = "nothing_changed")]
    pub changed: Details,
    /// What a webhook or a chat says. A mail says what is known at its first attempt, and has a [`Letter`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub said: Option<Box<Said>>,
}

/// What is said, fixed by the decision: neither time nor new rules change a word of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Said {
    /// A webhook's, beside what the order says itself.
    Facts(Told),
    /// A chat's.
    Text(Phrase),
}

/// What was known of the customer when a webhook was ordered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    #[serde(default, rename = "docs", skip_serializing_if = "Codes::is_empty")]
    pub missing_docs: Codes,
    #[serde(default, rename = "labels", skip_serializing_if = "Codes::is_empty")]
    pub reject_labels: Codes,
    /// Empty: there is none.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub message: Box<str>,
    #[serde(default, with = "said", skip_serializing_if = "Option::is_none")]
    pub processing: Option<Processing>,
    #[serde(default, skip_serializing_if = "Codes::is_empty")]
    pub tags: Codes,
    /// When the stay in the status began.
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
    /// Whether it goes to the customer, and so passes the gates that only mails to customers have.
    pub fn is_mail_to_customer(&self) -> bool {
        self.action.mails_customer()
    }

    /// The mail of the same template to the same recipient, which a newer one replaces as long as it is untried.
    pub fn is_same_mail(&self, other: &Action) -> bool {
        let Action::Email { template, to, .. } = &self.action else { return false };
        let Action::Email { template: newer, to: newer_to, .. } = other else { return false };
        template == newer && to == newer_to
    }

    pub fn channel(&self) -> Channel {
        Channel::of(&self.action)
    }
}
