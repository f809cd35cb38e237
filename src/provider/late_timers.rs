//! Customers whose due timers the provider's API keeps waiting: it is asked before a timer is decided, and gives no usable answer.
//!
//! In memory only: a restart finds the same timers due, and counts their waiting anew.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::{clock::Timestamp, kyc::CustomerId};

/// Since when each of them waits.
#[derive(Debug, Default)]
pub struct LateTimers(Mutex<HashMap<CustomerId, Timestamp>>);

impl LateTimers {
    fn table(&self) -> MutexGuard<'_, HashMap<CustomerId, Timestamp>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// After a look at everything that is due: these customers wait, and no others.
    pub fn replace(&self, waiting: HashSet<CustomerId>, now: Timestamp) {
        let mut table = self.table();
        let since = |customer: &CustomerId| table.get(customer).copied().unwrap_or(now);
        let after = waiting.into_iter().map(|customer| (since(&customer), customer));
        *table = after.map(|(since, customer)| (customer, since)).collect();
    }

    /// How many wait since this time or before, and the one that waits longest.
    pub fn since(&self, until: Timestamp) -> Option<(u64, CustomerId)> {
        let table = self.table();
        let late = || table.iter().filter(|(_, since)| **since <= until);
        let (oldest, _) = late().min_by_key(|(customer, since)| (**since, *customer))?;
        Some((late().count() as u64, oldest.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_failure_counts_until_nothing_of_the_customer_is_due() {
        let (late, id) = (LateTimers::default(), |text: &str| CustomerId::new(text).expect("id"));
        let looked =
            |waiting: &[&str], now| late.replace(waiting.iter().map(|text| id(text)).collect(), Timestamp(now));
        looked(&["C-2"], 10);
        looked(&["C-1", "C-2"], 20);
        looked(&["C-1", "C-2"], 30);
        assert_eq!(late.since(Timestamp(9)), None);
        assert_eq!(late.since(Timestamp(10)), Some((1, id("C-2"))));
        assert_eq!(late.since(Timestamp(20)), Some((2, id("C-2"))));
        looked(&["C-1"], 40);
        assert_eq!(late.since(Timestamp(40)), Some((1, id("C-1"))));
        looked(&[], 50);
        assert_eq!(late.since(Timestamp(50)), None);
    }
}
