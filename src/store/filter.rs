//! The filter of jobs, for lists and for bulk actions.

use std::str::FromStr;

use crate::{
    clock::Timestamp,
    domain::CustomerId,
    outbox::{Channel, Job, JobState, JobStatus},
    rules::RuleId,
    yaml::Duration,
};

/// A job must match all given fields.
#[derive(Clone, Debug, Default)]
pub struct JobFilter {
    pub state: Option<JobState>,
    pub customer: Option<CustomerId>,
    /// The rule may no longer exist.
    pub rule: Option<RuleId>,
    pub channel: Option<Channel>,
    /// A substring of the job's reason, last error, or kind of problem; case-insensitive.
    pub error: Option<String>,
    /// The job's last attempt or due time is at this time or later.
    pub since: Option<Timestamp>,
}

impl JobFilter {
    pub(super) fn takes(&self, who: &CustomerId, job: &Job) -> bool {
        self.state.is_none_or(|state| job.fate.state == state)
            && self.customer.as_ref().is_none_or(|customer| customer == who)
            && self.rule.as_ref().is_none_or(|rule| job.order.rule == *rule)
            && self.channel.as_ref().is_none_or(|channel| job.order.channel() == *channel)
            && self.since.is_none_or(|since| job.fate.next_at >= since)
            && self.error.as_ref().is_none_or(|error| says(&job.fate, error))
    }
}

/// The start of a time range: a duration before now (`2h`), or a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Since {
    Ago(Duration),
    At(Timestamp),
}

impl Since {
    pub fn moment(&self, now: Timestamp) -> Timestamp {
        match self {
            Self::Ago(length) => now.plus_ms(-length.ms()),
            Self::At(moment) => *moment,
        }
    }
}

impl FromStr for Since {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(moment) = text.parse::<jiff::Timestamp>() {
            return Ok(Self::At(moment.into()));
        }
        text.parse().map(Self::Ago).map_err(|why| format!("{text:?} {why}; a moment looks like 2026-03-03T21:30:00Z"))
    }
}

fn says(fate: &JobStatus, part: &str) -> bool {
    let part = part.to_lowercase();
    let said = [fate.reason.as_deref(), fate.last_error.as_deref(), fate.trouble.map(|trouble| trouble.name())];
    said.into_iter().flatten().any(|said| said.to_lowercase().contains(&part))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbox::ProblemKind;

    #[test]
    fn a_time_range_begins_at_a_duration_before_now_or_at_a_moment() {
        let now = Timestamp(10_000_000);
        let from = |text: &str| text.parse::<Since>().map(|since| since.moment(now));
        assert_eq!(from("1h"), Ok(Timestamp(6_400_000)));
        assert_eq!(from("1970-01-01T00:00:07Z"), Ok(Timestamp(7_000)));
        for wrong in ["bogus", "", "7", "2026-03-03"] {
            assert!(from(wrong).is_err_and(|why| why.ends_with("a moment looks like 2026-03-03T21:30:00Z")), "{wrong}");
        }
    }

    #[test]
    fn the_error_filter_is_case_insensitive() {
        let fate =
            JobStatus { last_error: Some("mail.shop.example:465 said: 450 Greylisted".into()), ..JobStatus::default() };
        let fate = fate.problem(ProblemKind::Exhausted, "gave up");
        for (part, expected) in
            [("greylisted", true), ("450", true), ("GAVE UP", true), ("exhausted", true), ("550", false), ("", true)]
        {
            assert_eq!(says(&fate, part), expected, "{part}");
        }
    }
}
