//! Tells in a nanosecond that a rule's condition is false, for the thousands of rules that share a trigger.
//!
//! What an event says is a signature of 64 bits, and what a condition needs at least is a mask: where they share no bit, a line of
//! the condition is false for certain. Where they do, nothing is said yet, and the condition itself is asked. Only lines on the
//! visit, documents and labels take part; a condition without them needs nothing.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::kyc::Codes;

use super::{
    Condition, Facts,
    line::{Count, LineTest, Subject, Test},
};

/// One kind of line's part of the bits. Its lowest bit is in every signature, and in the masks of conditions without such a line.
#[derive(Clone, Copy)]
struct Lane {
    shift: u32,
    width: u32,
}

const VISIT: Lane = Lane { shift: 0, width: 20 };
const DOCS: Lane = Lane { shift: 20, width: 22 };
const LABELS: Lane = Lane { shift: 42, width: 22 };
const LANES: [Lane; 3] = [VISIT, DOCS, LABELS];

impl Lane {
    const fn all(self) -> u64 {
        ((1 << self.width) - 1) << self.shift
    }

    const fn always(self) -> u64 {
        1 << self.shift
    }

    /// One of the bits above the lowest.
    const fn bit(self, number: u64) -> u64 {
        1 << (self.shift as u64 + 1 + number % (self.width as u64 - 1))
    }

    fn code(self, code: &str) -> u64 {
        let mut hasher = DefaultHasher::new();
        code.hash(&mut hasher);
        self.bit(hasher.finish())
    }

    /// What is not known may be anything.
    fn codes(self, codes: Option<&Codes>) -> u64 {
        codes.map_or(self.all(), |codes| codes.iter().fold(self.always(), |bits, code| bits | self.code(code)))
    }
}

/// Visits from here on share a bit.
const MANY: u32 = VISIT.width - 2;

fn visit_bit(visit: u32) -> u64 {
    VISIT.bit(u64::from(visit.min(MANY)))
}

/// What an event says.
#[derive(Clone, Copy, Debug)]
pub struct Signature(u64);

impl Signature {
    pub fn of(facts: &Facts<'_>) -> Self {
        let customer = facts.customer;
        let visit = VISIT.always() | visit_bit(facts.visit);
        let docs = DOCS.codes(customer.missing_docs.as_ref());
        Self(visit | docs | LABELS.codes(customer.reject_labels.as_ref()))
    }
}

/// What a condition needs at least.
#[derive(Clone, Copy, Debug)]
pub(super) struct Needs(u64);

impl Needs {
    pub fn of(condition: &Condition) -> Self {
        let mut needs = LANES.iter().fold(0, |bits, lane| bits | lane.all());
        for line in &condition.lines {
            let LineTest::Of(subject, tests) = line else { continue };
            let lane = match subject {
                Subject::Visit => VISIT,
                Subject::MissingDocs => DOCS,
                Subject::RejectLabels => LABELS,
                _ => continue,
            };
            // Every test must hold, so the bits of any one of them will do.
            if let Some(bits) = tests.iter().find_map(|test| bits_of(lane, test)) {
                needs = needs & !lane.all() | bits;
            }
        }
        Self(needs)
    }

    /// Whether the condition may hold.
    const fn met_by(self, signature: u64) -> bool {
        let shared = self.0 & signature;
        shared & VISIT.all() != 0 && shared & DOCS.all() != 0 && shared & LABELS.all() != 0
    }
}

/// The bits of which one must be there for the test to hold; `None` where that can't be said.
fn bits_of(lane: Lane, test: &Test) -> Option<u64> {
    match test {
        Test::AnyOf(codes) | Test::Only(codes) => Some(codes.iter().fold(0, |bits, code| bits | lane.code(code))),
        Test::AllOf(codes) => codes.first().map(|code| lane.code(code)),
        Test::Exists(true) => Some(lane.all() & !lane.always()),
        Test::Counts(counts) => Some(counts.iter().fold(0, |bits, count| bits | visits(*count))),
        Test::Exists(false) | Test::NoneOf(_) | Test::Contains(_) | Test::CountsNot(_) => None,
    }
}

fn visits(Count { least, most }: Count) -> u64 {
    (least.min(MANY)..=most.min(MANY)).fold(0, |bits, visit| bits | visit_bit(visit))
}

/// A rule in a list of the index.
#[derive(Clone, Copy, Debug)]
pub(super) struct Listed {
    pub rule: u32,
    needs: Needs,
}

impl Listed {
    pub fn new(rule: u32, condition: &Condition) -> Self {
        Self { rule, needs: Needs::of(condition) }
    }
}

/// How many at the front of a list can't hold.
pub(super) fn impossible(list: &[Listed], signature: Signature) -> usize {
    list.iter().position(|listed| listed.needs.met_by(signature.0)).unwrap_or(list.len())
}

#[cfg(test)]
pub(super) fn is_impossible(condition: &Condition, facts: &Facts<'_>) -> bool {
    impossible(&[Listed::new(0, condition)], Signature::of(facts)) == 1
}
