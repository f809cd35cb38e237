//! Which mail is the trial while a relay is left alone: one that the outage was not tried with, if one is due.

use std::sync::{Mutex, PoisonError};

use super::{Dispatcher, domains::address_of, mails::Post};
use crate::{
    actions::email::Rank,
    decide::{Attempt, Case},
    outbox::{Job, JobId},
    store::Refused,
};

/// How much later a mail that is passed over is looked at again.
const PASSED_OVER_MS: i64 = 1_000;

/// So many mails to domains that were refused are passed over for one to another domain.
const MAX_PASSED_OVER: usize = 200;

/// What is due, to be told apart.
pub(super) enum Trial {
    /// Any mail.
    Any,
    /// Only one whose recipient was not refused in this outage.
    New,
}

impl Dispatcher {
    /// Begins an attempt at the mail that suits best.
    pub(super) async fn claim_trial(&self, post: &Post, trial: Trial) -> Result<Vec<Attempt>, Refused> {
        let now = self.clock.now();
        let later = now.plus_ms(PASSED_OVER_MS);
        let passed_over: Mutex<Vec<(Rank, JobId)>> = Mutex::default();
        let suits_best = |case: &Case, job: &Job| {
            let rank = post.breaker.rank(job.id(), address_of(case, job));
            let mut passed_over = passed_over.lock().unwrap_or_else(PoisonError::into_inner);
            let is_enough = passed_over.len() >= MAX_PASSED_OVER;
            match rank {
                Rank::NewDomain => None,
                Rank::NewRecipient if is_enough => None,
                Rank::NewRecipient | Rank::Tried(_) => {
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
        // Of equal ones the first, which has waited longest.
        match (passed_over.into_iter().min_by_key(|(rank, _)| *rank), trial) {
            (None, _) | (Some((Rank::Tried(_), _)), Trial::New) => Ok(claimed),
            (Some((_, best)), _) => {
                self.store.bring_forward(best, later, now);
                self.claim_where(1, &|_, job| (job.id() != best).then_some(later)).await
            }
        }
    }
}
