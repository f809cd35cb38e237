//! The core: decides what an event changes, from the known facts about one customer, the event, the rules and the time.
//!
//! The functions are pure and total: they do no I/O, never panic, and return the same decision for the same input. A
//! decision contains results, not instructions: the caller only has to store them.

mod attempt;
mod brake;
mod changes;
mod confirm;
mod confirmation;
mod contact_lookup;
mod controls;
mod customer_state;
mod event;
mod facts;
mod mail_snapshot;
mod observe;
mod operate;
mod payload;
mod timer;

#[cfg(test)]
mod confirm_tests;
#[cfg(test)]
mod order_tests;
#[cfg(test)]
mod properties_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod wait_tests;

use std::sync::Arc;

pub use attempt::{JobWait, wait};
pub use brake::{Brake, BrakeReason, Brakes};
pub use changes::{Changes, JobUpdate, RecordKind, RuleOutcome, RuleResult};
pub use confirmation::{ApiAnswer, Confirmation, ConfirmationUpdate, PendingCallback};
pub use contact_lookup::LookupState;
pub use controls::{Control, GlobalState, LiveSince, TimerKey};
pub use customer_state::{CountedOrder, CustomerState, MAX_OPEN_JOBS};
pub use observe::REPEAT_MS;
pub use timer::{DueTimer, StayTimers, backlog_of, next_timer, stays};

use crate::{
    clock::Timestamp,
    domain::{CallbackOutcome, Codes, Contact, CustomerId, Observation, Status},
    outbox::{AttemptOutcome, Job, JobId, JobKey},
    rules::{RuleId, RuleSet},
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

/// The inputs of a decision besides the customer and the command.
#[derive(Clone, Copy)]
pub struct DecisionContext<'a> {
    pub now: Timestamp,
    /// The number of the record, if the decision writes one.
    pub number: u64,
    pub rules: &'a RuleSet,
    pub policy: &'a Policy,
    pub key: &'a JobKey,
    pub standing: &'a GlobalState,
    /// The wall clock has jumped and no operator has accepted it yet: timers do not fire, and orders that limits count
    /// do not expire.
    pub clock_in_doubt: bool,
    /// The time at which a duplicate of this customer was last recorded.
    pub duplicate_at: Option<Timestamp>,
}

/// The part of the configuration that affects decisions.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The time zone of customers without one.
    pub timezone: jiff::tz::TimeZone,
    /// The declared attributes, which templates may use.
    pub attributes: Arc<[String]>,
    /// Callbacks are confirmed by the provider's API before rules see them.
    pub confirms: bool,
    /// `Some`: contacts are requested from the merchant's directory, and an answer is fresh for this many milliseconds.
    /// `None`: contacts are imported or PUT, and hold until they are replaced.
    pub looks_up: Option<i64>,
}

impl Policy {
    /// The policy for made-up events and recorded histories: every callback counts as confirmed and every contact as
    /// current, because neither the provider's API nor the merchant's directory is available there.
    #[must_use]
    pub fn for_simulation(&self) -> Self {
        Self { confirms: false, looks_up: None, ..self.clone() }
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self { timezone: jiff::tz::TimeZone::UTC, attributes: Arc::new([]), confirms: false, looks_up: None }
    }
}

/// The response to the caller that proposed a command.
#[derive(Clone, Debug, PartialEq)]
pub enum Receipt {
    /// A callback, and its verdict.
    Seen(CallbackOutcome),
    /// The attempt has begun; the worker may proceed.
    Go(Box<StartedAttempt>),
    /// The provider's API must be asked first.
    AskFirst,
    /// The merchant's directory must be asked about the customer, at once or repeatedly.
    LookUp,
    /// The attempt is refused: the job is not due, cancelled, held, or taken by another worker.
    NotNow,
    /// The attempt is refused until this time, or until an earlier job has ended.
    NotBefore(Timestamp),
    /// The result is recorded.
    Recorded,
    /// The result is recorded, and there will be no further attempt.
    GaveUp,
    /// The command changes nothing.
    Unchanged,
    /// The job does not exist or has ended.
    Gone,
}

/// An attempt that has begun: everything that a worker needs for it.
#[derive(Clone, Debug, PartialEq)]
pub struct StartedAttempt {
    pub customer: CustomerId,
    pub job: Job,
}

/// The response, and the effects to store before it is sent. Without effects, nothing is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    pub effects: Option<Changes>,
    pub receipt: Receipt,
}

impl Decision {
    fn nothing(receipt: Receipt) -> Self {
        Self { effects: None, receipt }
    }

    fn record(effects: Changes, receipt: Receipt) -> Self {
        Self { effects: Some(effects), receipt }
    }
}

/// Decides one command.
pub fn decide(case: &CustomerState, command: &Command, given: DecisionContext<'_>) -> Decision {
    let mut decision = match command {
        Command::Observe { customer, saw } => observe::observe(case, customer, saw, given),
        Command::Import { customer, contact, memory } => {
            operate::import(case, customer, contact.as_deref(), memory.as_deref(), given)
        }
        Command::Timer { customer, confirmed } => timer::timer(case, customer, *confirmed, given),
        Command::Answer { customer, up_to, answer } => confirm::answered(case, customer, *up_to, answer, given),
        Command::Settle { customer } => confirm::decide_waiting(case, customer, given),
        Command::Believe { customer } => confirm::accept_waiting(case, customer, given),
        Command::Backlog { customer, rule } => timer::send_backlog(case, customer, rule, given),
        Command::Attempt { customer, job } => attempt::begin(case, customer, *job, given),
        Command::Finish { customer, job, attempt, outcome } => {
            attempt::end(case, customer, *job, *attempt, outcome, given)
        }
        Command::Recall { customer, job } => attempt::recall(case, customer, *job, given),
        Command::Doubt { customer, job } => attempt::mark_in_doubt(case, customer, *job, given),
        Command::LookedUp { customer, found } => contact_lookup::looked_up(case, customer, found, given),
        Command::Contact { customer, contact } => operate::contact(case, customer, contact, given),
        Command::Tag { customer, name } => operate::tag(case, customer, name),
        Command::Untag { customer, name } => operate::untag(case, customer, name),
        Command::Retry { customer, job } => operate::retry(case, customer, *job, given),
        Command::Drop { customer, job } => operate::drop(case, customer, *job, given),
    };
    if let Some(effects) = &mut decision.effects {
        effects.clock_in_doubt = given.clock_in_doubt;
    }
    decision
}
