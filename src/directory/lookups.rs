//! Brings contacts to whoever waits for them.
//!
//! Mails say through the store that they want one; callbacks and timers ask here. A question that is lost with the process is asked
//! again: what waits is in the store.

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

use super::{Answer, Shop};
use crate::{
    clock::{Clock, Timestamp},
    decide::{Case, Command},
    kyc::CustomerId,
    outbox::State,
    pace::{Pace, Trouble},
    store::{JobFilter, Store, StoreError},
    telemetry::{Asked, Metrics, Service},
};

/// Questions under way at once, and the least time between two: 50 a second.
const UNDER_WAY: usize = 16;
const BETWEEN: Duration = Duration::from_millis(20);

/// How many customers are seen to at once; those who are only looked up again from time to time take half of that at most.
const AT_ONCE: usize = 32;

/// How soon a customer is seen to again at the earliest.
const AGAIN_MS: i64 = 1_000;

/// How often and how long the directory is asked for a callback, from its coming; then it is decided without.
const TRIES: usize = 3;
const PATIENCE_MS: i64 = 30_000;

/// How many problems are read at once.
const PAGE: usize = 500;

/// What asking about one customer has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// The store knows what there is to know.
    Answered,
    /// The shop gives no answer, and this customer is not to be asked about for so long.
    Failed { again_ms: i64 },
    /// The store does not take the answer just now.
    Refused,
}

/// Asks the shop, and hands what it says to the store.
pub struct Lookups {
    shop: Shop,
    store: Store,
    clock: Clock,
    metrics: Arc<Metrics>,
    /// How long an answer is fresh.
    cache_ms: i64,
    pace: Pace,
    /// Questions under way: whoever wants to know the same waits for the same answer.
    asked: Mutex<HashMap<CustomerId, Shared<BoxFuture<'static, Told>>>>,
}

impl Lookups {
    pub fn new(shop: Shop, cache_ms: i64, store: Store, clock: Clock, metrics: Arc<Metrics>) -> Self {
        let pace = Pace::new("the directory", UNDER_WAY, BETWEEN);
        Self { shop, store, clock, metrics, cache_ms, pace, asked: Mutex::default() }
    }

    /// What is wrong with the shop's API, if it is in trouble.
    pub fn trouble(&self) -> Option<Trouble> {
        self.pace.trouble()
    }

    fn asked(&self) -> MutexGuard<'_, HashMap<CustomerId, Shared<BoxFuture<'static, Told>>>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks about one customer, in turn with all others, or waits for the answer that is on its way.
    pub async fn ask(self: &Arc<Self>, customer: &CustomerId) -> Told {
        let question = {
            let mut asked = self.asked();
            let question = asked.entry(customer.clone()).or_insert_with(|| {
                let (this, customer) = (Arc::clone(self), customer.clone());
                let asking = async move {
                    let told = this.ask_now(&customer).await;
                    this.asked().remove(&customer);
                    told
                };
                asking.boxed().shared()
            });
            question.clone()
        };
        question.await
    }

    async fn ask_now(&self, customer: &CustomerId) -> Told {
        let about = customer.as_str();
        let turn = match self.pace.turn(about).await {
            Ok(turn) => turn,
            Err(again_ms) => return Told::Failed { again_ms },
        };
        let answer = self.shop.ask(customer).await;
        let outcome = match &answer {
            Ok(Answer::Known(_)) => Asked::answered,
            Ok(Answer::Unknown) => Asked::unknown,
            Ok(Answer::Odd(_)) => Asked::odd,
            Err(_) => Asked::failed,
        };
        self.metrics.asked(Service::directory, outcome);
        let found = match answer {
            Ok(Answer::Known(contact)) => {
                turn.went_well(about);
                Ok(contact)
            }
            Ok(Answer::Unknown) => {
                turn.went_well(about);
                Err("the shop does not know this customer".into())
            }
            Ok(Answer::Odd(why)) => {
                turn.odd(about, &format!("its answers can't be used: {why}"), None);
                tracing::warn!(why, "the directory's answer about a customer can't be used");
                Err(format!("the shop's answer can't be used: {why}").into())
            }
            Err(failure) => return Told::Failed { again_ms: turn.failed(about, failure) },
        };
        let command = Command::LookedUp { customer: customer.clone(), found };
        self.store.submit(command).await.map_or(Told::Refused, |_| Told::Answered)
    }

    /// Asks before a timer is decided, unless the shop is being left alone. `false`: there is no answer now.
    pub async fn ask_for_timer(self: &Arc<Self>, customer: &CustomerId) -> bool {
        self.pace.rests_for_ms().is_none() && self.ask(customer).await == Told::Answered
    }

    /// Asks for the callbacks of a customer that wait for it: for so long as a callback may be held up.
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
                match self.ask(customer).await {
                    Told::Answered => return true,
                    Told::Failed { again_ms } => sleep(Duration::from_millis(again_ms.unsigned_abs())).await,
                    Told::Refused => {}
                }
            }
            false
        };
        if timeout(Duration::from_millis(left_ms.unsigned_abs()), tries).await != Ok(true) {
            tracing::warn!("the directory gives no answer in time: a callback is decided without it");
        }
    }

    /// Until `stop` says true.
    pub async fn run(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let mut changed = self.store.jobs_changed();
        let mut later = self.problems().await.unwrap_or_else(|error| {
            tracing::warn!(%error, "problems without an address can't be read: they are not looked up by themselves");
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
                under_way.spawn(async move { (this.see_to(&customer).await, customer) });
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
        // Nothing of a question has to last: it is asked again.
        under_way.shutdown().await;
        self.asked().clear();
    }

    fn until(&self, next: Option<Timestamp>) -> Duration {
        let longest_ms = if self.clock.is_moved_by_hand() { 50 } else { 60_000 };
        let due_ms = next.map(|at| at.since_ms(self.clock.now()));
        Duration::from_millis(due_ms.unwrap_or(longest_ms).clamp(20, longest_ms).unsigned_abs())
    }

    /// Looks a customer up for their mails, where that is due. Returns when to do it again.
    async fn see_to(self: &Arc<Self>, customer: &CustomerId) -> Option<Timestamp> {
        let again = |case: &Case, now: Timestamp| {
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
        match self.ask(customer).await {
            Told::Answered => {}
            Told::Failed { again_ms } => return Some(self.clock.now().plus_ms(again_ms)),
            Told::Refused => return Some(self.clock.now().plus_ms(AGAIN_MS)),
        }
        let (case, now) = (self.store.customer(customer).ok()??, self.clock.now());
        // What is not new was not recorded.
        case.lacks_contact().then(|| now.plus_ms(self.cache_ms))
    }

    /// Customers whose mails are a problem without an address, from before this process.
    async fn problems(&self) -> Result<Agenda, StoreError> {
        let filter = JobFilter { state: Some(State::Problem), ..JobFilter::default() };
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

/// Who is to be seen to, and when: each customer once.
#[derive(Default)]
struct Agenda {
    at: HashMap<CustomerId, Timestamp>,
    due: BTreeSet<(Timestamp, CustomerId)>,
}

impl Agenda {
    /// Not later than it stands there already.
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
    fn an_agenda_names_everybody_once_and_in_time() {
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
