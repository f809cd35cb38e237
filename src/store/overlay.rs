//! The part of the store that is in memory: durable changes that are not yet in the view, and the jobs that are not
//! final.
//!
//! Reads look here first, then in the view. Everything here is durable.

use std::{
    collections::{BTreeSet, HashMap},
    ops::Bound,
    sync::Arc,
};

use crate::{
    clock::Timestamp,
    decide::CustomerState,
    domain::CustomerId,
    outbox::{Channel, Job, JobId, JobState},
};

use super::change::{AppliedUpTo, CustomerDelta, JobPosition};

/// A job that is not final.
#[derive(Clone, Debug)]
struct OpenJob {
    customer: CustomerId,
    channel: Channel,
    state: JobState,
    due_at: Timestamp,
    place: JobPosition,
}

impl OpenJob {
    fn due(&self, id: JobId) -> DueJobs {
        (self.channel.clone(), self.due_at, self.place, id)
    }
}

/// The callbacks of one customer that wait for a decision.
#[derive(Clone, Copy, Debug)]
struct WaitingCallbacks {
    next_at: Timestamp,
    /// The arrival of the oldest of them.
    since: Timestamp,
}

/// Jobs that are due at the same time are ordered by their place.
type DueJobs = (Channel, Timestamp, JobPosition, JobId);

/// The bounds before and behind all jobs that are due at this time.
fn from(channel: &Channel, at: Timestamp) -> DueJobs {
    (channel.clone(), at, (0, 0), JobId::from_bytes([0; 16]))
}

fn up_to(channel: &Channel, at: Timestamp) -> DueJobs {
    (channel.clone(), at, (u64::MAX, u32::MAX), JobId::from_bytes([0xFF; 16]))
}

#[derive(Default)]
pub struct Overlay {
    /// Changed since the last flush began.
    dirty: HashMap<CustomerId, CustomerDelta>,
    /// The approximate size of `dirty`.
    dirty_bytes: usize,
    /// Being written to the view.
    flushing: Arc<HashMap<CustomerId, CustomerDelta>>,
    open: HashMap<JobId, OpenJob>,
    /// Jobs that wait for their due time, by channel.
    due: BTreeSet<DueJobs>,
    /// Customers with an open question to the provider's API.
    asks: HashMap<CustomerId, WaitingCallbacks>,
    asks_due: BTreeSet<(Timestamp, CustomerId)>,
    /// The same customers, by the arrival of their oldest waiting callback.
    asks_since: BTreeSet<(Timestamp, CustomerId)>,
    /// Customers to look up in the merchant's directory. Not durable: the next attempt of the waiting job adds the
    /// customer again.
    wanted: BTreeSet<CustomerId>,
    counts: [u64; JobState::ALL.len()],
    customers: u64,
    durable: u64,
    active_set: Option<String>,
    standing: u64,
}

impl Overlay {
    /// A customer's state that is not in the view yet.
    pub fn case(&self, id: &CustomerId) -> Option<&Arc<CustomerState>> {
        self.dirty.get(id).or_else(|| self.flushing.get(id)).map(|touched| &touched.case)
    }

    /// A customer's job, if its latest state is not in the view yet.
    pub fn job(&self, customer: &CustomerId, id: JobId) -> Option<&Arc<Job>> {
        let touched = [self.dirty.get(customer), self.flushing.get(customer)];
        touched.into_iter().flatten().flat_map(|touched| &touched.jobs).find(|job| job.id() == id)
    }

    /// Adds the result of one decision, which must be durable.
    pub fn publish(&mut self, id: &CustomerId, touched: CustomerDelta) {
        for job in &touched.jobs {
            self.index(id, job);
        }
        for job in &touched.jobs {
            self.look_behind(&touched.case, job);
        }
        self.customers += u64::from(touched.new);
        self.index_question(id, &touched.case);
        match self.dirty.get_mut(id) {
            Some(before) => {
                self.dirty_bytes -= before.bytes();
                before.merge(touched);
                self.dirty_bytes += before.bytes();
            }
            None => {
                self.dirty_bytes += touched.bytes();
                self.dirty.insert(id.clone(), touched);
            }
        }
    }

    /// Adds a job to the indexes or updates it; removes it when it is final.
    pub fn index(&mut self, id: &CustomerId, job: &Job) {
        if let Some(before) = self.open.remove(&job.id()) {
            self.counts[before.state as usize] -= 1;
            self.due.remove(&before.due(job.id()));
        }
        let state = job.fate.state;
        if state.is_final() {
            return;
        }
        let open = OpenJob {
            customer: id.clone(),
            channel: job.order.channel(),
            state,
            due_at: job.fate.next_at,
            place: job.place(),
        };
        if matches!(state, JobState::Queued | JobState::Held) {
            self.due.insert(open.due(job.id()));
        }
        self.counts[state as usize] += 1;
        self.open.insert(job.id(), open);
    }

    /// Updates the index of questions for a customer.
    pub fn index_question(&mut self, id: &CustomerId, case: &CustomerState) {
        if let Some(before) = self.asks.remove(id) {
            self.asks_due.remove(&(before.next_at, id.clone()));
            self.asks_since.remove(&(before.since, id.clone()));
        }
        if let Some(question) = &case.question {
            let ask = WaitingCallbacks { next_at: question.next_at, since: question.since() };
            self.asks.insert(id.clone(), ask);
            self.asks_due.insert((ask.next_at, id.clone()));
            self.asks_since.insert((ask.since, id.clone()));
        }
    }

    /// Takes up to `max` customers about whom the API must be asked now, so that no other task takes them. The next
    /// record about a customer, or `retry_confirmation`, makes the customer due again.
    pub fn take_confirmations(&mut self, now: Timestamp, max: usize) -> Vec<CustomerId> {
        let due: Vec<_> = self.asks_due.iter().take_while(|(at, _)| *at <= now).take(max).cloned().collect();
        for ask in &due {
            self.asks_due.remove(ask);
        }
        due.into_iter().map(|(_, id)| id).collect()
    }

    /// Makes a taken customer due again at `at`, unless a record has done so already.
    pub fn retry_confirmation(&mut self, id: &CustomerId, at: Timestamp) {
        if let Some(ask) = self.asks.get_mut(id)
            && !self.asks_due.contains(&(ask.next_at, id.clone()))
        {
            ask.next_at = at;
            self.asks_due.insert((at, id.clone()));
        }
    }

    /// The time of the next question to the API.
    pub fn next_confirmation(&self) -> Option<Timestamp> {
        self.asks_due.first().map(|(at, _)| *at)
    }

    /// Marks a customer for a lookup in the directory.
    pub fn want_contact(&mut self, id: CustomerId) {
        self.wanted.insert(id);
    }

    /// Takes up to `max` customers to look up in the directory.
    pub fn take_wanted(&mut self, max: usize) -> Vec<CustomerId> {
        (0..max).map_while(|_| self.wanted.pop_first()).collect()
    }

    /// The number of customers with an open question to the API.
    pub fn asked_about(&self) -> u64 {
        self.asks.len() as u64
    }

    /// Customers whose oldest waiting callback arrived at `until` or earlier, the oldest first, after the place
    /// `after`.
    pub fn waiting_since(
        &self,
        until: Timestamp,
        after: Option<&(Timestamp, CustomerId)>,
        max: usize,
    ) -> Vec<(Timestamp, CustomerId)> {
        let from = after.map_or(Bound::Unbounded, |after| Bound::Excluded(after.clone()));
        let rows = self.asks_since.range((from, Bound::Unbounded)).take_while(|(since, _)| *since <= until);
        rows.take(max).cloned().collect()
    }

    pub fn count_waiting_since(&self, until: Timestamp) -> u64 {
        self.asks_since.iter().take_while(|(since, _)| *since <= until).count() as u64
    }

    /// The channels of all waiting jobs.
    pub fn channels_waited_for(&self) -> Vec<Channel> {
        let mut channels: Vec<Channel> = Vec::new();
        let mut next = self.due.first();
        while let Some((channel, ..)) = next {
            let last = up_to(channel, Timestamp(i64::MAX));
            next = self.due.range((Bound::Excluded(last), Bound::Unbounded)).next();
            channels.push(channel.clone());
        }
        channels
    }

    /// Takes up to `max` due jobs of a channel, so that no other task takes them. The next record about a job, or
    /// `look_again`, makes the job due again.
    pub fn take_due(&mut self, channel: &Channel, now: Timestamp, max: usize) -> Vec<(CustomerId, JobId)> {
        let mut taken = Vec::new();
        while taken.len() < max {
            let due = from(channel, Timestamp(i64::MIN))..=up_to(channel, now);
            let Some(first) = self.due.range(due).next().cloned() else { break };
            self.due.remove(&first);
            let (.., id) = first;
            if let Some(open) = self.open.get(&id) {
                taken.push((open.customer.clone(), id));
            }
        }
        taken
    }

    /// Makes a taken job due again at `at`, unless a record about it has done so already.
    pub fn look_again(&mut self, id: JobId, at: Timestamp) {
        if let Some(open) = self.open.get(&id)
            && !self.due.contains(&open.due(id))
        {
            self.look_at(id, at);
        }
    }

    /// Makes a job due at `to` that was due at `from`. Returns false if the job no longer waits, or has another due
    /// time.
    pub fn bring_forward(&mut self, id: JobId, from: Timestamp, to: Timestamp) -> bool {
        let waits = |open: &&OpenJob| open.due_at <= from && matches!(open.state, JobState::Queued | JobState::Held);
        let Some(due_at) = self.open.get(&id).filter(waits).map(|open| open.due_at) else { return false };
        if due_at == from && to < from {
            self.look_at(id, to);
        }
        true
    }

    fn look_at(&mut self, id: JobId, at: Timestamp) {
        if let Some(open) = self.open.get_mut(&id)
            && matches!(open.state, JobState::Queued | JobState::Held)
        {
            self.due.remove(&open.due(id));
            open.due_at = at;
            self.due.insert(open.due(id));
        }
    }

    /// When a webhook is no longer under way, makes the webhooks queued behind it due at their own times.
    fn look_behind(&mut self, case: &CustomerState, job: &Job) {
        let is_under_way = matches!(job.fate.state, JobState::Queued | JobState::Held | JobState::Running);
        let channel = job.order.channel();
        if is_under_way || !channel.kind().properties().in_order {
            return;
        }
        for behind in case.open.iter().filter(|behind| behind.place() > job.place()) {
            if behind.order.channel() == channel {
                self.look_at(behind.id(), behind.fate.next_at);
            }
        }
    }

    /// Makes all held jobs due now, after a change of rules or pauses.
    pub fn look_at_held(&mut self, now: Timestamp) {
        let held: Vec<JobId> =
            self.open.iter().filter(|(_, open)| open.state == JobState::Held).map(|(id, _)| *id).collect();
        for id in held {
            self.look_at(id, now);
        }
    }

    /// The time at which the next job of a channel is due.
    pub fn next_due(&self, channel: &Channel) -> Option<Timestamp> {
        let first = self.due.range(from(channel, Timestamp(i64::MIN))..).next();
        first.filter(|(of, ..)| of == channel).map(|(_, at, ..)| *at)
    }

    /// Jobs whose attempt has begun and not ended.
    pub fn running(&self) -> Vec<(CustomerId, JobId)> {
        let running = self.open.iter().filter(|(_, open)| open.state == JobState::Running);
        running.map(|(id, open)| (open.customer.clone(), *id)).collect()
    }

    pub const fn count(&self, state: JobState) -> u64 {
        self.counts[state as usize]
    }

    pub const fn customers(&self) -> u64 {
        self.customers
    }

    pub fn set_customers(&mut self, count: u64) {
        self.customers = count;
    }

    pub const fn durable(&self) -> u64 {
        self.durable
    }

    pub fn set_durable(&mut self, number: u64) {
        self.durable = number;
    }

    pub fn active_set(&self) -> Option<&str> {
        self.active_set.as_deref()
    }

    pub fn set_active(&mut self, hash: &str) {
        self.active_set = Some(hash.to_owned());
    }

    /// The number of the record with the state that applies to all customers.
    pub const fn global_state(&self) -> u64 {
        self.standing
    }

    pub fn set_global_state(&mut self, number: u64) {
        self.standing = number;
    }

    /// How many changed customers are not in the view yet.
    pub fn waiting(&self) -> usize {
        self.dirty.len()
    }

    /// The approximate size in memory of these customers, in bytes.
    pub const fn waiting_bytes(&self) -> usize {
        self.dirty_bytes
    }

    pub fn dirty(&self) -> &HashMap<CustomerId, CustomerDelta> {
        &self.dirty
    }

    /// Returns the changes to write to the view now, and the mark that the view has after them.
    pub fn begin_flush(&mut self) -> (Arc<HashMap<CustomerId, CustomerDelta>>, AppliedUpTo) {
        let later = std::mem::take(&mut self.dirty);
        self.dirty_bytes = 0;
        // The changes of an earlier flush that failed are written again.
        if self.flushing.is_empty() {
            self.flushing = Arc::new(later);
        } else {
            let flushing = Arc::make_mut(&mut self.flushing);
            for (id, touched) in later {
                match flushing.get_mut(&id) {
                    Some(before) => before.merge(touched),
                    None => {
                        flushing.insert(id, touched);
                    }
                }
            }
        }
        let mark = AppliedUpTo {
            applied: self.durable,
            customers: self.customers,
            active_set: self.active_set.clone(),
            standing: self.standing,
        };
        (Arc::clone(&self.flushing), mark)
    }

    /// The view contains the flushed changes.
    pub fn end_flush(&mut self) {
        self.flushing = Arc::default();
    }
}
