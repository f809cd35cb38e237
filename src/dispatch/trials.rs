//! Chooses the mail for the next trial of a relay in an outage: a due mail that the outage was not tried with, if
//! there is one.

use std::sync::{Mutex, PoisonError};

use super::Dispatcher;
use crate::{
    channels::{
        domain_limiter::address_of,
        email::{CircuitBreaker, TrialRank},
    },
    decide::{CustomerState, StartedAttempt},
    outbox::{Job, JobId},
    store::Refused,
};

/// How much later a mail that was passed over is considered again.
const PASSED_OVER_MS: i64 = 1_000;

/// At most this many mails are passed over in search of a mail to a domain that has not been refused.
const MAX_PASSED_OVER: usize = 200;

/// Which due mails may be the trial.
pub(super) enum Trial {
    /// Any mail.
    Any,
    /// Only a mail whose recipient was not refused in this outage.
    New,
}

impl Dispatcher {
    /// Starts an attempt at the mail with the best rank.
    pub(super) async fn claim_trial(
        &self,
        breaker: &CircuitBreaker,
        trial: Trial,
    ) -> Result<Vec<StartedAttempt>, Refused> {
        let now = self.clock.now();
        let later = now.plus_ms(PASSED_OVER_MS);
        let passed_over: Mutex<Vec<(TrialRank, JobId)>> = Mutex::default();
        let suits_best = |case: &CustomerState, job: &Job| {
            let rank = breaker.rank(job.id(), address_of(case, job));
            let mut passed_over = passed_over.lock().unwrap_or_else(PoisonError::into_inner);
            let is_enough = passed_over.len() >= MAX_PASSED_OVER;
            match rank {
                TrialRank::NewDomain => None,
                TrialRank::NewRecipient if is_enough => None,
                TrialRank::NewRecipient | TrialRank::Tried(_) => {
                    passed_over.push((rank, job.id()));
                    Some(later)
                }
            }
        };
        let claimed = self.claim_where(1, &suits_best).await?;
        if !claimed.is_empty() {
            return Ok(claimed);
        }
        let passed_over = passed_over.into_inner().unwrap_or_else(PoisonError::into_inner);
        // Among equal ranks the first, which has waited longest.
        match (passed_over.into_iter().min_by_key(|(rank, _)| *rank), trial) {
            (None, _) | (Some((TrialRank::Tried(_), _)), Trial::New) => Ok(claimed),
            (Some((_, best)), _) => {
                self.store.bring_forward(best, later, now);
                self.claim_where(1, &|_, job| (job.id() != best).then_some(later)).await
            }
        }
    }
}
