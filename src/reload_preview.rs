//! Computes what loading a rule set would change: the rules added, removed and changed, and the jobs of the first hour.
//!
//! Loading a rule set orders no jobs by itself: timers that were due before are backlog. But held mails are released
//! when their rule is back, and new timers come due from then on. Both are counted for the first hour.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    clock::Timestamp,
    decide::{GlobalState, TimerKey},
    domain::CustomerId,
    outbox::JobState,
    rules::{ConditionFacts, ConditionResult, Rule, RuleMode, RuleSet, RuleTimer},
    store::{JobFilter, JobPosition, Overdue, StayPlace, Store, StoreError},
};

/// Jobs that are due within this time after loading are counted, in milliseconds.
pub const AT_ONCE_MS: i64 = 3_600_000;

/// The number of rows read from the store at a time.
const PAGE: usize = 500;

/// The effect of loading a rule set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ReloadPreview {
    pub added: Vec<String>,
    pub removed: Vec<String>,
    pub changed: Vec<String>,
    /// Number of jobs within the first hour, by rule.
    pub at_once: BTreeMap<String, u64>,
    pub total: u64,
}

impl ReloadPreview {
    /// Computes the impact. Stops counting soon after `most` jobs, so that the time is bounded.
    pub async fn of(
        store: &Store,
        edited: &RuleSet,
        in_force: &RuleSet,
        now: Timestamp,
        most: u64,
    ) -> Result<Self, StoreError> {
        let standing = store.global_state().borrow().clone();
        let mut impact = Self::between(in_force, edited);
        let after = standing.with_rules(edited, now);
        impact.count_held(store, (in_force, &standing), (edited, &after), most).await?;
        for timer in edited.timers() {
            let key = TimerKey { rule: timer.rule.clone(), stay: timer.stay.clone(), after_ms: timer.after.ms() };
            let live = after.live(&key).filter(|live| !live.shadow && live.since == now);
            if live.is_some() && standing.live(&key).is_none_or(|before| before.shadow) && impact.total <= most {
                impact.count_due(store, edited, timer, now, most).await?;
            }
        }
        Ok(impact)
    }

    fn between(in_force: &RuleSet, edited: &RuleSet) -> Self {
        let names = |rules: &mut dyn Iterator<Item = &Rule>| rules.map(|rule| rule.id.to_string()).collect();
        let is_in = |set: &RuleSet, rule: &Rule| set.rule(rule.id.as_str()).is_some();
        let differs =
            |rule: &Rule| in_force.rule(rule.id.as_str()).is_some_and(|before| meaning(before) != meaning(rule));
        Self {
            added: names(&mut edited.rules().iter().filter(|rule| !is_in(in_force, rule))),
            removed: names(&mut in_force.rules().iter().filter(|rule| !is_in(edited, rule))),
            changed: names(&mut edited.rules().iter().filter(|rule| differs(rule))),
            ..Self::default()
        }
    }

    fn add(&mut self, rule: &str, jobs: u64) {
        *self.at_once.entry(rule.to_owned()).or_default() += jobs;
        self.total += jobs;
    }

    /// Counts the held mails that would be released.
    async fn count_held(
        &mut self,
        store: &Store,
        (in_force, before): (&RuleSet, &GlobalState),
        (edited, after): (&RuleSet, &GlobalState),
        most: u64,
    ) -> Result<(), StoreError> {
        let is_live = |set: &RuleSet, standing: &GlobalState, rule: &str| {
            set.rule(rule).is_some_and(|rule| standing.mode(rule) == RuleMode::Live)
        };
        let filter = JobFilter { state: Some(JobState::Held), ..JobFilter::default() };
        let mut place: Option<JobPosition> = None;
        while self.total <= most {
            let page = store.jobs(&filter, place, PAGE).await?;
            for (_, job) in &page.rows {
                let rule = job.order.rule.as_str();
                if is_live(edited, after, rule) && !is_live(in_force, before, rule) {
                    self.add(rule, 1);
                }
            }
            place = page.next;
            if place.is_none() {
                break;
            }
        }
        Ok(())
    }

    /// Counts the jobs of stays for which a new timer is due within the first hour.
    async fn count_due(
        &mut self,
        store: &Store,
        edited: &RuleSet,
        timer: &RuleTimer,
        now: Timestamp,
        most: u64,
    ) -> Result<(), StoreError> {
        let Some(rule) = edited.rules().get(timer.index) else { return Ok(()) };
        let jobs = rule.actions.iter().filter(|action| action.is_sent()).count() as u64;
        let after_ms = timer.after.ms();
        let of = Overdue {
            stay: timer.stay.clone(),
            after_ms,
            entered_after: now.plus_ms(-after_ms - 1),
            entered_until: now.plus_ms(AT_ONCE_MS - after_ms),
        };
        let mut last: Option<StayPlace> = None;
        while jobs > 0 && self.total <= most {
            let found = store.overdue(&of, last.as_ref(), PAGE).await?;
            for (_, customer) in &found {
                if holds(store, customer, rule)? {
                    self.add(rule.id.as_str(), jobs);
                }
            }
            if found.len() < PAGE {
                break;
            }
            last = found.last().cloned();
        }
        Ok(())
    }
}

fn holds(store: &Store, customer: &CustomerId, rule: &Rule) -> Result<bool, StoreError> {
    let Some(case) = store.customer(customer)? else { return Ok(false) };
    let Some(known) = &case.customer else { return Ok(false) };
    let facts = ConditionFacts {
        customer: known,
        tags: &case.tags,
        contact: case.contact.as_ref(),
        visit: known.visit(),
        changed: Default::default(),
    };
    Ok(rule.condition.check(&facts) == ConditionResult::Yes)
}

/// Returns the parts of a rule that determine its behaviour, without its position in the file.
fn meaning(rule: &Rule) -> impl PartialEq + '_ {
    (&rule.triggers, &rule.condition, &rule.actions, rule.mode, &rule.group)
}
