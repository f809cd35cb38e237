//! The core: what is known of a customer, something that happens, the rules and the time make a decision.
//!
//! Pure and total. It does no I/O, never panics, and gives the same answer when it is asked the same again. What it returns
//! are results, not instructions: whoever keeps them has only to write them down.

mod attempt;
mod brake;
mod case;
mod confirm;
mod effects;
mod event;
mod facts;
mod letter;
mod look_up;
mod observe;
mod operate;
mod question;
mod said;
mod standing;
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

pub use attempt::{Wait, wait};
pub use brake::{Brake, Braked, Brakes};
pub use case::{Case, Counted, MAX_OPEN_JOBS};
pub use effects::{Effects, FateChange, Kind, Ruled, Ruling};
pub use look_up::Looked;
pub use observe::REPEAT_MS;
pub use question::{Answer, Asking, Pending, Question};
pub use standing::{Act, Live, Standing, TimerKey};
pub use timer::{CameDue, Timers, backlog_of, next_timer, stays};

use crate::{
    clock::Timestamp,
    kyc::{Codes, Contact, CustomerId, Observation, Status, Verdict},
    outbox::{Job, JobId, JobKey, Outcome},
    rules::{RuleId, RuleSet},
};

/// Something that happens to one customer. Workers and people only propose; what is proposed is checked here.
#[derive(Clone, Debug)]
pub enum Command {
    Observe {
        customer: CustomerId,
        saw: Observation,
    },
    /// What the merchant's records say of a customer, on going live.
    Import {
        customer: CustomerId,
        contact: Option<Box<Contact>>,
        memory: Option<Box<Memory>>,
    },
    /// A timer of this customer's stays seemed due. `confirmed`: whoever has to be asked first was asked since then.
    Timer {
        customer: CustomerId,
        confirmed: bool,
    },
    /// The provider's API has answered a question that was sent when `up_to` was the customer's latest record.
    Answer {
        customer: CustomerId,
        up_to: u64,
        answer: Answer,
    },
    /// Nobody has to be asked any more about the oldest callback that waits.
    Settle {
        customer: CustomerId,
    },
    /// A person says that the newest callback that waits is right.
    Believe {
        customer: CustomerId,
    },
    /// A person wants a rule to do what it would have done in time.
    Backlog {
        customer: CustomerId,
        rule: RuleId,
    },
    /// A worker wants to begin an attempt at a job that seemed due.
    Attempt {
        customer: CustomerId,
        job: JobId,
    },
    /// The attempt with this number has ended.
    Finish {
        customer: CustomerId,
        job: JobId,
        attempt: u32,
        outcome: Outcome,
    },
    /// A refusal has turned out to be about every job of the channel.
    Recall {
        customer: CustomerId,
        job: JobId,
    },
    /// The merchant's directory has said whom to write to, or why it names nobody.
    LookedUp {
        customer: CustomerId,
        found: Result<Contact, Box<str>>,
    },
    /// On opening: an attempt had begun and not ended.
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
    /// A person wants a problem tried again.
    Retry {
        customer: CustomerId,
        job: JobId,
    },
    /// A person wants a job never to go.
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
    /// The job that the command names.
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

/// What is to be remembered of a customer of whom there was no observation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Memory {
    pub status: Status,
    /// Since when; `None`: since now.
    pub since: Option<Timestamp>,
    pub tags: Codes,
    pub missing_docs: Option<Codes>,
    pub message: Option<Box<str>>,
}

/// What the provider's API says of a customer.
impl From<Observation> for Memory {
    fn from(said: Observation) -> Self {
        let Observation { status, missing_docs, message, .. } = said;
        Self { status, since: None, tags: Codes::EMPTY, missing_docs, message }
    }
}

/// What holds when something is decided.
#[derive(Clone, Copy)]
pub struct Given<'a> {
    pub now: Timestamp,
    /// The number that the record will have, if there is one.
    pub number: u64,
    pub rules: &'a RuleSet,
    pub policy: &'a Policy,
    pub key: &'a JobKey,
    pub standing: &'a Standing,
    /// The wall clock has jumped and nobody has accepted it yet: timers wait, and nothing that limits count expires.
    pub clock_in_doubt: bool,
    /// When a duplicate of this customer was last recorded.
    pub duplicate_at: Option<Timestamp>,
}

/// What the configuration says about decisions.
#[derive(Clone, Debug)]
pub struct Policy {
    /// For customers who have none.
    pub timezone: jiff::tz::TimeZone,
    /// The declared attributes: what templates may ask for.
    pub attributes: Arc<[String]>,
    /// The provider's API is asked before a callback is believed.
    pub confirms: bool,
    /// The merchant's directory is asked for contacts, and this is how long an answer is fresh, in milliseconds. `None`: contacts
    /// are told, and hold until they are told anew.
    pub looks_up: Option<i64>,
}

impl Policy {
    /// For made-up events and recorded lives: each callback counts as confirmed, and each contact as told. Neither the provider's
    /// API nor the merchant's directory answers there.
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

/// What is answered to whoever proposed it.
#[derive(Clone, Debug, PartialEq)]
pub enum Receipt {
    /// A callback, and what became of it.
    Seen(Verdict),
    /// The attempt has begun: go.
    Go(Box<Attempt>),
    /// The provider's API has to be asked first.
    AskFirst,
    /// The merchant's directory has to be asked about the customer, now or from time to time.
    LookUp,
    /// Don't: not due, cancelled, held, or somebody else's.
    NotNow,
    /// Don't: an earlier job has to come to its end first, or this time.
    NotBefore(Timestamp),
    /// It is written down.
    Recorded,
    /// It is written down, and there will be no further attempt.
    GaveUp,
    /// It was so already.
    Unchanged,
    /// There is no such job, or it has come to an end.
    Gone,
}

/// A begun attempt: all that a worker needs to know.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    pub customer: CustomerId,
    pub job: Job,
}

/// The answer, and what is to be written down before it is given. Without effects nothing is written.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    pub effects: Option<Effects>,
    pub receipt: Receipt,
}

impl Decision {
    fn nothing(receipt: Receipt) -> Self {
        Self { effects: None, receipt }
    }

    fn record(effects: Effects, receipt: Receipt) -> Self {
        Self { effects: Some(effects), receipt }
    }
}

/// Decides.
pub fn decide(case: &Case, command: &Command, given: Given<'_>) -> Decision {
    let mut decision = match command {
        Command::Observe { customer, saw } => observe::observe(case, customer, saw, given),
        Command::Import { customer, contact, memory } => {
            operate::import(case, customer, contact.as_deref(), memory.as_deref(), given)
        }
        Command::Timer { customer, confirmed } => timer::timer(case, customer, *confirmed, given),
        Command::Answer { customer, up_to, answer } => confirm::answered(case, customer, *up_to, answer, given),
        Command::Settle { customer } => confirm::decide_waiting(case, customer, given),
        Command::Believe { customer } => confirm::believe(case, customer, given),
        Command::Backlog { customer, rule } => timer::send_backlog(case, customer, rule, given),
        Command::Attempt { customer, job } => attempt::begin(case, customer, *job, given),
        Command::Finish { customer, job, attempt, outcome } => {
            attempt::end(case, customer, *job, *attempt, outcome, given)
        }
        Command::Recall { customer, job } => attempt::recall(case, customer, *job, given),
        Command::Doubt { customer, job } => attempt::doubt(case, customer, *job, given),
        Command::LookedUp { customer, found } => look_up::looked_up(case, customer, found, given),
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
