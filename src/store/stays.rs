//! Stays, indexed for timers by status and by start time.
//!
//! A customer has one stay in a status and one in a processing status. The view keeps stays in order, so that waiting
//! customers cost nothing until a timer is due.

use crate::{
    clock::Timestamp,
    decide::{CustomerState, stays},
    domain::CustomerId,
    rules::TimerState,
};

/// One stay of one customer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StayRow {
    pub stay: TimerState,
    pub entered_at: Timestamp,
    /// All durations up to this one have been decided, in milliseconds.
    pub decided_ms: i64,
}

/// The stays that a customer is in.
pub fn rows(case: &CustomerState) -> Vec<StayRow> {
    let of = |(stay, entered_at)| {
        let decided_ms = case.timers.decided_ms(&stay);
        StayRow { stay, entered_at, decided_ms }
    };
    case.customer.iter().flat_map(stays).map(of).collect()
}

/// A query for stays that have reached a duration and were not decided for it.
#[derive(Clone, Debug)]
pub struct Overdue {
    pub stay: TimerState,
    pub after_ms: i64,
    /// Only stays that began after this time …
    pub entered_after: Timestamp,
    /// … and up to this time.
    pub entered_until: Timestamp,
}

impl Overdue {
    pub(super) fn takes(&self, row: &StayRow) -> bool {
        row.stay == self.stay
            && row.entered_at > self.entered_after
            && row.entered_at <= self.entered_until
            && row.decided_ms < self.after_ms
    }
}

/// A stay's place in the index.
pub type StayPlace = (Timestamp, CustomerId);
