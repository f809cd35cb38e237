//! The orders that limits count.

use serde::{Deserialize, Serialize};

use crate::{
    clock::Timestamp,
    outbox::JobId,
    rules::{Action, RuleId},
};

/// An order that a limit counts, until its window has passed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountedOrder {
    pub rule: RuleId,
    /// Distinguishes this action of the rule from its other actions: the name of a template or a room.
    pub aim: Box<str>,
    pub at: Timestamp,
    /// The end of the window of its limit.
    pub until: Timestamp,
    /// `None`: a would-be order of a rule in shadow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobId>,
}

impl CountedOrder {
    /// Returns the entry that an order adds to its limit's count; `None`: the action has no limit.
    pub fn of(rule: &RuleId, action: &Action, at: Timestamp, job: Option<JobId>) -> Option<Self> {
        let until = at.plus_ms(action.limit()?.window_ms);
        Some(Self { rule: rule.clone(), aim: action.name().into(), at, until, job })
    }
}
