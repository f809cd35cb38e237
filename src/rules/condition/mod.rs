//! The conditions of a rule (`if`).
//!
//! A line has three values: true, false, and undecidable if its subject is not known. `not` of an undecidable line is
//! undecidable. One false line makes the condition false, even if another line is undecidable. There is no expression
//! language: a new need gets a new kind of line.

mod display;
pub(in crate::rules) mod line;
pub(in crate::rules) mod parse;
#[cfg(test)]
mod tests;

use crate::domain::{Codes, Contact, Customer, Details};
use line::LineTest;

/// The input of a condition: one snapshot of one event. Before an attempt it is the current state, with `visit` and
/// `changed` as ordered.
#[derive(Clone, Copy, Debug)]
pub struct ConditionFacts<'a> {
    /// State after the change.
    pub customer: &'a Customer,
    pub tags: &'a Codes,
    /// `None`: not known.
    pub contact: Option<&'a Contact>,
    pub visit: u32,
    pub changed: Details,
}

/// Index of a top-level line in a condition, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LineNumber(u16);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConditionResult {
    Yes,
    /// Holds the first false line.
    No(LineNumber),
    /// No line is false. Holds the first undecidable line.
    Undecidable(LineNumber),
}

/// A list of lines which must all hold. An empty condition always holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    pub(in crate::rules) lines: Vec<LineTest>,
}

impl Condition {
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    pub fn check(&self, facts: &ConditionFacts<'_>) -> ConditionResult {
        let mut undecidable = None;
        for (nth, line) in self.lines.iter().enumerate() {
            let this = LineNumber(u16::try_from(nth).unwrap_or(u16::MAX));
            match line.check(facts) {
                Some(true) => {}
                Some(false) => return ConditionResult::No(this),
                None => undecidable = undecidable.or(Some(this)),
            }
        }
        undecidable.map_or(ConditionResult::Yes, ConditionResult::Undecidable)
    }

    /// The reason why this line does not hold, for example `visit >= 3: is 1` or `customer.locale is de: not known`.
    pub fn why(&self, line: LineNumber, facts: &ConditionFacts<'_>) -> String {
        self.lines.get(usize::from(line.0)).map_or_else(String::new, |line| line.why(facts))
    }

    /// Whether a line reads the contact, which only the merchant's directory knows.
    pub fn reads_contact(&self) -> bool {
        self.lines.iter().any(LineTest::reads_contact)
    }

    /// The condition as text: `missing_docs any of SELFIE, PASSPORT and visit >= 3`.
    pub fn text(&self) -> String {
        self.lines.iter().map(LineTest::text).collect::<Vec<_>>().join(" and ")
    }

    /// Whether each line of `self` is also in `other`. If so, `self` holds whenever `other` holds.
    pub(in crate::rules) fn is_part_of(&self, other: &Condition) -> bool {
        self.lines.iter().all(|line| other.lines.contains(line))
    }

    /// Whether the two conditions can never hold together. `false`: this is not known.
    pub(in crate::rules) fn excludes(&self, other: &Condition) -> bool {
        let either = |this: &LineTest, that: &LineTest| this.excludes(that) || that.excludes(this);
        self.lines.iter().any(|this| other.lines.iter().any(|that| either(this, that)))
            || self.lines.iter().any(|line| line.is_not(other))
            || other.lines.iter().any(|line| line.is_not(self))
    }
}
