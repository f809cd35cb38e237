//! Customers: `customers`, `customers/ID`, `customers/ID/contact`, `customers/ID/tags/NAME` and `customers/import`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::jobs::JobResponse;

/// A page of customers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CustomerList {
    pub customers: Vec<CustomerRow>,
    /// The cursor of the next page.
    pub next: Option<String>,
}

/// A customer in a list.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CustomerRow {
    pub id: String,
    /// `null` without a callback or import, and for the provider's null.
    pub status: Option<String>,
    pub tags: Vec<String>,
    pub contact: Option<ContactInfo>,
}

/// A contact. An absent field has no value.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ContactInfo {
    pub email: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    /// The attributes that the configuration declares.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CustomerResponse {
    pub id: String,
    pub status: Option<String>,
    pub processing: Option<String>,
    pub missing_docs: Vec<String>,
    pub reject_labels: Vec<String>,
    pub message: Option<String>,
    /// Which of these details no source has given since the customer entered the status; they are unknown, not empty.
    #[serde(default)]
    pub unsaid: Vec<String>,
    pub visit: u32,
    /// `null` if the status is not known yet.
    pub entered_at: Option<String>,
    pub tags: Vec<String>,
    pub contact: Option<ContactInfo>,
    /// Since when callbacks wait for a decision, how many, and why.
    pub pending: Option<PendingInfo>,
    pub timeline: Vec<EntryResponse>,
    /// The number for requesting older entries, as `?before=`.
    pub next: Option<u64>,
    pub jobs: Vec<JobResponse>,
}

/// What a customer's callbacks wait for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PendingInfo {
    pub callbacks: usize,
    /// The provider's error code.
    pub code: Option<String>,
    pub reason: String,
    pub since: String,
    /// They have waited longer than `provider.patience`.
    pub unanswered: bool,
}

/// One event of a customer's history.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EntryResponse {
    pub number: u64,
    pub at: String,
    pub source: String,
    pub verdict: Option<String>,
    /// `"new"` if there was no observation before; `null` for the provider's null.
    pub from: Option<String>,
    pub to: Option<String>,
    /// For a timer: how long the stay had lasted, as `48h`.
    pub after: Option<String>,
    /// For a timer that waits in a processing status: the processing status.
    pub processing: Option<String>,
    /// An operator has sent it from the backlog, after its due time.
    #[serde(default)]
    pub backlog: bool,
    pub rule_set: Option<String>,
    pub rules: Vec<RuleResultResponse>,
    /// Rules whose trigger matched and that were paused. Separate from `rules`, because scripts rely on the closed list
    /// of its outcomes.
    #[serde(default)]
    pub paused: Vec<PausedRule>,
    pub repeats: u32,
    /// What an operator did: `believed by hand`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The content of a callback that has not changed the customer so far.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub said: Option<ClaimResponse>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ClaimResponse {
    pub status: Option<String>,
    pub processing: Option<String>,
    pub missing_docs: Vec<String>,
    pub reject_labels: Vec<String>,
    pub message: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RuleResultResponse {
    pub id: String,
    pub outcome: String,
    pub why: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PausedRule {
    pub id: String,
    /// Whether an operator or the file has paused it, and since when.
    pub why: Option<String>,
}

/// The result of storing a contact.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ContactResponse {
    pub contact: ContactInfo,
    pub changed: bool,
}

/// The result of an import.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ImportResponse {
    /// The number of contacts in the request.
    pub contacts: usize,
    /// The number of new or changed contacts.
    pub changed: usize,
}

/// The result of setting or removing a tag.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TagResponse {
    pub changed: bool,
}
