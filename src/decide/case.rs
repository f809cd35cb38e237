//! All that is known of one customer when something is decided about them, and what a record changes in it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Effects, Looked, Question, Timers};
use crate::{
    clock::Timestamp,
    kyc::{Codes, Contact, Customer},
    outbox::{Job, JobId, State},
    rules::{Action, RuleId},
};

/// So many jobs of one customer are open at most. What rules order beyond it is a problem `flood`, which no decision about the
/// customer sees until an operator retries or drops it.
pub const MAX_OPEN_JOBS: usize = 1_000;

/// One customer: memory, contact, marks, and the open jobs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Case {
    /// `None`: no observation yet (a contact is none).
    pub customer: Option<Customer>,
    pub contact: Option<Contact>,
    /// `None`: the merchant's directory was never asked about this customer.
    pub looked: Option<Looked>,
    pub tags: Codes,
    /// How far the timers of the present stays have been decided.
    pub timers: Timers,
    /// Callbacks that wait until the provider's API was asked about them.
    pub question: Option<Question>,
    /// What limits count.
    pub counted: Vec<Counted>,
    /// The jobs that are [open](Job::is_open), in the order in which they were ordered.
    pub open: Vec<Arc<Job>>,
    /// The number of the customer's first record; 0: none.
    pub first: u64,
    /// The number of the customer's latest record; 0: none.
    pub last: u64,
}

/// An order that a limit counts, until its window has passed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    pub rule: RuleId,
    /// What tells this action of the rule from its others: a template or a room.
    pub aim: Box<str>,
    pub at: Timestamp,
    /// Until when any limit could ask for it.
    pub until: Timestamp,
    /// `None`: a would-be order of a rule in shadow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobId>,
}

impl Counted {
    /// What an order counts for; `None` where nothing limits it.
    pub fn of(rule: &RuleId, action: &Action, at: Timestamp, job: Option<JobId>) -> Option<Self> {
        let until = at.plus_ms(action.limit()?.window_ms);
        Some(Self { rule: rule.clone(), aim: action.name().into(), at, until, job })
    }
}

impl Case {
    /// Nothing was ever recorded about this customer.
    pub fn is_unknown(&self) -> bool {
        self.last == 0
    }

    pub fn job(&self, id: JobId) -> Option<&Arc<Job>> {
        self.open.iter().find(|job| job.id() == id)
    }

    /// The customer with one more job in sight: a problem `flood`, which a command or a record names.
    #[must_use]
    pub fn with_job(&self, job: Arc<Job>) -> Self {
        let mut open = self.open.clone();
        open.insert(open.partition_point(|other| other.place() < job.place()), job);
        Self { open, ..self.clone() }
    }

    /// The jobs that a record changes and the customer's open jobs lack.
    pub fn out_of_sight<'a>(&'a self, effects: &'a Effects) -> impl Iterator<Item = JobId> + 'a {
        effects.fates.iter().map(|change| change.id).filter(|id| self.job(*id).is_none())
    }

    /// Makes the record's results true here, and returns the jobs it touched as they are now. Total, and the same when it is
    /// done twice: a record holds results, not differences.
    pub fn apply(&mut self, number: u64, at: Timestamp, effects: &Effects) -> Vec<Arc<Job>> {
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
            self.question = Question::after(self.question.as_ref(), asking, (number, at), effects.saw.as_ref());
        }
        self.count(at, effects);
        // Hundreds of thousands of cases may wait in memory: no room for what may never come.
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
            // What waited for the answer is looked at again.
            let waits = self.open.iter().filter(|job| matches!(job.fate.state, State::Queued | State::Held));
            let waiting: Vec<Arc<Job>> =
                waits.filter(|job| !touched.iter().any(|other| other.id() == job.id())).map(Arc::clone).collect();
            touched.extend(waiting);
        }
        touched
    }

    /// Brings what limits count up to date: new orders in, cancelled ones and those whose window has passed out.
    fn count(&mut self, at: Timestamp, effects: &Effects) {
        let ordered =
            effects.jobs.iter().filter_map(|job| Counted::of(&job.order.rule, &job.order.action, at, Some(job.id())));
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
