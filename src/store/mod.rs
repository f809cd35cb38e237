//! What is remembered, so that nothing acknowledged is ever lost.
//!
//! One way in: [`Store::submit`] takes a command, decides it in order, and answers when the result is durable. Two engines
//! keep it: the journal with its view in sled, and memory for tests of rules. No type of an engine leaves its file.

mod answers;
mod decider;
mod filter;
mod hot;
mod journal;
mod memory;
mod options;
pub mod record;
mod stays;
mod timeline;
mod view;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

pub use answers::{Figures, Page, Refused, StoreError};
pub use filter::{JobFilter, Since};
pub use journal::{
    Damage, Disk, DiskObserver, Journal, OpenError, Operation, Progress, SegmentSizes, Snapshot, Step, free_bytes,
    is_in_use, make_private_dir,
};
pub use memory::Memory;
pub use options::{Interrupt, Options, Recorder};
pub use stays::{Overdue, StayPlace};
pub use timeline::{Entry, settled, timeline_entry};
pub use view::Place;

use futures_util::future::join_all;
use tokio::sync::watch;

use crate::{
    clock::Timestamp,
    decide::{Act, Attempt, Case, Command, Receipt, Standing},
    kyc::CustomerId,
    outbox::{Channel, Job, JobId, Outcome},
    rules::{RuleSet, Stay},
    source::Files,
};

/// Says what holds a due job back that the store knows nothing of, and until when.
pub type NotBefore<'a> = dyn Fn(&Case, &Job) -> Option<Timestamp> + Sync + 'a;

/// The store.
#[derive(Clone)]
pub enum Store {
    Journal(Arc<Journal>),
    Memory(Arc<Memory>),
}

impl Store {
    /// Opens a data directory, or makes one. Attempts that had begun and not ended are counted and will be repeated.
    pub async fn open(path: &Path, options: &Options, progress: Arc<Progress>) -> Result<(Self, usize), OpenError> {
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

    /// A store of nothing, in memory.
    pub fn memory(options: &Options) -> Self {
        Self::Memory(Arc::new(Memory::new(options)))
    }

    pub const fn engine(&self) -> &'static str {
        match self {
            Self::Journal(_) => "journal",
            Self::Memory(_) => "memory",
        }
    }

    /// Decides a command in order with all others; resolves when the result is durable. It goes its way also when nobody waits
    /// for the answer any more.
    pub async fn submit(&self, command: Command) -> Result<Receipt, Refused> {
        match self {
            Self::Journal(journal) => journal.submit(command).await,
            Self::Memory(memory) => memory.submit(&command),
        }
    }

    /// From the next command on these rules decide. They are kept for as long as a record names them.
    pub async fn activate(&self, rules: Arc<RuleSet>) -> Result<(), Refused> {
        match self {
            Self::Journal(journal) => journal.activate(rules).await,
            Self::Memory(memory) => memory.activate(rules),
        }
    }

    /// Pauses or resumes a rule or a channel.
    pub async fn govern(&self, act: Act) -> Result<Receipt, Refused> {
        match self {
            Self::Journal(journal) => journal.govern(act).await,
            Self::Memory(memory) => Ok(memory.govern(&act)),
        }
    }

    /// What holds for all customers, now and whenever it changes.
    pub fn standing(&self) -> watch::Receiver<Arc<Standing>> {
        match self {
            Self::Journal(journal) => journal.standing(),
            Self::Memory(memory) => memory.standing(),
        }
    }

    /// Stays that have lasted for a duration and were not decided for it, in the order in which they began, from after a place.
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

    /// When the first stay of this kind began that began after this.
    pub async fn next_stay(&self, stay: &Stay, after: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        match self {
            Self::Journal(journal) => journal.next_stay(stay, after).await,
            Self::Memory(memory) => Ok(memory.next_stay(stay, after)),
        }
    }

    /// Begins attempts at up to `max` jobs of a channel that are due. Each is durable before it is returned.
    pub async fn claim(&self, channel: &Channel, max: usize) -> Result<Vec<Attempt>, Refused> {
        self.claim_when(channel, max, None).await
    }

    /// Likewise, but those for which `not_before` names a time are left until then.
    pub async fn claim_when(
        &self,
        channel: &Channel,
        max: usize,
        not_before: Option<&NotBefore<'_>>,
    ) -> Result<Vec<Attempt>, Refused> {
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
                    // The answer's record has it looked at again, and sooner.
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

    /// Takes up to `max` due jobs that nothing holds back; how many are looked at for that is bounded.
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

    /// Records how an attempt ended. [`Receipt::Gone`]: something else has happened to the job meanwhile.
    pub async fn finish(&self, attempt: &Attempt, outcome: Outcome) -> Result<Receipt, Refused> {
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

    /// A job for which `not_before` has named a time is looked at sooner. False: it waits no more, or for something else.
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
        self.standing().borrow().is_paused(channel)
    }

    /// When the next job of a channel is due; `None` while none waits or the channel is paused.
    pub fn next_due(&self, channel: &Channel) -> Option<Timestamp> {
        if self.is_paused(channel) {
            return None;
        }
        match self {
            Self::Journal(journal) => journal.next_due(channel),
            Self::Memory(memory) => memory.next_due(channel),
        }
    }

    /// Takes up to `max` customers about whom the provider's API is to be asked now; nobody else asks about them until the next
    /// record about them, or `ask_again`.
    pub fn take_asks(&self, max: usize) -> Vec<CustomerId> {
        match self {
            Self::Journal(journal) => journal.take_asks(max),
            Self::Memory(memory) => memory.take_asks(max),
        }
    }

    pub fn ask_again(&self, customer: &CustomerId, after_ms: i64) {
        match self {
            Self::Journal(journal) => journal.ask_again(customer, after_ms),
            Self::Memory(memory) => memory.ask_again(customer, after_ms),
        }
    }

    /// When the provider's API is to be asked next.
    pub fn next_ask(&self) -> Option<Timestamp> {
        match self {
            Self::Journal(journal) => journal.next_ask(),
            Self::Memory(memory) => memory.next_ask(),
        }
    }

    /// Customers whose oldest waiting callback came at this time or before, the oldest first, from after a place. Their callbacks are
    /// durable, so the same are found after a restart.
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

    /// The merchant's directory is to see to this customer.
    fn want_contact(&self, customer: CustomerId) {
        match self {
            Self::Journal(journal) => journal.want_contact(customer),
            Self::Memory(memory) => memory.want_contact(customer),
        }
    }

    /// Takes up to `max` customers for whom mails wait for the merchant's directory, or are a problem without it.
    pub fn take_wanted(&self, max: usize) -> Vec<CustomerId> {
        match self {
            Self::Journal(journal) => journal.take_wanted(max),
            Self::Memory(memory) => memory.take_wanted(max),
        }
    }

    /// The channels that jobs wait for, configured or not.
    pub fn channels_waited_for(&self) -> Vec<Channel> {
        match self {
            Self::Journal(journal) => journal.channels_waited_for(),
            Self::Memory(memory) => memory.channels_waited_for(),
        }
    }

    /// Changes whenever jobs or questions are ordered or change.
    pub fn jobs_changed(&self) -> watch::Receiver<u64> {
        match self {
            Self::Journal(journal) => journal.jobs_changed(),
            Self::Memory(memory) => memory.jobs_changed(),
        }
    }

    /// What is known of a customer.
    pub fn customer(&self, id: &CustomerId) -> Result<Option<Arc<Case>>, StoreError> {
        match self {
            Self::Journal(journal) => journal.case(id),
            Self::Memory(memory) => Ok(memory.case(id)),
        }
    }

    /// A customer's records, the newest first, from before a number.
    pub fn timeline(&self, id: &CustomerId, before: Option<u64>, max: usize) -> Result<Page<Entry, u64>, StoreError> {
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

    /// Records of all customers in their order, from this number on (or the oldest there is). None: there are no more.
    pub async fn records(&self, first: u64, max: usize) -> Result<Vec<Entry>, StoreError> {
        let records = match self {
            Self::Journal(journal) => journal.records(first, max).await?,
            Self::Memory(memory) => memory.records(first, max),
        };
        Ok(records.into_iter().map(timeline_entry).collect())
    }

    /// Jobs, the newest first, from before a place. Of one customer they are read from the history, without waiting for the
    /// view.
    pub async fn jobs(
        &self,
        filter: &JobFilter,
        before: Option<Place>,
        max: usize,
    ) -> Result<Page<(CustomerId, Job), Place>, StoreError> {
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

    /// All that was ordered for a customer in the latest part of their history, and what is open from before; the newest first.
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

    /// Whose job it is, in any state.
    pub async fn job(&self, id: JobId) -> Result<Option<(CustomerId, Job)>, StoreError> {
        match self {
            Self::Journal(journal) => journal.job(id).await,
            Self::Memory(memory) => Ok(memory.job(id)),
        }
    }

    /// Customers in the order of their ids, from after one.
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

    /// The rule set that was active last, by its hash.
    pub fn active_set(&self) -> Option<String> {
        match self {
            Self::Journal(journal) => journal.active_set(),
            Self::Memory(memory) => memory.active_set(),
        }
    }

    /// A rule set's texts, as long as a record names it.
    pub fn rule_set(&self, hash: &str) -> Result<Option<Files>, StoreError> {
        match self {
            Self::Journal(journal) => journal.rule_set(hash),
            Self::Memory(memory) => Ok(memory.rule_set(hash)),
        }
    }

    /// Why commands are refused just now; `None` when they are taken.
    pub fn trouble(&self) -> Option<Refused> {
        match self {
            Self::Journal(journal) => journal.trouble(),
            Self::Memory(_) => None,
        }
    }

    pub fn figures(&self) -> Figures {
        let figures = match self {
            Self::Journal(journal) => journal.figures(),
            Self::Memory(memory) => memory.figures(),
        };
        Figures { braked: self.standing().borrow().braked_channels().count() as u64, ..figures }
    }

    /// Takes nothing more, writes down what waits, and lets go of the directory.
    pub async fn close(&self) {
        match self {
            Self::Journal(journal) => journal.close().await,
            Self::Memory(_) => {}
        }
    }

    /// Where it is on the disk.
    pub fn path(&self) -> Option<PathBuf> {
        match self {
            Self::Journal(journal) => Some(journal.path().to_owned()),
            Self::Memory(_) => None,
        }
    }
}

/// How many records of a customer's history are read for their jobs.
const MAX_HISTORY: usize = 1_000;

/// How many due jobs are looked at, at most, to find those that nothing holds back.
const MAX_LOOKED_AT: usize = 2_000;

/// How soon a job that is held, or was not due after all, is looked at again.
const HELD_AGAIN_MS: i64 = 60_000;

/// How soon a job is looked at again whose attempt could not be recorded.
const REFUSED_AGAIN_MS: i64 = 1_000;
