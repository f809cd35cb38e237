//! An index that finds the rules whose trigger matches a change without testing the others.
//!
//! For each kind of edge, rules are listed by (from, to), by one side if the other is `any`, and for `any -> any`. A
//! change reads at most four lists of each kind. The lists are sorted; the iterator merges them.

use std::{collections::HashMap, hash::Hash};

use crate::domain::{Change, Processing, Status};

use super::{
    EventSignature, LeftSide, ProcessingSide, RightSide, Rule, Trigger,
    prefilter::{IndexedRule, impossible},
};

/// The maximum: four lists for the status edge (or one for `A -> A`) and four for the processing edge.
const LISTS: usize = 8;

#[derive(Debug, Default)]
pub(super) struct RuleIndex {
    moves: EdgeIndex<Status>,
    same: HashMap<Status, Vec<IndexedRule>>,
    processing: EdgeIndex<Processing>,
}

/// Rules by the two ends of an edge. `None` on the left: no observation before.
#[derive(Debug)]
struct EdgeIndex<T> {
    /// A number for each name in the rules, so that a pair of names is a key without a copy.
    names: HashMap<T, u32>,
    pairs: HashMap<(u32, u32), Vec<IndexedRule>>,
    from_any_to: HashMap<u32, Vec<IndexedRule>>,
    to_any_from: HashMap<u32, Vec<IndexedRule>>,
    any: Vec<IndexedRule>,
}

/// The number for "no observation before".
const NEW: u32 = u32::MAX;

impl<T> Default for EdgeIndex<T> {
    fn default() -> Self {
        Self {
            names: HashMap::new(),
            pairs: HashMap::new(),
            from_any_to: HashMap::new(),
            to_any_from: HashMap::new(),
            any: Vec::new(),
        }
    }
}

/// One end of an edge in a rule.
enum EdgeEnd<'r, T> {
    Any,
    New,
    Is(&'r T),
}

impl<T: Clone + Eq + Hash> EdgeIndex<T> {
    fn number(&mut self, name: &T) -> u32 {
        if let Some(number) = self.names.get(name) {
            return *number;
        }
        let number = u32::try_from(self.names.len()).unwrap_or(NEW - 1);
        self.names.insert(name.clone(), number);
        number
    }

    fn add(&mut self, from: &EdgeEnd<'_, T>, to: &EdgeEnd<'_, T>, rule: IndexedRule) {
        let from = match from {
            EdgeEnd::Any => None,
            EdgeEnd::New => Some(NEW),
            EdgeEnd::Is(name) => Some(self.number(name)),
        };
        let to = match to {
            EdgeEnd::Is(name) => Some(self.number(name)),
            EdgeEnd::Any | EdgeEnd::New => None,
        };
        let list = match (from, to) {
            // A move from a status to itself does not exist.
            (Some(from), Some(to)) if from == to => return,
            (Some(from), Some(to)) => self.pairs.entry((from, to)).or_default(),
            (None, Some(to)) => self.from_any_to.entry(to).or_default(),
            (Some(from), None) => self.to_any_from.entry(from).or_default(),
            (None, None) => &mut self.any,
        };
        push(list, rule);
    }

    fn lists(&self, from: Option<&T>, to: &T) -> [Option<&Vec<IndexedRule>>; 4] {
        let from = match from {
            None => Some(NEW),
            Some(from) => self.names.get(from).copied(),
        };
        let to = self.names.get(to).copied();
        [
            from.zip(to).and_then(|pair| self.pairs.get(&pair)),
            to.and_then(|to| self.from_any_to.get(&to)),
            from.and_then(|from| self.to_any_from.get(&from)),
            Some(&self.any),
        ]
    }
}

impl RuleIndex {
    pub fn of(rules: &[Rule]) -> Self {
        let mut index = Self::default();
        for (number, rule) in (0..).zip(rules) {
            let listed = IndexedRule::new(number, &rule.condition);
            for trigger in &rule.triggers {
                index.add(trigger, listed);
            }
        }
        index
    }

    fn add(&mut self, trigger: &Trigger, rule: IndexedRule) {
        match trigger {
            Trigger::Move { from, to } => {
                let left = |left| match left {
                    &LeftSide::Any => EdgeEnd::Any,
                    &LeftSide::New => EdgeEnd::New,
                    LeftSide::Status(status) => EdgeEnd::Is(status),
                };
                let right = |right| match right {
                    &RightSide::Any => EdgeEnd::Any,
                    RightSide::Status(status) => EdgeEnd::Is(status),
                };
                for (from, to) in from.iter().flat_map(|from| to.iter().map(move |to| (from, to))) {
                    self.moves.add(&left(from), &right(to), rule);
                }
            }
            Trigger::ProcessingMove { from, to } => {
                let end = |side| match side {
                    &ProcessingSide::Any => EdgeEnd::Any,
                    ProcessingSide::Processing(status) => EdgeEnd::Is(status),
                };
                for (from, to) in from.iter().flat_map(|from| to.iter().map(move |to| (from, to))) {
                    self.processing.add(&end(from), &end(to), rule);
                }
            }
            Trigger::Same { statuses } => {
                for status in statuses {
                    push(self.same.entry(status.clone()).or_default(), rule);
                }
            }
            Trigger::Stay { .. } | Trigger::ProcessingStay { .. } => {}
        }
    }

    pub fn matching<'a>(&'a self, rules: &'a [Rule], change: &Change) -> Matches<'a> {
        let mut matches = Matches { rules, lists: [&[]; LISTS], used: 0 };
        if let Some(edge) = &change.status {
            matches.add_lists(self.moves.lists(edge.from.as_ref(), &edge.to));
        } else if change.details.beside_processing() {
            matches.add_lists([self.same.get(&change.at)]);
        }
        if let Some(edge) = &change.processing {
            matches.add_lists(self.processing.lists(edge.from.as_ref(), &edge.to));
        }
        matches
    }
}

/// Adds a rule to a list once, also if several of its triggers belong there.
fn push(list: &mut Vec<IndexedRule>, rule: IndexedRule) {
    if list.last().is_none_or(|last| last.rule != rule.rule) {
        list.push(rule);
    }
}

/// The matching rules, in file order, each once.
#[derive(Clone, Debug)]
pub struct Matches<'a> {
    rules: &'a [Rule],
    /// The first `used` lists are sorted and not empty.
    lists: [&'a [IndexedRule]; LISTS],
    used: usize,
}

impl<'a> Matches<'a> {
    fn add_lists<const N: usize>(&mut self, lists: [Option<&'a Vec<IndexedRule>>; N]) {
        for list in lists.into_iter().flatten().filter(|list| !list.is_empty()) {
            if let Some(place) = self.lists.get_mut(self.used) {
                *place = list;
                self.used += 1;
            }
        }
    }

    /// Skips rules whose condition is certainly false, up to the next rule that may hold. Returns the number of skipped
    /// entries; a rule in several lists may be counted in each.
    pub fn skip_impossible(&mut self, signature: EventSignature) -> usize {
        let mut passed = 0;
        for list in &mut self.lists[..self.used] {
            let count = impossible(list, signature);
            *list = &list[count..];
            passed += count;
        }
        passed
    }
}

impl<'a> Iterator for Matches<'a> {
    type Item = &'a Rule;

    fn next(&mut self) -> Option<&'a Rule> {
        let lists = &mut self.lists[..self.used];
        if let [list] = lists {
            let (first, rest) = list.split_first()?;
            *list = rest;
            return self.rules.get(first.rule as usize);
        }
        let least = lists.iter().filter_map(|list| list.first()).map(|first| first.rule).min()?;
        for list in lists {
            if list.first().is_some_and(|first| first.rule == least) {
                *list = &list[1..];
            }
        }
        self.rules.get(least as usize)
    }
}

impl std::iter::FusedIterator for Matches<'_> {}
