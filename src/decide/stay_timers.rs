//! How far the timers of a customer's present stays have been decided, and the timer that a record decided.

use serde::{Deserialize, Serialize};

use crate::{
    clock::Timestamp,
    domain::{Change, Status, double_option},
    rules::{RuleId, TimerState},
    yaml::Duration,
};

/// The maximum number of used durations that are stored per stay; they are needed only for sending a backlog.
const MAX_USED: usize = 24;

/// How far the timers of a customer's present stays have been decided.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StayTimers {
    /// All durations up to this one, in milliseconds, have been decided for the stay in the present status.
    #[serde(default, rename = "status_ms", skip_serializing_if = "is_zero")]
    status_ms: i64,
    /// The same for the stay in the present processing status.
    #[serde(default, rename = "processing_ms", skip_serializing_if = "is_zero")]
    processing_ms: i64,
    /// The durations for which a live rule has been evaluated, the latest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    used: Vec<UsedTimers>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct UsedTimers {
    rule: RuleId,
    #[serde(rename = "ms")]
    after_ms: i64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    processing: bool,
}

const fn is_zero(ms: &i64) -> bool {
    *ms == 0
}

impl StayTimers {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Returns the longest decided duration of this kind of stay, in milliseconds; all shorter ones are decided, too.
    pub const fn decided_ms(&self, stay: &TimerState) -> i64 {
        match stay {
            TimerState::Status(_) => self.status_ms,
            TimerState::Processing(_) => self.processing_ms,
        }
    }

    /// Returns the state for imported stays: durations that passed before the import are backlog.
    pub fn imported(elapsed_ms: i64) -> Self {
        Self { status_ms: elapsed_ms, processing_ms: elapsed_ms, used: Vec::new() }
    }

    /// Returns the timers after a change, without those of a stay that has ended. `None`: they do not change.
    pub(super) fn after(&self, change: &Change) -> Option<Self> {
        let after = if change.status.is_some() {
            Self::default()
        } else if change.processing.is_some() {
            let used = self.used.iter().filter(|used| !used.processing).cloned().collect();
            Self { processing_ms: 0, used, ..*self }
        } else {
            return None;
        };
        (after != *self).then_some(after)
    }

    /// Whether the rule has been evaluated for this duration of the stay, or for a longer one.
    pub(super) fn is_used(&self, rule: &RuleId, stay: &TimerState, after_ms: i64) -> bool {
        let processing = matches!(stay, TimerState::Processing(_));
        self.used.iter().any(|used| used.rule == *rule && used.after_ms >= after_ms && used.processing == processing)
    }

    pub(super) fn with_used(mut self, rule: &RuleId, stay: &TimerState, after_ms: i64) -> Self {
        let processing = matches!(stay, TimerState::Processing(_));
        if self.used.len() == MAX_USED {
            self.used.remove(0);
        }
        self.used.push(UsedTimers { rule: rule.clone(), after_ms, processing });
        self
    }

    pub(super) fn decided(mut self, stay: &TimerState, after_ms: i64) -> Self {
        let ms = match stay {
            TimerState::Status(_) => &mut self.status_ms,
            TimerState::Processing(_) => &mut self.processing_ms,
        };
        *ms = after_ms.max(*ms);
        self
    }
}

/// The timer that a record decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DueTimer {
    #[serde(flatten)]
    pub stay: TimerState,
    #[serde(rename = "ms")]
    pub after_ms: i64,
    pub at: Timestamp,
    /// The status before the present one; absent: there was none.
    #[serde(default, with = "double_option", skip_serializing_if = "Option::is_none")]
    pub from: Option<Status>,
    pub to: Status,
    /// An operator has sent it as backlog, after it was due.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub backlog: bool,
}

impl DueTimer {
    /// Formats the duration, as `48h`.
    pub fn after(&self) -> String {
        Duration::text_of(self.after_ms)
    }
}
