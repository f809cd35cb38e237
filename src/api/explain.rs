//! Explanations: `explain`.

use serde::{Deserialize, Serialize};

use super::jobs::JobResponse;

/// A page of a customer's events. `Event` is [`EventInfo`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExplainedCustomer<Event> {
    pub customer: String,
    pub events: Vec<Event>,
    /// The number for requesting older events, as `&before=`.
    pub next: Option<u64>,
}

/// One event of a customer's history.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EventInfo {
    pub number: u64,
    pub at: String,
    pub source: String,
    pub verdict: Option<String>,
    /// In the syntax of rules: `KYC_PENDING -> SOFT_KYC_FAILED`, `PENDING_KYC_DATA for 48h`.
    pub event: String,
    /// What an operator did: `believed by hand`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    pub rule_set: Option<String>,
    pub rules: Vec<ExplainedRule>,
    pub jobs: Vec<JobResponse>,
}

/// The outcome of one rule for an event.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExplainedRule {
    pub rule: String,
    /// `fired`, `no`, `undecidable`, `shadow`, `limited`, `paused`, `untriggered`, or `unrecorded`.
    pub outcome: String,
    pub why: Option<String>,
}

/// What the current rules would do for a made-up event.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExplainedEvent {
    pub event: String,
    pub rules: Vec<ExplainedRule>,
    pub orders: Vec<String>,
    /// The tags after the event, if they change.
    pub tags: Option<Vec<String>>,
    pub rule_set: String,
}
