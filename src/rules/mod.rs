//! What merchants write: rules, read from YAML, checked, and found again when a customer changes.
//!
//! ```text
//! Files --compile--> RuleSet --matching(Change)--> Rule --condition.check(Facts)--> Holds
//! ```
//!
//! [`RuleSet::compile`] is pure and total: whatever the texts are, it answers with all that is wrong with them, and with a set
//! when nothing is. Not in here: what a firing rule does to a customer (`decide`), groups and limits at work, templates' texts.

mod action;
mod action_reading;
mod bounds;
mod compile;
mod condition;
mod condition_reading;
#[cfg(test)]
mod condition_tests;
mod context;
mod line;
mod line_words;
mod matching;
#[cfg(test)]
mod matching_tests;
mod overlap;
mod prefilter;
mod quiet_hours;
mod rule;
mod rule_reading;
mod rule_set;
mod texts;
mod trigger;
mod trigger_grammar;
mod trigger_mistakes;
mod trigger_words;
mod vocabulary;
mod warnings;

pub use action::{Action, Recipient};
pub use bounds::Limit;
pub use compile::Compiled;
pub use condition::{Condition, Facts, Holds, Line};
pub use context::Context;
pub use matching::Matches;
pub use prefilter::Signature;
pub use quiet_hours::QuietHours;
pub use rule::{Mode, Rule, RuleId};
pub use rule_set::{RuleSet, Stay, Timer};
pub use trigger::{Left, ProcessingSide, Right, Trigger};
pub use vocabulary::Vocabulary;
