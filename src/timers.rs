//! From the clock to decisions: finds stays that have lasted as long as a rule waits for, and proposes them.
//!
//! It keeps nothing that has to last. How far it has looked is in memory; what has been decided is in the store, which is asked
//! again after a restart, and `decide` says whether a proposal is due at all. While the clock can't be trusted it proposes nothing.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use tokio::{sync::watch, time::sleep};

use crate::{
    clock::{Clock, Timestamp},
    decide::{Command, Receipt, Standing},
    directory::Lookups,
    kyc::CustomerId,
    provider::{Asked, Asker},
    rules::Stay,
    store::{Overdue, Refused, StayPlace, Store, StoreError},
};

/// Stays that began shortly before the last look are looked at again: a record may have been on its way into the view, or the clock
/// been set back a little.
const OVERLAP_MS: i64 = 10 * 60_000;

/// How many stays are proposed at once.
const PAGE: usize = 256;

/// How soon timers are looked at again that wait for the provider's API.
const UNANSWERED_MS: i64 = 5_000;

/// At least so often is the clock looked at.
const LONGEST_SLEEP_MS: i64 = 30_000;

/// How long to wait after the store could not be read or has refused.
const REFUSED_MS: i64 = 1_000;

/// The loop that proposes timers.
pub struct Timers {
    store: Store,
    clock: Clock,
    /// Who asks the provider's API before a timer is decided; `None`: nobody has to.
    asker: Option<Arc<Asker>>,
    /// Who asks the merchant's directory before one is decided that reads a contact; `None`: nobody has to.
    lookups: Option<Arc<Lookups>>,
    /// Up to where the stays of each (status, duration) have been looked at, by when they began.
    looked_until: HashMap<(Stay, i64), Timestamp>,
    in_doubt: bool,
}

/// Why a look was not brought to its end.
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

impl Timers {
    pub fn new(store: Store, clock: Clock, asker: Option<Arc<Asker>>, lookups: Option<Arc<Lookups>>) -> Self {
        Self { store, clock, asker, lookups, looked_until: HashMap::new(), in_doubt: false }
    }

    /// Until `stop` says true.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut standing = self.store.standing();
        while !*stop.borrow() {
            let now_standing = standing.borrow_and_update().clone();
            let looked = tokio::select! {
                // What is dropped midway is looked at again; what is decided is durable.
                _ = stop.wait_for(|stop| *stop) => return,
                looked = self.look(&now_standing) => looked,
            };
            let sleep_ms = match looked {
                Ok(next) => {
                    let longest = if self.clock.is_moved_by_hand() { 50 } else { LONGEST_SLEEP_MS };
                    // Not at once: what is due and was not decided has a reason that lasts a moment.
                    next.map_or(longest, |next| next.since_ms(self.clock.now()).clamp(20, longest))
                }
                Err(Interrupted::Store(error)) => {
                    tracing::warn!(%error, "stays can't be looked at; it is tried again");
                    REFUSED_MS
                }
                Err(Interrupted::Refused(refused)) => {
                    tracing::warn!(%refused, "timers can't be decided; it is tried again");
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

    /// Proposes all that is due by now; says when something may be due next.
    async fn look(&mut self, standing: &Standing) -> Result<Option<Timestamp>, Interrupted> {
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
            // What came due before it was live is backlog.
            let first = live_since.plus_ms(-after_ms - 1);
            let looked = self.looked_until.get(&(stay.clone(), after_ms)).map_or(first, |looked| first.max(*looked));
            let of = Overdue { stay, after_ms, entered_after: looked, entered_until: until };
            if !self.propose(&of, &mut waiting).await? {
                // The API gives no answer; those about whom it was asked are looked at again.
                next = Some(next.map_or(now, |next| next.min(now)).plus_ms(UNANSWERED_MS));
                continue;
            }
            let began = self.store.next_stay(&of.stay, until).await?;
            // Whoever begins to wait from now on is due a whole duration later.
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
                 --clock`), set right, or has lasted 15 minutes; callbacks are taken"
            );
        }
        if !in_doubt && self.in_doubt {
            tracing::info!("the clock is believed again");
        }
        self.in_doubt = in_doubt;
        in_doubt
    }

    /// Whether all that is due was decided. Customers for whom something was not are put into `waiting`.
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

    /// Every event of one customer that is due, one after the other. `false`: somebody who has to be asked first gives no answer.
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
                            Asked::Answered { .. } => {}
                            Asked::Failed { .. } => return Ok(false),
                            Asked::Refused(refused) => return Err(refused),
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

/// What live timers wait for, and since when at the earliest.
fn waited_for(standing: &Standing) -> BTreeMap<(Stay, i64), Timestamp> {
    let mut waited_for = BTreeMap::new();
    for (timer, live) in standing.timers() {
        let since = waited_for.entry((timer.stay.clone(), timer.after_ms)).or_insert(live.since);
        *since = live.since.min(*since);
    }
    waited_for
}
