//! The response of `GET status`: the state of a running server.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StatusResponse {
    pub version: String,
    pub uptime_s: i64,
    pub rules: RulesStatus,
    pub store: StoreStatus,
    pub jobs: JobCounts,
    /// Servers of older versions do not count callbacks.
    pub callbacks: Option<CallbackCounts>,
    #[serde(default)]
    pub admin: AdminStatus,
    pub provider: ProviderStatus,
    pub directory: DirectoryStatus,
    pub paused: PauseInfo,
    /// The channels that are paused by their brakes.
    #[serde(default)]
    pub brakes: Vec<BrakeStatus>,
    /// The channels whose mail relays are down or refuse every mail.
    #[serde(default)]
    pub relays: Vec<RelayStatus>,
    /// The clock has jumped, and timers and limits wait until an operator accepts it.
    #[serde(default)]
    pub clock_in_doubt: bool,
    /// The configuration file has changed since it was read; a restart applies it.
    #[serde(default)]
    pub config_changed: bool,
    pub ready: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RulesStatus {
    pub hash: String,
    /// In RFC 3339 and UTC, like every time of this API.
    pub loaded_at: String,
    pub count: usize,
    pub error: Option<RulesError>,
}

/// Why the rules on the disk are not active.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RulesError {
    pub at: String,
    pub text: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StoreStatus {
    pub engine: String,
    pub customers: u64,
    pub bytes: u64,
    pub records: u64,
    pub view_behind: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct JobCounts {
    pub queued: u64,
    pub held: u64,
    pub running: u64,
    pub problem: u64,
}

/// The callbacks since the start: those that were answered with 200, and those that were refused.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CallbackCounts {
    pub accepted: u64,
    pub duplicate: u64,
    /// Verified callbacks that are not about KYC, by type.
    #[serde(default)]
    pub ignored: BTreeMap<String, u64>,
    /// The time of the last callback that was answered with 200.
    pub last_at: Option<String>,
    pub refused: Vec<RefusalInfo>,
}

/// The requests that the admin side has refused.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct AdminStatus {
    pub refused: Vec<RefusalInfo>,
}

/// One kind of refusal.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RefusalInfo {
    pub kind: String,
    /// The status code of the response; `null` if the connection was closed without a response.
    pub answer: Option<u16>,
    pub count: u64,
    pub last_at: String,
    /// An explanation for the operator.
    pub about: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProviderStatus {
    pub confirm: bool,
    /// The number of customers about whom the API is to be asked.
    pub questions: u64,
    /// The number of customers whose callbacks have waited longer than `patience`: the problem `unanswered`.
    pub unanswered: u64,
    /// The number of customers whose due timers have waited longer than `patience` for the API: the problem
    /// `unanswered_timers`.
    #[serde(default)]
    pub unanswered_timers: u64,
    /// As configured: `1h`.
    pub patience: String,
    /// The latest rounds that asked about every customer.
    #[serde(default)]
    pub reconcile: Vec<RoundInfo>,
    /// The error of the provider's API; `again_in_s` is the number of seconds until the next request.
    pub error: Option<String>,
    /// The provider's error code of that error.
    pub code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub again_in_s: Option<u64>,
}

/// One round that asked about every customer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RoundInfo {
    /// Whether the round was about the customers with a final status, or about the others.
    pub r#final: bool,
    pub at: String,
    pub answered: u64,
    /// Customers that the provider does not know; their state is unchanged.
    pub unknown: u64,
    pub failed: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DirectoryStatus {
    /// Whether the shop's API is asked for contacts.
    pub lookup: bool,
    /// The error of the shop's API; `again_in_s` is the number of seconds until the next request.
    pub error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub again_in_s: Option<u64>,
}

/// The rules and channels that operators have paused, and since when.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PauseInfo {
    pub rules: BTreeMap<String, String>,
    pub channels: BTreeMap<String, String>,
}

/// A channel that its brake has paused until an operator resumes it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BrakeStatus {
    pub channel: String,
    pub since: String,
    /// As configured: `1000 per 1h`.
    pub brake: String,
    /// The number of orders of each rule, largest first.
    pub orders: Vec<OrderCount>,
    /// All of the above in one line.
    pub said: String,
    /// The next steps for the operator.
    pub hint: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OrderCount {
    pub rule: String,
    pub count: u32,
}

/// A channel whose mails wait for its relay. Contains no text of the relay, which may repeat addresses.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RelayStatus {
    pub channel: String,
    pub since: String,
    /// `unreachable`, `login`, `client`, and so on.
    pub cause: String,
    pub reason: String,
    /// Seconds until the next trial.
    pub again_in_s: u64,
}
