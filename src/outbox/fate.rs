//! What becomes of an order: its states, how an attempt at it ends, and when the next one begins.

use serde::{Deserialize, Serialize};

use super::JobId;
use crate::clock::Timestamp;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Waits for its time.
    #[default]
    Queued,
    /// Waits for its rule to be live again.
    Held,
    /// An attempt has begun and not ended.
    Running,
    Done,
    Cancelled,
    /// A person must look at it.
    Problem,
}

impl State {
    pub const ALL: &[State] = &[Self::Queued, Self::Held, Self::Running, Self::Done, Self::Cancelled, Self::Problem];

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

    /// Nothing more will become of it.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Done | Self::Cancelled)
    }
}

/// What kind of problem it is; what each needs is different.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// Nobody knows the customer's address; goes by itself when it comes.
    NoContact,
    /// The other side has refused for good.
    Refused,
    /// The attempts have run out.
    Exhausted,
    /// What it should say can't be made.
    Unrenderable,
    /// The customer had too many open jobs when the job was ordered.
    Flood,
}

impl Trouble {
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

/// What has become of an order so far. Replaced as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fate {
    #[serde(default, skip_serializing_if = "is_queued")]
    pub state: State,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub attempts: u32,
    /// When it is due; meaningless in a final state.
    #[serde(rename = "next")]
    pub next_at: Timestamp,
    /// When the first attempt began: the 24 hours of trying count from here.
    #[serde(default, rename = "first", skip_serializing_if = "Option::is_none")]
    pub first_attempt_at: Option<Timestamp>,
    #[serde(default, rename = "held", skip_serializing_if = "Option::is_none")]
    pub held_since: Option<Timestamp>,
    #[serde(default, rename = "error", skip_serializing_if = "Option::is_none")]
    pub last_error: Option<Box<str>>,
    /// Why it is held, cancelled or a problem, for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Box<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<Trouble>,
    /// When it ended, in a final state.
    #[serde(default, rename = "ended", skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
}

impl Fate {
    pub fn due_at(next_at: Timestamp) -> Self {
        Self { next_at, ..Self::default() }
    }

    pub fn cancelled(&self, now: Timestamp, reason: impl Into<Box<str>>) -> Self {
        Self {
            state: State::Cancelled,
            reason: Some(reason.into()),
            trouble: None,
            ended_at: Some(now),
            ..self.clone()
        }
    }

    pub fn problem(&self, trouble: Trouble, reason: impl Into<Box<str>>) -> Self {
        Self { state: State::Problem, trouble: Some(trouble), reason: Some(reason.into()), ..self.clone() }
    }

    /// While something held it back the hours of trying stood still: what passed since it was due does not count.
    #[must_use]
    pub fn standing_still(&self, now: Timestamp) -> Self {
        let waited_ms = now.since_ms(self.next_at);
        Self { first_attempt_at: self.first_attempt_at.map(|first| first.plus_ms(waited_ms)), ..self.clone() }
    }

    /// As before the attempt that has begun at `next_at`, and due now.
    #[must_use]
    pub fn unattempted(&self, now: Timestamp) -> Self {
        let attempts = self.attempts.saturating_sub(1);
        let before = self.standing_still(now);
        let first_attempt_at = before.first_attempt_at.filter(|_| attempts > 0);
        Self { attempts, first_attempt_at, ..before.queued(now) }
    }

    pub fn queued(&self, next_at: Timestamp) -> Self {
        Self { state: State::Queued, next_at, reason: None, trouble: None, held_since: None, ..self.clone() }
    }
}

fn is_queued(state: &State) -> bool {
    *state == State::Queued
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Done,
    /// Worth another try; the other side may have said when.
    Retry {
        error: String,
        after_ms: Option<i64>,
    },
    /// The channel takes nothing at present, whatever the job: it is queued again, and the attempt does not count.
    Deferred {
        error: String,
    },
    /// Trying again can't help.
    Failed {
        trouble: Trouble,
        error: String,
    },
}

const FIRST_PAUSE_MS: i64 = 5_000;
const LONGEST_PAUSE_MS: i64 = 3_600_000;
/// How long a job is tried, from its first attempt.
pub const TRYING_MS: i64 = 24 * 3_600_000;

/// How long to wait after the nth attempt has failed: 5 s, 10 s, 20 s … up to an hour, each up to a quarter longer, so that
/// jobs which failed together don't come back together.
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
