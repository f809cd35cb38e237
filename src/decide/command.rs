//! The events that can happen to one customer, as commands to [`decide`](super::decide).

use super::ApiAnswer;
use crate::{
    clock::Timestamp,
    domain::{Codes, Contact, CustomerId, Observation, Status},
    outbox::{AttemptOutcome, JobId},
    rules::RuleId,
};

/// An event for one customer. Workers and operators propose commands; this module validates them.
#[derive(Clone, Debug)]
pub enum Command {
    Observe {
        customer: CustomerId,
        saw: Observation,
    },
    /// The status and contact of a customer from the merchant's records, imported when the merchant goes live.
    Import {
        customer: CustomerId,
        contact: Option<Box<Contact>>,
        memory: Option<Box<ImportedState>>,
    },
    /// A timer of the customer's stays seems due. `confirmed`: the provider's API or the merchant's directory, where it
    /// has to be asked first, has answered in the meantime.
    Timer {
        customer: CustomerId,
        confirmed: bool,
    },
    /// The provider's API has answered a question that was sent when `up_to` was the customer's latest record.
    Answer {
        customer: CustomerId,
        up_to: u64,
        answer: ApiAnswer,
    },
    /// The oldest waiting callback no longer has to be confirmed.
    Settle {
        customer: CustomerId,
    },
    /// An operator declares the newest waiting callback correct.
    Believe {
        customer: CustomerId,
    },
    /// An operator sends the backlog of a rule: what the rule would have done when it was due.
    Backlog {
        customer: CustomerId,
        rule: RuleId,
    },
    /// A worker asks to begin an attempt at a job that seems due.
    Attempt {
        customer: CustomerId,
        job: JobId,
    },
    /// The attempt with this number has ended.
    Finish {
        customer: CustomerId,
        job: JobId,
        attempt: u32,
        outcome: AttemptOutcome,
    },
    /// An attempt was refused for a reason that concerns every job of the channel.
    Recall {
        customer: CustomerId,
        job: JobId,
    },
    /// The merchant's directory has returned a contact, or the reason why it has none.
    LookedUp {
        customer: CustomerId,
        found: Result<Contact, Box<str>>,
    },
    /// At startup: an attempt had begun and has no recorded end.
    Doubt {
        customer: CustomerId,
        job: JobId,
    },
    Contact {
        customer: CustomerId,
        contact: Contact,
    },
    Tag {
        customer: CustomerId,
        name: Box<str>,
    },
    Untag {
        customer: CustomerId,
        name: Box<str>,
    },
    /// An operator requests that a problem is tried again.
    Retry {
        customer: CustomerId,
        job: JobId,
    },
    /// An operator cancels a job.
    Drop {
        customer: CustomerId,
        job: JobId,
    },
}

impl Command {
    pub const fn customer(&self) -> &CustomerId {
        match self {
            Self::Observe { customer, .. }
            | Self::Import { customer, .. }
            | Self::Timer { customer, .. }
            | Self::Answer { customer, .. }
            | Self::Settle { customer }
            | Self::Believe { customer }
            | Self::Backlog { customer, .. }
            | Self::Attempt { customer, .. }
            | Self::Finish { customer, .. }
            | Self::Recall { customer, .. }
            | Self::Doubt { customer, .. }
            | Self::LookedUp { customer, .. }
            | Self::Contact { customer, .. }
            | Self::Tag { customer, .. }
            | Self::Untag { customer, .. }
            | Self::Retry { customer, .. }
            | Self::Drop { customer, .. } => customer,
        }
    }
}

impl Command {
    /// Returns the job that the command names.
    pub const fn job(&self) -> Option<JobId> {
        match self {
            Self::Attempt { job, .. }
            | Self::Finish { job, .. }
            | Self::Recall { job, .. }
            | Self::Doubt { job, .. }
            | Self::Retry { job, .. }
            | Self::Drop { job, .. } => Some(*job),
            Self::Observe { .. }
            | Self::Import { .. }
            | Self::Timer { .. }
            | Self::Answer { .. }
            | Self::Settle { .. }
            | Self::Believe { .. }
            | Self::Backlog { .. }
            | Self::LookedUp { .. }
            | Self::Contact { .. }
            | Self::Tag { .. }
            | Self::Untag { .. } => None,
        }
    }
}

/// The status and details to store for a customer of whom no observation exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedState {
    pub status: Status,
    /// The start of the stay. `None`: now.
    pub since: Option<Timestamp>,
    pub tags: Codes,
    pub missing_docs: Option<Codes>,
    pub message: Option<Box<str>>,
}

/// Converts an answer of the provider's API.
impl From<Observation> for ImportedState {
    fn from(said: Observation) -> Self {
        let Observation { status, missing_docs, message, .. } = said;
        Self { status, since: None, tags: Codes::EMPTY, missing_docs, message }
    }
}
