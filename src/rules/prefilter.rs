//! Rejects false conditions in about a nanosecond, for thousands of rules that share a trigger.
//!
//! An event has a signature of 64 bits, and a condition has a mask of the bits that it needs. If a lane of the two
//! shares no bit, a line of the condition is certainly false. Otherwise the condition itself is evaluated. Only lines
//! about the visit, documents and labels set bits; a condition without such lines is never rejected.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::domain::Codes;

use super::{
    Condition, ConditionFacts,
    condition::line::{CountRange, LineTest, Subject, ValueTest},
};

/// The bits for one kind of line. The lowest bit is set in every signature, and in the mask of each condition without
/// such a line.
#[derive(Clone, Copy)]
struct BitLane {
    shift: u32,
    width: u32,
}

const VISIT: BitLane = BitLane { shift: 0, width: 20 };
const DOCS: BitLane = BitLane { shift: 20, width: 22 };
const LABELS: BitLane = BitLane { shift: 42, width: 22 };
const LANES: [BitLane; 3] = [VISIT, DOCS, LABELS];

impl BitLane {
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
pub struct EventSignature(u64);

impl EventSignature {
    pub fn of(facts: &ConditionFacts<'_>) -> Self {
        let customer = facts.customer;
        let visit = VISIT.always() | visit_bit(facts.visit);
        let docs = DOCS.codes(customer.missing_docs.as_ref());
        Self(visit | docs | LABELS.codes(customer.reject_labels.as_ref()))
    }
}

/// The bits that a condition needs.
#[derive(Clone, Copy, Debug)]
pub(super) struct ConditionMask(u64);

impl ConditionMask {
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
fn bits_of(lane: BitLane, test: &ValueTest) -> Option<u64> {
    match test {
        ValueTest::AnyOf(codes) | ValueTest::Only(codes) => {
            Some(codes.iter().fold(0, |bits, code| bits | lane.code(code)))
        }
        ValueTest::AllOf(codes) => codes.first().map(|code| lane.code(code)),
        ValueTest::Exists(true) => Some(lane.all() & !lane.always()),
        ValueTest::Counts(counts) => Some(counts.iter().fold(0, |bits, count| bits | visits(*count))),
        ValueTest::Exists(false) | ValueTest::NoneOf(_) | ValueTest::Contains(_) | ValueTest::CountsNot(_) => None,
    }
}

fn visits(CountRange { least, most }: CountRange) -> u64 {
    (least.min(MANY)..=most.min(MANY)).fold(0, |bits, visit| bits | visit_bit(visit))
}

/// An entry of the index: a rule and the bits that its condition needs.
#[derive(Clone, Copy, Debug)]
pub(super) struct IndexedRule {
    pub rule: u32,
    needs: ConditionMask,
}

impl IndexedRule {
    pub fn new(rule: u32, condition: &Condition) -> Self {
        Self { rule, needs: ConditionMask::of(condition) }
    }
}

/// The number of leading entries whose condition is certainly false.
pub(super) fn impossible(list: &[IndexedRule], signature: EventSignature) -> usize {
    list.iter().position(|listed| listed.needs.met_by(signature.0)).unwrap_or(list.len())
}

#[cfg(test)]
pub(super) fn is_impossible(condition: &Condition, facts: &ConditionFacts<'_>) -> bool {
    impossible(&[IndexedRule::new(0, condition)], EventSignature::of(facts)) == 1
}
