//! What memory and view share: the changes of a customer between two writes of the view, the place of a job, and how
//! far the view is complete.

use std::sync::Arc;

use super::stays::StayRow;
use crate::{decide::CustomerState, outbox::Job};

/// The changes of a customer since the view was last written.
#[derive(Clone, Debug)]
pub struct CustomerDelta {
    pub case: Arc<CustomerState>,
    /// The customer had no record before.
    pub new: bool,
    /// The contact has changed.
    pub contact: bool,
    /// Each changed job, in its latest state.
    pub jobs: Vec<Arc<Job>>,
    /// The stays that the customer was in when the view was last written.
    pub stays_before: Vec<StayRow>,
    /// The callbacks that waited for confirmation at that time, by record number.
    pub waiting_before: Vec<u64>,
}

impl CustomerDelta {
    /// The approximate size in memory. Measured: 1.5 KB with one new open job.
    pub(super) fn bytes(&self) -> usize {
        const CUSTOMER: usize = 800;
        const JOB: usize = 700;
        const COUNTED: usize = 160;
        const WAITING: usize = 1_200;
        let waiting = self.case.question.as_ref().map_or(0, |question| question.waiting.len());
        CUSTOMER
            + JOB * self.case.open.len().max(self.jobs.len())
            + COUNTED * self.case.counted.len()
            + WAITING * waiting
    }

    /// Adds later changes.
    pub(super) fn merge(&mut self, later: CustomerDelta) {
        self.case = later.case;
        self.new |= later.new;
        self.contact |= later.contact;
        for job in later.jobs {
            match self.jobs.iter_mut().find(|have| have.id() == job.id()) {
                Some(have) => *have = job,
                None => self.jobs.push(job),
            }
        }
    }
}

/// The state up to which the view is complete.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AppliedUpTo {
    /// The number of the latest record in the view; all earlier ones are in it too.
    pub applied: u64,
    pub customers: u64,
    /// The hash of the active rule set.
    pub active_set: Option<String>,
    /// The number of the record with the state that applies to all customers; 0: there is none.
    pub standing: u64,
}

/// The place of a job in the outbox's order: record number and index.
pub type JobPosition = (u64, u32);
