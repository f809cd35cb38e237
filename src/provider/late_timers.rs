//! Customers whose due timers wait for the provider's API: it is asked before a timer is decided, and gives no usable
//! answer.
//!
//! Kept in memory only: after a restart the same timers are due, and their waiting times start at 0.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::{clock::Timestamp, domain::CustomerId};

/// The time since which each customer waits.
#[derive(Debug, Default)]
pub struct LateTimers(Mutex<HashMap<CustomerId, Timestamp>>);

impl LateTimers {
    fn table(&self) -> MutexGuard<'_, HashMap<CustomerId, Timestamp>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces the waiting customers after a pass over all due timers; customers that were already waiting keep their
    /// times.
    pub fn replace(&self, waiting: HashSet<CustomerId>, now: Timestamp) {
        let mut table = self.table();
        let since = |customer: &CustomerId| table.get(customer).copied().unwrap_or(now);
        let after = waiting.into_iter().map(|customer| (since(&customer), customer));
        *table = after.map(|(since, customer)| (customer, since)).collect();
    }

    /// Returns the number of customers that have waited since `until` or longer, and the one that has waited longest.
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
    fn the_waiting_time_starts_at_the_first_failure() {
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
