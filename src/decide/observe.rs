//! An observation: what changed, which rules fire, what they order.

use super::{Case, Counted, Decision, Effects, FateChange, Given, Kind, Receipt, Ruled, Ruling};
use crate::{
    clock::Timestamp,
    kyc::{Change, Codes, Customer, CustomerId, Observation, Source, Verdict},
    outbox::{Fate, Job, JobId, Order, ProcessingStay, State, Trouble},
    rules::{Action, Facts, Holds, Limit, Mode, Rule},
};

/// A duplicate is recorded at most this often for a customer; what comes between is counted.
pub const REPEAT_MS: i64 = 60_000;

/// More than anybody means to order in one event, and small enough for one record.
const MAX_JOBS: usize = 64;

/// How many rules that did not fire an event names; of the rest only the number is kept.
const MAX_PASSED_OVER: usize = 32;

pub fn observe(case: &Case, who: &CustomerId, saw: &Observation, given: Given<'_>) -> Decision {
    let change = Change::of(case.customer.as_ref(), saw);
    let verdict = change.verdict();
    let receipt = Receipt::Seen(verdict);
    if verdict == Verdict::Duplicate && given.duplicate_at.is_some_and(|at| given.now.since_ms(at) < REPEAT_MS) {
        return Decision::nothing(receipt);
    }
    let customer = Customer::after(case.customer.as_ref(), saw, &change, given.now);
    let kind = match saw.source {
        Source::Import => Kind::Import,
        Source::Callback | Source::Api => Kind::Callback,
    };
    let mut effects = Effects { verdict: Some(verdict), ..Effects::of(kind, who) };
    if verdict != Verdict::Duplicate {
        end_stays(case, &customer, given, &mut effects);
        effects.set = Some(given.rules.hash().into());
        Event { case, who, change: &change, customer: &customer, given }.rule(&mut effects);
    }
    effects.now = Some(customer);
    Decision::record(effects, receipt)
}

/// Cancels what waits for a stay that has just ended: never a stale mail.
fn end_stays(case: &Case, customer: &Customer, given: Given<'_>, effects: &mut Effects) {
    for job in case.open.iter().filter(|job| job.order.is_mail_to_customer()) {
        let waits = match job.fate.state {
            State::Queued | State::Held => true,
            State::Problem => job.fate.trouble == Some(Trouble::NoContact),
            State::Running | State::Done | State::Cancelled => false,
        };
        if let Some(reason) = ended(&job.order, customer)
            && waits
        {
            effects.fates.push(FateChange { id: job.id(), fate: job.fate.cancelled(given.now, reason), letter: None });
        }
    }
}

/// Why the stay that an order belongs to is over; `None` while it lasts.
pub fn ended(order: &Order, customer: &Customer) -> Option<String> {
    match &order.processing_stay {
        None => (customer.status != order.to || customer.visit() != order.visit)
            .then(|| format!("the customer has left {} and is now in {}", order.to, customer.status)),
        Some(stay) => {
            let now = customer.processing.as_ref()?;
            (*now != stay.processing || customer.processing_entered_at() != stay.since)
                .then(|| format!("processing {} is over, it is now {now}", stay.processing))
        }
    }
}

/// One change, as all rules see it.
struct Event<'a> {
    case: &'a Case,
    who: &'a CustomerId,
    change: &'a Change,
    /// After the change.
    customer: &'a Customer,
    given: Given<'a>,
}

impl<'a> Event<'a> {
    fn rule(&self, effects: &mut Effects) {
        let facts = Facts {
            customer: self.customer,
            tags: &self.case.tags,
            contact: self.case.contact.as_ref(),
            visit: self.customer.visit(),
            changed: self.change.details,
        };
        // A group lives in one file and its rules come in file order, so the first that acts is remembered.
        let mut acted: Vec<&Rule> = Vec::new();
        let mut passed_over = 0;
        for rule in self.given.rules.matching(self.change) {
            if rule.mode == Mode::Paused {
                continue;
            }
            let first = acted.iter().find(|first| first.group.is_some() && first.group == rule.group);
            let ruling = match (first, rule.condition.check(&facts)) {
                (Some(first), _) => {
                    let group = rule.group.as_deref().unwrap_or_default();
                    (Ruled::No, Some(format!("group {group}: {} has acted", first.id)))
                }
                (None, Holds::No(line)) => (Ruled::No, Some(rule.condition.why(line, &facts))),
                (None, Holds::Undecidable(line)) => (Ruled::Undecidable, Some(rule.condition.why(line, &facts))),
                (None, Holds::Yes) => {
                    if rule.mode == Mode::Live {
                        acted.push(rule);
                    }
                    self.act(rule, effects)
                }
            };
            let fired = !matches!(ruling.0, Ruled::No | Ruled::Undecidable);
            if !fired && passed_over == MAX_PASSED_OVER || effects.rules.len() >= MAX_JOBS + MAX_PASSED_OVER {
                effects.more_rules = effects.more_rules.saturating_add(1);
                continue;
            }
            passed_over += usize::from(!fired);
            effects.rules.push(Ruling { id: rule.id.clone(), outcome: ruling.0, why: ruling.1.map(Into::into) });
        }
    }

    fn act(&self, rule: &Rule, effects: &mut Effects) -> (Ruled, Option<String>) {
        let shadow = rule.mode == Mode::Shadow;
        let mut dropped = Vec::new();
        let mut ordered = Vec::new();
        for (nth, action) in rule.actions.iter().enumerate() {
            match action {
                Action::Record => ordered.push("record".to_owned()),
                Action::Tag(name) | Action::Untag(name) => {
                    if !shadow && let Some(tags) = self.tagged(action, name, effects) {
                        effects.tags = Some(tags);
                    }
                    ordered.push(action.to_string());
                }
                Action::Email { .. } | Action::Webhook { .. } | Action::Chat { .. } => {
                    let id = JobId::of(self.given.key, self.who, &self.cause(), &rule.id, nth);
                    if let Some(limit) = self.over_limit(rule, action, shadow, effects) {
                        dropped.push(format!("{action} dropped: limit {limit}"));
                    } else if effects.jobs.len() == MAX_JOBS {
                        dropped.push(format!("{action} dropped: more than {MAX_JOBS} orders in one event"));
                    } else {
                        if shadow {
                            effects.shadowed.extend(Counted::of(&rule.id, action, self.given.now, None));
                        } else {
                            self.order(rule, action, id, effects);
                        }
                        ordered.push(action.to_string());
                    }
                }
            }
        }
        if shadow {
            return (Ruled::Shadow, Some(format!("would have ordered: {}", [ordered, dropped].concat().join(", "))));
        }
        match (ordered.is_empty(), dropped.is_empty()) {
            (true, false) => (Ruled::Limited, Some(dropped.join(", "))),
            (_, true) => (Ruled::Fired, None),
            (false, false) => (Ruled::Fired, Some(dropped.join(", "))),
        }
    }

    fn tagged(&self, action: &Action, name: &str, effects: &Effects) -> Option<Codes> {
        let tags = effects.tags.as_ref().unwrap_or(&self.case.tags);
        match action {
            // A customer with more marks than there is room for keeps those they have.
            Action::Tag(_) => tags.with(name).ok().flatten(),
            _ => tags.without(name),
        }
    }

    /// What tells this event from the next of the same kind.
    fn cause(&self) -> String {
        match &self.change.status {
            Some(edge) => format!("visit {} of {}", self.customer.visit(), edge.to),
            None => format!("record {}", self.given.number),
        }
    }

    fn order(&self, rule: &Rule, action: &Action, id: JobId, effects: &mut Effects) {
        let now = self.given.now;
        for older in self.case.open.iter().filter(|job| job.is_untried() && job.order.is_same_mail(action)) {
            if effects.fates.iter().all(|change| change.id != older.id()) {
                let reason = format!("replaced by a newer mail of rule {}", rule.id);
                effects.fates.push(FateChange {
                    id: older.id(),
                    fate: older.fate.cancelled(now, reason),
                    letter: None,
                });
            }
        }
        let settle = match action {
            Action::Email { settle: Some(settle_ms), .. } => *settle_ms,
            _ => 0,
        };
        let order = Order {
            id,
            rule: rule.id.clone(),
            action: action.clone(),
            number: 0,
            index: 0,
            at: Timestamp::default(),
            processing_stay: self.processing_stay(rule),
            from: match &self.change.status {
                Some(edge) => edge.from.clone(),
                None => Some(self.change.at.clone()),
            },
            to: self.change.at.clone(),
            visit: self.customer.visit(),
            step: 0,
            changed: self.change.details,
        };
        effects.jobs.push(Job { order, fate: Fate::due_at(now.plus_ms(settle)), letter: None });
    }

    /// The stay that a rule about processing was triggered by.
    fn processing_stay(&self, rule: &Rule) -> Option<ProcessingStay> {
        let edge = self.change.processing.as_ref().filter(|_| rule.is_about_processing())?;
        Some(ProcessingStay { processing: edge.to.clone(), since: self.customer.processing_entered_at() })
    }

    /// The limit that this order would go over.
    fn over_limit(&self, rule: &Rule, action: &Action, shadow: bool, effects: &Effects) -> Option<Limit> {
        let limit = action.limit()?;
        let since = self.given.now.plus_ms(-limit.window_ms);
        let before = self.case.counted.iter().filter(|one| {
            one.rule == rule.id
                && *one.aim == *action.name()
                && one.at > since
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
