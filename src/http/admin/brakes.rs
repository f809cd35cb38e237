//! The channels that are paused by their brakes, in the format of the API.

use std::collections::BTreeMap;

use serde::Serialize;

use super::AdminContext;
use crate::{
    clock::Timestamp,
    decide::{BrakeReason, GlobalState},
    http::reply::ProblemDetails,
    outbox::Channel,
    rules::RuleId,
};

/// The number of waiting jobs, newest first, that are counted to find the rule with the most. Limited because `status`
/// is requested often.
const LOOKED_AT: usize = 2_000;

/// For each channel paused by its brake: the rule with the most waiting jobs.
pub type MostWaiting = BTreeMap<Channel, RuleId>;

impl AdminContext {
    pub(super) async fn most_waiting(&self) -> Result<MostWaiting, ProblemDetails> {
        let standing = self.global_state()?;
        let mut most = MostWaiting::new();
        for (channel, ..) in standing.braked_channels() {
            let waiting = self.waiting_in(channel, LOOKED_AT).await?;
            if let Some((rule, _)) = waiting.into_iter().max_by_key(|(_, count)| *count) {
                most.insert(channel.clone(), rule);
            }
        }
        Ok(most)
    }
}

/// A channel that its brake has paused until an operator resumes it.
#[derive(Serialize)]
pub struct BrakeStatus {
    channel: String,
    since: String,
    /// As configured: `1000 per 1h`.
    brake: String,
    /// The number of orders of each rule, largest first.
    orders: Vec<OrderCount>,
    /// All of the above in one line.
    said: String,
    /// The next steps for the operator.
    hint: String,
}

#[derive(Serialize)]
struct OrderCount {
    rule: String,
    count: u32,
}

impl BrakeStatus {
    pub fn is_of(&self, channel: &Channel) -> bool {
        self.channel == channel.to_string()
    }

    pub fn said(&self) -> &str {
        &self.said
    }

    pub fn all(standing: &GlobalState, waiting: &MostWaiting) -> Vec<Self> {
        let shape = |(channel, since, braked): (&Channel, Timestamp, &BrakeReason)| Self {
            channel: channel.to_string(),
            since: since.to_string(),
            brake: braked.brake.to_string(),
            said: braked.to_string(),
            hint: braked.advice(channel, waiting.get(channel)),
            orders: braked
                .orders
                .iter()
                .map(|(rule, count)| OrderCount { rule: rule.to_string(), count: *count })
                .collect(),
        };
        standing.braked_channels().map(shape).collect()
    }
}
