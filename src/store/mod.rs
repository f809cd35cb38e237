//! The store: it keeps customers, jobs and records, and loses nothing that it has acknowledged.
//!
//! All writes go through [`Store::submit`]: it decides one command after the other and returns when the result is
//! durable. There are two engines: the journal with its view in sled, and an in-memory engine for tests of rules. The
//! types of an engine are private to its module.

mod answers;
mod change;
mod decider;
mod filter;
mod journal;
mod memory;
mod options;
mod overlay;
pub mod record;
mod stays;
mod timeline;
mod view;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

pub use answers::{Page, Refused, StoreError, StoreFigures};
pub use change::JobPosition;
pub use filter::{JobFilter, Since};
pub use journal::{
    CommitStep, Damage, Disk, DiskObserver, DiskOperation, Journal, OpenError, OpenProgress, SegmentSizes, Snapshot,
    free_bytes, is_in_use, make_private_dir,
};
pub use memory::MemoryStore;
pub use options::{FaultHook, Recorder, StoreOptions};
pub use stays::{Overdue, StayPlace};
pub use timeline::{TimelineEntry, settled, timeline_entry};

use futures_util::future::join_all;
use tokio::sync::watch;

use crate::{
    clock::Timestamp,
    decide::{Command, Control, CustomerState, GlobalState, Receipt, StartedAttempt},
    domain::CustomerId,
    outbox::{AttemptOutcome, Channel, Job, JobId},
    rules::{RuleSet, TimerState},
    yaml::Files,
};

/// A caller's own reason to delay a due job: returns the time until which the job must wait, or `None`.
pub type NotBefore<'a> = dyn Fn(&CustomerState, &Job) -> Option<Timestamp> + Sync + 'a;

#[derive(Clone)]
pub enum Store {
    Journal(Arc<Journal>),
    Memory(Arc<MemoryStore>),
}

impl Store {
    /// Opens a data directory, or creates one. Also returns the number of attempts that had begun and not ended; they
    /// are repeated.
    pub async fn open(
        path: &Path,
        options: &StoreOptions,
        progress: Arc<OpenProgress>,
    ) -> Result<(Self, usize), OpenError> {
        let (path, options) = (path.to_owned(), options.clone());
        let opened = tokio::task::spawn_blocking(move || Journal::open(&path, &options, &progress)).await;
        let journal = opened.map_err(|error| OpenError::View(error.to_string()))??;
        let in_doubt = journal.running();
        let store = Self::Journal(journal);
        for (customer, job) in &in_doubt {
            let command = Command::Doubt { customer: customer.clone(), job: *job };
            store.submit(command).await.map_err(|error| OpenError::View(error.to_string()))?;
        }
        Ok((store, in_doubt.len()))
    }

    /// An empty store in memory.
    pub fn memory(options: &StoreOptions) -> Self {
        Self::Memory(Arc::new(MemoryStore::new(options)))
    }

    pub const fn engine(&self) -> &'static str {
        match self {
            Self::Journal(_) => "journal",
            Self::Memory(_) => "memory",
        }
    }

    /// Decides a command in order with all others. Returns when the result is durable. A submitted command is executed
    /// even when the caller stops waiting for the answer.
    pub async fn submit(&self, command: Command) -> Result<Receipt, Refused> {
        match self {
            Self::Journal(journal) => journal.submit(command).await,
            Self::Memory(memory) => memory.submit(&command),
        }
    }

    /// Makes a rule set the active one, from the next command on. Its files are kept for as long as a record names it.
    pub async fn activate(&self, rules: Arc<RuleSet>) -> Result<(), Refused> {
        match self {
            Self::Journal(journal) => journal.activate(rules).await,
            Self::Memory(memory) => memory.activate(rules),
        }
    }

    /// Applies an operator's act to a rule, a channel or the clock, for example a pause or a resume.
    pub async fn control(&self, act: Control) -> Result<Receipt, Refused> {
        match self {
            Self::Journal(journal) => journal.control(act).await,
            Self::Memory(memory) => Ok(memory.control(&act)),
        }
    }

    /// The state that applies to all customers, now and after each change.
    pub fn global_state(&self) -> watch::Receiver<Arc<GlobalState>> {
        match self {
            Self::Journal(journal) => journal.global_state(),
            Self::Memory(memory) => memory.global_state(),
        }
    }

    /// Stays that have reached a duration and were not decided for it, ordered by start time, after the place `after`.
    pub async fn overdue(
        &self,
        of: &Overdue,
        after: Option<&StayPlace>,
        max: usize,
    ) -> Result<Vec<StayPlace>, StoreError> {
        match self {
            Self::Journal(journal) => journal.overdue(of, after, max).await,
            Self::Memory(memory) => Ok(memory.overdue(of, after, max)),
        }
    }

    /// The start time of the first stay of this kind that began after `after`.
    pub async fn next_stay(&self, stay: &TimerState, after: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        match self {
            Self::Journal(journal) => journal.next_stay(stay, after).await,
            Self::Memory(memory) => Ok(memory.next_stay(stay, after)),
        }
    }

    /// Begins attempts for up to `max` due jobs of a channel. Each attempt is durable before it is returned.
    pub async fn claim(&self, channel: &Channel, max: usize) -> Result<Vec<StartedAttempt>, Refused> {
        self.claim_when(channel, max, None).await
    }

    /// Like `claim`, but skips a job for which `not_before` returns a time, until that time.
    pub async fn claim_when(
        &self,
        channel: &Channel,
        max: usize,
        not_before: Option<&NotBefore<'_>>,
    ) -> Result<Vec<StartedAttempt>, Refused> {
        if self.is_paused(channel) {
            return Ok(Vec::new());
        }
        let proposals = self.take_when(channel, max, not_before).into_iter().map(|(customer, job)| async move {
            let answer = self.submit(Command::Attempt { customer: customer.clone(), job }).await;
            (customer, job, answer)
        });
        let mut begun = Vec::new();
        let mut refusal = None;
        for (customer, job, answer) in join_all(proposals).await {
            match answer {
                Ok(Receipt::Go(attempt)) => begun.push(*attempt),
                Ok(Receipt::NotBefore(at)) => self.look_again(job, at),
                Ok(Receipt::LookUp) => {
                    // The record of the lookup makes the job due again, earlier than this time.
                    self.look_again(job, self.now().plus_ms(HELD_AGAIN_MS));
                    self.want_contact(customer);
                }
                Ok(_) => self.look_again(job, self.now().plus_ms(HELD_AGAIN_MS)),
                Err(refused) => {
                    self.look_again(job, self.now().plus_ms(REFUSED_AGAIN_MS));
                    refusal = Some(refused);
                }
            }
        }
        match refusal {
            Some(refused) if begun.is_empty() => Err(refused),
            _ => Ok(begun),
        }
    }

    /// Takes up to `max` due jobs that `not_before` does not delay. It checks at most about `MAX_LOOKED_AT` jobs.
    fn take_when(&self, channel: &Channel, max: usize, not_before: Option<&NotBefore<'_>>) -> Vec<(CustomerId, JobId)> {
        let Some(not_before) = not_before else { return self.take_due(channel, max) };
        let (mut free, mut looked_at) = (Vec::new(), 0);
        while free.len() < max && looked_at < MAX_LOOKED_AT {
            let taken = self.take_due(channel, max - free.len());
            if taken.is_empty() {
                break;
            }
            looked_at += taken.len();
            for (customer, id) in taken {
                let case = self.customer(&customer).ok().flatten();
                let held_back = case.as_ref().and_then(|case| not_before(case, case.job(id)?));
                match held_back {
                    Some(at) => self.look_again(id, at),
                    None => free.push((customer, id)),
                }
            }
        }
        free
    }

    /// Records how an attempt ended. Returns [`Receipt::Gone`] if another command has changed the job meanwhile.
    pub async fn finish(&self, attempt: &StartedAttempt, outcome: AttemptOutcome) -> Result<Receipt, Refused> {
        let command = Command::Finish {
            customer: attempt.customer.clone(),
            job: attempt.job.id(),
            attempt: attempt.job.fate.attempts,
            outcome,
        };
        self.submit(command).await
    }

    fn take_due(&self, channel: &Channel, max: usize) -> Vec<(CustomerId, JobId)> {
        match self {
            Self::Journal(journal) => journal.take_due(channel, max),
            Self::Memory(memory) => memory.take_due(channel, max),
        }
    }

    fn look_again(&self, job: JobId, at: Timestamp) {
        match self {
            Self::Journal(journal) => journal.look_again(job, at),
            Self::Memory(memory) => memory.look_again(job, at),
        }
    }

    /// Makes a job due at `to` that `not_before` had delayed until `from`. Returns false if the job no longer waits, or
    /// waits for another time.
    pub fn bring_forward(&self, job: JobId, from: Timestamp, to: Timestamp) -> bool {
        match self {
            Self::Journal(journal) => journal.bring_forward(job, from, to),
            Self::Memory(memory) => memory.bring_forward(job, from, to),
        }
    }

    fn now(&self) -> Timestamp {
        match self {
            Self::Journal(journal) => journal.now(),
            Self::Memory(memory) => memory.now(),
        }
    }

    fn is_paused(&self, channel: &Channel) -> bool {
        self.global_state().borrow().is_paused(channel)
    }

    /// The time at which the next job of a channel is due; `None` if no job waits or the channel is paused.
    pub fn next_due(&self, channel: &Channel) -> Option<Timestamp> {
        if self.is_paused(channel) {
            return None;
        }
        match self {
            Self::Journal(journal) => journal.next_due(channel),
            Self::Memory(memory) => memory.next_due(channel),
        }
    }

    /// Takes up to `max` customers about whom the provider's API must be asked now. A taken customer is not returned
    /// again before the next record about them or a call of `retry_confirmation`.
    pub fn take_confirmations(&self, max: usize) -> Vec<CustomerId> {
        match self {
            Self::Journal(journal) => journal.take_confirmations(max),
            Self::Memory(memory) => memory.take_confirmations(max),
        }
    }

    pub fn retry_confirmation(&self, customer: &CustomerId, after_ms: i64) {
        match self {
            Self::Journal(journal) => journal.retry_confirmation(customer, after_ms),
            Self::Memory(memory) => memory.retry_confirmation(customer, after_ms),
        }
    }

    /// The time of the next question to the provider's API.
    pub fn next_confirmation(&self) -> Option<Timestamp> {
        match self {
            Self::Journal(journal) => journal.next_confirmation(),
            Self::Memory(memory) => memory.next_confirmation(),
        }
    }

    /// Customers whose oldest waiting callback arrived at `until` or earlier, the oldest first, after the place
    /// `after`. Waiting callbacks are durable, so the result is the same after a restart.
    pub fn waiting_since(
        &self,
        until: Timestamp,
        after: Option<&(Timestamp, CustomerId)>,
        max: usize,
    ) -> Vec<(Timestamp, CustomerId)> {
        match self {
            Self::Journal(journal) => journal.waiting_since(until, after, max),
            Self::Memory(memory) => memory.waiting_since(until, after, max),
        }
    }

    pub fn count_waiting_since(&self, until: Timestamp) -> u64 {
        match self {
            Self::Journal(journal) => journal.count_waiting_since(until),
            Self::Memory(memory) => memory.count_waiting_since(until),
        }
    }

    /// Marks a customer for a lookup in the merchant's directory.
    fn want_contact(&self, customer: CustomerId) {
        match self {
            Self::Journal(journal) => journal.want_contact(customer),
            Self::Memory(memory) => memory.want_contact(customer),
        }
    }

    /// Takes up to `max` customers whose mails wait for a lookup in the merchant's directory, or are problems without
    /// it.
    pub fn take_wanted(&self, max: usize) -> Vec<CustomerId> {
        match self {
            Self::Journal(journal) => journal.take_wanted(max),
            Self::Memory(memory) => memory.take_wanted(max),
        }
    }

    /// The channels of all waiting jobs, also channels that are not configured.
    pub fn channels_waited_for(&self) -> Vec<Channel> {
        match self {
            Self::Journal(journal) => journal.channels_waited_for(),
            Self::Memory(memory) => memory.channels_waited_for(),
        }
    }

    /// Changes whenever a job or a question is created or changes.
    pub fn jobs_changed(&self) -> watch::Receiver<u64> {
        match self {
            Self::Journal(journal) => journal.jobs_changed(),
            Self::Memory(memory) => memory.jobs_changed(),
        }
    }

    /// The state of a customer; `None` if the customer is not known.
    pub fn customer(&self, id: &CustomerId) -> Result<Option<Arc<CustomerState>>, StoreError> {
        match self {
            Self::Journal(journal) => journal.state(id),
            Self::Memory(memory) => Ok(memory.state(id)),
        }
    }

    /// A customer's records, newest first, before the number `before`.
    pub fn timeline(
        &self,
        id: &CustomerId,
        before: Option<u64>,
        max: usize,
    ) -> Result<Page<TimelineEntry, u64>, StoreError> {
        let last = match before {
            Some(number) => number,
            None => self.customer(id)?.map_or(0, |case| case.last),
        };
        timeline::walk(|number| self.record(number), last, max)
    }

    fn record(&self, number: u64) -> Result<Option<record::Record>, StoreError> {
        match self {
            Self::Journal(journal) => journal.record(number),
            Self::Memory(memory) => Ok(memory.record(number)),
        }
    }

    /// Records of all customers by number, from `first` (or from the oldest record there is) on. Empty: there are no
    /// more.
    pub async fn records(&self, first: u64, max: usize) -> Result<Vec<TimelineEntry>, StoreError> {
        let records = match self {
            Self::Journal(journal) => journal.records(first, max).await?,
            Self::Memory(memory) => memory.records(first, max),
        };
        Ok(records.into_iter().map(timeline_entry).collect())
    }

    /// Jobs, newest first, before the place `before`. The jobs of one customer are read from the history, without
    /// waiting for the view.
    pub async fn jobs(
        &self,
        filter: &JobFilter,
        before: Option<JobPosition>,
        max: usize,
    ) -> Result<Page<(CustomerId, Job), JobPosition>, StoreError> {
        if let Some(customer) = &filter.customer {
            let jobs = self.jobs_of(customer)?;
            let before = before.unwrap_or((u64::MAX, u32::MAX));
            let rows = jobs.into_iter().filter(|job| job.place() < before).map(|job| (customer.clone(), job));
            return Ok(memory::page(rows.filter(|(who, job)| filter.takes(who, job)), max));
        }
        match self {
            Self::Journal(journal) => journal.jobs(filter, before, max).await,
            Self::Memory(memory) => Ok(memory.jobs(filter, before, max)),
        }
    }

    /// The jobs that the latest records of a customer ordered, and all open jobs; newest first.
    pub fn jobs_of(&self, customer: &CustomerId) -> Result<Vec<Job>, StoreError> {
        let entries = self.timeline(customer, None, MAX_HISTORY)?.rows;
        let mut jobs = timeline::jobs(&entries);
        if let Some(case) = self.customer(customer)? {
            for open in &case.open {
                if jobs.iter().all(|job| job.id() != open.id()) {
                    jobs.push(Job::clone(open));
                }
            }
        }
        jobs.sort_unstable_by_key(|job| std::cmp::Reverse(job.place()));
        Ok(jobs)
    }

    /// A job in any state, with its customer.
    pub async fn job(&self, id: JobId) -> Result<Option<(CustomerId, Job)>, StoreError> {
        match self {
            Self::Journal(journal) => journal.job(id).await,
            Self::Memory(memory) => Ok(memory.job(id)),
        }
    }

    /// Customers ordered by id, after `after`.
    pub async fn customers(
        &self,
        after: Option<&CustomerId>,
        max: usize,
    ) -> Result<Page<CustomerId, CustomerId>, StoreError> {
        match self {
            Self::Journal(journal) => journal.customers(after, max).await,
            Self::Memory(memory) => Ok(memory.customers(after, max)),
        }
    }

    /// The hash of the latest active rule set.
    pub fn active_set(&self) -> Option<String> {
        match self {
            Self::Journal(journal) => journal.active_set(),
            Self::Memory(memory) => memory.active_set(),
        }
    }

    /// The files of a rule set; they are kept for as long as a record names the set.
    pub fn rule_set(&self, hash: &str) -> Result<Option<Files>, StoreError> {
        match self {
            Self::Journal(journal) => journal.rule_set(hash),
            Self::Memory(memory) => Ok(memory.rule_set(hash)),
        }
    }

    /// The reason why the store refuses commands now; `None` if it accepts them.
    pub fn trouble(&self) -> Option<Refused> {
        match self {
            Self::Journal(journal) => journal.trouble(),
            Self::Memory(_) => None,
        }
    }

    pub fn figures(&self) -> StoreFigures {
        let figures = match self {
            Self::Journal(journal) => journal.figures(),
            Self::Memory(memory) => memory.figures(),
        };
        StoreFigures { braked: self.global_state().borrow().braked_channels().count() as u64, ..figures }
    }

    /// Accepts no more commands, writes the waiting ones, and releases the directory's lock.
    pub async fn close(&self) {
        match self {
            Self::Journal(journal) => journal.close().await,
            Self::Memory(_) => {}
        }
    }

    /// The data directory; `None` for a store in memory.
    pub fn path(&self) -> Option<PathBuf> {
        match self {
            Self::Journal(journal) => Some(journal.path().to_owned()),
            Self::Memory(_) => None,
        }
    }
}

/// How many records of a customer are read to list their jobs, at most.
const MAX_HISTORY: usize = 1_000;

/// How many due jobs one claim checks, at most.
const MAX_LOOKED_AT: usize = 2_000;

/// Delay before a job is checked again that is held, or was not due.
const HELD_AGAIN_MS: i64 = 60_000;

/// Delay before a job is checked again whose attempt could not be recorded.
const REFUSED_AGAIN_MS: i64 = 1_000;
