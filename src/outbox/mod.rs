//! The outbox: what rules have ordered, and what became of it.
//!
//! A [`Job`] is all that actions ever see. Its [`Order`] never changes after the decision that made it; its [`Fate`] is replaced
//! as a whole with every attempt, so that a record of the journal can carry it as an absolute result.

mod channel;
mod fate;
mod id;
mod order;

use serde::{Deserialize, Serialize};

pub use channel::Channel;
pub use fate::{Fate, Outcome, State, TRYING_MS, Trouble, pause_after};
pub use id::{JobId, JobKey};
pub use order::{MAX_ORDERS, Order, ProcessingStay, Said, Told};

use crate::template;

/// What a mail says, fixed at its first attempt: repeated attempts send the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Letter {
    /// The rule set whose template it is.
    pub set: Box<str>,
    pub address: Box<str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Box<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<Box<str>>,
    pub facts: template::Facts,
}

/// One action that a rule has ordered for one customer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    #[serde(flatten)]
    pub order: Order,
    #[serde(flatten)]
    pub fate: Fate,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub letter: Option<Box<Letter>>,
}

impl Job {
    pub const fn id(&self) -> JobId {
        self.order.id
    }

    /// Its place in the outbox: the record that ordered it, and which order of that it is.
    pub const fn place(&self) -> (u64, u32) {
        (self.order.number, self.order.index)
    }

    /// It is a problem because nobody knows the customer's address.
    pub fn lacks_contact(&self) -> bool {
        self.fate.state == State::Problem && self.fate.trouble == Some(Trouble::NoContact)
    }

    /// A decision about the customer sees the job: it is not final, and it is not beyond the bound on open jobs.
    pub fn is_open(&self) -> bool {
        !self.fate.state.is_final() && !self.is_flood()
    }

    /// It is a problem because the customer had too many open jobs.
    pub fn is_flood(&self) -> bool {
        self.fate.state == State::Problem && self.fate.trouble == Some(Trouble::Flood)
    }

    /// May be replaced, cancelled or changed without anybody outside having seen it.
    pub fn is_untried(&self) -> bool {
        self.fate.attempts == 0 && !self.fate.state.is_final()
    }
}
