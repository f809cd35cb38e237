//! The outbox: the jobs that rules have ordered, and their progress.
//!
//! A [`Job`] is the whole input of an action. Its [`Order`] never changes after the decision that created it; its
//! [`JobStatus`] is replaced as a whole with every attempt, so that a record of the journal can contain it as an absolute
//! value.

mod channel;
mod id;
mod order;
mod status;

use serde::{Deserialize, Serialize};

pub use channel::Channel;
pub use id::{JobId, JobKey};
pub use order::{MAX_ORDERS, Order, Payload, ProcessingStay, WebhookFacts};
pub use status::{AttemptOutcome, JobState, JobStatus, ProblemKind, TRYING_MS, pause_after};

use crate::template;

/// The content of a mail, fixed at its first attempt: repeated attempts send the same mail.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MailSnapshot {
    /// The rule set that contains the template.
    pub set: Box<str>,
    pub address: Box<str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Box<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<Box<str>>,
    pub facts: template::TemplateFacts,
}

/// One action that a rule has ordered for one customer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    #[serde(flatten)]
    pub order: Order,
    #[serde(flatten)]
    pub fate: JobStatus,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub letter: Option<Box<MailSnapshot>>,
}

impl Job {
    pub const fn id(&self) -> JobId {
        self.order.id
    }

    /// Its place in the outbox: the number of the record that ordered it, and its index in that record.
    pub const fn place(&self) -> (u64, u32) {
        (self.order.number, self.order.index)
    }

    /// Whether it is a problem because the customer's address is not known.
    pub fn lacks_contact(&self) -> bool {
        self.fate.state == JobState::Problem && self.fate.trouble == Some(ProblemKind::NoContact)
    }

    /// Whether a decision about the customer sees the job: it is not final, and within the limit on open jobs.
    pub fn is_open(&self) -> bool {
        !self.fate.state.is_final() && !self.is_flood()
    }

    /// Whether it is a problem because the customer had too many open jobs.
    pub fn is_flood(&self) -> bool {
        self.fate.state == JobState::Problem && self.fate.trouble == Some(ProblemKind::Flood)
    }

    /// Whether it can be replaced, cancelled or changed, because nothing has been sent yet.
    pub fn is_untried(&self) -> bool {
        self.fate.attempts == 0 && !self.fate.state.is_final()
    }
}
