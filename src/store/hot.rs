//! What is durable and not yet in the view, and the jobs that are not final: the part of the store that is in memory.
//!
//! Reads look here first, then in the view. Everything in here has been made durable before it was put in.

use std::{
    collections::{BTreeSet, HashMap},
    ops::Bound,
    sync::Arc,
};

use crate::{
    clock::Timestamp,
    decide::Case,
    kyc::CustomerId,
    outbox::{Channel, Job, JobId, State},
};

use super::{stays::StayRow, view::Place};

/// What is different about a customer since the view was last written.
#[derive(Clone, Debug)]
pub struct Touched {
    pub case: Arc<Case>,
    /// There was no record of the customer before.
    pub new: bool,
    /// The contact is new.
    pub contact: bool,
    /// Each job that was touched, as it is now.
    pub jobs: Vec<Arc<Job>>,
    /// The stays that the customer was in when the view was last written.
    pub stays_before: Vec<StayRow>,
    /// The callbacks that waited to be confirmed then, by the numbers of their records.
    pub waiting_before: Vec<u64>,
}

impl Touched {
    /// About what it takes in memory. Measured: 1.5 KB with one open job that is new.
    fn bytes(&self) -> usize {
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

    /// With what came later.
    fn merge(&mut self, later: Touched) {
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

/// How far the view is complete.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// The number of the latest record that is in there, with all before it.
    pub applied: u64,
    pub customers: u64,
    /// The hash of the active rule set.
    pub active_set: Option<String>,
    /// The number of the record that says what holds for all customers; 0: none does.
    pub standing: u64,
}

/// A job that is not final.
#[derive(Clone, Debug)]
struct Open {
    customer: CustomerId,
    channel: Channel,
    state: State,
    due_at: Timestamp,
    place: Place,
}

impl Open {
    fn due(&self, id: JobId) -> Due {
        (self.channel.clone(), self.due_at, self.place, id)
    }
}

/// Callbacks of one customer that wait to be decided.
#[derive(Clone, Copy, Debug)]
struct Ask {
    next_at: Timestamp,
    /// When the oldest of them came.
    since: Timestamp,
}

/// What is due at the same time goes in the order in which it was ordered.
type Due = (Channel, Timestamp, Place, JobId);

/// Before everything that is due at this time, and behind it.
fn from(channel: &Channel, at: Timestamp) -> Due {
    (channel.clone(), at, (0, 0), JobId::from_bytes([0; 16]))
}

fn up_to(channel: &Channel, at: Timestamp) -> Due {
    (channel.clone(), at, (u64::MAX, u32::MAX), JobId::from_bytes([0xFF; 16]))
}

#[derive(Default)]
pub struct Hot {
    /// Touched since the last flush began.
    dirty: HashMap<CustomerId, Touched>,
    /// About what `dirty` takes in memory.
    dirty_bytes: usize,
    /// Being written to the view.
    flushing: Arc<HashMap<CustomerId, Touched>>,
    open: HashMap<JobId, Open>,
    /// Jobs that wait for their time, by channel.
    due: BTreeSet<Due>,
    /// Customers about whom something is to be asked, and from when on.
    asks: HashMap<CustomerId, Ask>,
    asks_due: BTreeSet<(Timestamp, CustomerId)>,
    /// The same customers, by when the oldest callback that waits came.
    asks_since: BTreeSet<(Timestamp, CustomerId)>,
    /// Customers about whom the merchant's directory has something to do. Not kept: whoever waits for it asks again.
    wanted: BTreeSet<CustomerId>,
    counts: [u64; State::ALL.len()],
    customers: u64,
    durable: u64,
    active_set: Option<String>,
    standing: u64,
}

impl Hot {
    /// A case that the view does not have yet.
    pub fn case(&self, id: &CustomerId) -> Option<&Arc<Case>> {
        self.dirty.get(id).or_else(|| self.flushing.get(id)).map(|touched| &touched.case)
    }

    /// A job of a customer, where the view does not have it as it is now.
    pub fn job(&self, customer: &CustomerId, id: JobId) -> Option<&Arc<Job>> {
        let touched = [self.dirty.get(customer), self.flushing.get(customer)];
        touched.into_iter().flatten().flat_map(|touched| &touched.jobs).find(|job| job.id() == id)
    }

    /// One decision's results, durable now.
    pub fn publish(&mut self, id: &CustomerId, touched: Touched) {
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

    /// Knows a job from here on, or forgets it when it is final.
    pub fn index(&mut self, id: &CustomerId, job: &Job) {
        if let Some(before) = self.open.remove(&job.id()) {
            self.counts[before.state as usize] -= 1;
            self.due.remove(&before.due(job.id()));
        }
        let state = job.fate.state;
        if state.is_final() {
            return;
        }
        let open = Open {
            customer: id.clone(),
            channel: job.order.channel(),
            state,
            due_at: job.fate.next_at,
            place: job.place(),
        };
        if matches!(state, State::Queued | State::Held) {
            self.due.insert(open.due(job.id()));
        }
        self.counts[state as usize] += 1;
        self.open.insert(job.id(), open);
    }

    /// Knows what is to be asked about a customer from here on.
    pub fn index_question(&mut self, id: &CustomerId, case: &Case) {
        if let Some(before) = self.asks.remove(id) {
            self.asks_due.remove(&(before.next_at, id.clone()));
            self.asks_since.remove(&(before.since, id.clone()));
        }
        if let Some(question) = &case.question {
            let ask = Ask { next_at: question.next_at, since: question.since() };
            self.asks.insert(id.clone(), ask);
            self.asks_due.insert((ask.next_at, id.clone()));
            self.asks_since.insert((ask.since, id.clone()));
        }
    }

    /// Takes up to `max` customers about whom the API is to be asked now, so that nobody else asks; each is put back by the next
    /// record about them, or by `ask_again`.
    pub fn take_asks(&mut self, now: Timestamp, max: usize) -> Vec<CustomerId> {
        let due: Vec<_> = self.asks_due.iter().take_while(|(at, _)| *at <= now).take(max).cloned().collect();
        for ask in &due {
            self.asks_due.remove(ask);
        }
        due.into_iter().map(|(_, id)| id).collect()
    }

    /// Who was taken and not answered for is asked about again then, unless a record has put them back already.
    pub fn ask_again(&mut self, id: &CustomerId, at: Timestamp) {
        if let Some(ask) = self.asks.get_mut(id)
            && !self.asks_due.contains(&(ask.next_at, id.clone()))
        {
            ask.next_at = at;
            self.asks_due.insert((at, id.clone()));
        }
    }

    /// When the API is to be asked next.
    pub fn next_ask(&self) -> Option<Timestamp> {
        self.asks_due.first().map(|(at, _)| *at)
    }

    /// The directory is to see to this customer.
    pub fn want_contact(&mut self, id: CustomerId) {
        self.wanted.insert(id);
    }

    /// Takes up to `max` customers whom the directory is to see to.
    pub fn take_wanted(&mut self, max: usize) -> Vec<CustomerId> {
        (0..max).map_while(|_| self.wanted.pop_first()).collect()
    }

    /// About how many customers something is to be asked.
    pub fn asked_about(&self) -> u64 {
        self.asks.len() as u64
    }

    /// Customers whose oldest waiting callback came at this time or before, the oldest first, from after a place.
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

    /// The channels that jobs wait for.
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

    /// Takes up to `max` jobs of a channel that are due, so that nobody else takes them; each is put back by the next record
    /// about it, or by `look_again`.
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

    /// A job that was taken and not begun is looked at again then, unless a record about it has put it back already.
    pub fn look_again(&mut self, id: JobId, at: Timestamp) {
        if let Some(open) = self.open.get(&id)
            && !self.due.contains(&open.due(id))
        {
            self.look_at(id, at);
        }
    }

    /// A job that was to be looked at again at one time is looked at sooner. False: it waits no more, or for another time.
    pub fn bring_forward(&mut self, id: JobId, from: Timestamp, to: Timestamp) -> bool {
        let waits = |open: &&Open| open.due_at <= from && matches!(open.state, State::Queued | State::Held);
        let Some(due_at) = self.open.get(&id).filter(waits).map(|open| open.due_at) else { return false };
        if due_at == from && to < from {
            self.look_at(id, to);
        }
        true
    }

    fn look_at(&mut self, id: JobId, at: Timestamp) {
        if let Some(open) = self.open.get_mut(&id)
            && matches!(open.state, State::Queued | State::Held)
        {
            self.due.remove(&open.due(id));
            open.due_at = at;
            self.due.insert(open.due(id));
        }
    }

    /// What waits behind a webhook that is on its way no more is looked at when it is due by itself.
    fn look_behind(&mut self, case: &Case, job: &Job) {
        let is_under_way = matches!(job.fate.state, State::Queued | State::Held | State::Running);
        let channel = job.order.channel();
        if is_under_way || !matches!(channel, Channel::Webhook(_)) {
            return;
        }
        for behind in case.open.iter().filter(|behind| behind.place() > job.place()) {
            if behind.order.channel() == channel {
                self.look_at(behind.id(), behind.fate.next_at);
            }
        }
    }

    /// Jobs that are held are looked at now: the rules have changed.
    pub fn look_at_held(&mut self, now: Timestamp) {
        let held: Vec<JobId> =
            self.open.iter().filter(|(_, open)| open.state == State::Held).map(|(id, _)| *id).collect();
        for id in held {
            self.look_at(id, now);
        }
    }

    /// When the next job of a channel is due.
    pub fn next_due(&self, channel: &Channel) -> Option<Timestamp> {
        let first = self.due.range(from(channel, Timestamp(i64::MIN))..).next();
        first.filter(|(of, ..)| of == channel).map(|(_, at, ..)| *at)
    }

    /// Jobs whose attempt has begun and not ended.
    pub fn running(&self) -> Vec<(CustomerId, JobId)> {
        let running = self.open.iter().filter(|(_, open)| open.state == State::Running);
        running.map(|(id, open)| (open.customer.clone(), *id)).collect()
    }

    pub const fn count(&self, state: State) -> u64 {
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

    /// The number of the record that says what holds for all customers.
    pub const fn standing(&self) -> u64 {
        self.standing
    }

    pub fn set_standing(&mut self, number: u64) {
        self.standing = number;
    }

    /// How many customers wait for the view.
    pub fn waiting(&self) -> usize {
        self.dirty.len()
    }

    /// About what the customers that wait for the view take in memory, in bytes.
    pub const fn waiting_bytes(&self) -> usize {
        self.dirty_bytes
    }

    pub fn dirty(&self) -> &HashMap<CustomerId, Touched> {
        &self.dirty
    }

    /// What the view is to be given now, and how far it is complete with it.
    pub fn begin_flush(&mut self) -> (Arc<HashMap<CustomerId, Touched>>, Mark) {
        let later = std::mem::take(&mut self.dirty);
        self.dirty_bytes = 0;
        // What an earlier flush did not bring to an end goes along.
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
        let mark = Mark {
            applied: self.durable,
            customers: self.customers,
            active_set: self.active_set.clone(),
            standing: self.standing,
        };
        (Arc::clone(&self.flushing), mark)
    }

    /// The view has it.
    pub fn end_flush(&mut self) {
        self.flushing = Arc::default();
    }
}
