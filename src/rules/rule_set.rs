//! A checked set of rules, identified by the hash of its files.

use std::{collections::HashMap, fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{
    domain::{Change, Processing, Status},
    yaml::{Duration, Files},
};

use super::{Matches, Rule, RuleId, Trigger, matching::RuleIndex};
use crate::template::Templates;

/// All rules of one directory. Immutable.
#[derive(Debug)]
pub struct RuleSet {
    rules: Vec<Rule>,
    by_id: HashMap<RuleId, usize>,
    index: RuleIndex,
    timers: Vec<RuleTimer>,
    /// Indexes into `rules` of the rules whose conditions read the contact.
    reading_contact: Vec<usize>,
    /// Indexes into `timers`, shortest duration first.
    by_stay: HashMap<TimerState, Vec<usize>>,
    templates: Arc<Templates>,
    files: Arc<Files>,
    hash: String,
}

/// The status or processing status in which a timer runs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TimerState {
    Status(Status),
    Processing(Processing),
}

/// Writes `PENDING_KYC_DATA` or `processing VERIFICATION_IN_PROGRESS`.
impl fmt::Display for TimerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => status.fmt(f),
            Self::Processing(processing) => write!(f, "processing {processing}"),
        }
    }
}

/// One duration of a rule's `for` in one status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleTimer {
    pub rule: RuleId,
    /// Index of the rule in [`RuleSet::rules`].
    pub index: usize,
    pub stay: TimerState,
    pub after: Duration,
    /// Position among the rule's durations in this status, from 1.
    pub step: u32,
}

impl RuleSet {
    /// The set without rules.
    pub fn empty() -> Self {
        Self::of(Vec::new(), Templates::default(), &Files::default())
    }

    /// Takes rules in file order, with distinct ids.
    pub(super) fn of(rules: Vec<Rule>, templates: Templates, files: &Files) -> Self {
        Self::assembled(rules, Arc::new(templates), Arc::new(files.clone()), files.hash())
    }

    /// Returns a set with only these rules, for tests of rules. It keeps the hash of the whole set, so a store must not
    /// keep it.
    pub fn only(&self, ids: &[RuleId]) -> Self {
        let mut kept: Vec<usize> = ids.iter().filter_map(|id| self.by_id.get(id).copied()).collect();
        kept.sort_unstable();
        kept.dedup();
        let rules = kept.into_iter().filter_map(|at| self.rules.get(at).cloned()).collect();
        Self::assembled(rules, Arc::clone(&self.templates), Arc::clone(&self.files), self.hash.clone())
    }

    fn assembled(rules: Vec<Rule>, templates: Arc<Templates>, files: Arc<Files>, hash: String) -> Self {
        let timers = timers(&rules);
        Self {
            by_id: rules.iter().enumerate().map(|(at, rule)| (rule.id.clone(), at)).collect(),
            index: RuleIndex::of(&rules),
            reading_contact: (0..rules.len()).filter(|at| rules[*at].condition.reads_contact()).collect(),
            by_stay: by_stay(&timers),
            timers,
            templates,
            files,
            hash,
            rules,
        }
    }

    /// The name of this set in the history: a hash over every byte of its files.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    pub fn templates(&self) -> &Templates {
        &self.templates
    }

    /// The files from which the set was compiled.
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// The rules in file order: by path, then by position in the file.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    pub fn rule(&self, id: &str) -> Option<&Rule> {
        self.by_id.get(id).and_then(|at| self.rules.get(*at))
    }

    /// The rules, in any mode, whose conditions read the contact.
    pub fn that_read_contact(&self) -> impl Iterator<Item = &Rule> {
        self.reading_contact.iter().filter_map(|at| self.rules.get(*at))
    }

    /// The rules, in any mode, whose move, same or processing trigger matches this change, in file order, each once.
    pub fn matching<'a>(&'a self, change: &Change) -> Matches<'a> {
        self.index.matching(&self.rules, change)
    }

    /// Every (rule, status, duration) that can come due, in file order, shortest duration first.
    pub fn timers(&self) -> &[RuleTimer] {
        &self.timers
    }

    /// The timers of this stay, shortest duration first; equal durations in file order.
    pub fn timers_of<'a>(&'a self, stay: &TimerState) -> impl Iterator<Item = &'a RuleTimer> + use<'a> {
        self.by_stay.get(stay).into_iter().flatten().filter_map(|at| self.timers.get(*at))
    }
}

fn by_stay(timers: &[RuleTimer]) -> HashMap<TimerState, Vec<usize>> {
    let mut by_stay: HashMap<TimerState, Vec<usize>> = HashMap::new();
    for (at, timer) in timers.iter().enumerate() {
        by_stay.entry(timer.stay.clone()).or_default().push(at);
    }
    for places in by_stay.values_mut() {
        places.sort_by_key(|at| timers[*at].after.ms());
    }
    by_stay
}

fn timers(rules: &[Rule]) -> Vec<RuleTimer> {
    let mut timers = Vec::new();
    for (index, rule) in rules.iter().enumerate() {
        let mut due: Vec<(TimerState, &Duration)> = Vec::new();
        for trigger in &rule.triggers {
            match trigger {
                Trigger::Stay { statuses, after } => {
                    due.extend(
                        statuses.iter().flat_map(|s| after.iter().map(|after| (TimerState::Status(s.clone()), after))),
                    );
                }
                Trigger::ProcessingStay { statuses, after } => {
                    due.extend(
                        statuses
                            .iter()
                            .flat_map(|s| after.iter().map(|after| (TimerState::Processing(s.clone()), after))),
                    );
                }
                Trigger::Move { .. } | Trigger::Same { .. } | Trigger::ProcessingMove { .. } => {}
            }
        }
        due.sort();
        due.dedup();
        let mut step = 0;
        let mut before: Option<TimerState> = None;
        for (stay, after) in due {
            step = if before.as_ref() == Some(&stay) { step + 1 } else { 1 };
            before = Some(stay.clone());
            timers.push(RuleTimer { rule: rule.id.clone(), index, stay, after: after.clone(), step });
        }
    }
    timers
}
