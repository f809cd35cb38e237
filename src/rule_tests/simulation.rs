//! Simulates one customer with its own clock: what the service would do, without a store and without sending.
//!
//! [`decide`] makes every decision. The simulation assumes that a worker is always free and that sending succeeds at
//! once, so that everything due at a time is sent before the next event.

use super::sent::Sent;
use crate::{
    clock::Timestamp,
    decide::{
        Changes, Command, CountedOrder, CustomerState, Decision, DecisionContext, GlobalState, Policy, Receipt,
        RuleOutcome, RuleResult, StartedAttempt, decide, next_timer,
    },
    domain::CustomerId,
    outbox::{AttemptOutcome, JobId, JobKey, JobState, Order, Payload, ProblemKind},
    rules::{Action, ActionEffect, Rule, RuleId, RuleSet},
};

/// The cost of rendering a mail, where a command costs 1.
const MAIL_COST: u64 = 50;

pub struct Simulation<'a> {
    rules: &'a RuleSet,
    standing: &'a GlobalState,
    policy: Policy,
    key: JobKey,
    who: CustomerId,
    /// Whether mails are rendered.
    renders: bool,
    now: Timestamp,
    /// The number of the next record.
    number: u64,
    case: CustomerState,
    seen: NewOutcomes,
    worked: u64,
}

/// What has happened since the last [`Simulation::take_seen`].
#[derive(Default)]
pub(super) struct NewOutcomes {
    pub left: Vec<Sent>,
    pub rulings: Vec<(Timestamp, RuleResult)>,
    /// Whether more rules were evaluated than the record lists in `rulings`.
    pub more_rulings: bool,
    /// Jobs that were ordered and cancelled, with the reason.
    pub lost: Vec<DroppedOrder>,
}

pub(super) struct DroppedOrder {
    pub rule: RuleId,
    pub action: Action,
    pub at: Timestamp,
    pub reason: Box<str>,
}

impl<'a> Simulation<'a> {
    pub fn new(
        (rules, standing): (&'a RuleSet, &'a GlobalState),
        policy: &Policy,
        who: CustomerId,
        now: Timestamp,
    ) -> Self {
        let key = JobKey::new(&[0; 32]);
        let (case, seen) = (CustomerState::default(), NewOutcomes::default());
        let policy = policy.for_simulation();
        Self { rules, standing, policy, key, who, renders: true, now, number: 1, case, seen, worked: 0 }
    }

    /// A simulation that begins with an existing case. It records which actions are sent, but renders no mail.
    pub fn without_service(
        rules: (&'a RuleSet, &'a GlobalState),
        policy: &Policy,
        who: CustomerId,
        now: Timestamp,
        case: CustomerState,
    ) -> Self {
        Self { renders: false, case, ..Self::new(rules, policy, who, now) }
    }

    /// Returns what was sent since the last call.
    pub fn take_left(&mut self) -> Vec<Sent> {
        self.take_seen().left
    }

    pub(super) const fn now(&self) -> Timestamp {
        self.now
    }

    pub(super) const fn case(&self) -> &CustomerState {
        &self.case
    }

    pub(super) const fn rules(&self) -> &'a RuleSet {
        self.rules
    }

    /// The cost so far: commands, evaluated rules, and mails.
    pub(super) const fn worked(&self) -> u64 {
        self.worked
    }

    /// Returns what has happened since the last call.
    pub(super) fn take_seen(&mut self) -> NewOutcomes {
        std::mem::take(&mut self.seen)
    }

    /// Runs a command, and everything that is due then.
    pub fn apply_step(&mut self, command: &Command) {
        self.submit(command);
        self.work();
    }

    /// Advances the clock, and runs what becomes due.
    pub(super) fn advance(&mut self, ms: i64) {
        self.advance_to(self.now.plus_ms(ms));
    }

    /// Advances the clock to a time, if it is in the future.
    pub fn advance_to(&mut self, until: Timestamp) {
        let until = until.max(self.now);
        while let Some(next) = self.next_due().filter(|next| *next <= until) {
            self.now = next;
            self.work();
        }
        self.now = until;
    }

    /// The next time at which a job or timer becomes due. A job that is due already was tried, and does not wait for a
    /// time.
    fn next_due(&self) -> Option<Timestamp> {
        let waiting = self.case.open.iter().filter(|job| matches!(job.fate.state, JobState::Queued | JobState::Held));
        let timer = next_timer(&self.case, self.rules, self.standing);
        waiting.map(|job| job.fate.next_at).chain(timer).filter(|at| *at > self.now).min()
    }

    /// Runs everything that is due now.
    fn work(&mut self) {
        let customer = self.who.clone();
        while self.submit(&Command::Timer { customer: customer.clone(), confirmed: true }) == Receipt::Recorded {}
        let due = self.case.open.iter().filter(|job| match job.fate.state {
            JobState::Queued | JobState::Held => job.fate.next_at <= self.now,
            JobState::Running | JobState::Done | JobState::Cancelled | JobState::Problem => false,
        });
        let due: Vec<JobId> = due.map(|job| job.id()).collect();
        for job in due {
            if let Receipt::Go(attempt) = self.submit(&Command::Attempt { customer: customer.clone(), job }) {
                self.attempt(*attempt);
            }
        }
    }

    /// Does what a worker does for a job, except sending.
    fn attempt(&mut self, attempt: StartedAttempt) {
        let job = attempt.job;
        let (id, number) = (job.id(), job.fate.attempts);
        let action = &job.order.action;
        let outcome = match action {
            Action::Email { template, .. } => match &job.letter {
                Some(letter) if self.renders => {
                    self.worked += MAIL_COST;
                    match self.rules.templates().render_mail(template, letter.locale.as_deref(), &letter.facts) {
                        Ok(mail) => {
                            let left = Sent::of(&job.order.rule, action, self.now, Some(&letter.address));
                            let (subject, text) = (Some(mail.subject), Some(mail.text));
                            self.seen.left.extend(left.map(|left| Sent { subject, text, ..left }));
                            AttemptOutcome::Done
                        }
                        Err(error) => {
                            AttemptOutcome::Failed { trouble: ProblemKind::Unrenderable, error: error.to_string() }
                        }
                    }
                }
                Some(_) | None => self.send(&job.order, None),
            },
            Action::Webhook { .. } | Action::Chat { .. } | Action::Tag(_) | Action::Untag(_) | Action::Record => {
                let text = match job.order.said.as_deref() {
                    Some(Payload::Text(text)) => Some(text.plain()),
                    Some(Payload::Facts(_)) | None => None,
                };
                self.send(&job.order, text)
            }
        };
        let customer = attempt.customer;
        self.submit(&Command::Finish { customer, job: id, attempt: number, outcome });
    }

    fn send(&mut self, order: &Order, text: Option<String>) -> AttemptOutcome {
        let left = Sent::of(&order.rule, &order.action, self.now, None);
        self.seen.left.extend(left.map(|left| Sent { text, ..left }));
        AttemptOutcome::Done
    }

    fn submit(&mut self, command: &Command) -> Receipt {
        let given = DecisionContext {
            now: self.now,
            number: self.number,
            rules: self.rules,
            policy: &self.policy,
            key: &self.key,
            standing: self.standing,
            clock_in_doubt: false,
            duplicate_at: None,
        };
        let Decision { effects, receipt } = decide(&self.case, command, given);
        self.worked += 1;
        if let Some(effects) = effects {
            self.worked += effects.rules.len() as u64 + u64::from(effects.more_rules);
            self.record_outcome(&effects);
            self.case.apply(self.number, self.now, &effects);
            self.number += 1;
        }
        receipt
    }

    /// Records the changes of a command, before they are applied to the customer's state.
    fn record_outcome(&mut self, effects: &Changes) {
        for change in effects.fates.iter().filter(|change| change.fate.state == JobState::Cancelled) {
            if let Some(job) = self.case.job(change.id) {
                self.seen.lost.push(DroppedOrder {
                    rule: job.order.rule.clone(),
                    action: job.order.action.clone(),
                    at: self.now,
                    reason: change.fate.reason.clone().unwrap_or_default(),
                });
            }
        }
        let mut tags = self.case.tags.clone();
        let mut counted = effects.shadowed.clone();
        for ruling in &effects.rules {
            let Some(rule) = self.rules.rule(ruling.id.as_str()) else { continue };
            match ruling.outcome {
                RuleOutcome::Fired => {
                    for action in &rule.actions {
                        let after = match action.effect() {
                            ActionEffect::Tag(name) => tags.with(name).ok().flatten(),
                            ActionEffect::Untag(name) => tags.without(name),
                            ActionEffect::Message(_) | ActionEffect::Record => None,
                        };
                        // A customer who has the tag already is not tagged.
                        if let Some(after) = after {
                            tags = after;
                            self.seen.left.extend(Sent::of(&rule.id, action, self.now, None));
                        }
                    }
                }
                RuleOutcome::Shadow => self.shadow_sent(rule, &mut counted),
                RuleOutcome::No | RuleOutcome::Undecidable | RuleOutcome::Limited | RuleOutcome::Paused => {}
            }
        }
        self.seen.more_rulings |= effects.more_rules > 0;
        self.seen.rulings.extend(effects.rules.iter().map(|ruling| (self.now, ruling.clone())));
    }

    /// Records what a rule in shadow would have ordered: all its actions, except those that its own limits would have
    /// dropped.
    fn shadow_sent(&mut self, rule: &Rule, counted: &mut Vec<CountedOrder>) {
        let address = self.case.contact.as_ref().map(|contact| contact.email.as_str());
        for action in &rule.actions {
            if action.limit().is_some() {
                let one = counted.iter().position(|one| one.rule == rule.id && *one.aim == *action.name());
                let Some(one) = one else { continue };
                counted.remove(one);
            }
            let left = Sent::of(&rule.id, action, self.now, address);
            self.seen.left.extend(left.map(|left| Sent { shadow: true, ..left }));
        }
    }
}
