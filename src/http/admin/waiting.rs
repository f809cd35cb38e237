//! The reason why a queued job waits, as text for an operator: the decision that would be made if the job started now.
//! Computed on request and never stored.

use std::sync::Arc;

use super::{AdminContext, ProblemDetails, brakes::MostWaiting};
use crate::{
    api::jobs::JobResponse,
    clock::Timestamp,
    decide::{DecisionContext, GlobalState, JobWait, wait},
    domain::CustomerId,
    outbox::{Job, JobKey, JobState},
    rules::RuleSet,
    store::Store,
    throttle::Outage,
};

pub struct HeldJobs<'a> {
    admin: &'a AdminContext,
    store: &'a Store,
    rules: Arc<RuleSet>,
    standing: Arc<GlobalState>,
    most_waiting: MostWaiting,
    now: Timestamp,
}

impl AdminContext {
    pub(super) async fn waiting(&self) -> Result<HeldJobs<'_>, ProblemDetails> {
        Ok(HeldJobs {
            admin: self,
            store: self.store()?,
            rules: self.rulebook()?.current(),
            standing: self.global_state()?,
            most_waiting: self.most_waiting().await?,
            now: self.clock.now(),
        })
    }
}

impl HeldJobs<'_> {
    /// Returns the job in the format of the API.
    pub fn shape(&self, who: &CustomerId, job: &Job) -> JobResponse {
        JobResponse::new(who, job).or_because(|| self.why(who, job))
    }

    fn why(&self, who: &CustomerId, job: &Job) -> Option<String> {
        if job.fate.state != JobState::Queued {
            return None;
        }
        let channel = job.order.channel();
        if !self.admin.channels.contains(&channel) {
            return Some(format!("{channel} is not configured"));
        }
        let case = self.store.customer(who).ok()??;
        let given = DecisionContext {
            now: self.now,
            number: 0,
            rules: &self.rules,
            policy: &self.admin.policy,
            // No job is ordered here, so the key is not used.
            key: &JobKey::new(&[0; 32]),
            standing: &self.standing,
            clock_in_doubt: false,
            duplicate_at: None,
        };
        let services = &self.admin.services;
        let Some(wait) = wait(&case, job, given) else {
            let outage = self.admin.outage(&channel)?;
            return Some(format!("{channel} waits for its relay since {}: {}", outage.since, outage.reason()));
        };
        Some(match wait {
            JobWait::Channel => match self.standing.with_brake(&channel) {
                Some(braked) => {
                    format!(
                        "channel {channel} is paused by its brake: {braked}; {}",
                        braked.advice(&channel, self.most_waiting.get(&channel))
                    )
                }
                None => format!("channel {channel} is paused; resume it with `kyc-rules resume --channel {channel}`"),
            },
            JobWait::Turn(until) => {
                format!("an earlier job to the same target has not ended; this one waits until {until} at most")
            }
            JobWait::Rule(why) => format!("{why}: the job will be held"),
            JobWait::QuietHours(end) => format!("quiet hours until {end}"),
            JobWait::Question => {
                let trouble = services.asker().and_then(|asker| asker.trouble());
                with("the provider's API is queried about this customer first", trouble)
            }
            JobWait::LookUp => {
                let trouble = services.lookups().and_then(|lookups| lookups.trouble());
                with("the shop is queried for this customer's contact first", trouble)
            }
        })
    }
}

fn with(what: &str, trouble: Option<Outage>) -> String {
    trouble.map_or_else(|| what.to_owned(), |trouble| format!("{what}, but the last request failed: {}", trouble.text))
}
