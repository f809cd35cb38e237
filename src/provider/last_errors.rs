//! The last error per customer without a usable answer of the provider's API: it is shown in the problem `unanswered`,
//! and determines when the API is asked about the customer again.
//!
//! Kept in memory only. After a restart, the API is asked about every waiting callback at once.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{AnswerFailure, AskError};
use crate::{clock::Timestamp, domain::CustomerId};

/// The maximum number of customers; above it the table is cleared and fills again with the next answers.
const MAX_CUSTOMERS: usize = 10_000;

/// The longest delay after a customer's failures, in milliseconds. A longer remaining delay means that the clock was
/// set back.
const LONGEST_REST_MS: i64 = 300_000;

/// The last error about a customer.
#[derive(Debug)]
struct Entry {
    error: AskError,
    /// The record number of the newest callback that was waiting then.
    newest: Option<u64>,
    /// The time from which the API may be asked again.
    again_at: Timestamp,
}

#[derive(Debug, Default)]
pub struct LastErrors(Mutex<HashMap<CustomerId, Entry>>);

impl LastErrors {
    fn table(&self) -> MutexGuard<'_, HashMap<CustomerId, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that the API gave no usable answer about this customer; `newest` is the newest waiting callback.
    pub fn note(&self, customer: &CustomerId, error: &AskError, newest: Option<u64>, again_at: Timestamp) {
        let mut table = self.table();
        if table.len() >= MAX_CUSTOMERS && !table.contains_key(customer) {
            table.clear();
        }
        table.insert(customer.clone(), Entry { error: error.clone(), newest, again_at });
    }

    /// Notes that no request was sent because the API is paused; an existing error of this customer is kept.
    pub fn note_resting(&self, customer: &CustomerId, error: &AskError, now: Timestamp) {
        if !self.table().contains_key(customer) {
            self.note(customer, error, None, now);
        }
    }

    /// Removes the error after a usable answer.
    pub fn forget(&self, customer: &CustomerId) {
        self.table().remove(customer);
    }

    pub fn of(&self, customer: &CustomerId) -> Option<AnswerFailure> {
        self.table().get(customer).map(|entry| entry.error.cause().clone())
    }

    /// Returns the last error, and the milliseconds until the API may be asked about this customer again. `None`: it
    /// may be asked now, for example because a newer callback has arrived.
    pub fn rests(&self, customer: &CustomerId, newest: Option<u64>, now: Timestamp) -> Option<(AskError, i64)> {
        let table = self.table();
        let entry = table.get(customer)?;
        let left_ms = entry.again_at.since_ms(now);
        let rests = (1..=LONGEST_REST_MS).contains(&left_ms) && newest <= entry.newest;
        rests.then(|| (entry.error.clone(), left_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn customer(nth: usize) -> CustomerId {
        CustomerId::new(&format!("C-{nth}")).expect("id")
    }

    fn cause(text: &str) -> AnswerFailure {
        AnswerFailure::from(text.to_owned())
    }

    #[test]
    fn the_last_error_stays_until_there_is_an_answer_and_the_table_is_bounded() {
        let (errors, now) = (LastErrors::default(), Timestamp(0));
        errors.note(&customer(1), &AskError::Odd(cause("400")), None, now);
        errors.note_resting(&customer(1), &AskError::Resting(cause("502")), now);
        assert_eq!(errors.of(&customer(1)), Some(cause("400")));
        errors.note(&customer(1), &AskError::Key(cause("401")), None, now);
        assert_eq!(errors.of(&customer(1)), Some(cause("401")));
        errors.forget(&customer(1));
        assert_eq!(errors.of(&customer(1)), None);
        for nth in 0..MAX_CUSTOMERS + 1 {
            errors.note(&customer(nth), &AskError::Odd(cause("400")), None, now);
        }
        assert_eq!(errors.of(&customer(0)), None);
        assert!(errors.of(&customer(MAX_CUSTOMERS)).is_some() && errors.table().len() == 1);
    }

    #[test]
    fn a_customer_is_paused_until_the_time_or_a_new_callback() {
        let (errors, odd) = (LastErrors::default(), AskError::Odd(cause("400")));
        let rests = |newest, now| errors.rests(&customer(1), newest, Timestamp(now)).map(|(_, left_ms)| left_ms);
        assert_eq!(rests(None, 0), None);
        errors.note(&customer(1), &odd, Some(7), Timestamp(60_000));
        assert_eq!([rests(Some(7), 0), rests(None, 59_999), rests(Some(7), 60_000)], [Some(60_000), Some(1), None]);
        assert_eq!(rests(Some(8), 0), None, "a newer callback has arrived");
        assert_eq!(rests(Some(7), -3_600_000), None, "the clock was set back");
        errors.forget(&customer(1));
        assert_eq!(rests(Some(7), 0), None);
    }
}
