//! Limits the rate of requests to an external service, for all callers together, and pauses them after failures.
//!
//! This file does not know what is asked: a caller waits for a [`Permit`], then reports the outcome and the customer it
//! was about. After a failure that customer waits, each time twice as long. After failures for several customers in a
//! row, all customers that have failed wait together, and one other customer per second is tried. All callers wait
//! when the service asks for a delay or rejects this client. So a service that is down gets few requests, and a
//! customer whose requests always fail delays no other customer.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use http::{HeaderMap, header::RETRY_AFTER};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Duration, Instant, sleep_until},
};

const FIRST_PAUSE_MS: u64 = 1_000;
/// The longest pause of one customer, and below the longest common pause.
const LONGEST_PAUSE_MS: u64 = 300_000;
const LONGEST_COMMON_PAUSE_MS: u64 = 60_000;

/// During a common pause each waiting customer asks again at this interval.
const LOOKS_AGAIN_MS: u64 = 5_000;

/// The longest pause that a server can ask for.
const LONGEST_ASKED_FOR_MS: i64 = 3_600_000;

/// After failures for this many different customers without a success between them, the service is at fault.
const IN_A_ROW: usize = 3;

/// The number of failing customers that are remembered; above it all counts start again.
const MAX_FAILING: usize = 10_000;

/// During a common pause, one customer that has not failed is tried per interval.
const BETWEEN_TRIES: Duration = Duration::from_secs(1);

/// A waiting task polls at this interval, because an operator's `refresh` may have ended the pause.
const LOOKED_AGAIN: Duration = Duration::from_secs(1);

/// A common pause of at least this length is logged each time, not only when the reason changes.
const TOLD_MS: u64 = 60_000;

#[derive(Debug)]
pub struct RequestThrottle {
    /// The name of the service in the log.
    whom: &'static str,
    /// The minimum time between two requests.
    between: Duration,
    free: Semaphore,
    state: Mutex<ThrottleState>,
}

#[derive(Debug)]
struct ThrottleState {
    /// The time of the next request.
    next_at: Instant,
    /// Until then no request is sent.
    closed_until: Instant,
    /// Until then customers that have failed wait; below: when the next of the other customers may be tried.
    doubted_until: Instant,
    next_try_at: Instant,
    /// The number of such pauses since the last success.
    pauses: u32,
    /// The customers that have failed since the last success.
    in_a_row: HashSet<String>,
    /// By customer: the number of failures in a row.
    failing: HashMap<String, u32>,
    trouble: Option<OpenOutage>,
}

/// The failure that put a service in trouble.
#[derive(Clone, Debug, PartialEq, Eq)]
struct OpenOutage {
    text: String,
    code: Option<Box<str>>,
    lasting: bool,
}

/// The present trouble of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outage {
    pub text: String,
    /// The error code of the response.
    pub code: Option<Box<str>>,
    /// Retries do not help: a key or an address is wrong.
    pub lasting: bool,
    /// Seconds until the next request.
    pub again_in_s: u64,
}

/// The reason why a request failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestFailure {
    pub text: String,
    /// The error code of the response, if it has one.
    pub code: Option<Box<str>>,
    /// Retries do not help.
    pub lasting: bool,
    /// The delay that the service asked for.
    pub after_ms: Option<i64>,
}

/// The right to send one request.
pub struct Permit<'p> {
    pace: &'p RequestThrottle,
    _free: Option<SemaphorePermit<'p>>,
    /// The value of `pauses` when the turn began.
    pauses: u32,
}

impl RequestThrottle {
    /// `at_once`: the maximum number of concurrent requests.
    pub fn new(whom: &'static str, at_once: usize, between: Duration) -> Self {
        let now = Instant::now();
        let state = ThrottleState {
            next_at: now,
            closed_until: now,
            doubted_until: now,
            next_try_at: now,
            pauses: 0,
            in_a_row: HashSet::new(),
            failing: HashMap::new(),
            trouble: None,
        };
        Self { whom, between, free: Semaphore::new(at_once), state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, ThrottleState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a turn to ask about a customer. Returns an error if that customer has failed before; it is the
    /// further wait in milliseconds.
    pub async fn acquire(&self, about: &str) -> Result<Permit<'_>, i64> {
        // The semaphore is never closed.
        let free = self.free.acquire().await.map_err(|_| signed(LONGEST_PAUSE_MS))?;
        loop {
            let at = {
                let mut state = self.state();
                let (now, at) = (Instant::now(), state.allowed_at(about)?);
                if at <= now {
                    state.next_at = now + self.between;
                    state.next_try_at = now + BETWEEN_TRIES;
                    return Ok(Permit { pace: self, _free: Some(free), pauses: state.pauses });
                }
                at.min(now + LOOKED_AGAIN)
            };
            sleep_until(at).await;
        }
    }

    /// A turn without a wait, for an operator.
    pub fn try_acquire(&self) -> Permit<'_> {
        Permit { pace: self, _free: None, pauses: self.state().pauses }
    }

    /// The remaining time of the pause after failures.
    pub fn paused_for_ms(&self) -> Option<i64> {
        let left = self.state().paused_until().saturating_duration_since(Instant::now());
        (!left.is_zero()).then(|| i64::try_from(left.as_millis()).unwrap_or(i64::MAX))
    }

    pub fn trouble(&self) -> Option<Outage> {
        let state = self.state();
        let OpenOutage { text, code, lasting } = state.trouble.clone()?;
        Some(Outage {
            text,
            code,
            lasting,
            again_in_s: state.paused_until().saturating_duration_since(Instant::now()).as_secs(),
        })
    }
}

impl Permit<'_> {
    pub fn succeeded(self, about: &str) {
        let mut state = self.pace.state();
        state.failing.remove(about);
        state.in_a_row.clear();
        state.pauses = 0;
        state.trouble = None;
        state.closed_until = Instant::now();
        state.doubted_until = state.closed_until;
    }

    /// Reports that the request failed. Returns how long this customer must wait at least, in milliseconds.
    pub fn failed(self, about: &str, failure: RequestFailure) -> i64 {
        let RequestFailure { text, code, lasting, after_ms } = failure;
        let mut state = self.pace.state();
        let pause_ms = state.failed(about);
        let is_closed = lasting || after_ms.is_some();
        // Requests that ran at the same time fail together and count as one. A failed try during a pause does not
        // extend it.
        let until = if is_closed { state.closed_until } else { state.paused_until() };
        let is_news = self.pauses == state.pauses && until <= Instant::now();
        let pauses = is_news && (is_closed || state.in_a_row.len() >= IN_A_ROW);
        let paused_ms = if pauses { state.pause(is_closed, after_ms) } else { 0 };
        let pause_ms = state.retry_in(pause_ms);
        let wrong = OpenOutage { text: text.clone(), code, lasting };
        let is_told = state.trouble.as_ref() == Some(&wrong);
        state.trouble = Some(wrong);
        drop(state);
        if !is_told || paused_ms >= TOLD_MS {
            let (whom, pause_s) = (self.pace.whom, paused_ms.max(pause_ms) / 1_000);
            tracing::warn!(error = text, pause_s, "requests to {whom} fail; retrying after the pause");
        }
        signed(pause_ms)
    }

    /// Reports a response that could not be used. It concerns this customer only, unless several customers in a row
    /// get one.
    pub fn unexpected(self, about: &str, text: &str, code: Option<&str>) -> i64 {
        let mut state = self.pace.state();
        let pause_ms = state.failed(about);
        if state.in_a_row.len() >= IN_A_ROW {
            state.trouble = Some(OpenOutage { text: text.to_owned(), code: code.map(Into::into), lasting: false });
        }
        signed(pause_ms)
    }
}

impl ThrottleState {
    /// Counts a failure. Returns how long this customer waits.
    fn failed(&mut self, about: &str) -> u64 {
        if self.failing.len() >= MAX_FAILING {
            self.failing.clear();
        }
        if self.in_a_row.len() < IN_A_ROW {
            self.in_a_row.insert(about.to_owned());
        }
        let failures = self.failing.entry(about.to_owned()).or_default();
        let pause_ms = backoff(*failures);
        *failures = failures.saturating_add(1);
        pause_ms
    }

    /// Starts a pause that is twice as long as the last one, or as long as the service asked for.
    fn pause(&mut self, is_closed: bool, asked_for_ms: Option<i64>) -> u64 {
        let asked_for_ms = asked_for_ms.map_or(0, |ms| ms.clamp(0, LONGEST_ASKED_FOR_MS).unsigned_abs());
        let pause_ms = backoff(self.pauses).min(LONGEST_COMMON_PAUSE_MS).max(asked_for_ms);
        self.pauses = self.pauses.saturating_add(1);
        let until = Instant::now() + Duration::from_millis(pause_ms);
        let pause = if is_closed { &mut self.closed_until } else { &mut self.doubted_until };
        *pause = until.max(*pause);
        pause_ms
    }

    fn allowed_at(&self, about: &str) -> Result<Instant, i64> {
        let (now, at) = (Instant::now(), self.next_at.max(self.closed_until));
        if self.doubted_until <= now {
            return Ok(at);
        }
        if self.failing.contains_key(about) {
            let left_ms = u64::try_from((self.doubted_until - now).as_millis()).unwrap_or(u64::MAX);
            return Err(signed(left_ms.clamp(1, LOOKS_AGAIN_MS)));
        }
        Ok(at.max(self.next_try_at))
    }

    /// During a common pause no failed customer waits longer than the others.
    fn retry_in(&self, pause_ms: u64) -> u64 {
        if self.doubted_until > Instant::now() { pause_ms.min(LOOKS_AGAIN_MS) } else { pause_ms }
    }

    fn paused_until(&self) -> Instant {
        self.closed_until.max(self.doubted_until)
    }
}

fn backoff(before: u32) -> u64 {
    FIRST_PAUSE_MS.saturating_mul(1 << before.min(16)).min(LONGEST_PAUSE_MS)
}

fn signed(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

/// The delay that a server asks for in `Retry-After`. Only seconds are read: a date would depend on the clocks of
/// both machines.
pub fn asked_for_ms(headers: &HeaderMap) -> Option<i64> {
    let seconds: i64 = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(seconds.clamp(0, 86_400) * 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace() -> RequestThrottle {
        RequestThrottle::new("the shop", 16, Duration::from_millis(1))
    }

    fn failure() -> RequestFailure {
        RequestFailure { text: "it answers 500".to_owned(), code: None, lasting: false, after_ms: None }
    }

    async fn turn<'p>(pace: &'p RequestThrottle, about: &str) -> Permit<'p> {
        pace.acquire(about).await.expect("a turn")
    }

    #[tokio::test(start_paused = true)]
    async fn a_failing_customer_waits_alone_and_longer_each_time() {
        let pace = pace();
        for pause_ms in [1_000, 2_000, 4_000] {
            assert_eq!(turn(&pace, "C-1").await.failed("C-1", failure()), pause_ms);
            assert!(pace.paused_for_ms().is_none());
        }
        assert_eq!(pace.trouble().expect("trouble").text, "it answers 500");
        turn(&pace, "C-2").await.succeeded("C-2");
        assert_eq!(pace.trouble(), None);
        assert_eq!(turn(&pace, "C-1").await.failed("C-1", failure()), 8_000, "a success of C-2 does not reset C-1");
        turn(&pace, "C-1").await.succeeded("C-1");
        assert_eq!(turn(&pace, "C-1").await.failed("C-1", failure()), 1_000);
        for _ in 0..20 {
            assert!(turn(&pace, "C-1").await.failed("C-1", failure()) <= 300_000);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn after_failures_of_several_in_a_row_they_wait_together_and_others_are_tried() {
        let pace = pace();
        for customer in ["C-1", "C-2", "C-3"] {
            assert!(pace.paused_for_ms().is_none());
            turn(&pace, customer).await.failed(customer, failure());
        }
        for waited_s in [1, 2, 4, 8, 16, 32, 60, 60] {
            let began = Instant::now();
            while let Err(again_ms) = pace.acquire("C-1").await {
                assert!(again_ms <= 5_000, "each asks again soon");
                tokio::time::sleep(Duration::from_millis(again_ms.unsigned_abs())).await;
            }
            assert!(began.elapsed().as_secs().abs_diff(waited_s) <= 1, "{waited_s}: {:?}", began.elapsed());
            let together = [turn(&pace, "C-1").await, turn(&pace, "C-1").await];
            for turn in together {
                turn.failed("C-1", failure());
            }
        }
        let until = pace.state().doubted_until;
        let began = Instant::now();
        for nth in 0..3 {
            let customer = format!("new-{nth}");
            turn(&pace, &customer).await.failed(&customer, failure());
        }
        assert!(began.elapsed() >= Duration::from_secs(2), "one per second");
        assert_eq!(pace.state().doubted_until, until, "a try does not extend the pause");
        turn(&pace, "C-4").await.succeeded("C-4");
        assert!(pace.paused_for_ms().is_none() && pace.trouble().is_none() && pace.acquire("C-1").await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn many_failing_customers_delay_no_other_customer() {
        let pace = pace();
        let mut next: HashMap<String, i64> = (0..12).map(|nth| (format!("bad-{nth}"), 0)).collect();
        let began = Instant::now();
        let mut asked = 0;
        for nth in 0..60 {
            let now_ms = i64::try_from(began.elapsed().as_millis()).expect("short");
            for (customer, at_ms) in next.iter_mut().filter(|(_, at_ms)| **at_ms <= now_ms) {
                *at_ms = now_ms
                    + match pace.acquire(customer).await {
                        Ok(turn) => {
                            asked += 1;
                            turn.failed(customer, failure())
                        }
                        Err(rests_ms) => rests_ms,
                    };
            }
            let (customer, came) = (format!("C-{nth}"), Instant::now());
            turn(&pace, &customer).await.succeeded(&customer);
            assert!(came.elapsed() <= Duration::from_secs(2), "{customer} waited {:?}", came.elapsed());
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        assert!(asked <= 12 * 8, "{asked} requests about failing customers");
    }

    #[tokio::test(start_paused = true)]
    async fn a_service_that_asks_for_a_delay_or_rejects_the_client_is_paused_for_a_bounded_time() {
        for (after_ms, lasting, waited_s) in
            [(Some(12_000), false, 12), (Some(100_000_000), false, 3_600), (Some(0), false, 1), (None, true, 1)]
        {
            let pace = pace();
            turn(&pace, "C-1").await.failed("C-1", RequestFailure { after_ms, lasting, ..failure() });
            let trouble = pace.trouble().expect("trouble");
            assert!(pace.paused_for_ms().is_some() && trouble.lasting == lasting);
            assert!(trouble.again_in_s.abs_diff(waited_s) <= 1, "{trouble:?}");
            let began = Instant::now();
            drop(pace.try_acquire());
            assert_eq!(began.elapsed(), Duration::ZERO, "an operator does not wait");
            drop(turn(&pace, "C-2").await);
            assert_eq!(began.elapsed().as_secs(), waited_s);
        }
        let pace = pace();
        turn(&pace, "C-1").await.failed("C-1", RequestFailure { after_ms: Some(3_000_000), ..failure() });
        let began = Instant::now();
        let person = async {
            tokio::time::sleep(Duration::from_millis(10)).await;
            pace.try_acquire().succeeded("C-1");
        };
        let (_, waited) = tokio::join!(person, async { pace.acquire("C-2").await.is_ok() });
        assert!(waited && began.elapsed() <= LOOKED_AGAIN, "one success ends the pause for all");
    }

    #[tokio::test(start_paused = true)]
    async fn responses_that_cannot_be_parsed_are_trouble_after_several_in_a_row() {
        let pace = pace();
        for (customer, told) in [("C-1", false), ("C-2", false), ("C-3", true)] {
            turn(&pace, customer).await.unexpected(customer, "it is no JSON", Some("c1"));
            assert_eq!(pace.trouble().map(|trouble| trouble.code), told.then(|| Some("c1".into())));
            assert!(pace.paused_for_ms().is_none());
        }
    }
}
