//! Jobs and problems: `jobs`, `problems`, `jobs/ID/retry`, `jobs/ID/drop`, `jobs/retry` and `jobs/drop`.

use serde::{Deserialize, Serialize};

use super::status::BrakeStatus;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct JobResponse {
    pub id: String,
    pub customer: String,
    pub rule: String,
    /// `email`, `webhook` or `chat`.
    pub action: String,
    /// The name of the template, target or room.
    pub name: String,
    /// The recipient: `customer`, an address, or a configured target.
    pub to: String,
    pub state: String,
    pub attempts: u32,
    pub next_at: Option<String>,
    pub last_error: Option<String>,
    pub reason: Option<String>,
    pub problem: Option<String>,
    pub ordered_at: String,
    pub ended_at: Option<String>,
}

/// A page of jobs. `Job` is [`JobResponse`], and `Beside` is what the endpoint adds to the list.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct JobList<Job, Beside> {
    pub jobs: Vec<Job>,
    /// The cursor of the next page.
    pub next: Option<String>,
    /// What may be wrong with a filter that matches no job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    #[serde(flatten)]
    pub beside: Beside,
}

/// `jobs` adds nothing to the list.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BesideJobs {}

/// What `problems` adds to the list of jobs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BesideProblems {
    pub brakes: Vec<BrakeStatus>,
    pub service: Vec<ServiceProblem>,
    pub unanswered: Vec<UnansweredCustomer>,
}

/// A problem for an operator that is not about a job.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ServiceProblem {
    /// `relay`, `provider_key`, `unanswered`, and so on.
    pub problem: String,
    pub reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// The cause of the outage of a relay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// The number of customers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// The provider's error code; `null` if the provider gave none. Absent if the problem is not about the provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Option<String>>,
}

/// One customer whose callbacks are not decided.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UnansweredCustomer {
    pub problem: String,
    pub customer: String,
    /// The time at which the oldest of the callbacks arrived.
    pub since: String,
    pub waiting: usize,
    /// The last error, or another reason for the delay.
    pub reason: String,
    /// The provider's error code.
    pub code: Option<String>,
}

/// Which problems `jobs/retry` and `jobs/drop` select, and whether they are only counted.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProblemSelection {
    pub rule: Option<String>,
    pub channel: Option<String>,
    pub error: Option<String>,
    /// `2h`, or a point in time.
    pub since: Option<String>,
    #[serde(default)]
    pub dry: bool,
}

/// The problems that a [`ProblemSelection`] selected, and how many of them were retried or dropped.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SelectedProblems {
    pub count: u64,
    pub done: u64,
    pub dry: bool,
    pub examples: Vec<JobResponse>,
    /// What may be wrong with a filter that matches no problem.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}
