//! The channels that are paused by their brakes.

use std::collections::BTreeMap;

use super::AdminContext;
use crate::{
    api::status::{BrakeStatus, OrderCount},
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

impl BrakeStatus {
    pub(super) fn all(standing: &GlobalState, waiting: &MostWaiting) -> Vec<Self> {
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
