//! Why a queued job waits: what would be decided if it began now, in words for a person. It is worked out when somebody looks, and
//! never kept.

use std::sync::Arc;

use super::{Admin, Problem, brakes::MostWaiting, shape::JobShape};
use crate::{
    clock::Timestamp,
    decide::{Given, Standing, Wait, wait},
    kyc::CustomerId,
    outbox::{Job, JobKey, State},
    pace::Trouble,
    rules::RuleSet,
    store::Store,
};

pub struct Waiting<'a> {
    admin: &'a Admin,
    store: &'a Store,
    rules: Arc<RuleSet>,
    standing: Arc<Standing>,
    most_waiting: MostWaiting,
    now: Timestamp,
}

impl Admin {
    pub(super) async fn waiting(&self) -> Result<Waiting<'_>, Problem> {
        Ok(Waiting {
            admin: self,
            store: self.store()?,
            rules: self.rulebook()?.current(),
            standing: self.standing()?,
            most_waiting: self.most_waiting().await?,
            now: self.clock.now(),
        })
    }
}

impl Waiting<'_> {
    /// The job as it is shown.
    pub fn shape(&self, who: &CustomerId, job: &Job) -> JobShape {
        JobShape::new(who, job).or_because(|| self.why(who, job))
    }

    fn why(&self, who: &CustomerId, job: &Job) -> Option<String> {
        if job.fate.state != State::Queued {
            return None;
        }
        let channel = job.order.channel();
        if !self.admin.channels.contains(&channel) {
            return Some(format!("{channel} is not in the configuration"));
        }
        let case = self.store.customer(who).ok()??;
        let given = Given {
            now: self.now,
            number: 0,
            rules: &self.rules,
            policy: &self.admin.policy,
            // Nothing is ordered.
            key: &JobKey::new(&[0; 32]),
            standing: &self.standing,
            clock_in_doubt: false,
            duplicate_at: None,
        };
        let house = &self.admin.house;
        let Some(wait) = wait(&case, job, given) else {
            let outage = self.admin.outage(&channel)?;
            return Some(format!("{channel} waits for its relay since {}: {}", outage.since, outage.reason()));
        };
        Some(match wait {
            Wait::Channel => match self.standing.braked(&channel) {
                Some(braked) => {
                    format!(
                        "channel {channel} is paused by its brake: {braked}; {}",
                        braked.advice(&channel, self.most_waiting.get(&channel))
                    )
                }
                None => format!("channel {channel} is paused: it goes on with `kyc-rules resume --channel {channel}`"),
            },
            Wait::Turn(until) => {
                format!("an earlier one to the same target is still on its way; it waits until {until} at most")
            }
            Wait::Rule(why) => format!("{why}: it will be held"),
            Wait::QuietHours(end) => format!("quiet hours until {end}"),
            Wait::Question => {
                let trouble = house.asker().and_then(|asker| asker.trouble());
                with("the provider's API is asked about this customer first", trouble)
            }
            Wait::LookUp => {
                let trouble = house.lookups().and_then(|lookups| lookups.trouble());
                with("the shop is asked for this customer's contact first", trouble)
            }
        })
    }
}

fn with(what: &str, trouble: Option<Trouble>) -> String {
    trouble.map_or_else(|| what.to_owned(), |trouble| format!("{what}, and gives no answer: {}", trouble.text))
}
