//! The inputs of a decision besides the customer and the command: the time, the rules, and the policy.

use std::sync::Arc;

use super::GlobalState;
use crate::{clock::Timestamp, outbox::JobKey, rules::RuleSet};

/// The inputs of a decision besides the customer and the command.
#[derive(Clone, Copy)]
pub struct DecisionContext<'a> {
    pub now: Timestamp,
    /// The number of the record, if the decision writes one.
    pub number: u64,
    pub rules: &'a RuleSet,
    pub policy: &'a Policy,
    pub key: &'a JobKey,
    pub standing: &'a GlobalState,
    /// The wall clock has jumped and no operator has accepted it yet: timers do not fire, and orders that limits count
    /// do not expire.
    pub clock_in_doubt: bool,
    /// The time at which a duplicate of this customer was last recorded.
    pub duplicate_at: Option<Timestamp>,
}

/// The part of the configuration that affects decisions.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The time zone of customers without one.
    pub timezone: jiff::tz::TimeZone,
    /// The declared attributes, which templates may use.
    pub attributes: Arc<[String]>,
    /// Callbacks are confirmed by the provider's API before rules see them.
    pub confirms: bool,
    /// `Some`: contacts are requested from the merchant's directory, and an answer is fresh for this many milliseconds.
    /// `None`: contacts are imported or PUT, and hold until they are replaced.
    pub looks_up: Option<i64>,
}

impl Policy {
    /// The policy for made-up events and recorded histories: every callback counts as confirmed and every contact as
    /// current, because neither the provider's API nor the merchant's directory is available there.
    #[must_use]
    pub fn for_simulation(&self) -> Self {
        Self { confirms: false, looks_up: None, ..self.clone() }
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self { timezone: jiff::tz::TimeZone::UTC, attributes: Arc::new([]), confirms: false, looks_up: None }
    }
}
