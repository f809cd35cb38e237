//! How fast a service outside is asked, by everybody together, and when it is left alone.
//!
//! It knows nothing of what is asked: who asks waits for a turn, and says how it went.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU32, Ordering},
};

use http::{HeaderMap, header::RETRY_AFTER};
use tokio::{
    sync::Semaphore,
    time::{Duration, Instant, sleep_until},
};

const FIRST_PAUSE_MS: u64 = 1_000;
const LONGEST_PAUSE_MS: u64 = 300_000;

#[derive(Debug)]
pub struct Pace {
    /// Whom it is about, as it is named in the log.
    whom: &'static str,
    /// The least time between two questions.
    between: Duration,
    free: Semaphore,
    next_at: Mutex<Instant>,
    failures: AtomicU32,
    /// What is wrong, for a person.
    trouble: Mutex<Option<Trouble>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    pub text: String,
    /// It will not go by itself: a key or an address is wrong.
    pub lasting: bool,
}

impl Pace {
    /// So many questions under way at once.
    pub fn new(whom: &'static str, at_once: usize, between: Duration) -> Self {
        Self {
            whom,
            between,
            free: Semaphore::new(at_once),
            next_at: Mutex::new(Instant::now()),
            failures: AtomicU32::new(0),
            trouble: Mutex::default(),
        }
    }

    /// Waits for a turn, and until it may be asked again after it has failed. `None`: the service stops.
    pub async fn turn(&self) -> Option<tokio::sync::SemaphorePermit<'_>> {
        let permit = self.free.acquire().await.ok()?;
        let at = {
            let mut next_at = self.next_at.lock().unwrap_or_else(PoisonError::into_inner);
            let at = (*next_at).max(Instant::now());
            *next_at = at + self.between;
            at
        };
        sleep_until(at).await;
        Some(permit)
    }

    pub fn went_well(&self) {
        self.failures.store(0, Ordering::Relaxed);
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Everybody waits: twice as long after each failure, or as long as was asked for.
    pub fn failed(&self, trouble: Trouble, asked_for_ms: Option<i64>) {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed);
        let doubled = FIRST_PAUSE_MS.saturating_mul(1 << failures.min(16)).min(LONGEST_PAUSE_MS);
        let pause = Duration::from_millis(asked_for_ms.map_or(0, i64::unsigned_abs).max(doubled));
        let until = Instant::now() + pause;
        let mut next_at = self.next_at.lock().unwrap_or_else(PoisonError::into_inner);
        *next_at = (*next_at).max(until);
        drop(next_at);
        let before = self.trouble.lock().unwrap_or_else(PoisonError::into_inner).replace(trouble.clone());
        if before.as_ref() != Some(&trouble) {
            let (whom, error, pause_s) = (self.whom, trouble.text, pause.as_secs());
            tracing::warn!(error, pause_s, "{whom} gives no answer; it is asked again");
        }
    }

    /// It has failed, and is left alone for now.
    pub fn is_resting(&self) -> bool {
        let next_at = *self.next_at.lock().unwrap_or_else(PoisonError::into_inner);
        self.trouble().is_some() && next_at > Instant::now()
    }

    pub fn trouble(&self) -> Option<Trouble> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// How long the other side wants to be left alone. Seconds only: a date would hang on whose clock is right.
pub fn asked_for_ms(headers: &HeaderMap) -> Option<i64> {
    let seconds: i64 = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(seconds.clamp(0, 86_400) * 1_000)
}
