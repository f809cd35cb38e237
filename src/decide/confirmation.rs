//! A question to the provider's API about one customer: the callbacks that wait for its answer, and the possible
//! answers.

use serde::{Deserialize, Serialize};

use crate::{
    clock::Timestamp,
    domain::{Observation, Source, Status},
};

/// A callback that waits for confirmation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingCallback {
    /// The number of its record.
    pub number: u64,
    pub at: Timestamp,
    pub saw: Observation,
}

/// An open question about a customer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confirmation {
    /// In the order of their records; never empty.
    pub waiting: Vec<PendingCallback>,
    /// How often the API has returned an answer that may be outdated.
    pub asked: u32,
    pub next_at: Timestamp,
    /// The merchant's directory must be asked first.
    pub contact: bool,
}

/// A question as stored in a record. The content of waiting callbacks is stored in their own records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfirmationUpdate {
    /// The record numbers of the waiting callbacks; empty: the question is closed.
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

/// An answer of the API about a customer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApiAnswer {
    Known(Observation),
    /// The API does not know the customer, or has no profile of them yet.
    Unknown,
}

impl Confirmation {
    /// Returns the time of the oldest waiting callback.
    pub fn since(&self) -> Timestamp {
        self.waiting.iter().map(|pending| pending.at).min().unwrap_or(self.next_at)
    }

    /// Returns the question after the record of this number and time.
    pub(super) fn after(
        before: Option<&Confirmation>,
        asking: &ConfirmationUpdate,
        (number, at): (u64, Timestamp),
        saw: Option<&Observation>,
    ) -> Option<Self> {
        let waiting = asking.waiting.iter().filter_map(|wanted| {
            if *wanted == number {
                return saw.map(|saw| PendingCallback { number, at, saw: saw.clone() });
            }
            before?.waiting.iter().find(|pending| pending.number == *wanted).cloned()
        });
        let waiting: Vec<PendingCallback> = waiting.collect();
        let ConfirmationUpdate { asked, next_at, contact, .. } = *asking;
        (!waiting.is_empty()).then_some(Self { waiting, asked, next_at, contact })
    }
}

impl ApiAnswer {
    /// Returns the status `none` if the API does not know the customer and one of these callbacks has the status
    /// `null`.
    pub(super) fn as_none(&self, covered: &[&PendingCallback]) -> Option<Self> {
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

    /// Splits the callbacks into those that this answer settles and those that may be ahead of the API: callbacks after
    /// the last one that agrees with the answer may be confirmed by a later answer.
    pub(super) fn split<'p>(
        &self,
        mut covered: Vec<&'p PendingCallback>,
    ) -> (Vec<&'p PendingCallback>, Vec<&'p PendingCallback>) {
        let agrees =
            |pending: &&PendingCallback| matches!(self, Self::Known(said) if pending.saw.status == said.status);
        let answered = covered.iter().rposition(agrees).map_or(covered.len(), |last| last + 1);
        let ahead = covered.split_off(answered);
        (covered, ahead)
    }
}
