//! The progress of a job: its states, the outcome of an attempt, and the time of the next one.

use serde::{Deserialize, Serialize};

use super::JobId;
use crate::clock::Timestamp;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    /// Waits for its due time.
    #[default]
    Queued,
    /// Waits for its rule to be live again.
    Held,
    /// An attempt has begun and not ended.
    Running,
    Done,
    Cancelled,
    /// An operator must look at it.
    Problem,
}

impl JobState {
    pub const ALL: &[JobState] = &[Self::Queued, Self::Held, Self::Running, Self::Done, Self::Cancelled, Self::Problem];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Held => "held",
            Self::Running => "running",
            Self::Done => "done",
            Self::Cancelled => "cancelled",
            Self::Problem => "problem",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|state| state.name() == name)
    }

    /// Whether the job can no longer change.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Done | Self::Cancelled)
    }
}

/// The kind of a problem; each kind needs a different remedy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProblemKind {
    /// The customer's address is not known; the job continues by itself when a contact arrives.
    NoContact,
    /// The other side has refused it permanently.
    Refused,
    /// The time for attempts has run out.
    Exhausted,
    /// The message cannot be rendered.
    Unrenderable,
    /// The customer had too many open jobs when the job was ordered.
    Flood,
}

impl ProblemKind {
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoContact => "no_contact",
            Self::Refused => "refused",
            Self::Exhausted => "exhausted",
            Self::Unrenderable => "unrenderable",
            Self::Flood => "flood",
        }
    }
}

/// The progress of a job. It is replaced as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobStatus {
    #[serde(default, skip_serializing_if = "is_queued")]
    pub state: JobState,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub attempts: u32,
    /// The time at which it is due; meaningless in a final state.
    #[serde(rename = "next")]
    pub next_at: Timestamp,
    /// The start of the first attempt: the 24 hours for attempts count from here.
    #[serde(default, rename = "first", skip_serializing_if = "Option::is_none")]
    pub first_attempt_at: Option<Timestamp>,
    #[serde(default, rename = "held", skip_serializing_if = "Option::is_none")]
    pub held_since: Option<Timestamp>,
    #[serde(default, rename = "error", skip_serializing_if = "Option::is_none")]
    pub last_error: Option<Box<str>>,
    /// Why it is held, cancelled or a problem, for operators.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Box<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<ProblemKind>,
    /// The time at which it reached a final state.
    #[serde(default, rename = "ended", skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
}

impl JobStatus {
    pub fn due_at(next_at: Timestamp) -> Self {
        Self { next_at, ..Self::default() }
    }

    pub fn cancelled(&self, now: Timestamp, reason: impl Into<Box<str>>) -> Self {
        Self {
            state: JobState::Cancelled,
            reason: Some(reason.into()),
            trouble: None,
            ended_at: Some(now),
            ..self.clone()
        }
    }

    pub fn problem(&self, trouble: ProblemKind, reason: impl Into<Box<str>>) -> Self {
        Self { state: JobState::Problem, trouble: Some(trouble), reason: Some(reason.into()), ..self.clone() }
    }

    /// Extends the 24 hours for attempts by the time since the job was due, because it was held back during that time.
    #[must_use]
    pub fn standing_still(&self, now: Timestamp) -> Self {
        let waited_ms = now.since_ms(self.next_at);
        Self { first_attempt_at: self.first_attempt_at.map(|first| first.plus_ms(waited_ms)), ..self.clone() }
    }

    /// The state before the attempt that began at `next_at`, due now.
    #[must_use]
    pub fn unattempted(&self, now: Timestamp) -> Self {
        let attempts = self.attempts.saturating_sub(1);
        let before = self.standing_still(now);
        let first_attempt_at = before.first_attempt_at.filter(|_| attempts > 0);
        Self { attempts, first_attempt_at, ..before.queued(now) }
    }

    pub fn queued(&self, next_at: Timestamp) -> Self {
        Self { state: JobState::Queued, next_at, reason: None, trouble: None, held_since: None, ..self.clone() }
    }
}

fn is_queued(state: &JobState) -> bool {
    *state == JobState::Queued
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// The outcome of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttemptOutcome {
    Done,
    /// Can be retried; the other side may have given a delay.
    Retry {
        error: String,
        after_ms: Option<i64>,
    },
    /// The channel accepts nothing at present, whatever the job: the job is queued again, and the attempt does not
    /// count.
    Deferred {
        error: String,
    },
    /// A retry cannot help.
    Failed {
        trouble: ProblemKind,
        error: String,
    },
}

const FIRST_PAUSE_MS: i64 = 5_000;
const LONGEST_PAUSE_MS: i64 = 3_600_000;
/// How long a job is retried, from its first attempt.
pub const TRYING_MS: i64 = 24 * 3_600_000;

/// The delay after the nth failed attempt, in milliseconds: 5 s, 10 s, 20 s … up to an hour, plus up to a quarter, so
/// that jobs that failed together are not retried together.
pub fn pause_after(id: JobId, attempts: u32) -> i64 {
    let pause = FIRST_PAUSE_MS.saturating_mul(1 << attempts.saturating_sub(1).min(20)).min(LONGEST_PAUSE_MS);
    pause + i64::from(id.spread(attempts) % 1024) * pause / 4096
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_an_hour_and_never_overflow() {
        let id = JobId::from_bytes([9; 16]);
        let mut last = 0;
        for attempts in 1..12 {
            let pause = pause_after(id, attempts);
            assert!(pause >= last && pause <= LONGEST_PAUSE_MS * 5 / 4, "{attempts}: {pause}");
            last = pause.min(LONGEST_PAUSE_MS);
        }
        assert!(pause_after(id, u32::MAX) <= LONGEST_PAUSE_MS * 5 / 4);
    }
}
