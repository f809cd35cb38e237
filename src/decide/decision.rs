//! The result of a decision: the changes to store, and the response to the caller.

use super::Changes;
use crate::{
    clock::Timestamp,
    domain::{CallbackOutcome, CustomerId},
    outbox::Job,
};

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

/// The response, and the changes to store before it is sent. Without changes, nothing is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    pub effects: Option<Changes>,
    pub receipt: Receipt,
}

impl Decision {
    pub(super) fn nothing(receipt: Receipt) -> Self {
        Self { effects: None, receipt }
    }

    pub(super) fn record(effects: Changes, receipt: Receipt) -> Self {
        Self { effects: Some(effects), receipt }
    }
}
