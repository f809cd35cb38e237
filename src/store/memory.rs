//! The engine without a disk: for tests of rules, and as a reference for tests of the journal.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

use super::{
    JobFilter, JobPosition, Overdue, Page, Refused, StayPlace, StoreFigures, StoreOptions,
    decider::{Decider, Written},
    overlay::Overlay,
    record::Record,
    stays,
};
use crate::{
    clock::Timestamp,
    decide::{Command, Control, CustomerState, GlobalState, Receipt},
    domain::CustomerId,
    outbox::{Channel, Job, JobId, JobKey, JobState},
    rules::{RuleSet, TimerState},
    yaml::Files,
};

/// The whole store behind one lock.
pub struct MemoryStore {
    inner: Mutex<Inner>,
    jobs: watch::Sender<u64>,
    standing: watch::Sender<Arc<GlobalState>>,
}

struct Inner {
    decider: Decider,
    hot: Overlay,
    records: Vec<Record>,
    jobs: BTreeMap<JobPosition, (CustomerId, Job)>,
    sets: HashMap<String, Files>,
}

impl MemoryStore {
    pub fn new(options: &StoreOptions) -> Self {
        let inner = Inner {
            decider: Decider::new(options, JobKey::new(&[0; 32]), 1, Arc::default()),
            hot: Overlay::default(),
            records: Vec::new(),
            jobs: BTreeMap::new(),
            sets: HashMap::new(),
        };
        Self { inner: Mutex::new(inner), jobs: watch::Sender::new(0), standing: watch::Sender::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn submit(&self, command: &Command) -> Result<Receipt, Refused> {
        let mut inner = self.lock();
        let mut case = inner.hot.case(command.customer()).cloned().unwrap_or_default();
        if let Some(id) = command.job().filter(|id| case.job(*id).is_none())
            && let Some(job) = inner.hot.job(command.customer(), id).filter(|job| job.is_flood())
        {
            case = Arc::new(case.with_job(Arc::clone(job)));
        }
        let durable = inner.hot.durable();
        let decided = inner.decider.decide(command, &case, durable).ok_or(Refused::Failed)?;
        if let Some(written) = decided.written {
            let pauses = inner.decider.brake(&written, durable);
            inner.keep(written);
            for pause in pauses {
                self.control_all(&mut inner, pause);
            }
            self.jobs.send_modify(|count| *count = count.wrapping_add(1));
        }
        Ok(decided.receipt)
    }

    pub fn activate(&self, rules: Arc<RuleSet>) -> Result<(), Refused> {
        let mut inner = self.lock();
        let hash = rules.hash().to_owned();
        inner.sets.insert(hash.clone(), rules.files().clone());
        let durable = inner.hot.durable();
        let written = inner.decider.activate(rules, durable);
        inner.hot.set_active(&hash);
        self.control_all(&mut inner, written);
        Ok(())
    }

    pub fn control(&self, act: &Control) -> Receipt {
        let mut inner = self.lock();
        let durable = inner.hot.durable();
        match inner.decider.control(act, durable) {
            None => Receipt::Unchanged,
            Some(written) => {
                self.control_all(&mut inner, written);
                Receipt::Recorded
            }
        }
    }

    /// Stores a record that applies to all customers.
    fn control_all(&self, inner: &mut Inner, written: Written) {
        if let Some(standing) = &written.effects.standing {
            self.standing.send_replace(Arc::clone(standing));
        }
        inner.keep(written);
        let now = inner.decider.now();
        inner.hot.look_at_held(now);
        self.jobs.send_modify(|count| *count = count.wrapping_add(1));
    }

    pub fn global_state(&self) -> watch::Receiver<Arc<GlobalState>> {
        self.standing.subscribe()
    }

    pub fn overdue(&self, of: &Overdue, after: Option<&StayPlace>, max: usize) -> Vec<StayPlace> {
        let mut found: Vec<StayPlace> = Vec::new();
        for (id, touched) in self.lock().hot.dirty() {
            let rows = stays::rows(&touched.case).into_iter().filter(|row| of.takes(row));
            found.extend(rows.map(|row| (row.entered_at, id.clone())));
        }
        found.sort_unstable();
        found.retain(|place| after.is_none_or(|after| place > after));
        found.truncate(max);
        found
    }

    pub fn next_stay(&self, stay: &TimerState, after: Timestamp) -> Option<Timestamp> {
        let inner = self.lock();
        let rows = inner.hot.dirty().values().flat_map(|touched| stays::rows(&touched.case));
        rows.filter(|row| row.stay == *stay && row.entered_at > after).map(|row| row.entered_at).min()
    }

    pub fn take_due(&self, channel: &Channel, max: usize) -> Vec<(CustomerId, JobId)> {
        let mut inner = self.lock();
        let now = inner.decider.now();
        inner.hot.take_due(channel, now, max)
    }

    pub fn look_again(&self, job: JobId, at: Timestamp) {
        self.lock().hot.look_again(job, at);
    }

    pub fn bring_forward(&self, job: JobId, from: Timestamp, to: Timestamp) -> bool {
        self.lock().hot.bring_forward(job, from, to)
    }

    pub fn now(&self) -> Timestamp {
        self.lock().decider.now()
    }

    pub fn next_due(&self, channel: &Channel) -> Option<Timestamp> {
        self.lock().hot.next_due(channel)
    }

    pub fn take_confirmations(&self, max: usize) -> Vec<CustomerId> {
        let mut inner = self.lock();
        let now = inner.decider.now();
        inner.hot.take_confirmations(now, max)
    }

    pub fn retry_confirmation(&self, customer: &CustomerId, after_ms: i64) {
        let mut inner = self.lock();
        let at = inner.decider.now().plus_ms(after_ms);
        inner.hot.retry_confirmation(customer, at);
    }

    pub fn next_confirmation(&self) -> Option<Timestamp> {
        self.lock().hot.next_confirmation()
    }

    pub fn waiting_since(
        &self,
        until: Timestamp,
        after: Option<&(Timestamp, CustomerId)>,
        max: usize,
    ) -> Vec<(Timestamp, CustomerId)> {
        self.lock().hot.waiting_since(until, after, max)
    }

    pub fn count_waiting_since(&self, until: Timestamp) -> u64 {
        self.lock().hot.count_waiting_since(until)
    }

    pub fn want_contact(&self, customer: CustomerId) {
        self.lock().hot.want_contact(customer);
        self.jobs.send_modify(|count| *count = count.wrapping_add(1));
    }

    pub fn take_wanted(&self, max: usize) -> Vec<CustomerId> {
        self.lock().hot.take_wanted(max)
    }

    pub fn channels_waited_for(&self) -> Vec<Channel> {
        self.lock().hot.channels_waited_for()
    }

    pub fn jobs_changed(&self) -> watch::Receiver<u64> {
        self.jobs.subscribe()
    }

    pub fn state(&self, id: &CustomerId) -> Option<Arc<CustomerState>> {
        self.lock().hot.case(id).cloned()
    }

    pub fn record(&self, number: u64) -> Option<Record> {
        let at = usize::try_from(number.checked_sub(1)?).ok()?;
        self.lock().records.get(at).cloned()
    }

    pub fn records(&self, first: u64, max: usize) -> Vec<Record> {
        let from = usize::try_from(first.saturating_sub(1)).unwrap_or(usize::MAX);
        self.lock().records.iter().skip(from).take(max).cloned().collect()
    }

    pub fn job(&self, id: JobId) -> Option<(CustomerId, Job)> {
        self.lock().jobs.values().find(|(_, job)| job.id() == id).cloned()
    }

    pub fn jobs(
        &self,
        filter: &JobFilter,
        before: Option<JobPosition>,
        max: usize,
    ) -> Page<(CustomerId, Job), JobPosition> {
        let inner = self.lock();
        let rows = inner.jobs.range(..before.unwrap_or((u64::MAX, u32::MAX))).rev().map(|(_, row)| row.clone());
        page(rows.filter(|(who, job)| filter.takes(who, job)), max)
    }

    pub fn customers(&self, after: Option<&CustomerId>, max: usize) -> Page<CustomerId, CustomerId> {
        let inner = self.lock();
        let mut ids: Vec<CustomerId> =
            inner.hot.dirty().keys().filter(|id| after.is_none_or(|after| *id > after)).cloned().collect();
        ids.sort_unstable();
        let next = ids.get(max).and_then(|_| ids.get(max.saturating_sub(1))).cloned();
        ids.truncate(max);
        Page { rows: ids, next }
    }

    pub fn active_set(&self) -> Option<String> {
        self.lock().hot.active_set().map(str::to_owned)
    }

    pub fn rule_set(&self, hash: &str) -> Option<Files> {
        self.lock().sets.get(hash).cloned()
    }

    pub fn figures(&self) -> StoreFigures {
        self.lock().hot.figures(0)
    }
}

impl Inner {
    fn keep(&mut self, written: Written) {
        let Written { header, effects, touched } = written;
        self.hot.set_durable(header.n);
        if let Some((who, touched)) = touched {
            for job in &touched.jobs {
                self.jobs.insert(job.place(), (who.clone(), Job::clone(job)));
            }
            self.hot.publish(&who, touched);
        }
        self.records.push(Record { header, effects });
    }
}

/// The first `max` rows, and the place before which the next page begins.
pub(super) fn page(rows: impl Iterator<Item = (CustomerId, Job)>, max: usize) -> Page<(CustomerId, Job), JobPosition> {
    let mut rows: Vec<_> = rows.take(max.saturating_add(1)).collect();
    let more = rows.len() > max;
    rows.truncate(max);
    let next = rows.last().filter(|_| more).map(|(_, job)| job.place());
    Page { rows, next }
}

impl Overlay {
    pub(super) fn figures(&self, bytes: u64) -> StoreFigures {
        StoreFigures {
            customers: self.customers(),
            bytes,
            queued: self.count(JobState::Queued),
            held: self.count(JobState::Held),
            running: self.count(JobState::Running),
            problem: self.count(JobState::Problem),
            asked_about: self.asked_about(),
            unanswered: 0,
            durable: self.durable(),
            behind: self.waiting() as u64,
            braked: 0,
        }
    }
}
