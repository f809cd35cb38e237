//! The results of a decision as absolute values: the payload of a journal record.
//!
//! Replaying changes makes no decisions, and replaying them twice has the same result as once.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{ConfirmationUpdate, CountedOrder, DueTimer, GlobalState, LookupState, StayTimers};
use crate::{
    clock::Timestamp,
    domain::{CallbackOutcome, Codes, Contact, Customer, CustomerId, Observation},
    outbox::{Job, JobId, JobState, JobStatus, MailSnapshot},
    rules::RuleId,
};

/// The kind of a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordKind {
    /// A callback from the provider.
    #[default]
    Callback,
    /// An answer of the provider's API, or an operator's decision in its place.
    Answer,
    /// Memory that the merchant imported when going live.
    Import,
    /// A stay has reached a duration of a rule.
    Timer,
    /// Repetitions of a duplicate that were not recorded individually.
    Repeats,
    /// An attempt at a job begins, or its gates change the job's status.
    Attempt,
    /// An attempt has ended.
    Outcome,
    /// An attempt had begun and had no recorded end when the process ended.
    InDoubt,
    Contact,
    /// An act of an operator or a program on a job or a tag.
    Operator,
    /// A rule set becomes active.
    Rules,
    /// A process has started to write this journal.
    Opened,
    /// A process has shut down cleanly.
    Closed,
    /// The last line of a segment.
    Sealed,
    /// A kind of a later version; its results are applied as well.
    #[serde(other)]
    Later,
}

impl RecordKind {
    /// Returns the source of a timeline entry of this kind.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Callback => "callback",
            Self::Answer => "api",
            Self::Import => "import",
            Self::Timer => "timer",
            Self::Repeats => "repeats",
            Self::Attempt => "attempt",
            Self::Outcome => "outcome",
            Self::InDoubt => "in_doubt",
            Self::Contact => "contact",
            Self::Operator => "operator",
            Self::Rules => "rules",
            Self::Opened => "opened",
            Self::Closed => "closed",
            Self::Sealed => "sealed",
            Self::Later => "later",
        }
    }
}

/// The outcome of a rule whose trigger matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RuleOutcome {
    Fired,
    /// A condition is false, or another rule of its group has acted.
    No,
    /// A condition reads a value that is not known.
    Undecidable,
    /// The rule is in shadow mode and would have fired.
    Shadow,
    /// The rule fired, and its limits dropped all its orders.
    Limited,
    /// The rule was paused by its file or by an operator; its condition was not evaluated.
    Paused,
}

impl RuleOutcome {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fired => "fired",
            Self::No => "no",
            Self::Undecidable => "undecidable",
            Self::Shadow => "shadow",
            Self::Limited => "limited",
            Self::Paused => "paused",
        }
    }
}

/// The outcome of one rule in one event. In a record it is an array: id, outcome, and the reason or the time of the
/// pause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleResult {
    pub id: RuleId,
    pub outcome: RuleOutcome,
    pub why: Option<Box<str>>,
    /// The time since which an operator had paused the rule. `None` with [`RuleOutcome::Paused`]: its file has `mode:
    /// paused`.
    pub paused_since: Option<Timestamp>,
}

impl RuleResult {
    pub fn paused(id: &RuleId, paused_since: Option<Timestamp>) -> Self {
        Self { id: id.clone(), outcome: RuleOutcome::Paused, why: None, paused_since }
    }

    /// Returns the reason for the outcome, for an operator. `None`: the outcome needs no reason.
    pub fn reason(&self) -> Option<String> {
        match (self.outcome, self.paused_since) {
            (RuleOutcome::Paused, Some(since)) => Some(format!("by an operator since {since}")),
            (RuleOutcome::Paused, None) => Some("by `mode: paused` in its file".to_owned()),
            (
                RuleOutcome::Fired
                | RuleOutcome::No
                | RuleOutcome::Undecidable
                | RuleOutcome::Shadow
                | RuleOutcome::Limited,
                _,
            ) => self.why.as_deref().map(str::to_owned),
        }
    }
}

impl Serialize for RuleResult {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match (&self.why, self.paused_since) {
            (None, None) => (&self.id, self.outcome).serialize(to),
            (None, Some(since)) => (&self.id, self.outcome, since).serialize(to),
            (Some(why), _) => (&self.id, self.outcome, why).serialize(to),
        }
    }
}

impl<'de> Deserialize<'de> for RuleResult {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Parts {
            Why(RuleId, RuleOutcome, Box<str>),
            Since(RuleId, RuleOutcome, Timestamp),
            Plain(RuleId, RuleOutcome),
        }
        Ok(match Parts::deserialize(from)? {
            Parts::Why(id, outcome, why) => Self { id, outcome, why: Some(why), paused_since: None },
            Parts::Since(id, outcome, since) => Self { id, outcome, why: None, paused_since: Some(since) },
            Parts::Plain(id, outcome) => Self { id, outcome, why: None, paused_since: None },
        })
    }
}

/// The new status of a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobUpdate {
    pub id: JobId,
    #[serde(flatten)]
    pub fate: JobStatus,
    /// Fixed at the first attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub letter: Option<Box<MailSnapshot>>,
}

/// All changes of one record.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Changes {
    #[serde(rename = "k")]
    pub kind: RecordKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub who: Option<CustomerId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<CallbackOutcome>,
    /// The observation as received, if it differs from `now`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub saw: Option<Observation>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub now: Option<Customer>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Codes>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<Contact>,
    /// The merchant's directory has been asked about the customer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub looked: Option<LookupState>,
    /// How far the timers have been decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timers: Option<StayTimers>,
    /// The new state of the open question about the customer.
    #[serde(default, rename = "asks", skip_serializing_if = "Option::is_none")]
    pub question: Option<ConfirmationUpdate>,
    /// Waiting callbacks that are now settled: the numbers of their records, and their verdicts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub settled: Vec<(u64, CallbackOutcome)>,
    /// The timer that this record decides.
    #[serde(default, rename = "due", skip_serializing_if = "Option::is_none")]
    pub came_due: Option<DueTimer>,
    /// Orders that rules in shadow would have placed; limits count them separately.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shadowed: Vec<CountedOrder>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub jobs: Vec<Job>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fates: Vec<JobUpdate>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<RuleResult>,
    /// The number of further triggered rules that `rules` has no room for.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more_rules: u32,
    /// The number of repetitions of a duplicate since the previous record.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub repeats: u32,
    /// The hash of the rule set that decided this record, or that becomes active.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set: Option<Box<str>>,
    /// The new state that holds for all customers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standing: Option<Arc<GlobalState>>,
    /// The clock was not trusted: counted orders did not expire.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub clock_in_doubt: bool,
    /// Which operator acted, and why, as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<Box<str>>,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Changes {
    pub fn of(kind: RecordKind, who: &CustomerId) -> Self {
        Self { kind, who: Some(who.clone()), ..Self::default() }
    }

    /// Returns the jobs that the record with this number and time orders, with their numbers set.
    pub fn ordered(&self, number: u64, at: Timestamp) -> impl Iterator<Item = Job> {
        (0..).zip(&self.jobs).map(move |(index, job)| {
            let mut job = job.clone();
            (job.order.number, job.order.index, job.order.at) = (number, index, at);
            job
        })
    }

    /// Whether this record cancels a job.
    pub fn cancels(&self, job: JobId) -> bool {
        self.fates.iter().any(|change| change.id == job && change.fate.state == JobState::Cancelled)
    }

    /// Returns the changes of a record that concerns no customer.
    pub fn mark(kind: RecordKind) -> Self {
        Self { kind, ..Self::default() }
    }
}
