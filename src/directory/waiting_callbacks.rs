//! Decides callbacks that wait only for the directory: without a key for the provider's API, no other service is asked.
//!
//! It also runs without a directory: a callback that was waiting when the service stopped is decided even if the
//! configuration no longer has a lookup.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, task::JoinSet, time::sleep};

use super::ContactFetcher;
use crate::{clock::Clock, decide::Command, domain::CustomerId, store::Store};

/// The maximum number of customers that are settled concurrently. Waiting is cheap; the directory limits its own
/// concurrent requests.
const AT_ONCE: usize = 256;

/// Delay before a retry after the store has rejected a command, in milliseconds.
const AGAIN_MS: i64 = 1_000;

pub struct WaitingCallbacksWorker {
    pub store: Store,
    pub clock: Clock,
    pub lookups: Option<Arc<ContactFetcher>>,
}

impl WaitingCallbacksWorker {
    /// Runs until `stop` is true.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let this = Arc::new(self);
        let mut changed = this.store.jobs_changed();
        let mut under_way = JoinSet::new();
        while !*stop.borrow() {
            changed.mark_unchanged();
            for customer in this.store.take_confirmations(AT_ONCE.saturating_sub(under_way.len())) {
                let this = Arc::clone(&this);
                under_way.spawn(async move { this.settle(customer).await });
            }
            let busy = under_way.len() >= AT_ONCE;
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => {}
                _ = changed.changed(), if !busy => {}
                () = sleep(this.until_due()), if !busy => {}
                Some(_) = under_way.join_next(), if !under_way.is_empty() => {}
            }
            while under_way.try_join_next().is_some() {}
        }
        under_way.shutdown().await;
    }

    /// Decides the oldest waiting callback; the others follow one by one.
    async fn settle(&self, customer: CustomerId) {
        if let Some(lookups) = &self.lookups {
            lookups.ask_for_callback(&customer).await;
        }
        if self.store.submit(Command::Settle { customer: customer.clone() }).await.is_err() {
            self.store.retry_confirmation(&customer, AGAIN_MS);
        }
    }

    fn until_due(&self) -> Duration {
        let longest_ms = if self.clock.is_moved_by_hand() { 50 } else { 60_000 };
        let due_ms = self.store.next_confirmation().map(|at| at.since_ms(self.clock.now()));
        Duration::from_millis(due_ms.unwrap_or(longest_ms).clamp(20, longest_ms).unsigned_abs())
    }
}
