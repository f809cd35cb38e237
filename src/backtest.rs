//! Replays the recorded history with the active and with the edited rules, and compares both with what was sent.
//!
//! The events of each customer are replayed once for each rule set, in a simulation where sending succeeds at once and
//! nothing is sent. Records before the window only set the state of the customer at its beginning.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use crate::{
    clock::Timestamp,
    decide::{Changes, Command, CustomerState, GlobalState, ImportedState, Policy, RecordKind},
    domain::{CallbackOutcome, CustomerId},
    outbox::{JobId, JobState},
    rule_tests::{Sent, Simulation},
    rules::RuleSet,
};

/// The maximum number of differences listed in the report.
const TOLD: usize = 1_000;

/// One record of the history.
#[derive(Clone, Debug)]
pub struct HistoryRecord {
    pub number: u64,
    pub at: Timestamp,
    pub effects: Changes,
}

/// The counts of one action of one rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ActionTotals {
    pub rule: String,
    /// For example `email reminder`.
    pub action: String,
    /// How often it was sent, as recorded.
    pub got: u64,
    /// How often the active rules would have sent it.
    pub now: u64,
    /// How often the edited rules would have sent it.
    pub edited: u64,
}

/// An action that one rule set would have sent to a customer and the other would not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CustomerDifference {
    pub customer: CustomerId,
    pub rule: String,
    pub action: String,
    pub at: String,
}

/// The customer to whom the edited rules would have sent the most.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MostAffected {
    pub customer: CustomerId,
    pub count: usize,
    /// The actions, each with its time.
    pub left: Vec<String>,
}

#[derive(Clone, Debug, Serialize)]
pub struct BacktestReport {
    pub since: String,
    pub until: String,
    pub callbacks: u64,
    pub customers: usize,
    pub rules: Vec<ActionTotals>,
    /// Sent by the edited rules only. At most the first 1,000.
    pub more: Vec<CustomerDifference>,
    pub more_count: u64,
    /// Sent by the active rules only. At most the first 1,000.
    pub fewer: Vec<CustomerDifference>,
    pub fewer_count: u64,
    pub worst: Option<MostAffected>,
    /// Rules that an operator has paused now. Both sides count them as live, so that the report shows their effect.
    pub paused: Vec<String>,
}

/// A replay in progress.
pub struct Backtest<'a> {
    now: BacktestSide<'a>,
    edited: BacktestSide<'a>,
    policy: &'a Policy,
    since: Timestamp,
    callbacks: u64,
    /// The recorded state of each customer.
    cases: HashMap<CustomerId, CustomerState>,
    lives: HashMap<CustomerId, ParallelLives<'a>>,
    got: BTreeMap<(String, String), u64>,
}

/// One rule set, live since the beginning of the window.
pub struct BacktestSide<'a> {
    rules: &'a RuleSet,
    standing: &'a GlobalState,
}

impl<'a> BacktestSide<'a> {
    pub const fn new(rules: &'a RuleSet, standing: &'a GlobalState) -> Self {
        Self { rules, standing }
    }
}

/// The simulation of one customer with each rule set.
struct ParallelLives<'a> {
    now: Simulation<'a>,
    edited: Simulation<'a>,
}

impl<'a> Backtest<'a> {
    pub fn new(now: BacktestSide<'a>, edited: BacktestSide<'a>, policy: &'a Policy, since: Timestamp) -> Self {
        Self {
            now,
            edited,
            policy,
            since,
            callbacks: 0,
            cases: HashMap::new(),
            lives: HashMap::new(),
            got: BTreeMap::new(),
        }
    }

    /// Replays the next record. Records must come in order.
    pub fn live(&mut self, record: &HistoryRecord) {
        let HistoryRecord { number, at, effects } = record;
        let Some(who) = &effects.who else { return };
        let before = self.cases.remove(who).unwrap_or_default();
        let mut after = before.clone();
        after.apply(*number, *at, effects);
        if *at >= self.since {
            self.count(&before, &after, effects);
            self.callbacks += u64::from(effects.kind == RecordKind::Callback);
            let lives = match self.lives.remove(who) {
                Some(lives) => lives,
                None => self.begin(who, &before),
            };
            let lives = self.lives.entry(who.clone()).or_insert(lives);
            let commands = commands(who, &before, effects);
            for world in [&mut lives.now, &mut lives.edited].into_iter().filter(|_| !commands.is_empty()) {
                world.advance_to(*at);
                commands.iter().for_each(|command| world.apply_step(command));
            }
        }
        self.cases.insert(who.clone(), after);
    }

    fn begin(&self, who: &CustomerId, before: &CustomerState) -> ParallelLives<'a> {
        // Jobs ordered before the window are ignored.
        let case = CustomerState { open: Vec::new(), ..before.clone() };
        let world = |side: &BacktestSide<'a>| {
            Simulation::without_service((side.rules, side.standing), self.policy, who.clone(), self.since, case.clone())
        };
        ParallelLives { now: world(&self.now), edited: world(&self.edited) }
    }

    /// Counts the jobs that the record marks as done.
    fn count(&mut self, before: &CustomerState, after: &CustomerState, effects: &Changes) {
        let done = effects.fates.iter().filter(|change| change.fate.state == JobState::Done);
        let jobs: Vec<JobId> = done.map(|change| change.id).collect();
        for job in jobs.iter().filter_map(|id| before.job(*id).or_else(|| after.job(*id))) {
            let action = &job.order.action;
            let key = (job.order.rule.to_string(), format!("{} {}", action.kind(), action.name()));
            *self.got.entry(key).or_default() += 1;
        }
    }

    /// Advances all customers to the end of the window, and returns the report.
    pub fn end(mut self, until: Timestamp) -> BacktestReport {
        let mut rows: BTreeMap<(String, String), ActionTotals> = BTreeMap::new();
        for (key, got) in std::mem::take(&mut self.got) {
            row(&mut rows, &key).got = got;
        }
        let mut report = BacktestReport {
            since: self.since.to_string(),
            until: until.to_string(),
            callbacks: self.callbacks,
            customers: self.cases.len(),
            rules: Vec::new(),
            more: Vec::new(),
            more_count: 0,
            fewer: Vec::new(),
            fewer_count: 0,
            worst: None,
            paused: Vec::new(),
        };
        let mut everybody: Vec<(CustomerId, CustomerState)> = std::mem::take(&mut self.cases).into_iter().collect();
        everybody.sort_by(|one, other| one.0.cmp(&other.0));
        for (who, case) in everybody {
            // A customer without an event in the window may have a timer that was due in it.
            let mut lives = self.lives.remove(&who).unwrap_or_else(|| self.begin(&who, &case));
            let left = [&mut lives.now, &mut lives.edited].map(|world| {
                world.advance_to(until);
                world.take_left().into_iter().filter(|left| !left.is_mark()).collect()
            });
            report.add(&who, &left, &mut rows);
        }
        report.rules = rows.into_values().collect();
        report
    }
}

fn row<'r>(rows: &'r mut BTreeMap<(String, String), ActionTotals>, key: &(String, String)) -> &'r mut ActionTotals {
    rows.entry(key.clone()).or_insert_with(|| ActionTotals {
        rule: key.0.clone(),
        action: key.1.clone(),
        ..ActionTotals::default()
    })
}

impl BacktestReport {
    fn add(
        &mut self,
        who: &CustomerId,
        [now, edited]: &[Vec<Sent>; 2],
        rows: &mut BTreeMap<(String, String), ActionTotals>,
    ) {
        for left in now {
            row(rows, &key_of(left)).now += 1;
        }
        for left in edited {
            row(rows, &key_of(left)).edited += 1;
        }
        let change = |left: &Sent| {
            let (rule, action) = key_of(left);
            CustomerDifference { customer: who.clone(), rule, action, at: left.at.to_string() }
        };
        for (these, those, changes, count) in
            [(edited, now, &mut self.more, &mut self.more_count), (now, edited, &mut self.fewer, &mut self.fewer_count)]
        {
            for left in only_in(these, those) {
                *count += 1;
                if changes.len() < TOLD {
                    changes.push(change(left));
                }
            }
        }
        let sent: Vec<String> = edited
            .iter()
            .filter(|left| !left.shadow)
            .map(|left| format!("{} {} by rule {}", left.at, left.what(), left.rule))
            .collect();
        if sent.len() > self.worst.as_ref().map_or(0, |worst| worst.count) {
            self.worst = Some(MostAffected { customer: who.clone(), count: sent.len(), left: sent });
        }
    }
}

fn key_of(left: &Sent) -> (String, String) {
    let shadow = if left.shadow { " (shadow)" } else { "" };
    (left.rule.to_string(), format!("{}{shadow}", left.what()))
}

/// Returns the actions in `these` without a counterpart in `those` of the same rule, action and time.
fn only_in<'l>(these: &'l [Sent], those: &[Sent]) -> impl Iterator<Item = &'l Sent> {
    let mut counterparts: HashMap<((String, String), Timestamp), usize> = HashMap::new();
    for left in those {
        *counterparts.entry((key_of(left), left.at)).or_default() += 1;
    }
    these.iter().filter(move |left| match counterparts.get_mut(&(key_of(left), left.at)) {
        Some(count) if *count > 0 => {
            *count -= 1;
            false
        }
        _ => true,
    })
}

/// Returns the commands that repeat the recorded event, without the recorded decision.
fn commands(who: &CustomerId, before: &CustomerState, effects: &Changes) -> Vec<Command> {
    let customer = || who.clone();
    let mut commands = Vec::new();
    if let Some(contact) = &effects.contact {
        commands.push(Command::Contact { customer: customer(), contact: contact.clone() });
    }
    match (effects.verdict, &effects.now) {
        (Some(CallbackOutcome::Imported), Some(now)) => {
            let tags = effects.tags.clone().unwrap_or_default();
            let memory = ImportedState {
                status: now.status.clone(),
                since: Some(now.entered_at),
                tags,
                missing_docs: now.missing_docs.clone(),
                message: now.message.clone(),
            };
            commands.push(Command::Import { customer: customer(), contact: None, memory: Some(Box::new(memory)) });
        }
        (Some(CallbackOutcome::Moved | CallbackOutcome::Updated), Some(now)) => {
            let saw = effects.saw.clone().unwrap_or_else(|| now.as_observed());
            commands.push(Command::Observe { customer: customer(), saw });
        }
        _ => {}
    }
    if effects.kind == RecordKind::Operator
        && let Some(tags) = &effects.tags
    {
        let added = tags.iter().filter(|tag| !before.tags.contains(tag));
        commands.extend(added.map(|tag| Command::Tag { customer: customer(), name: tag.into() }));
        let removed = before.tags.iter().filter(|tag| !tags.contains(tag));
        commands.extend(removed.map(|tag| Command::Untag { customer: customer(), name: tag.into() }));
    }
    commands
}
