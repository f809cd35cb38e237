//! Fetches contacts for mails, callbacks and timers that need them.
//!
//! Mails request a lookup through the store; callbacks and timers call this module. A request that is lost with the
//! process is sent again: the waiting work is in the store.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{ShopAnswer, ShopApi};
use crate::{
    clock::{Clock, Timestamp},
    decide::{Command, CustomerState},
    domain::CustomerId,
    outbox::JobState,
    store::{JobFilter, Store, StoreError},
    telemetry::{Metrics, QuestionResult, QuestionTarget},
    throttle::{Outage, RequestThrottle},
};

/// The maximum number of concurrent requests, and the minimum time between two: 50 per second.
const UNDER_WAY: usize = 16;
const BETWEEN: Duration = Duration::from_millis(20);

/// The maximum number of customers that are processed concurrently; repeated lookups for problems take at most half of
/// it.
const AT_ONCE: usize = 32;

/// The minimum delay before a customer is processed again, in milliseconds.
const AGAIN_MS: i64 = 1_000;

/// The maximum number of requests for a callback, and the longest time since its arrival, in milliseconds; after that
/// it is decided without a contact.
const TRIES: usize = 3;
const PATIENCE_MS: i64 = 30_000;

/// The number of problems per page of the store.
const PAGE: usize = 500;

/// The result of asking about one customer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchResult {
    /// The store has recorded the answer.
    Answered,
    /// The shop gives no answer; the customer is not asked about again for `again_ms` milliseconds.
    Failed { again_ms: i64 },
    /// The store rejected the answer.
    Refused,
}

/// Sends requests to the shop, and submits the answers to the store.
pub struct ContactFetcher {
    shop: ShopApi,
    store: Store,
    clock: Clock,
    metrics: Arc<Metrics>,
    /// How long an answer is fresh, in milliseconds.
    cache_ms: i64,
    pace: RequestThrottle,
    /// Running requests: callers that need the same contact share one request.
    asked: Mutex<HashMap<CustomerId, Shared<BoxFuture<'static, FetchResult>>>>,
}

impl ContactFetcher {
    pub fn new(shop: ShopApi, cache_ms: i64, store: Store, clock: Clock, metrics: Arc<Metrics>) -> Self {
        let pace = RequestThrottle::new("the directory", UNDER_WAY, BETWEEN);
        Self { shop, store, clock, metrics, cache_ms, pace, asked: Mutex::default() }
    }

    /// Returns the present trouble of the shop's API, if any.
    pub fn trouble(&self) -> Option<Outage> {
        self.pace.trouble()
    }

    fn asked(&self) -> MutexGuard<'_, HashMap<CustomerId, Shared<BoxFuture<'static, FetchResult>>>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks about one customer, in turn with all others, or waits for the running request.
    pub async fn fetch(self: &Arc<Self>, customer: &CustomerId) -> FetchResult {
        let question = {
            let mut asked = self.asked();
            let question = asked.entry(customer.clone()).or_insert_with(|| {
                let (this, customer) = (Arc::clone(self), customer.clone());
                let asking = async move {
                    let told = this.fetch_now(&customer).await;
                    this.asked().remove(&customer);
                    told
                };
                asking.boxed().shared()
            });
            question.clone()
        };
        question.await
    }

    async fn fetch_now(&self, customer: &CustomerId) -> FetchResult {
        let about = customer.as_str();
        let turn = match self.pace.acquire(about).await {
            Ok(turn) => turn,
            Err(again_ms) => return FetchResult::Failed { again_ms },
        };
        let answer = self.shop.ask(customer).await;
        let outcome = match &answer {
            Ok(ShopAnswer::Known(_)) => QuestionResult::answered,
            Ok(ShopAnswer::Unknown) => QuestionResult::unknown,
            Ok(ShopAnswer::Odd(_)) => QuestionResult::odd,
            Err(_) => QuestionResult::failed,
        };
        self.metrics.asked(QuestionTarget::directory, outcome);
        let found = match answer {
            Ok(ShopAnswer::Known(contact)) => {
                turn.succeeded(about);
                Ok(contact)
            }
            Ok(ShopAnswer::Unknown) => {
                turn.succeeded(about);
                Err("the shop does not know this customer".into())
            }
            Ok(ShopAnswer::Odd(why)) => {
                turn.unexpected(about, &format!("its answers cannot be used: {why}"), None);
                tracing::warn!(why, "the directory's answer about a customer cannot be used");
                Err(format!("the shop's answer cannot be used: {why}").into())
            }
            Err(failure) => return FetchResult::Failed { again_ms: turn.failed(about, failure) },
        };
        let command = Command::LookedUp { customer: customer.clone(), found };
        self.store.submit(command).await.map_or(FetchResult::Refused, |_| FetchResult::Answered)
    }

    /// Asks before a timer is decided, unless the shop is paused after a failure. `false`: there is no answer now.
    pub async fn ask_for_timer(self: &Arc<Self>, customer: &CustomerId) -> bool {
        self.pace.paused_for_ms().is_none() && self.fetch(customer).await == FetchResult::Answered
    }

    /// Asks for a customer's waiting callbacks, for at most the time that a callback may be delayed.
    pub async fn ask_for_callback(self: &Arc<Self>, customer: &CustomerId) {
        let Ok(Some(case)) = self.store.customer(customer) else { return };
        let wanted = case.question.as_ref().filter(|question| question.contact);
        let Some(first) = wanted.and_then(|question| question.waiting.first()) else { return };
        let now = self.clock.now();
        if !case.is_stale(now, self.cache_ms) {
            return;
        }
        let left_ms = PATIENCE_MS.saturating_sub(now.since_ms(first.at)).max(0);
        let tries = async {
            for _ in 0..TRIES {
                match self.fetch(customer).await {
                    FetchResult::Answered => return true,
                    FetchResult::Failed { again_ms } => sleep(Duration::from_millis(again_ms.unsigned_abs())).await,
                    FetchResult::Refused => {}
                }
            }
            false
        };
        if timeout(Duration::from_millis(left_ms.unsigned_abs()), tries).await != Ok(true) {
            tracing::warn!("the directory did not answer in time: a callback is decided without a contact");
        }
    }

    /// Runs until `stop` is true.
    pub async fn run(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let mut changed = self.store.jobs_changed();
        let mut later = self.problems().await.unwrap_or_else(|error| {
            tracing::warn!(%error, "cannot read the problems without an address: they are not looked up automatically");
            Agenda::default()
        });
        let mut under_way = JoinSet::new();
        while !*stop.borrow() {
            changed.mark_unchanged();
            let mut customers = self.store.take_wanted(AT_ONCE.saturating_sub(under_way.len()));
            while customers.len() + under_way.len() < AT_ONCE / 2
                && let Some(customer) = later.take(self.clock.now())
            {
                customers.push(customer);
            }
            for customer in customers {
                let this = Arc::clone(&self);
                under_way.spawn(async move { (this.fetch_due(&customer).await, customer) });
            }
            let busy = under_way.len() >= AT_ONCE;
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => {}
                _ = changed.changed(), if !busy => {}
                () = sleep(self.until(later.next())), if under_way.len() < AT_ONCE / 2 => {}
                Some(seen_to) = under_way.join_next(), if !under_way.is_empty() => {
                    if let Ok((Some(at), customer)) = seen_to {
                        later.put(at, customer);
                    }
                }
            }
        }
        // Interrupted requests are sent again after a restart.
        under_way.shutdown().await;
        self.asked().clear();
    }

    fn until(&self, next: Option<Timestamp>) -> Duration {
        let longest_ms = if self.clock.is_moved_by_hand() { 50 } else { 60_000 };
        let due_ms = next.map(|at| at.since_ms(self.clock.now()));
        Duration::from_millis(due_ms.unwrap_or(longest_ms).clamp(20, longest_ms).unsigned_abs())
    }

    /// Looks up a customer for their mails, if a lookup is due. Returns the time of the next lookup.
    async fn fetch_due(self: &Arc<Self>, customer: &CustomerId) -> Option<Timestamp> {
        let again = |case: &CustomerState, now: Timestamp| {
            let said_at = case.looked.as_ref().map_or(now, |looked| looked.at);
            case.lacks_contact().then(|| said_at.plus_ms(self.cache_ms).max(now.plus_ms(AGAIN_MS)))
        };
        let (case, now) = (self.store.customer(customer).ok()??, self.clock.now());
        if !case.is_stale(now, self.cache_ms) {
            return again(&case, now);
        }
        if !case.awaits_contact(now) && !case.lacks_contact() {
            return None;
        }
        match self.fetch(customer).await {
            FetchResult::Answered => {}
            FetchResult::Failed { again_ms } => return Some(self.clock.now().plus_ms(again_ms)),
            FetchResult::Refused => return Some(self.clock.now().plus_ms(AGAIN_MS)),
        }
        let (case, now) = (self.store.customer(customer).ok()??, self.clock.now());
        // An answer without news is not recorded, so `looked` is unchanged.
        case.lacks_contact().then(|| now.plus_ms(self.cache_ms))
    }

    /// Returns the customers with mails that lacked an address before this process started.
    async fn problems(&self) -> Result<Agenda, StoreError> {
        let filter = JobFilter { state: Some(JobState::Problem), ..JobFilter::default() };
        let (mut agenda, mut before) = (Agenda::default(), None);
        loop {
            let page = self.store.jobs(&filter, before, PAGE).await?;
            for (customer, job) in page.rows {
                if job.lacks_contact() {
                    agenda.put(self.clock.now(), customer);
                }
            }
            before = page.next;
            if before.is_none() {
                return Ok(agenda);
            }
        }
    }
}

/// The times at which customers are due; each customer occurs once.
#[derive(Default)]
struct Agenda {
    at: HashMap<CustomerId, Timestamp>,
    due: BTreeSet<(Timestamp, CustomerId)>,
}

impl Agenda {
    /// Schedules a customer, unless an earlier time is already scheduled.
    fn put(&mut self, at: Timestamp, customer: CustomerId) {
        match self.at.get(&customer) {
            Some(before) if *before <= at => return,
            Some(before) => {
                self.due.remove(&(*before, customer.clone()));
            }
            None => {}
        }
        self.at.insert(customer.clone(), at);
        self.due.insert((at, customer));
    }

    fn take(&mut self, now: Timestamp) -> Option<CustomerId> {
        self.due.first().filter(|(at, _)| *at <= now)?;
        let (_, customer) = self.due.pop_first()?;
        self.at.remove(&customer);
        Some(customer)
    }

    fn next(&self) -> Option<Timestamp> {
        self.due.first().map(|(at, _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agenda_returns_each_customer_once_when_due() {
        let id = |text: &str| CustomerId::new(text).expect("id");
        let mut agenda = Agenda::default();
        for (at, customer) in [(30, "C-1"), (10, "C-2"), (20, "C-1"), (40, "C-1")] {
            agenda.put(Timestamp(at), id(customer));
        }
        assert_eq!(agenda.next(), Some(Timestamp(10)));
        assert_eq!(agenda.take(Timestamp(9)), None);
        assert_eq!(agenda.take(Timestamp(50)), Some(id("C-2")));
        assert_eq!(agenda.take(Timestamp(19)), None);
        assert_eq!(agenda.take(Timestamp(20)), Some(id("C-1")));
        assert_eq!((agenda.take(Timestamp(99)), agenda.next()), (None, None));
    }
}
