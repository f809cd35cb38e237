//! How fast the API is asked, by everybody together, and when it is left alone.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU32, Ordering},
};

use tokio::{
    sync::Semaphore,
    time::{Duration, Instant, sleep_until},
};

use super::AskError;

/// Questions under way at once.
const AT_ONCE: usize = 4;

/// The least time between two questions: 20 a second.
const BETWEEN: Duration = Duration::from_millis(50);

const FIRST_PAUSE_MS: u64 = 1_000;
const LONGEST_PAUSE_MS: u64 = 300_000;

#[derive(Debug)]
pub struct Pace {
    free: Semaphore,
    next_at: Mutex<Instant>,
    failures: AtomicU32,
    /// What is wrong, for a person.
    trouble: Mutex<Option<Trouble>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    pub text: String,
    /// It will not go by itself: the key is wrong.
    pub key: bool,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            free: Semaphore::new(AT_ONCE),
            next_at: Mutex::new(Instant::now()),
            failures: AtomicU32::new(0),
            trouble: Mutex::default(),
        }
    }
}

impl Pace {
    /// Waits for a turn, and until the API is asked again after it has failed. `None`: the service stops.
    pub async fn turn(&self) -> Option<tokio::sync::SemaphorePermit<'_>> {
        let permit = self.free.acquire().await.ok()?;
        let at = {
            let mut next_at = self.next_at.lock().unwrap_or_else(PoisonError::into_inner);
            let at = (*next_at).max(Instant::now());
            *next_at = at + BETWEEN;
            at
        };
        sleep_until(at).await;
        Some(permit)
    }

    pub fn went_well(&self) {
        self.failures.store(0, Ordering::Relaxed);
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// One customer's answer can't be understood: that says nothing about the others.
    pub fn was_odd(&self, error: &AskError) {
        tracing::warn!(%error, "the provider's API says something about a customer that can't be understood");
    }

    /// Everybody waits: twice as long after each failure, or as long as the API has said.
    pub fn failed(&self, error: &AskError) {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed);
        let doubled = FIRST_PAUSE_MS.saturating_mul(1 << failures.min(16)).min(LONGEST_PAUSE_MS);
        let (said, key) = match error {
            AskError::Key(_) => (None, true),
            AskError::Later { after_ms, .. } => (after_ms.map(i64::unsigned_abs), false),
            AskError::Odd(_) => (None, false),
        };
        let pause = Duration::from_millis(said.unwrap_or(0).max(doubled));
        let until = Instant::now() + pause;
        let mut next_at = self.next_at.lock().unwrap_or_else(PoisonError::into_inner);
        *next_at = (*next_at).max(until);
        drop(next_at);
        let trouble = Trouble { text: error.to_string(), key };
        let before = self.trouble.lock().unwrap_or_else(PoisonError::into_inner).replace(trouble.clone());
        if before.as_ref() != Some(&trouble) {
            tracing::warn!(
                error = trouble.text,
                pause_s = pause.as_secs(),
                "the provider's API gives no answer; it is asked again"
            );
        }
    }

    pub fn trouble(&self) -> Option<Trouble> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
