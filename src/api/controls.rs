//! What operators do to rules, channels and the clock: `rules/ID/…`, `channels/NAME/…`, `clock/accept` and `reload`.

use serde::{Deserialize, Serialize};

use super::status::BrakeStatus;

/// The result of pausing or resuming.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ControlResponse {
    pub changed: bool,
    /// The operation in words.
    pub said: String,
    /// For the clock: the accepted time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub now: Option<String>,
    /// For a resumed channel: its relay is being retried now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relay_tried: Option<bool>,
    /// For a resumed channel: the number of jobs that were dropped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dropped: Option<u64>,
    /// For a resumed channel: the number of jobs that were waiting.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub released: Option<u64>,
}

/// What resuming a channel would do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ResumePreview {
    pub channel: String,
    pub paused: bool,
    /// The brake that has paused it; `None` if no brake has.
    pub brake: Option<BrakeStatus>,
    /// The number of waiting jobs of each rule.
    pub waiting: Vec<WaitingJobs>,
    pub drops: u64,
    pub releases: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WaitingJobs {
    pub rule: String,
    pub count: u64,
    pub drop: bool,
}

/// The backlog of a rule, and how much of it was sent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BacklogResponse {
    pub rule: String,
    pub count: u64,
    pub sent: u64,
    /// The first customers; the rest is only counted.
    pub customers: Vec<BacklogEntry>,
    /// The channels of the rule that are paused by their brakes.
    pub brakes: Vec<BrakeAdvice>,
}

/// One customer in a rule's backlog.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BacklogEntry {
    pub customer: String,
    pub status: String,
    pub after: String,
    pub due_at: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BrakeAdvice {
    pub channel: String,
    pub said: String,
    /// The next steps for the operator.
    pub hint: String,
}

/// The rule set that is active after a reload.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReloadResponse {
    /// `loaded` or `unchanged`.
    pub result: String,
    pub hash: String,
    pub count: usize,
}
