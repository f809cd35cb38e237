//! Everything known about one customer when a decision is made, and how a record changes it.

use std::sync::Arc;

use super::{Changes, Confirmation, CountedOrder, LookupState, StayTimers};
use crate::{
    clock::Timestamp,
    domain::{Codes, Contact, Customer},
    outbox::{Job, JobId, JobState},
};

/// The maximum number of open jobs of one customer. Further orders become problems of kind `flood`, which decisions
/// about the customer ignore until an operator retries or drops them.
pub const MAX_OPEN_JOBS: usize = 1_000;

/// One customer: memory, contact, tags and open jobs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CustomerState {
    /// `None`: no observation yet (a contact is not an observation).
    pub customer: Option<Customer>,
    pub contact: Option<Contact>,
    /// `None`: the merchant's directory was never asked about this customer.
    pub looked: Option<LookupState>,
    pub tags: Codes,
    /// How far the timers of the present stays have been decided.
    pub timers: StayTimers,
    /// Callbacks that wait for an answer of the provider's API.
    pub question: Option<Confirmation>,
    /// Orders that limits count.
    pub counted: Vec<CountedOrder>,
    /// The [open](Job::is_open) jobs, oldest order first.
    pub open: Vec<Arc<Job>>,
    /// The number of the customer's first record; 0: no record.
    pub first: u64,
    /// The number of the customer's latest record; 0: no record.
    pub last: u64,
}

impl CustomerState {
    /// Whether no record of this customer exists.
    pub fn is_unknown(&self) -> bool {
        self.last == 0
    }

    pub fn job(&self, id: JobId) -> Option<&Arc<Job>> {
        self.open.iter().find(|job| job.id() == id)
    }

    /// Returns a copy with one more job in `open`: a problem of kind `flood` that a command or a record names.
    #[must_use]
    pub fn with_job(&self, job: Arc<Job>) -> Self {
        let mut open = self.open.clone();
        open.insert(open.partition_point(|other| other.place() < job.place()), job);
        Self { open, ..self.clone() }
    }

    /// Returns the jobs that a record changes and that are not among the open jobs.
    pub fn without_final_jobs<'a>(&'a self, effects: &'a Changes) -> impl Iterator<Item = JobId> + 'a {
        effects.fates.iter().map(|change| change.id).filter(|id| self.job(*id).is_none())
    }

    /// Applies the results of a record and returns the jobs that it touched, in their new state. Total and idempotent:
    /// a record contains results, not differences.
    pub fn apply(&mut self, number: u64, at: Timestamp, effects: &Changes) -> Vec<Arc<Job>> {
        if self.first == 0 {
            self.first = number;
        }
        self.last = number;
        if let Some(customer) = &effects.now {
            self.customer = Some(customer.clone());
        }
        if let Some(contact) = &effects.contact {
            self.contact = Some(contact.clone());
        }
        if let Some(looked) = &effects.looked {
            self.looked = Some(looked.clone());
        }
        if let Some(tags) = &effects.tags {
            self.tags = tags.clone();
        }
        if let Some(timers) = &effects.timers {
            self.timers = timers.clone();
        }
        let was_asked = self.question.is_some();
        if let Some(asking) = &effects.question {
            self.question = Confirmation::after(self.question.as_ref(), asking, (number, at), effects.saw.as_ref());
        }
        self.count(at, effects);
        // Memory may hold hundreds of thousands of cases, so no spare capacity is reserved.
        let mut touched = Vec::with_capacity(effects.jobs.len() + effects.fates.len());
        self.open.reserve_exact(effects.jobs.len());
        for job in effects.ordered(number, at).map(Arc::new) {
            self.open.retain(|open| open.id() != job.id());
            self.open.push(Arc::clone(&job));
            touched.push(job);
        }
        for change in &effects.fates {
            if let Some(open) = self.open.iter_mut().find(|job| job.id() == change.id) {
                let job = Arc::make_mut(open);
                job.fate = change.fate.clone();
                if change.letter.is_some() {
                    job.letter = change.letter.clone();
                }
                touched.push(Arc::clone(open));
            }
        }
        self.open.retain(|job| job.is_open());
        if was_asked && self.question.is_none() || effects.looked.is_some() {
            // Jobs that waited for the answer are checked again.
            let waits = self.open.iter().filter(|job| matches!(job.fate.state, JobState::Queued | JobState::Held));
            let waiting: Vec<Arc<Job>> =
                waits.filter(|job| !touched.iter().any(|other| other.id() == job.id())).map(Arc::clone).collect();
            touched.extend(waiting);
        }
        touched
    }

    /// Updates the counted orders: adds new ones, removes cancelled ones and those whose window has passed.
    fn count(&mut self, at: Timestamp, effects: &Changes) {
        let ordered = effects
            .jobs
            .iter()
            .filter_map(|job| CountedOrder::of(&job.order.rule, &job.order.action, at, Some(job.id())));
        for one in ordered.chain(effects.shadowed.iter().cloned()) {
            if !self.counted.contains(&one) {
                self.counted.reserve_exact(1);
                self.counted.push(one);
            }
        }
        let expires = !effects.clock_in_doubt;
        self.counted.retain(|one| (one.until > at || !expires) && !one.job.is_some_and(|job| effects.cancels(job)));
    }
}
