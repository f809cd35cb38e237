//! The merchant's rules: parsed from YAML, checked, and matched against changes of customers.
//!
//! ```text
//! Files --compile--> RuleSet --matching(Change)--> Rule --condition.check(Facts)--> Holds
//! ```
//!
//! [`RuleSet::compile`] is pure and accepts any text: it returns every error and warning, and a set if there is no
//! error. This module does not execute rules: `decide` applies firing rules, groups and limits; `template` renders
//! texts.

mod action;
mod bounds;
mod channel_kind;
mod compile;
mod condition;
mod context;
mod matching;
#[cfg(test)]
mod matching_tests;
mod overlap;
mod prefilter;
mod quiet_hours;
mod rule;
mod rule_set;
mod texts;
mod trigger;
mod vocabulary;
mod warnings;

pub use action::{Action, ActionEffect, Recipient};
pub use bounds::Limit;
pub use channel_kind::ChannelKind;
pub use compile::CompiledRules;
pub use condition::{Condition, ConditionFacts, ConditionResult, LineNumber};
pub use context::Environment;
pub use matching::Matches;
pub use prefilter::EventSignature;
pub use quiet_hours::QuietHours;
pub use rule::{Rule, RuleId, RuleMode};
pub use rule_set::{RuleSet, RuleTimer, TimerState};
pub use trigger::{LeftSide, ProcessingSide, RightSide, Trigger};
pub use vocabulary::Vocabulary;
