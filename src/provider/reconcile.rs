//! Asks about every customer at intervals, at the rate that all requests share, to find lost callbacks and lost
//! reversals.
//!
//! A customer that the provider does not know keeps the remembered state, and is counted.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::{sync::watch, time::sleep};

use super::{AskError, AskOutcome, ConfirmationWorker};
use crate::{
    clock::{Clock, Timestamp},
    domain::{CustomerId, Status},
    store::{Store, StoreError},
};

/// The number of customers per page of the store.
const PAGE: usize = 200;

/// The maximum number of attempts per customer in a round.
const TRIES: usize = 5;

/// The interval at which each customer is asked about; `None`: never.
#[derive(Clone, Copy, Debug)]
pub struct ReconcileIntervals {
    /// For customers whose status may still change.
    pub open: Option<Duration>,
    /// For customers who are verified or have failed for good.
    pub settled: Option<Duration>,
}

/// The result of one round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReconcileRound {
    /// The round covered the customers who are verified or have failed for good.
    pub settled: bool,
    pub ended_at: Timestamp,
    /// The number of customers with an answer of the API.
    pub answered: u64,
    /// The number of these customers that the API does not know: 404, or a `null` status.
    pub unknown: u64,
    /// The number of customers without a usable answer.
    pub failed: u64,
}

/// The time of the next round of each kind.
struct NextRounds {
    next: HashMap<bool, Timestamp>,
}

impl ReconcileIntervals {
    /// Runs until `stop` is true. The first round begins one interval after the start: a restart alone causes no
    /// requests.
    pub async fn run(
        self,
        asker: Arc<ConfirmationWorker>,
        store: Store,
        clock: Clock,
        mut stop: watch::Receiver<bool>,
    ) {
        let mut rounds = NextRounds { next: HashMap::new() };
        for settled in [false, true] {
            if let Some(pause) = self.pause_ms(settled) {
                rounds.next.insert(settled, clock.now().plus_ms(pause));
            }
        }
        while !*stop.borrow() {
            let due: Vec<bool> =
                rounds.next.iter().filter(|(_, at)| **at <= clock.now()).map(|(kind, _)| *kind).collect();
            for settled in due {
                let began = clock.now();
                tokio::select! {
                    _ = stop.wait_for(|stop| *stop) => return,
                    asked = round(&asker, &store, settled) => match asked {
                        Ok(counts) => {
                            let round = ReconcileRound { ended_at: clock.now(), ..counts };
                            let ReconcileRound { answered, unknown, failed, .. } = round;
                            tracing::info!(answered, unknown, failed, settled, "reconciled all customers");
                            asker.note_round(round);
                        }
                        Err(error) => tracing::warn!(%error, "cannot read the customers to reconcile; will retry"),
                    },
                }
                if let Some(pause) = self.pause_ms(settled) {
                    rounds.next.insert(settled, began.plus_ms(pause));
                }
            }
            let longest_ms = if clock.is_moved_by_hand() { 50 } else { 60_000 };
            let next = rounds.next.values().min().map_or(longest_ms, |at| at.since_ms(clock.now()));
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => {}
                () = sleep(Duration::from_millis(next.clamp(20, longest_ms).unsigned_abs())) => {}
            }
        }
    }

    fn pause_ms(self, settled: bool) -> Option<i64> {
        let pause = if settled { self.settled } else { self.open };
        pause.map(|pause| i64::try_from(pause.as_millis()).unwrap_or(i64::MAX))
    }
}

/// Asks once about every customer of one kind.
async fn round(asker: &ConfirmationWorker, store: &Store, settled: bool) -> Result<ReconcileRound, StoreError> {
    let mut after: Option<CustomerId> = None;
    let mut round = ReconcileRound { settled, ended_at: Timestamp::default(), answered: 0, unknown: 0, failed: 0 };
    loop {
        let page = store.customers(after.as_ref(), PAGE).await?;
        for id in page.rows {
            let Some(case) = store.customer(&id)? else { continue };
            let Some(customer) = &case.customer else { continue };
            let is_settled = matches!(customer.status, Status::FullUser | Status::HardKycFailed);
            // A customer with an open question is asked about in any case.
            if is_settled != settled || case.question.is_some() {
                continue;
            }
            round.failed += 1;
            for _ in 0..TRIES {
                match asker.ask(&id).await {
                    AskOutcome::Answered { known, .. } => {
                        round.failed -= 1;
                        round.answered += 1;
                        round.unknown += u64::from(!known);
                        break;
                    }
                    // A repeated request would get the same answer for a while.
                    AskOutcome::Failed { error: AskError::Odd(_), .. } => break,
                    // The full delay applies to requests for callbacks and timers; a round retries after at most 5 s.
                    AskOutcome::Failed { again_ms, .. } => {
                        sleep(Duration::from_millis(again_ms.clamp(0, 5_000).unsigned_abs())).await
                    }
                    AskOutcome::Refused(_) => {}
                }
            }
        }
        after = page.next;
        if after.is_none() {
            return Ok(round);
        }
    }
}
