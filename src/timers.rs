//! Finds stays that have reached a duration of a rule, and proposes their timers for a decision.
//!
//! This module keeps no durable state. Its progress is in memory; decisions are in the store, which is read again after
//! a restart, and `decide` determines whether a proposed timer is due. While the clock is in doubt, it proposes
//! nothing.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use tokio::{sync::watch, time::sleep};

use crate::{
    clock::{Clock, Timestamp},
    decide::{Command, GlobalState, Receipt},
    directory::ContactFetcher,
    domain::CustomerId,
    provider::{AskOutcome, ConfirmationWorker},
    rules::TimerState,
    store::{Overdue, Refused, StayPlace, Store, StoreError},
};

/// Stays that began shortly before the last pass are checked again: their record may not have been in the view yet, or
/// the clock may have been set back slightly.
const OVERLAP_MS: i64 = 10 * 60_000;

/// The number of stays per page that are proposed together.
const PAGE: usize = 256;

/// Delay before timers are checked again that wait for the provider's API, in milliseconds.
const UNANSWERED_MS: i64 = 5_000;

/// The longest interval between two passes, in milliseconds.
const LONGEST_SLEEP_MS: i64 = 30_000;

/// Delay after the store could not be read or has rejected a command, in milliseconds.
const REFUSED_MS: i64 = 1_000;

/// The loop that proposes timers.
pub struct TimerLoop {
    store: Store,
    clock: Clock,
    /// Asks the provider's API before a timer is decided; `None`: the API is not asked.
    asker: Option<Arc<ConfirmationWorker>>,
    /// Asks the merchant's directory before a timer is decided whose rule reads the contact; `None`: there is no
    /// lookup.
    lookups: Option<Arc<ContactFetcher>>,
    /// For each (stay, duration): stays that began before this time have been checked.
    looked_until: HashMap<(TimerState, i64), Timestamp>,
    in_doubt: bool,
}

/// The reason why a pass was interrupted.
#[derive(Debug)]
enum Interrupted {
    Store(StoreError),
    Refused(Refused),
}

impl From<StoreError> for Interrupted {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl TimerLoop {
    pub fn new(
        store: Store,
        clock: Clock,
        asker: Option<Arc<ConfirmationWorker>>,
        lookups: Option<Arc<ContactFetcher>>,
    ) -> Self {
        Self { store, clock, asker, lookups, looked_until: HashMap::new(), in_doubt: false }
    }

    /// Runs until `stop` is true.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut standing = self.store.global_state();
        while !*stop.borrow() {
            let now_standing = standing.borrow_and_update().clone();
            let looked = tokio::select! {
                // A pass that is dropped midway is repeated; its decisions are durable.
                _ = stop.wait_for(|stop| *stop) => return,
                looked = self.propose_due(&now_standing) => looked,
            };
            let sleep_ms = match looked {
                Ok(next) => {
                    let longest = if self.clock.is_moved_by_hand() { 50 } else { LONGEST_SLEEP_MS };
                    // Waits at least 20 ms: a due timer without a decision waits for a short-lived reason.
                    next.map_or(longest, |next| next.since_ms(self.clock.now()).clamp(20, longest))
                }
                Err(Interrupted::Store(error)) => {
                    tracing::warn!(%error, "cannot read the stays; will retry");
                    REFUSED_MS
                }
                Err(Interrupted::Refused(refused)) => {
                    tracing::warn!(%refused, "cannot decide the timers; will retry");
                    REFUSED_MS
                }
            };
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => {}
                _ = standing.changed() => {}
                () = sleep(Duration::from_millis(sleep_ms.unsigned_abs())) => {}
            }
        }
    }

    /// Proposes every timer that is due now; returns when the next one may be due.
    async fn propose_due(&mut self, standing: &GlobalState) -> Result<Option<Timestamp>, Interrupted> {
        if self.is_in_doubt() {
            return Ok(None);
        }
        let now = self.clock.now();
        let waited_for = waited_for(standing);
        self.looked_until.retain(|of, _| waited_for.contains_key(of));
        let mut next: Option<Timestamp> = None;
        let mut waiting = HashSet::new();
        for ((stay, after_ms), live_since) in waited_for {
            let until = now.plus_ms(-after_ms);
            // A timer that came due before it was live is backlog.
            let first = live_since.plus_ms(-after_ms - 1);
            let looked = self.looked_until.get(&(stay.clone(), after_ms)).map_or(first, |looked| first.max(*looked));
            let of = Overdue { stay, after_ms, entered_after: looked, entered_until: until };
            if !self.propose(&of, &mut waiting).await? {
                // The API gives no answer; its customers are checked again.
                next = Some(next.map_or(now, |next| next.min(now)).plus_ms(UNANSWERED_MS));
                continue;
            }
            let began = self.store.next_stay(&of.stay, until).await?;
            // A stay that begins after this moment is due a whole duration later.
            let due = began.unwrap_or(now).plus_ms(after_ms);
            next = Some(next.map_or(due, |next| next.min(due)));
            self.looked_until.insert((of.stay, after_ms), until.plus_ms(-OVERLAP_MS));
        }
        if let Some(asker) = &self.asker {
            asker.late_timers.replace(waiting, now);
        }
        Ok(next)
    }

    fn is_in_doubt(&mut self) -> bool {
        let in_doubt = self.clock.is_in_doubt();
        if in_doubt && !self.in_doubt {
            tracing::error!(
                "the clock has jumped by more than 5 minutes: timers and limits wait until it is accepted (`kyc-rules resume \
                 --clock`), set right, or has lasted 15 minutes; callbacks are still accepted"
            );
        }
        if !in_doubt && self.in_doubt {
            tracing::info!("the clock is trusted again");
        }
        self.in_doubt = in_doubt;
        in_doubt
    }

    /// Proposes the overdue timers and returns whether all were decided. Customers with undecided timers are added to
    /// `waiting`.
    async fn propose(&self, of: &Overdue, waiting: &mut HashSet<CustomerId>) -> Result<bool, Interrupted> {
        let mut last: Option<StayPlace> = None;
        let mut all = true;
        loop {
            let found = self.store.overdue(of, last.as_ref(), PAGE).await?;
            let full = found.len() == PAGE;
            last = found.last().cloned();
            let proposals =
                found.into_iter().map(|(_, customer)| async move { (self.decide_all(&customer).await, customer) });
            for (answer, customer) in futures_util::future::join_all(proposals).await {
                if !answer.map_err(Interrupted::Refused)? {
                    all = false;
                    waiting.insert(customer);
                }
            }
            if !full {
                return Ok(all);
            }
        }
    }

    /// Decides every due timer of one customer, one after the other. `false`: a service that must be asked first gives
    /// no answer.
    async fn decide_all(&self, customer: &CustomerId) -> Result<bool, Refused> {
        let mut confirmed = self.asker.is_none() && self.lookups.is_none();
        loop {
            let command = Command::Timer { customer: customer.clone(), confirmed };
            let receipt = self.store.submit(command).await?;
            match receipt {
                Receipt::Recorded => {}
                Receipt::LookUp | Receipt::AskFirst => {
                    if receipt == Receipt::LookUp && !self.look_up(customer).await {
                        return Ok(false);
                    }
                    if let Some(asker) = &self.asker {
                        match asker.ask(customer).await {
                            AskOutcome::Answered { .. } => {}
                            AskOutcome::Failed { .. } => return Ok(false),
                            AskOutcome::Refused(refused) => return Err(refused),
                        }
                    }
                    confirmed = true;
                }
                _ => return Ok(true),
            }
        }
    }

    async fn look_up(&self, customer: &CustomerId) -> bool {
        match &self.lookups {
            Some(lookups) => lookups.ask_for_timer(customer).await,
            None => true,
        }
    }
}

/// Returns what live timers wait for, with the earliest time at which one of them became live.
fn waited_for(standing: &GlobalState) -> BTreeMap<(TimerState, i64), Timestamp> {
    let mut waited_for = BTreeMap::new();
    for (timer, live) in standing.timers() {
        let since = waited_for.entry((timer.stay.clone(), timer.after_ms)).or_insert(live.since);
        *since = live.since.min(*since);
    }
    waited_for
}
