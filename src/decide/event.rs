//! One event as all rules see it: which rules fire, what they order, and what limits drop.

use super::{
    Changes, CountedOrder, CustomerState, DecisionContext, JobUpdate, MAX_OPEN_JOBS, RuleOutcome, RuleResult,
    facts::FactsInput,
    payload::{bounded_payload, payload_for},
};
use crate::{
    clock::Timestamp,
    domain::{Codes, Customer, CustomerId, Details, Status},
    outbox::{Job, JobId, JobStatus, MAX_ORDERS, Order, ProblemKind, ProcessingStay},
    rules::{Action, ActionEffect, ConditionFacts, ConditionResult, EventSignature, Limit, Matches, Rule, RuleMode},
};

/// Returns the status of an order above the limit of open jobs.
fn flood(now: Timestamp) -> JobStatus {
    let reason = format!(
        "the customer already had {MAX_OPEN_JOBS} open jobs: find out why they do not end, then retry or drop this one"
    );
    JobStatus::due_at(now).problem(ProblemKind::Flood, reason)
}

/// The maximum number of rules that did not fire and are named per event; the remaining ones are only counted.
const MAX_PASSED_OVER: usize = 32;

/// The rules whose trigger matches, in file order, each with the step of its timer.
pub(super) enum MatchedRules<'a> {
    Change(Matches<'a>),
    Timer(std::vec::IntoIter<(&'a Rule, u32)>),
}

impl<'a> MatchedRules<'a> {
    fn next(&mut self) -> Option<(&'a Rule, u32)> {
        match self {
            Self::Change(matches) => matches.next().map(|rule| (rule, 0)),
            Self::Timer(rules) => rules.next(),
        }
    }

    /// Skips rules whose condition cannot hold, up to the next that may hold; returns the number of skipped rules.
    fn pass_over(&mut self, signature: EventSignature) -> usize {
        match self {
            Self::Change(matches) => matches.skip_impossible(signature),
            Self::Timer(_) => 0,
        }
    }
}

/// A change, or a stay that has reached a duration.
pub(super) struct Event<'a> {
    pub case: &'a CustomerState,
    pub who: &'a CustomerId,
    /// The state after the change.
    pub customer: &'a Customer,
    /// The status before; `None`: there was no observation before.
    pub from: Option<Status>,
    pub changed: Details,
    /// Distinguishes this event from later events of the same kind.
    pub cause: String,
    /// The processing stay of this event, for rules about processing.
    pub processing_stay: Option<ProcessingStay>,
    pub given: DecisionContext<'a>,
}

impl<'a> Event<'a> {
    /// Evaluates the rules whose trigger matches.
    pub fn rule(&self, mut triggered: MatchedRules<'a>, effects: &mut Changes) {
        let facts = ConditionFacts {
            customer: self.customer,
            tags: &self.case.tags,
            contact: self.case.contact.as_ref(),
            visit: self.customer.visit(),
            changed: self.changed,
        };
        // The rules of a group are in one file and come in file order, so the first that acts is remembered.
        let mut acted: Vec<&Rule> = Vec::new();
        let mut passed_over = 0;
        let signature = EventSignature::of(&facts);
        loop {
            if passed_over == MAX_PASSED_OVER {
                let more = u32::try_from(triggered.pass_over(signature)).unwrap_or(u32::MAX);
                effects.more_rules = effects.more_rules.saturating_add(more);
            }
            let Some((rule, step)) = triggered.next() else { break };
            let mode = self.given.standing.mode(rule);
            let first = acted.iter().find(|first| first.group.is_some() && first.group == rule.group);
            let ruling = if mode == RuleMode::Paused {
                (RuleOutcome::Paused, None)
            } else if let Some(first) = first {
                let group = rule.group.as_deref().unwrap_or_default();
                (RuleOutcome::No, Some(format!("group {group}: {} has acted", first.id)))
            } else {
                match rule.condition.check(&facts) {
                    ConditionResult::No(line) => (RuleOutcome::No, Some(rule.condition.why(line, &facts))),
                    ConditionResult::Undecidable(line) => {
                        (RuleOutcome::Undecidable, Some(rule.condition.why(line, &facts)))
                    }
                    ConditionResult::Yes => {
                        if mode == RuleMode::Live {
                            acted.push(rule);
                        }
                        self.act(rule, step, mode == RuleMode::Shadow, effects)
                    }
                }
            };
            let fired = !matches!(ruling.0, RuleOutcome::No | RuleOutcome::Undecidable | RuleOutcome::Paused);
            if !fired && passed_over == MAX_PASSED_OVER || effects.rules.len() >= MAX_ORDERS + MAX_PASSED_OVER {
                effects.more_rules = effects.more_rules.saturating_add(1);
                continue;
            }
            passed_over += usize::from(!fired);
            effects.rules.push(match ruling {
                (RuleOutcome::Paused, _) => RuleResult::paused(&rule.id, self.given.standing.paused_since(&rule.id)),
                (outcome, why) => {
                    RuleResult { id: rule.id.clone(), outcome, why: why.map(Into::into), paused_since: None }
                }
            });
        }
    }

    fn act(&self, rule: &Rule, step: u32, shadow: bool, effects: &mut Changes) -> (RuleOutcome, Option<String>) {
        let mut dropped = Vec::new();
        let mut ordered = Vec::new();
        for (nth, action) in rule.actions.iter().enumerate() {
            match action.effect() {
                ActionEffect::Record => ordered.push("record".to_owned()),
                effect @ (ActionEffect::Tag(name) | ActionEffect::Untag(name)) => {
                    let adds = matches!(effect, ActionEffect::Tag(_));
                    if !shadow && let Some(tags) = self.tagged(adds, name, effects) {
                        effects.tags = Some(tags);
                    }
                    ordered.push(action.to_string());
                }
                ActionEffect::Message(_) => {
                    let id = JobId::of(self.given.key, self.who, &self.cause, &rule.id, nth);
                    if let Some(limit) = self.over_limit(rule, action, shadow, effects) {
                        dropped.push(format!("{action} dropped: limit {limit}"));
                    } else if effects.jobs.len() == MAX_ORDERS {
                        dropped.push(format!("{action} dropped: more than {MAX_ORDERS} orders in one event"));
                    } else {
                        if shadow {
                            effects.shadowed.extend(CountedOrder::of(&rule.id, action, self.given.now, None));
                        } else {
                            self.order(rule, step, action, id, effects);
                        }
                        ordered.push(action.to_string());
                    }
                }
            }
        }
        if shadow {
            return (
                RuleOutcome::Shadow,
                Some(format!("would have ordered: {}", [ordered, dropped].concat().join(", "))),
            );
        }
        match (ordered.is_empty(), dropped.is_empty()) {
            (true, false) => (RuleOutcome::Limited, Some(dropped.join(", "))),
            (_, true) => (RuleOutcome::Fired, None),
            (false, false) => (RuleOutcome::Fired, Some(dropped.join(", "))),
        }
    }

    fn tagged(&self, adds: bool, name: &str, effects: &Changes) -> Option<Codes> {
        let tags = effects.tags.as_ref().unwrap_or(&self.case.tags);
        // If the customer already has the maximum number of tags, a new tag is ignored.
        if adds { tags.with(name).ok().flatten() } else { tags.without(name) }
    }

    fn order(&self, rule: &Rule, step: u32, action: &Action, id: JobId, effects: &mut Changes) {
        let now = self.given.now;
        // A mail to a fixed address reports a fact and is never replaced.
        let replaced = |job: &&std::sync::Arc<Job>| {
            job.is_untried() && job.order.is_mail_to_customer() && job.order.is_same_mail(action)
        };
        for older in self.case.open.iter().filter(replaced) {
            if effects.fates.iter().all(|change| change.id != older.id()) {
                let reason = format!("replaced by a newer mail of rule {}", rule.id);
                effects.fates.push(JobUpdate { id: older.id(), fate: older.fate.cancelled(now, reason), letter: None });
            }
        }
        let settle = action.settle_ms();
        let (said, fate) = match payload_for(action, &self.about(rule, step), self.given) {
            Ok(said) if self.is_flooded(effects) => (said.map(Box::new), flood(now)),
            Ok(said) => (said.map(Box::new), JobStatus::due_at(now.plus_ms(settle))),
            Err(error) => (None, JobStatus::due_at(now).problem(ProblemKind::Unrenderable, error.to_string())),
        };
        let order = Order {
            id,
            rule: rule.id.clone(),
            action: bounded_payload(action),
            number: 0,
            index: 0,
            at: Timestamp::default(),
            processing_stay: self.processing_stay.clone().filter(|_| rule.is_about_processing()),
            from: self.from.clone(),
            to: self.customer.status.clone(),
            visit: self.customer.visit(),
            step,
            changed: self.changed,
            said,
        };
        effects.jobs.push(Job { order, fate, letter: None });
    }

    /// Whether the customer has the maximum number of open jobs.
    fn is_flooded(&self, effects: &Changes) -> bool {
        let ordered = effects.jobs.iter().filter(|job| job.is_open()).count();
        let ended = effects.fates.iter().filter(|change| change.fate.state.is_final()).count();
        (self.case.open.len() + ordered).saturating_sub(ended) >= MAX_OPEN_JOBS
    }

    /// Returns the facts as every rule of this event sees them: tags that the event's own rules set are visible only in
    /// the next event.
    fn about<'e>(&'e self, rule: &'e Rule, step: u32) -> FactsInput<'e> {
        FactsInput {
            who: self.who,
            customer: self.customer,
            contact: self.case.contact.as_ref(),
            tags: &self.case.tags,
            from: self.from.as_ref(),
            to: &self.customer.status,
            visit: self.customer.visit(),
            step,
            rule: &rule.id,
        }
    }

    /// Returns the limit that this order would exceed.
    fn over_limit(&self, rule: &Rule, action: &Action, shadow: bool, effects: &Changes) -> Option<Limit> {
        let limit = action.limit()?;
        let since = self.given.now.plus_ms(-limit.window_ms);
        let before = self.case.counted.iter().filter(|one| {
            one.rule == rule.id
                && *one.aim == *action.name()
                && (one.at > since || self.given.clock_in_doubt)
                && one.job.is_none() == shadow
                && !one.job.is_some_and(|job| effects.cancels(job))
        });
        let now = match shadow {
            true => effects.shadowed.iter().filter(|one| one.rule == rule.id && *one.aim == *action.name()).count(),
            false => {
                let same = |job: &&Job| job.order.rule == rule.id && job.order.action.name() == action.name();
                effects.jobs.iter().filter(same).count()
            }
        };
        (before.count() + now >= limit.count as usize).then_some(limit)
    }
}
