//! `if`: what must hold for a rule to fire.
//!
//! Three values. A line about something that nobody has said is undecidable, and `not` leaves it so; a line that is false beats
//! one that is undecidable. There is no expression language: what a line can't say becomes a new kind of line.

use crate::kyc::{Codes, Contact, Customer, Details};

use super::line::LineTest;

/// What conditions look at: one snapshot of one event, or at an attempt what is known then with `visit` and `changed` as ordered.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// After the change.
    pub customer: &'a Customer,
    pub tags: &'a Codes,
    /// `None`: nobody has told.
    pub contact: Option<&'a Contact>,
    pub visit: u32,
    pub changed: Details,
}

/// Which line of a condition, counted at the top.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Line(u16);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    Yes,
    /// The first line that is false.
    No(Line),
    /// The first line that can't be decided; none is false.
    Undecidable(Line),
}

/// Every line must hold; without lines it always does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    pub(super) lines: Vec<LineTest>,
}

impl Condition {
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    pub fn check(&self, facts: &Facts<'_>) -> Holds {
        let mut undecidable = None;
        for (nth, line) in self.lines.iter().enumerate() {
            let this = Line(u16::try_from(nth).unwrap_or(u16::MAX));
            match line.check(facts) {
                Some(true) => {}
                Some(false) => return Holds::No(this),
                None => undecidable = undecidable.or(Some(this)),
            }
        }
        undecidable.map_or(Holds::Yes, Holds::Undecidable)
    }

    /// Why this line decided against the rule, as `visit >= 3: is 1` or `customer.locale is de: not known`.
    pub fn why(&self, line: Line, facts: &Facts<'_>) -> String {
        self.lines.get(usize::from(line.0)).map_or_else(String::new, |line| line.why(facts))
    }

    /// Whether it looks at what only the merchant's directory knows.
    pub fn reads_contact(&self) -> bool {
        self.lines.iter().any(LineTest::reads_contact)
    }

    /// As one reads it: `missing_docs any of SELFIE, PASSPORT and visit >= 3`.
    pub fn text(&self) -> String {
        self.lines.iter().map(LineTest::text).collect::<Vec<_>>().join(" and ")
    }

    /// Whether everything that `self` asks for, `other` asks for too: then `self` holds wherever `other` does.
    pub(super) fn is_part_of(&self, other: &Condition) -> bool {
        self.lines.iter().all(|line| other.lines.contains(line))
    }

    /// Whether the two can be seen never to hold together. `false` means that nobody can tell.
    pub(super) fn excludes(&self, other: &Condition) -> bool {
        let either = |this: &LineTest, that: &LineTest| this.excludes(that) || that.excludes(this);
        self.lines.iter().any(|this| other.lines.iter().any(|that| either(this, that)))
            || self.lines.iter().any(|line| line.is_not(other))
            || other.lines.iter().any(|line| line.is_not(self))
    }
}
