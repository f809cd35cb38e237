//! Asking the provider's API again: `customers/ID/refresh` and `customers/refresh`.

use serde::{Deserialize, Serialize};

use super::jobs::UnansweredCustomer;

/// About one customer. An empty body asks the API.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RefreshRequest {
    /// Accepts the newest waiting callback, whatever the API says.
    #[serde(default)]
    pub believe: bool,
    /// Stores the API's answer as the customer's state if there is none yet. No rule is evaluated.
    #[serde(default)]
    pub import: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RefreshResponse {
    pub customer: String,
    /// What the answer changed; `null` if the API is asked again.
    pub verdict: Option<String>,
    /// `null` if the API was not asked.
    pub provider_knows: Option<bool>,
    /// Whether the customer has a status.
    pub known: bool,
    /// The status; `null` if it is not known, and for the provider's null.
    pub status: Option<String>,
    /// The number of callbacks that wait for confirmation.
    pub waiting: usize,
}

/// The response to a request with `import` if the API gave no usable answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FailedRefresh {
    pub customer: String,
    pub failed: RefreshFailure,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RefreshFailure {
    pub error: String,
    /// The provider's error code.
    pub code: Option<String>,
    /// Milliseconds until the next request.
    pub again_ms: i64,
    /// The API was asked. Otherwise requests are paused.
    pub asked: bool,
    /// The answer cannot be used; a retry would not help.
    pub lasting: bool,
    /// The request would fail for all other customers, too.
    pub everybody: bool,
}

/// The response to a request with `import`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ImportRefreshResponse {
    Failed(FailedRefresh),
    Answered(RefreshResponse),
}

/// About all customers whose callbacks have waited too long.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RefreshAllRequest {
    /// Accepts each customer's newest waiting callback, whatever the API says.
    #[serde(default)]
    pub believe: bool,
    /// Only counts.
    #[serde(default)]
    pub dry: bool,
    /// Only callbacks that arrived until this time, as a dry run returned it.
    pub until: Option<String>,
    /// The cursor that the previous page returned.
    pub cursor: Option<String>,
}

/// The response of a dry run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RefreshAllPreview {
    /// The number of customers.
    pub count: u64,
    /// Always 0.
    pub done: u64,
    pub dry: bool,
    pub until: String,
    /// `provider.patience` as configured: `1h`.
    pub patience: String,
    pub examples: Vec<UnansweredCustomer>,
}

/// The result for one page of customers. `Example` is [`StillWaiting`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RefreshAllPage<Example> {
    /// The number of customers on the page.
    pub count: u64,
    pub done: u64,
    /// Customers decided by the service itself, between the count and the request.
    pub meanwhile: u64,
    pub dry: bool,
    /// The cursor of the next page.
    pub next: Option<String>,
    /// Why the remaining customers were not tried.
    pub stopped: Option<String>,
    pub examples: Vec<Example>,
}

/// A customer whose callbacks still wait.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StillWaiting {
    pub customer: String,
    pub reason: String,
    /// The provider's error code.
    pub code: Option<String>,
}
