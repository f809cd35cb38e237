//! Logs when callbacks or due timers have waited longer than `provider.patience` for a decision, and when none does any
//! longer.
//!
//! The callbacks are found through the store: the time of the oldest waiting callback of each customer. No other state
//! is kept, so the problem `unanswered` survives a restart. Waiting timers are in memory: [`ConfirmationWorker::late_timers`].

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

use super::{ConfirmationWorker, cause};
use crate::{
    clock::{Clock, Timestamp},
    directory::ContactFetcher,
    domain::CustomerId,
    store::Store,
};

/// The longest interval between two checks of the store, in milliseconds.
const LONGEST_MS: i64 = 60_000;

/// Delay after a change before the store is checked again, while callbacks have waited too long.
const AFTER_CHANGE: Duration = Duration::from_secs(1);

/// The minimum time between two ERROR lines about the same condition.
const BETWEEN_LINES: Duration = Duration::from_secs(10);

/// Watches for callbacks without a decision, and for timers that wait for the provider's API.
pub struct UnansweredWatch {
    pub store: Store,
    pub clock: Clock,
    /// Supplies the last error; `None`: there is no key for the provider's API.
    pub asker: Option<Arc<ConfirmationWorker>>,
    pub lookups: Option<Arc<ContactFetcher>>,
    pub patience_ms: i64,
}

/// The number of customers that was last logged.
#[derive(Debug, Default)]
struct LoggedCount {
    /// The number in the latest ERROR line; 0: no line, or the end was logged.
    count: u64,
    at: Option<Instant>,
}

/// A line of the log.
#[derive(Debug, PartialEq, Eq)]
enum LogLine {
    Error,
    Over,
}

impl LoggedCount {
    /// Returns an ERROR line for the first customers, and again each time that their number has doubled.
    fn line(&mut self, count: u64) -> Option<LogLine> {
        if count == 0 {
            return (std::mem::take(&mut self.count) > 0).then_some(LogLine::Over);
        }
        let is_due = self.at.is_none_or(|at| at.elapsed() >= BETWEEN_LINES);
        if self.count > 0 && (count < self.count.saturating_mul(2) || !is_due) {
            return None;
        }
        *self = Self { count, at: Some(Instant::now()) };
        Some(LogLine::Error)
    }
}

impl UnansweredWatch {
    /// Runs until `stop` is true.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let mut changed = self.store.jobs_changed();
        let (mut callbacks, mut timers) = (LoggedCount::default(), LoggedCount::default());
        while !*stop.borrow() {
            changed.mark_unchanged();
            let until = self.clock.now().plus_ms(-self.patience_ms);
            let count = self.store.count_waiting_since(until);
            self.log_callbacks(&mut callbacks, count);
            self.log_timers(&mut timers, until);
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => {}
                () = sleep(self.until_next_look(count)) => {}
                // The last waiting callback may have been decided.
                () = async { let _ = changed.changed().await; sleep(AFTER_CHANGE).await }, if count > 0 => {}
            }
        }
    }

    /// Returns the time until the oldest callback has waited too long, if none has yet.
    fn until_next_look(&self, count: u64) -> Duration {
        let longest_ms = if self.clock.is_moved_by_hand() { 50 } else { self.patience_ms.clamp(1_000, LONGEST_MS) };
        let oldest = self.store.waiting_since(Timestamp(i64::MAX), None, 1).first().map(|(since, _)| *since);
        let due_ms = oldest.filter(|_| count == 0).map(|since| since.plus_ms(self.patience_ms));
        let due_ms = due_ms.map_or(longest_ms, |at| at.since_ms(self.clock.now()));
        Duration::from_millis(due_ms.clamp(20, longest_ms).unsigned_abs())
    }

    fn log_callbacks(&self, told: &mut LoggedCount, count: u64) {
        match told.line(count) {
            Some(LogLine::Error) => {
                let oldest = self.store.waiting_since(Timestamp(i64::MAX), None, 1);
                let error = oldest.first().map(|(_, customer)| self.why(customer)).unwrap_or_default();
                tracing::error!(
                    customers = count,
                    error,
                    "callbacks have waited longer than `provider.patience` and are not decided: see `kyc-rules problems`"
                );
            }
            Some(LogLine::Over) => tracing::info!("no callback waits longer than `provider.patience` now"),
            None => {}
        }
    }

    fn log_timers(&self, told: &mut LoggedCount, until: Timestamp) {
        let late = self.asker.as_ref().and_then(|asker| asker.late_timers.since(until));
        match (told.line(late.as_ref().map_or(0, |(count, _)| *count)), late) {
            (Some(LogLine::Error), Some((count, oldest))) => {
                tracing::error!(
                    customers = count,
                    error = self.why(&oldest),
                    "timers are due and wait longer than `provider.patience` for the provider's API: see `kyc-rules problems`"
                );
            }
            (Some(LogLine::Over), _) => tracing::info!("no timer waits longer than `provider.patience` now"),
            _ => {}
        }
    }

    /// Returns the reason for the log.
    fn why(&self, customer: &CustomerId) -> String {
        let case = self.store.customer(customer).ok().flatten();
        cause(self.asker.as_deref(), self.lookups.as_deref(), customer, case.as_deref()).text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_line_for_the_first_customer_and_for_each_doubling_of_their_number() {
        let mut told = LoggedCount::default();
        assert_eq!(told.line(0), None);
        assert_eq!(told.line(1), Some(LogLine::Error));
        assert_eq!(told.line(60), None, "immediately after the previous line");
        tokio::time::advance(BETWEEN_LINES).await;
        assert_eq!(told.line(60), Some(LogLine::Error));
        tokio::time::advance(BETWEEN_LINES).await;
        assert_eq!([told.line(60), told.line(119), told.line(10)], [None, None, None]);
        assert_eq!(told.line(120), Some(LogLine::Error));
        assert_eq!([told.line(0), told.line(0)], [Some(LogLine::Over), None]);
        assert_eq!(told.line(1), Some(LogLine::Error));
    }
}
