//! Turns commands into numbered records: the part that both engines share, between reading a customer and storing the
//! result.

use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use super::{StoreOptions, change::CustomerDelta, record::RecordHeader, stays};
use crate::{
    clock::{Clock, Timestamp},
    decide::{
        self, Brakes, Changes, Command, Control, CustomerState, DecisionContext, GlobalState, Policy, REPEAT_MS,
        Receipt, RecordKind,
    },
    domain::{CallbackOutcome, CustomerId},
    outbox::{JobKey, Order},
    rules::RuleSet,
};

/// How many customers have their duplicates counted in memory; above this, the counts are recorded early.
const MAX_REPEATING: usize = 100_000;

/// A customer of whom a duplicate was recorded less than a minute ago.
struct RepeatedDuplicate {
    recorded_at: Timestamp,
    unrecorded: u32,
}

/// The result of a command.
pub struct Decided {
    pub receipt: Receipt,
    pub written: Option<Written>,
}

/// A record that must be made durable, and the state that applies after it.
pub struct Written {
    pub header: RecordHeader,
    pub effects: Changes,
    /// `None`: the record concerns no customer.
    pub touched: Option<(CustomerId, CustomerDelta)>,
}

pub struct Decider {
    rules: Arc<RuleSet>,
    standing: Arc<GlobalState>,
    policy: Policy,
    key: JobKey,
    clock: Clock,
    next: u64,
    brakes: Brakes,
    repeating: HashMap<CustomerId, RepeatedDuplicate>,
}

impl Decider {
    pub fn new(options: &StoreOptions, key: JobKey, next: u64, standing: Arc<GlobalState>) -> Self {
        Self {
            rules: Arc::new(RuleSet::empty()),
            standing,
            policy: options.policy.clone(),
            key,
            clock: options.clock.clone(),
            next,
            brakes: Brakes::new(options.brakes.iter().cloned()),
            repeating: HashMap::new(),
        }
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The number of the next record.
    pub const fn next(&self) -> u64 {
        self.next
    }

    /// Decides one command about one customer. `None`: the decision panicked, and nothing has changed.
    pub fn decide(&mut self, command: &Command, case: &Arc<CustomerState>, durable: u64) -> Option<Decided> {
        let now = self.now();
        let who = command.customer();
        let given = DecisionContext {
            now,
            number: self.next,
            rules: &self.rules,
            policy: &self.policy,
            key: &self.key,
            standing: &self.standing,
            clock_in_doubt: self.clock.is_in_doubt(),
            duplicate_at: self.repeating.get(who).map(|repeating| repeating.recorded_at),
        };
        let decision = catch_unwind(AssertUnwindSafe(|| decide::decide(case, command, given))).ok()?;
        let written = match decision.effects {
            None => {
                if decision.receipt == Receipt::Seen(CallbackOutcome::Duplicate)
                    && let Some(repeating) = self.repeating.get_mut(who)
                {
                    repeating.unrecorded = repeating.unrecorded.saturating_add(1);
                }
                None
            }
            Some(mut effects) => {
                effects.repeats = self.repeated(who, effects.verdict, now);
                Some(self.write(effects, Some((who, case)), now, durable))
            }
        };
        Some(Decided { receipt: decision.receipt, written })
    }

    /// The start of the period that the brakes count; `None`: there are no brakes.
    pub fn counts_since(&self) -> Option<Timestamp> {
        self.brakes.since(self.now())
    }

    /// Counts an order that was made before the start of this process.
    pub fn recount(&mut self, order: &Order) {
        let channel = order.channel();
        let begun_anew = self.standing.resumed_at(&channel).is_some_and(|at| order.at <= at);
        if !begun_anew && !self.standing.is_paused(&channel) {
            // If this exceeds the limit, the next order triggers the brake.
            let _ = self.brakes.count(&channel, &order.rule, order.at);
        }
    }

    /// Counts the jobs just ordered. Returns the records that pause the channels whose limit was exceeded.
    pub fn brake(&mut self, written: &Written, durable: u64) -> Vec<Written> {
        let mut pauses = Vec::new();
        for job in &written.effects.jobs {
            let channel = job.order.channel();
            if self.standing.is_paused(&channel) {
                continue;
            }
            if let Some(braked) = self.brakes.count(&channel, &job.order.rule, written.header.at) {
                let advice = braked.advice(&channel, Some(&job.order.rule));
                let act = Control::Brake(channel, braked);
                tracing::error!("{act}; {advice}");
                pauses.extend(self.control(&act, durable));
            }
        }
        pauses
    }

    /// How many duplicates of this customer were not recorded before this record.
    fn repeated(&mut self, who: &CustomerId, verdict: Option<CallbackOutcome>, now: Timestamp) -> u32 {
        let Some(verdict) = verdict else { return 0 };
        let before = match verdict {
            CallbackOutcome::Duplicate => {
                self.repeating.insert(who.clone(), RepeatedDuplicate { recorded_at: now, unrecorded: 0 })
            }
            _ => self.repeating.remove(who),
        };
        before.map_or(0, |repeating| repeating.unrecorded)
    }

    /// Customers whose duplicates have been counted for a minute, and their counts.
    pub fn take_repeats(&mut self) -> Vec<(CustomerId, u32)> {
        let now = self.now();
        let early = self.repeating.len() > MAX_REPEATING;
        let mut over = Vec::new();
        self.repeating.retain(|who, repeating| {
            let keep = !early && now.since_ms(repeating.recorded_at) < REPEAT_MS;
            if !keep && repeating.unrecorded > 0 {
                over.push((who.clone(), repeating.unrecorded));
            }
            keep
        });
        over
    }

    pub fn repeats(&mut self, who: &CustomerId, count: u32, case: &Arc<CustomerState>, durable: u64) -> Written {
        let effects = Changes { repeats: count, ..Changes::of(RecordKind::Repeats, who) };
        let now = self.now();
        self.write(effects, Some((who, case)), now, durable)
    }

    /// Makes a rule set the active one, from the next command on.
    pub fn activate(&mut self, rules: Arc<RuleSet>, durable: u64) -> Written {
        let standing = Arc::new(self.standing.with_rules(&rules, self.now()));
        let set = Some(rules.hash().into());
        let effects = Changes { set, standing: Some(Arc::clone(&standing)), ..Changes::mark(RecordKind::Rules) };
        (self.rules, self.standing) = (rules, standing);
        self.mark(effects, durable)
    }

    /// The record of a change in the trust in the clock; `None`: nothing has changed.
    pub fn clock(&mut self, durable: u64) -> Option<Written> {
        let note = Some(self.take_clock()?.into());
        let effects =
            Changes { standing: Some(Arc::clone(&self.standing)), note, ..Changes::mark(RecordKind::Operator) };
        Some(self.mark(effects, durable))
    }

    /// The first record of a process.
    pub fn opened(&mut self, process: &str, durable: u64) -> Written {
        let has_changed = self.take_clock().is_some();
        let standing = has_changed.then(|| Arc::clone(&self.standing));
        let effects = Changes { standing, note: Some(process.into()), ..Changes::mark(RecordKind::Opened) };
        self.mark(effects, durable)
    }

    /// Takes over the state of the clock. Returns a note on the change, or `None` if nothing has changed.
    fn take_clock(&mut self) -> Option<&'static str> {
        let recorded = self.standing.clock();
        if recorded.is_some_and(|recorded| !self.clock.has_changed(recorded)) {
            return None;
        }
        let note = match self.clock.is_in_doubt() {
            true => "the clock is in doubt: timers and limits are held",
            false => "the clock is trusted",
        };
        self.standing = Arc::new(self.standing.with_clock(self.clock.trusted()));
        Some(note)
    }

    /// Applies an operator's act on rules, channels or the clock. `None`: the act changes nothing.
    pub fn control(&mut self, act: &Control, durable: u64) -> Option<Written> {
        if *act == Control::AcceptClock {
            if !self.clock.is_in_doubt() {
                return None;
            }
            self.clock.trust();
            self.standing = Arc::new(self.standing.with_clock(self.clock.trusted()));
            let (standing, note) = (Some(Arc::clone(&self.standing)), Some(act.to_string().into()));
            return Some(self.mark(Changes { standing, note, ..Changes::mark(RecordKind::Operator) }, durable));
        }
        let standing = Arc::new(self.standing.after(act, &self.rules, self.now())?);
        self.standing = Arc::clone(&standing);
        if let Control::ResumeChannel(channel) = act {
            self.brakes.reset(channel);
        }
        let note = Some(act.to_string().into());
        Some(self.mark(Changes { standing: Some(standing), note, ..Changes::mark(RecordKind::Operator) }, durable))
    }

    /// A record that concerns no customer.
    pub fn mark(&mut self, effects: Changes, durable: u64) -> Written {
        let now = self.now();
        self.write(effects, None, now, durable)
    }

    fn write(
        &mut self,
        effects: Changes,
        about: Option<(&CustomerId, &Arc<CustomerState>)>,
        at: Timestamp,
        durable: u64,
    ) -> Written {
        let number = self.next;
        self.next += 1;
        let header = RecordHeader { n: number, d: durable, p: about.map_or(0, |(_, case)| case.last), at };
        let touched = about.map(|(who, case)| (who.clone(), mark_changed(case, number, at, &effects)));
        Written { header, effects, touched }
    }
}

/// Applies a record to a customer. Replaying a record does exactly the same.
pub fn mark_changed(case: &CustomerState, number: u64, at: Timestamp, effects: &Changes) -> CustomerDelta {
    let mut after = case.clone();
    let jobs = after.apply(number, at, effects);
    let (new, contact) = (after.first == number, effects.contact.is_some());
    let waiting = case.question.iter().flat_map(|question| &question.waiting);
    CustomerDelta {
        new,
        contact,
        jobs,
        stays_before: stays::rows(case),
        waiting_before: waiting.map(|pending| pending.number).collect(),
        case: Arc::new(after),
    }
}
