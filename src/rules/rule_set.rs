//! A checked set of rules, named by the hash of its files.

use std::{collections::HashMap, fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{
    kyc::{Change, Processing, Status},
    source::{Duration, Files},
};

use super::{Matches, Rule, RuleId, Trigger, matching::Index};
use crate::template::Templates;

/// All the rules of one directory. Cheap to share, never changed.
#[derive(Debug)]
pub struct RuleSet {
    rules: Vec<Rule>,
    by_id: HashMap<RuleId, usize>,
    index: Index,
    timers: Vec<Timer>,
    /// Places in `rules` of those whose conditions read the contact.
    reading_contact: Vec<usize>,
    /// Places in `timers`, the shorter duration first.
    by_stay: HashMap<Stay, Vec<usize>>,
    templates: Arc<Templates>,
    files: Arc<Files>,
    hash: String,
}

/// What a timer waits in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stay {
    Status(Status),
    Processing(Processing),
}

/// `PENDING_KYC_DATA`, `processing VERIFICATION_IN_PROGRESS`.
impl fmt::Display for Stay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => status.fmt(f),
            Self::Processing(processing) => write!(f, "processing {processing}"),
        }
    }
}

/// One duration of one rule's `for`, in one status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timer {
    pub rule: RuleId,
    /// The rule's place in [`RuleSet::rules`].
    pub index: usize,
    pub stay: Stay,
    pub after: Duration,
    /// 1, 2, …: which of the rule's durations in this status it is.
    pub step: u32,
}

impl RuleSet {
    /// The set without rules, as before the first reading.
    pub fn empty() -> Self {
        Self::of(Vec::new(), Templates::default(), &Files::default())
    }

    /// Rules in file order, with ids that differ.
    pub(super) fn of(rules: Vec<Rule>, templates: Templates, files: &Files) -> Self {
        Self::assembled(rules, Arc::new(templates), Arc::new(files.clone()), files.hash())
    }

    /// These rules of the set, as if the others were not there. It goes by the same hash, so it is for tests of rules, and
    /// nothing that a store may keep.
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
            index: Index::of(&rules),
            reading_contact: (0..rules.len()).filter(|at| rules[*at].condition.reads_contact()).collect(),
            by_stay: by_stay(&timers),
            timers,
            templates,
            files,
            hash,
            rules,
        }
    }

    /// What history calls this set: it changes with every byte of its files.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    pub fn templates(&self) -> &Templates {
        &self.templates
    }

    /// The texts it was made from.
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// In file order: by path, then by place in the file.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    pub fn rule(&self, id: &str) -> Option<&Rule> {
        self.by_id.get(id).and_then(|at| self.rules.get(*at))
    }

    /// The rules of every mode whose conditions look at what only the merchant's directory knows.
    pub fn that_read_contact(&self) -> impl Iterator<Item = &Rule> {
        self.reading_contact.iter().filter_map(|at| self.rules.get(*at))
    }

    /// The rules of every mode whose move, same or processing trigger this change matches, in file order, each once.
    pub fn matching<'a>(&'a self, change: &Change) -> Matches<'a> {
        self.index.matching(&self.rules, change)
    }

    /// Every (rule, status, duration) that time can make due, in file order, the shorter duration first.
    pub fn timers(&self) -> &[Timer] {
        &self.timers
    }

    /// Those that wait in this stay, the shorter duration first, and of equal ones in file order.
    pub fn timers_of<'a>(&'a self, stay: &Stay) -> impl Iterator<Item = &'a Timer> + use<'a> {
        self.by_stay.get(stay).into_iter().flatten().filter_map(|at| self.timers.get(*at))
    }
}

fn by_stay(timers: &[Timer]) -> HashMap<Stay, Vec<usize>> {
    let mut by_stay: HashMap<Stay, Vec<usize>> = HashMap::new();
    for (at, timer) in timers.iter().enumerate() {
        by_stay.entry(timer.stay.clone()).or_default().push(at);
    }
    for places in by_stay.values_mut() {
        places.sort_by_key(|at| timers[*at].after.ms());
    }
    by_stay
}

fn timers(rules: &[Rule]) -> Vec<Timer> {
    let mut timers = Vec::new();
    for (index, rule) in rules.iter().enumerate() {
        let mut due: Vec<(Stay, &Duration)> = Vec::new();
        for trigger in &rule.triggers {
            match trigger {
                Trigger::Stay { statuses, after } => {
                    due.extend(
                        statuses.iter().flat_map(|s| after.iter().map(|after| (Stay::Status(s.clone()), after))),
                    );
                }
                Trigger::ProcessingStay { statuses, after } => {
                    due.extend(
                        statuses.iter().flat_map(|s| after.iter().map(|after| (Stay::Processing(s.clone()), after))),
                    );
                }
                Trigger::Move { .. } | Trigger::Same { .. } | Trigger::ProcessingMove { .. } => {}
            }
        }
        due.sort();
        due.dedup();
        let mut step = 0;
        let mut before: Option<Stay> = None;
        for (stay, after) in due {
            step = if before.as_ref() == Some(&stay) { step + 1 } else { 1 };
            before = Some(stay.clone());
            timers.push(Timer { rule: rule.id.clone(), index, stay, after: after.clone(), step });
        }
    }
    timers
}
