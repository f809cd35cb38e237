//! A relay that fails before any mail comes into it is left alone for a while, by all mails together.
//!
//! It fails for all of them, and a login that is refused hundreds of times locks an account. After a failure nobody connects for a
//! second, after each more for twice as long, up to a minute; then one is let try, and the others when that went well. Who comes
//! meanwhile fails at once, with the words of the failure.
//!
//! What is *not* here: when a mail is tried again. That is the outbox's, as after any failure.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::{Duration, Instant};

use super::{Class, SendError};

const FIRST_PAUSE_MS: u64 = 1_000;
const LONGEST_PAUSE_MS: u64 = 60_000;

#[derive(Default)]
pub(super) struct Rest(Mutex<State>);

#[derive(Default)]
struct State {
    /// How often in a row it has failed; those that were under way together count as one.
    failures: u32,
    /// The last failure, and until when nobody connects.
    failed: Option<(SendError, Instant)>,
    /// Somebody finds out whether it is over.
    is_tried: bool,
    /// The log says that it refuses us.
    is_told: bool,
}

/// The right to connect once.
pub(super) struct Turn<'r> {
    rest: &'r Rest,
    failures: u32,
    /// Nobody else has one.
    is_only: bool,
}

impl Rest {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn turn(&self) -> Result<Turn<'_>, SendError> {
        let mut state = self.state();
        let is_only = match &state.failed {
            None => false,
            Some((error, until)) if state.is_tried || Instant::now() < *until => return Err(error.clone()),
            Some(_) => true,
        };
        state.is_tried |= is_only;
        Ok(Turn { rest: self, failures: state.failures, is_only })
    }
}

impl Turn<'_> {
    pub fn went_well(self) {
        let mut state = self.rest.state();
        (state.failures, state.failed) = (0, None);
        if std::mem::take(&mut state.is_told) {
            tracing::info!("the mail relay takes us again");
        }
    }

    pub fn failed(self, error: &SendError) {
        let mut state = self.rest.state();
        if self.failures != state.failures {
            return;
        }
        let pause_ms = (FIRST_PAUSE_MS << state.failures.min(16)).min(LONGEST_PAUSE_MS);
        state.failed = Some((error.clone(), Instant::now() + Duration::from_millis(pause_ms)));
        state.failures = state.failures.saturating_add(1);
        if error.class == Class::Permanent && !state.is_told {
            state.is_told = true;
            tracing::error!(
                error = error.log,
                "the mail relay refuses us; mails wait until it takes us, and are tried again"
            );
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if self.is_only {
            self.rest.state().is_tried = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_comes_after_a_failure_fails_at_once_and_one_tries_when_the_pause_is_over() {
        let rest = Rest::default();
        let error = SendError::retry("relay:25: nothing answers on this port");
        for turn in [rest.turn(), rest.turn(), rest.turn()].map(|turn| turn.expect("at first all")) {
            turn.failed(&error);
        }
        for pause_ms in [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000] {
            tokio::time::sleep(Duration::from_millis(pause_ms - 1)).await;
            assert_eq!(rest.turn().err(), Some(error.clone()));
            tokio::time::sleep(Duration::from_millis(1)).await;
            drop(rest.turn().expect("given up midway, it is another's"));
            let turn = rest.turn().expect("one");
            assert_eq!(rest.turn().err(), Some(error.clone()), "and only one");
            turn.failed(&error);
        }
        tokio::time::sleep(Duration::from_secs(60)).await;
        rest.turn().expect("one").went_well();
        let turns = [rest.turn(), rest.turn()].map(|turn| turn.expect("then all"));
        turns.into_iter().for_each(|turn| turn.failed(&error));
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(rest.turn().is_ok(), "and it begins with a second again");
    }
}
