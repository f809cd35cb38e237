//! What a decision changes, as absolute results: the part of a journal's record that means something.
//!
//! Replaying effects never decides anything, and replaying them twice is the same as once.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Asking, CameDue, Counted, Looked, Standing, Timers};
use crate::{
    clock::Timestamp,
    kyc::{Codes, Contact, Customer, CustomerId, Observation, Verdict},
    outbox::{Fate, Job, JobId, Letter, State},
    rules::RuleId,
};

/// What kind of record it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A callback of the provider.
    #[default]
    Callback,
    /// The provider's API has said something, or somebody in its place.
    Answer,
    /// Memory set by the merchant, on going live.
    Import,
    /// A stay has lasted as long as a rule waits for.
    Timer,
    /// Repetitions of a duplicate that were not recorded one by one.
    Repeats,
    /// An attempt at a job begins, or is found not to be due any more.
    Attempt,
    /// An attempt has ended.
    Outcome,
    /// An attempt had begun and not ended when the process did.
    InDoubt,
    Contact,
    /// A person's or a program's act on a job or a mark.
    Operator,
    /// A rule set becomes the active one.
    Rules,
    /// A process has begun to write here.
    Opened,
    /// A process has ended in good order.
    Closed,
    /// The last line of a segment.
    Sealed,
    /// Written by a later version; its results are applied all the same.
    #[serde(other)]
    Later,
}

impl Kind {
    /// What the timeline calls the source of an entry of this kind.
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

/// What became of a rule whose trigger matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ruled {
    Fired,
    /// A condition is false, or another rule of its group has acted.
    No,
    /// A condition asks for what nobody knows.
    Undecidable,
    /// Would have fired.
    Shadow,
    /// Fired, and its limits dropped all that it ordered.
    Limited,
    /// Its file or an operator had paused it: its condition was not looked at.
    Paused,
}

impl Ruled {
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

/// The outcome of one rule in one event. In a record it is an array: id, outcome, and why or since when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruling {
    pub id: RuleId,
    pub outcome: Ruled,
    pub why: Option<Box<str>>,
    /// Since when an operator had paused the rule. `None` with [`Ruled::Paused`]: its file says `mode: paused`.
    pub paused_since: Option<Timestamp>,
}

impl Ruling {
    pub fn paused(id: &RuleId, paused_since: Option<Timestamp>) -> Self {
        Self { id: id.clone(), outcome: Ruled::Paused, why: None, paused_since }
    }

    /// Why the outcome is this one, for an operator. `None`: the outcome says it all.
    pub fn reason(&self) -> Option<String> {
        match (self.outcome, self.paused_since) {
            (Ruled::Paused, Some(since)) => Some(format!("by an operator since {since}")),
            (Ruled::Paused, None) => Some("by `mode: paused` in its file".to_owned()),
            (Ruled::Fired | Ruled::No | Ruled::Undecidable | Ruled::Shadow | Ruled::Limited, _) => {
                self.why.as_deref().map(str::to_owned)
            }
        }
    }
}

impl Serialize for Ruling {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match (&self.why, self.paused_since) {
            (None, None) => (&self.id, self.outcome).serialize(to),
            (None, Some(since)) => (&self.id, self.outcome, since).serialize(to),
            (Some(why), _) => (&self.id, self.outcome, why).serialize(to),
        }
    }
}

impl<'de> Deserialize<'de> for Ruling {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Parts {
            Why(RuleId, Ruled, Box<str>),
            Since(RuleId, Ruled, Timestamp),
            Plain(RuleId, Ruled),
        }
        Ok(match Parts::deserialize(from)? {
            Parts::Why(id, outcome, why) => Self { id, outcome, why: Some(why), paused_since: None },
            Parts::Since(id, outcome, since) => Self { id, outcome, why: None, paused_since: Some(since) },
            Parts::Plain(id, outcome) => Self { id, outcome, why: None, paused_since: None },
        })
    }
}

/// A job's new fate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FateChange {
    pub id: JobId,
    #[serde(flatten)]
    pub fate: Fate,
    /// Fixed at the first attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub letter: Option<Box<Letter>>,
}

/// Everything that one record changes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Effects {
    #[serde(rename = "k")]
    pub kind: Kind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub who: Option<CustomerId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// What the source said, where that is not what `now` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub saw: Option<Observation>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub now: Option<Customer>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Codes>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<Contact>,
    /// The merchant's directory has been asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub looked: Option<Looked>,
    /// How far timers have been decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timers: Option<Timers>,
    /// What is to be asked about the customer from here on.
    #[serde(default, rename = "asks", skip_serializing_if = "Option::is_none")]
    pub question: Option<Asking>,
    /// What became of callbacks that waited: the numbers of their records, and their verdicts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub settled: Vec<(u64, Verdict)>,
    /// The timer that this record decided.
    #[serde(default, rename = "due", skip_serializing_if = "Option::is_none")]
    pub came_due: Option<CameDue>,
    /// Would-be orders of rules in shadow, which limits count among themselves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shadowed: Vec<Counted>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub jobs: Vec<Job>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fates: Vec<FateChange>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Ruling>,
    /// How many more rules were passed over than `rules` has room for.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more_rules: u32,
    /// How many repetitions of a duplicate came since the record before.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub repeats: u32,
    /// The rule set by which it was decided, or which becomes the active one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set: Option<Box<str>>,
    /// What holds for all customers from here on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standing: Option<Arc<Standing>>,
    /// The clock could not be trusted: nothing that limits count has expired.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub clock_in_doubt: bool,
    /// Who acted, and why, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<Box<str>>,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Effects {
    pub fn of(kind: Kind, who: &CustomerId) -> Self {
        Self { kind, who: Some(who.clone()), ..Self::default() }
    }

    /// The jobs that the record of this number and time ordered, each in its place.
    pub fn ordered(&self, number: u64, at: Timestamp) -> impl Iterator<Item = Job> {
        (0..).zip(&self.jobs).map(move |(index, job)| {
            let mut job = job.clone();
            (job.order.number, job.order.index, job.order.at) = (number, index, at);
            job
        })
    }

    /// Whether a job comes to nothing by this.
    pub fn cancels(&self, job: JobId) -> bool {
        self.fates.iter().any(|change| change.id == job && change.fate.state == State::Cancelled)
    }

    /// A record that concerns no customer.
    pub fn mark(kind: Kind) -> Self {
        Self { kind, ..Self::default() }
    }
}
