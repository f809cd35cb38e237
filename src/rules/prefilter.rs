//! Rejects false conditions in about a nanosecond, for thousands of rules that share a trigger.
//!
//! An event has a signature of 64 bits, and a condition has a mask of the bits that it needs. If a lane of the two
//! shares no bit, a line of the condition is certainly false. Otherwise the condition itself is evaluated. Only lines
//! about the visit, documents and labels set bits; a condition without such lines is never rejected.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::kyc::Codes;

use super::{
    Condition, Facts,
    line::{Count, LineTest, Subject, Test},
};

/// The bits for one kind of line. The lowest bit is set in every signature, and in the mask of each condition without
/// such a line.
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

    /// Returns one of the bits above the lowest.
    const fn bit(self, number: u64) -> u64 {
        1 << (self.shift as u64 + 1 + number % (self.width as u64 - 1))
    }

    fn code(self, code: &str) -> u64 {
        let mut hasher = DefaultHasher::new();
        code.hash(&mut hasher);
        self.bit(hasher.finish())
    }

    /// Unknown codes set every bit.
    fn codes(self, codes: Option<&Codes>) -> u64 {
        codes.map_or(self.all(), |codes| codes.iter().fold(self.always(), |bits, code| bits | self.code(code)))
    }
}

/// Visits from this number on share one bit.
const MANY: u32 = VISIT.width - 2;

fn visit_bit(visit: u32) -> u64 {
    VISIT.bit(u64::from(visit.min(MANY)))
}

/// The bits of an event.
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

/// The bits that a condition needs.
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
            // All tests must hold, so the bits of one test are enough.
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

/// The bits of which at least one must be set for the test to hold; `None`: the test cannot be expressed in bits.
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

/// An entry of the index: a rule and the bits that its condition needs.
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

/// The number of leading entries whose condition is certainly false.
pub(super) fn impossible(list: &[Listed], signature: Signature) -> usize {
    list.iter().position(|listed| listed.needs.met_by(signature.0)).unwrap_or(list.len())
}

#[cfg(test)]
pub(super) fn is_impossible(condition: &Condition, facts: &Facts<'_>) -> bool {
    impossible(&[Listed::new(0, condition)], Signature::of(facts)) == 1
}
