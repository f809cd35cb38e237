//! The last error of each customer about whom the provider's API gives no answer that decides anything: what the problem `unanswered`
//! shows.
//!
//! In memory only. A restart asks about every waiting callback at once, and so learns the error again.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{AskError, Cause};
use crate::kyc::CustomerId;

/// Customers remembered at once; past it all are forgotten, and the next answers fill the table again.
const MAX_CUSTOMERS: usize = 10_000;

#[derive(Debug, Default)]
pub struct LastErrors(Mutex<HashMap<CustomerId, Cause>>);

impl LastErrors {
    fn table(&self) -> MutexGuard<'_, HashMap<CustomerId, Cause>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The API gave no usable answer about this customer. That it was not asked, for what it said before, replaces nothing.
    pub fn note(&self, customer: &CustomerId, error: &AskError) {
        let mut table = self.table();
        if matches!(error, AskError::Resting(_)) && table.contains_key(customer) {
            return;
        }
        if table.len() >= MAX_CUSTOMERS && !table.contains_key(customer) {
            table.clear();
        }
        table.insert(customer.clone(), error.cause().clone());
    }

    /// The API has answered.
    pub fn forget(&self, customer: &CustomerId) {
        self.table().remove(customer);
    }

    pub fn of(&self, customer: &CustomerId) -> Option<Cause> {
        self.table().get(customer).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_error_stays_until_there_is_an_answer_and_the_table_is_bounded() {
        let (errors, customer) =
            (LastErrors::default(), |nth: usize| CustomerId::new(&format!("C-{nth}")).expect("id"));
        let cause = |text: &str| Cause::from(text.to_owned());
        errors.note(&customer(1), &AskError::Odd(cause("400")));
        errors.note(&customer(1), &AskError::Resting(cause("502")));
        assert_eq!(errors.of(&customer(1)), Some(cause("400")));
        errors.note(&customer(1), &AskError::Key(cause("401")));
        assert_eq!(errors.of(&customer(1)), Some(cause("401")));
        errors.forget(&customer(1));
        assert_eq!(errors.of(&customer(1)), None);
        for nth in 0..MAX_CUSTOMERS + 1 {
            errors.note(&customer(nth), &AskError::Odd(cause("400")));
        }
        assert_eq!(errors.of(&customer(0)), None);
        assert!(errors.of(&customer(MAX_CUSTOMERS)).is_some() && errors.table().len() == 1);
    }
}
