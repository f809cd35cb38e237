//! The core: decides what an event changes, from the known facts about one customer, the event, the rules and the time.
//!
//! The functions are pure and total: they do no I/O, never panic, and return the same decision for the same input. A
//! decision contains results, not instructions: the caller only has to store them.

mod advance;
mod attempt;
mod brake;
mod changes;
mod command;
mod confirm;
mod confirmation;
mod contact_lookup;
mod context;
mod controls;
mod counted_order;
mod customer_state;
mod decision;
mod event;
mod facts;
mod lookup_state;
mod mail_snapshot;
mod observe;
mod operate;
mod payload;
mod stay_timers;
mod timer;

#[cfg(test)]
mod confirm_tests;
#[cfg(test)]
mod order_tests;
#[cfg(test)]
mod properties_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod wait_tests;

pub use attempt::{JobWait, wait};
pub use brake::{Brake, BrakeReason, Brakes};
pub use changes::{Changes, JobUpdate, RecordKind, RuleOutcome, RuleResult};
pub use command::{Command, ImportedState};
pub use confirmation::{ApiAnswer, Confirmation, ConfirmationUpdate, PendingCallback};
pub use context::{DecisionContext, Policy};
pub use controls::{Control, GlobalState, LiveSince, TimerKey};
pub use counted_order::CountedOrder;
pub use customer_state::{CustomerState, MAX_OPEN_JOBS};
pub use decision::{Decision, Receipt, StartedAttempt};
pub use lookup_state::LookupState;
pub use observe::REPEAT_MS;
pub use stay_timers::{DueTimer, StayTimers};
pub use timer::{backlog_of, next_timer, stays};

/// Decides one command.
pub fn decide(case: &CustomerState, command: &Command, given: DecisionContext<'_>) -> Decision {
    let mut decision = match command {
        Command::Observe { customer, saw } => observe::observe(case, customer, saw, given),
        Command::Import { customer, contact, memory } => {
            operate::import(case, customer, contact.as_deref(), memory.as_deref(), given)
        }
        Command::Timer { customer, confirmed } => timer::timer(case, customer, *confirmed, given),
        Command::Answer { customer, up_to, answer } => confirm::answered(case, customer, *up_to, answer, given),
        Command::Settle { customer } => confirm::decide_waiting(case, customer, given),
        Command::Believe { customer } => confirm::accept_waiting(case, customer, given),
        Command::Backlog { customer, rule } => timer::send_backlog(case, customer, rule, given),
        Command::Attempt { customer, job } => attempt::begin(case, customer, *job, given),
        Command::Finish { customer, job, attempt, outcome } => {
            attempt::end(case, customer, *job, *attempt, outcome, given)
        }
        Command::Recall { customer, job } => attempt::recall(case, customer, *job, given),
        Command::Doubt { customer, job } => attempt::mark_in_doubt(case, customer, *job, given),
        Command::LookedUp { customer, found } => contact_lookup::looked_up(case, customer, found, given),
        Command::Contact { customer, contact } => operate::contact(case, customer, contact, given),
        Command::Tag { customer, name } => operate::tag(case, customer, name),
        Command::Untag { customer, name } => operate::untag(case, customer, name),
        Command::Retry { customer, job } => operate::retry(case, customer, *job, given),
        Command::Drop { customer, job } => operate::drop(case, customer, *job, given),
    };
    if let Some(effects) = &mut decision.effects {
        effects.clock_in_doubt = given.clock_in_doubt;
    }
    decision
}
