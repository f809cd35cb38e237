//! The last error of each customer about whom the provider's API gives no answer that decides anything: what the problem `unanswered`
//! shows, and until when the API is not asked about this customer again.
//!
//! In memory only. A restart asks about every waiting callback at once.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{AskError, Cause};
use crate::{clock::Timestamp, kyc::CustomerId};

/// Customers remembered at once; past it all are forgotten, and the next answers fill the table again.
const MAX_CUSTOMERS: usize = 10_000;

/// The longest that one customer's failures make that customer wait, in milliseconds. A longer rest: the clock was set back.
const LONGEST_REST_MS: i64 = 300_000;

/// What the API last said about a customer.
#[derive(Debug)]
struct Entry {
    error: AskError,
    /// The newest callback that waited then.
    newest: Option<u64>,
    /// When it may be asked again.
    again_at: Timestamp,
}

#[derive(Debug, Default)]
pub struct LastErrors(Mutex<HashMap<CustomerId, Entry>>);

impl LastErrors {
    fn table(&self) -> MutexGuard<'_, HashMap<CustomerId, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The API gave no usable answer about this customer, of whose waiting callbacks this was the newest.
    pub fn note(&self, customer: &CustomerId, error: &AskError, newest: Option<u64>, again_at: Timestamp) {
        let mut table = self.table();
        if table.len() >= MAX_CUSTOMERS && !table.contains_key(customer) {
            table.clear();
        }
        table.insert(customer.clone(), Entry { error: error.clone(), newest, again_at });
    }

    /// The API was not asked, for what it said before: an error of this customer's own stays.
    pub fn note_resting(&self, customer: &CustomerId, error: &AskError, now: Timestamp) {
        if !self.table().contains_key(customer) {
            self.note(customer, error, None, now);
        }
    }

    /// The API has answered.
    pub fn forget(&self, customer: &CustomerId) {
        self.table().remove(customer);
    }

    pub fn of(&self, customer: &CustomerId) -> Option<Cause> {
        self.table().get(customer).map(|entry| entry.error.cause().clone())
    }

    /// The last error and the milliseconds that are left until the API may be asked about this customer again. A callback that has come
    /// since then asks at once.
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

    fn cause(text: &str) -> Cause {
        Cause::from(text.to_owned())
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
    fn a_customer_rests_until_the_time_or_a_new_callback() {
        let (errors, odd) = (LastErrors::default(), AskError::Odd(cause("400")));
        let rests = |newest, now| errors.rests(&customer(1), newest, Timestamp(now)).map(|(_, left_ms)| left_ms);
        assert_eq!(rests(None, 0), None);
        errors.note(&customer(1), &odd, Some(7), Timestamp(60_000));
        assert_eq!([rests(Some(7), 0), rests(None, 59_999), rests(Some(7), 60_000)], [Some(60_000), Some(1), None]);
        assert_eq!(rests(Some(8), 0), None, "a callback has come since");
        assert_eq!(rests(Some(7), -3_600_000), None, "the clock was set back");
        errors.forget(&customer(1));
        assert_eq!(rests(Some(7), 0), None);
    }
}
