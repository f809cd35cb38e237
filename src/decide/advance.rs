//! Advances a customer to an observed state: ends stays, and evaluates the rules for the change.

use super::{
    Changes, CustomerState, DecisionContext, JobUpdate,
    event::{Event, MatchedRules},
};
use crate::{
    clock::Timestamp,
    domain::{CallbackOutcome, Change, Customer, CustomerId, Observation, Processing},
    outbox::{JobState, Order, ProcessingStay},
};

/// Updates the customer to the observed state, as of `since`, and evaluates the rules for the change.
pub(super) fn advance(
    case: &CustomerState,
    who: &CustomerId,
    (saw, change): (&Observation, &Change),
    since: Timestamp,
    effects: &mut Changes,
    given: DecisionContext<'_>,
) -> CallbackOutcome {
    let verdict = change.verdict();
    let customer = Customer::after(case.customer.as_ref(), saw, change, since);
    effects.verdict = Some(verdict);
    effects.set = Some(given.rules.hash().into());
    if verdict != CallbackOutcome::Duplicate {
        end_stays(case, &customer, given, effects);
        effects.timers = case.timers.after(change);
        let triggered = MatchedRules::Change(given.rules.matching(change));
        event(case, who, change, &customer, given).rule(triggered, effects);
    }
    effects.now = Some(customer);
    verdict
}

/// Cancels the mails of a stay that has just ended, so that no outdated mail is sent.
fn end_stays(case: &CustomerState, customer: &Customer, given: DecisionContext<'_>, effects: &mut Changes) {
    for job in case.open.iter().filter(|job| job.order.is_mail_to_customer()) {
        let waits = match job.fate.state {
            JobState::Queued | JobState::Held | JobState::Problem => true,
            JobState::Running | JobState::Done | JobState::Cancelled => false,
        };
        if let Some(reason) = ended(&job.order, customer)
            && waits
        {
            effects.fates.push(JobUpdate { id: job.id(), fate: job.fate.cancelled(given.now, reason), letter: None });
        }
    }
}

/// Returns why the stay of an order has ended; `None`: the stay lasts.
pub fn ended(order: &Order, customer: &Customer) -> Option<String> {
    match &order.processing_stay {
        None => (customer.status != order.to || customer.visit() != order.visit)
            .then(|| format!("the customer has left {} and is now in {}", order.to, customer.status)),
        Some(stay) => {
            let now = customer.processing.as_ref()?;
            (*now != stay.processing || customer.processing_entered_at() != stay.since)
                .then(|| format!("processing {} has ended, it is now {now}", stay.processing))
        }
    }
}

/// Returns the change as an event for the rules.
fn event<'a>(
    case: &'a CustomerState,
    who: &'a CustomerId,
    change: &'a Change,
    customer: &'a Customer,
    given: DecisionContext<'a>,
) -> Event<'a> {
    let (from, cause) = match &change.status {
        Some(edge) => (edge.from.clone(), format!("visit {} of {}", customer.visit(), edge.to)),
        None => (Some(change.at.clone()), format!("record {}", given.number)),
    };
    let stay = |to: &Processing| ProcessingStay { processing: to.clone(), since: customer.processing_entered_at() };
    let processing_stay = change.processing.as_ref().map(|edge| stay(&edge.to));
    Event { case, who, customer, from, changed: change.details, cause, processing_stay, given }
}
