//! A question to the provider's API about one customer: the callbacks that wait for its answer, and what an answer can be.

use serde::{Deserialize, Serialize};

use crate::{
    clock::Timestamp,
    kyc::{Observation, Source, Status},
};

/// A callback that waits to be confirmed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// Of its record.
    pub number: u64,
    pub at: Timestamp,
    pub saw: Observation,
}

/// What is to be asked about a customer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// In their order; never empty.
    pub waiting: Vec<Pending>,
    /// How often the API has said what may only be late.
    pub asked: u32,
    pub next_at: Timestamp,
    /// The merchant's directory is to be asked first.
    pub contact: bool,
}

/// A question as a record leaves it. What waiting callbacks said stands in their own records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asking {
    /// The numbers of their records; none: nothing is to be asked any more.
    pub waiting: Vec<u64>,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub asked: u32,
    #[serde(rename = "next")]
    pub next_at: Timestamp,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub contact: bool,
}

const fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// What the API says of a customer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Known(Observation),
    /// It does not know the customer, or has no profile of them yet.
    Unknown,
}

impl Question {
    /// When the oldest callback that waits came.
    pub fn since(&self) -> Timestamp {
        self.waiting.iter().map(|pending| pending.at).min().unwrap_or(self.next_at)
    }

    /// What the record of this number and time makes of a question.
    pub(super) fn after(
        before: Option<&Question>,
        asking: &Asking,
        (number, at): (u64, Timestamp),
        saw: Option<&Observation>,
    ) -> Option<Self> {
        let waiting = asking.waiting.iter().filter_map(|wanted| {
            if *wanted == number {
                return saw.map(|saw| Pending { number, at, saw: saw.clone() });
            }
            before?.waiting.iter().find(|pending| pending.number == *wanted).cloned()
        });
        let waiting: Vec<Pending> = waiting.collect();
        let Asking { asked, next_at, contact, .. } = *asking;
        (!waiting.is_empty()).then_some(Self { waiting, asked, next_at, contact })
    }
}

impl Answer {
    /// The status `none`, where the API does not know the customer and one of these callbacks claims `null`, too.
    pub(super) fn as_none(&self, covered: &[&Pending]) -> Option<Self> {
        let is_none = *self == Self::Unknown && covered.iter().any(|pending| pending.saw.status == Status::None);
        let said = Observation {
            source: Source::Api,
            status: Status::None,
            processing: None,
            missing_docs: None,
            reject_labels: None,
            message: None,
        };
        is_none.then_some(Self::Known(said))
    }

    /// The callbacks that it answers, and those that may be ahead of it: what has come after one that it agrees with, and claims
    /// something else, it may come to say yet.
    pub(super) fn split<'p>(&self, mut covered: Vec<&'p Pending>) -> (Vec<&'p Pending>, Vec<&'p Pending>) {
        let agrees = |pending: &&Pending| matches!(self, Self::Known(said) if pending.saw.status == said.status);
        let answered = covered.iter().rposition(agrees).map_or(covered.len(), |last| last + 1);
        let ahead = covered.split_off(answered);
        (covered, ahead)
    }
}
