//! The engine for one machine: a journal, which is the only authoritative copy, and a view of it in sled.
//!
//! `data/journal/` holds the records, `data/witness.json` the numbers of the first and last record, `data/view/` the
//! current state, `data/rule-sets/` each rule set that a record names, `data/job.key` the key for the ids of jobs. The
//! one process that writes here holds a lock on `data/LOCK`. Two things are always true: nothing is visible or answered
//! before it is durable, and the view never contains a record that the journal does not have.

mod applier;
mod commit_step;
mod disk;
mod disk_space;
mod key;
mod marker;
mod open;
mod open_error;
mod open_progress;
mod open_view;
mod preallocate;
mod private;
mod queue;
mod reader;
mod replay;
mod rule_files;
mod scan;
mod segment;
mod shared;
mod snapshot;
mod tail;
mod watchdog;
mod witness;
mod writer;

use std::{
    fs::File,
    io,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
};

use tokio::sync::{oneshot, watch};

pub use self::{
    commit_step::CommitStep,
    disk::{Disk, DiskObserver, DiskOperation, make_private_dir},
    disk_space::free_bytes,
    open::is_in_use,
    open_error::OpenError,
    open_progress::OpenProgress,
    scan::Damage,
    segment::SegmentSizes,
    snapshot::Snapshot,
};
use self::{disk::is_no_room, queue::QueueItem, shared::JournalShared};
use super::{
    JobFilter, JobPosition, Overdue, Page, Refused, StayPlace, StoreError, StoreFigures,
    memory::page,
    record::Record,
    view::{View, ViewError},
};
use crate::{
    clock::Timestamp,
    decide::{Command, Control, CustomerState, GlobalState, Receipt},
    domain::CustomerId,
    outbox::{Channel, Job, JobId},
    rules::{RuleSet, TimerState},
    yaml::Files,
};

/// An open journal.
pub struct Journal {
    shared: Arc<JournalShared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// The lock on the data directory, held until the store is closed.
    lock: Mutex<Option<File>>,
}

impl Journal {
    pub async fn submit(&self, command: Command) -> Result<Receipt, Refused> {
        let needs_room = !matches!(command, Command::Finish { .. } | Command::Recall { .. } | Command::Doubt { .. });
        if needs_room && let Some(refused) = self.trouble() {
            return Err(if self.shared.queue.is_closed() { Refused::Closed } else { refused });
        }
        self.put(|reply| QueueItem::Command { command, reply }).await
    }

    pub async fn activate(&self, rules: Arc<RuleSet>) -> Result<(), Refused> {
        let dir = self.shared.path.join("rule-sets");
        let (disk, keep) = (self.shared.disk.clone(), Arc::clone(&rules));
        let kept = tokio::task::spawn_blocking(move || rule_files::keep(&disk, &dir, keep.hash(), keep.files())).await;
        if let Err(error) = kept.map_err(io::Error::other).and_then(|kept| kept) {
            tracing::error!(%error, "the rule set could not be stored");
            return Err(if is_no_room(&error) { Refused::NoSpace } else { Refused::Failed });
        }
        self.put(|reply| QueueItem::Activate { rules, reply }).await.map(|_| ())
    }

    pub async fn control(&self, act: Control) -> Result<Receipt, Refused> {
        self.put(|reply| QueueItem::Govern { act, reply }).await
    }

    pub fn global_state(&self) -> watch::Receiver<Arc<GlobalState>> {
        self.shared.standing.subscribe()
    }

    async fn put(&self, item: impl FnOnce(queue::ReplySender) -> QueueItem) -> Result<Receipt, Refused> {
        let (reply, answer) = oneshot::channel();
        self.shared.queue.put(item(reply))?;
        answer.await.unwrap_or(Err(Refused::Closed))
    }

    pub fn trouble(&self) -> Option<Refused> {
        if self.shared.ahead.is_short_of_space() {
            Some(Refused::NoSpace)
        } else if self.shared.view.read().unwrap_or_else(PoisonError::into_inner).is_none() {
            Some(Refused::NotReady)
        } else {
            None
        }
    }

    pub fn running(&self) -> Vec<(CustomerId, JobId)> {
        self.shared.overlay().running()
    }

    pub fn take_due(&self, channel: &Channel, max: usize) -> Vec<(CustomerId, JobId)> {
        self.shared.overlay_mut().take_due(channel, self.shared.clock.now(), max)
    }

    pub fn look_again(&self, job: JobId, at: Timestamp) {
        self.shared.overlay_mut().look_again(job, at);
    }

    pub fn bring_forward(&self, job: JobId, from: Timestamp, to: Timestamp) -> bool {
        self.shared.overlay_mut().bring_forward(job, from, to)
    }

    pub fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    pub fn next_due(&self, channel: &Channel) -> Option<Timestamp> {
        self.shared.overlay().next_due(channel)
    }

    pub fn take_confirmations(&self, max: usize) -> Vec<CustomerId> {
        self.shared.overlay_mut().take_confirmations(self.shared.clock.now(), max)
    }

    pub fn retry_confirmation(&self, customer: &CustomerId, after_ms: i64) {
        let at = self.shared.clock.now().plus_ms(after_ms);
        self.shared.overlay_mut().retry_confirmation(customer, at);
    }

    pub fn next_confirmation(&self) -> Option<Timestamp> {
        self.shared.overlay().next_confirmation()
    }

    pub fn waiting_since(
        &self,
        until: Timestamp,
        after: Option<&(Timestamp, CustomerId)>,
        max: usize,
    ) -> Vec<(Timestamp, CustomerId)> {
        self.shared.overlay().waiting_since(until, after, max)
    }

    pub fn count_waiting_since(&self, until: Timestamp) -> u64 {
        self.shared.overlay().count_waiting_since(until)
    }

    pub fn want_contact(&self, customer: CustomerId) {
        self.shared.overlay_mut().want_contact(customer);
        self.shared.jobs.send_modify(|count| *count = count.wrapping_add(1));
    }

    pub fn take_wanted(&self, max: usize) -> Vec<CustomerId> {
        self.shared.overlay_mut().take_wanted(max)
    }

    pub fn channels_waited_for(&self) -> Vec<Channel> {
        self.shared.overlay().channels_waited_for()
    }

    pub fn jobs_changed(&self) -> watch::Receiver<u64> {
        self.shared.jobs.subscribe()
    }

    pub fn state(&self, id: &CustomerId) -> Result<Option<Arc<CustomerState>>, StoreError> {
        self.shared.state(id).map_err(unreadable)
    }

    pub fn record(&self, number: u64) -> Result<Option<Record>, StoreError> {
        if number > self.shared.overlay().durable() {
            return Ok(None);
        }
        self.shared.reader.read(number).map_err(|error| StoreError(error.to_string()))
    }

    /// Up to `max` records, from number `first` on.
    pub async fn records(&self, first: u64, max: usize) -> Result<Vec<Record>, StoreError> {
        let shared = Arc::clone(&self.shared);
        let read = tokio::task::spawn_blocking(move || {
            let last = shared.overlay().durable();
            shared.reader.read_on(first, last, max)
        });
        let read = read.await.map_err(|error| StoreError(error.to_string()))?;
        read.map_err(|error| StoreError(error.to_string()))
    }

    /// The view, after it contains all records that are durable at the time of the call.
    async fn current_view(&self) -> Result<Arc<View>, StoreError> {
        let durable = self.shared.overlay().durable();
        let mut applied = self.shared.applied.subscribe();
        if *applied.borrow_and_update() < durable {
            self.shared.signals.apply_now();
            let caught_up = applied.wait_for(|applied| *applied >= durable);
            caught_up.await.map_err(|_| StoreError("the store is being closed".to_owned()))?;
        }
        self.shared.view().ok_or_else(|| StoreError("the view is being rebuilt".to_owned()))
    }

    pub async fn jobs(
        &self,
        filter: &JobFilter,
        before: Option<JobPosition>,
        max: usize,
    ) -> Result<Page<(CustomerId, Job), JobPosition>, StoreError> {
        let filter = filter.clone();
        self.look(move |view| {
            let mut failed = None;
            let rows = view.jobs(filter.state, before).map_while(|row| row.map_err(|error| failed = Some(error)).ok());
            let page = page(rows.filter(|(who, job)| filter.takes(who, job)), max);
            failed.map_or(Ok(page), Err)
        })
        .await
    }

    pub async fn job(&self, id: JobId) -> Result<Option<(CustomerId, Job)>, StoreError> {
        self.current_view().await?.job(id).map_err(unreadable)
    }

    pub async fn customers(
        &self,
        after: Option<&CustomerId>,
        max: usize,
    ) -> Result<Page<CustomerId, CustomerId>, StoreError> {
        let view = self.current_view().await?;
        let found: Result<Vec<_>, _> = view.customers(after).take(max.saturating_add(1)).collect();
        let mut rows = found.map_err(unreadable)?;
        let more = rows.len() > max;
        rows.truncate(max);
        let next = rows.last().filter(|_| more).cloned();
        Ok(Page { rows, next })
    }

    pub async fn overdue(
        &self,
        of: &Overdue,
        after: Option<&StayPlace>,
        max: usize,
    ) -> Result<Vec<StayPlace>, StoreError> {
        let (of, after) = (of.clone(), after.cloned());
        self.look(move |view| view.overdue(&of, after.as_ref(), max)).await
    }

    pub async fn next_stay(&self, stay: &TimerState, after: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        let stay = stay.clone();
        self.look(move |view| view.next_stay(&stay, after)).await
    }

    /// Reads many rows of the view on a thread for blocking work, so that callbacks are not delayed.
    async fn look<T: Send + 'static>(
        &self,
        work: impl FnOnce(&View) -> Result<T, ViewError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let view = self.current_view().await?;
        let looked = tokio::task::spawn_blocking(move || work(&view)).await;
        looked.map_err(|error| StoreError(error.to_string()))?.map_err(unreadable)
    }

    pub fn active_set(&self) -> Option<String> {
        self.shared.overlay().active_set().map(str::to_owned)
    }

    pub fn rule_set(&self, hash: &str) -> Result<Option<Files>, StoreError> {
        rule_files::read(&self.shared.disk, &self.shared.path.join("rule-sets"), hash).map_err(StoreError)
    }

    pub fn figures(&self) -> StoreFigures {
        let view = self.shared.view().map_or(0, |view| view.size_on_disk());
        let journal: u64 = segment::list(&self.shared.journal_dir)
            .unwrap_or_default()
            .iter()
            .filter_map(|(_, path)| path.metadata().ok())
            .map(|metadata| metadata.len())
            .sum();
        self.shared.overlay().figures(view + journal)
    }

    pub async fn close(&self) {
        self.shared.ahead.closing();
        // If the writer has ended already, there is nothing left to write.
        let _ = self.put(|reply| QueueItem::Close { reply }).await;
        self.shared.signals.close();
        self.shared.ahead.close();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        let joined = tokio::task::spawn_blocking(move || threads.into_iter().all(|thread| thread.join().is_ok()));
        if !joined.await.unwrap_or(false) {
            tracing::error!("a thread of the store has panicked");
        }
        self.shared.set_view(None);
        *self.lock.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub fn path(&self) -> &Path {
        &self.shared.path
    }
}

fn unreadable(ViewError(error): ViewError) -> StoreError {
    StoreError(format!("the view cannot be read: {error}"))
}
