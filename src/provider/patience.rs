//! Says in the log that callbacks have waited longer than `provider.patience` for a decision, and when that is over.
//!
//! Which callbacks those are follows from the store: the time of the oldest waiting callback of each customer. Nothing else is kept,
//! so the problem `unanswered` outlives a restart.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, time::sleep};

use super::Asker;
use crate::{
    clock::{Clock, Timestamp},
    store::Store,
};

/// How often the store is looked at, at least.
const LONGEST_MS: i64 = 60_000;

/// Delay after a change before the store is looked at again, while callbacks wait too long.
const AFTER_CHANGE: Duration = Duration::from_secs(1);

/// Watches for callbacks that nothing decides.
pub struct PatienceWatch {
    pub store: Store,
    pub clock: Clock,
    /// For the last error; `None`: there is no key for the provider's API.
    pub asker: Option<Arc<Asker>>,
    pub patience_ms: i64,
}

impl PatienceWatch {
    /// Until `stop` says true.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let mut changed = self.store.jobs_changed();
        let mut told = 0;
        while !*stop.borrow() {
            changed.mark_unchanged();
            let count = self.store.count_waiting_since(self.clock.now().plus_ms(-self.patience_ms));
            self.tell(told, count);
            told = count;
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => {}
                () = sleep(self.until_next_look(count)) => {}
                // The last one may have been decided.
                () = async { let _ = changed.changed().await; sleep(AFTER_CHANGE).await }, if count > 0 => {}
            }
        }
    }

    /// Until the oldest callback has waited too long, if none has yet.
    fn until_next_look(&self, count: u64) -> Duration {
        let longest_ms = if self.clock.is_moved_by_hand() { 50 } else { self.patience_ms.clamp(1_000, LONGEST_MS) };
        let oldest = self.store.waiting_since(Timestamp(i64::MAX), None, 1).first().map(|(since, _)| *since);
        let due_ms = oldest.filter(|_| count == 0).map(|since| since.plus_ms(self.patience_ms));
        let due_ms = due_ms.map_or(longest_ms, |at| at.since_ms(self.clock.now()));
        Duration::from_millis(due_ms.clamp(20, longest_ms).unsigned_abs())
    }

    fn tell(&self, before: u64, now: u64) {
        if now > 0 && before == 0 {
            let oldest = self.store.waiting_since(Timestamp(i64::MAX), None, 1);
            let cause = oldest.first().and_then(|(_, customer)| self.asker.as_ref()?.last_error(customer));
            let error = cause.map(|cause| cause.text).unwrap_or_default();
            tracing::error!(
                customers = now,
                error,
                "callbacks have waited longer than `provider.patience` and are not decided: see `kyc-rules problems`"
            );
        } else if now == 0 && before > 0 {
            tracing::info!("no callback waits longer than `provider.patience` any more");
        }
    }
}
