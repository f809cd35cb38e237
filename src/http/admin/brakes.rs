//! The channels that are paused by their brakes, as scripts read them.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Admin;
use crate::{
    clock::Timestamp,
    decide::{Braked, Standing},
    http::reply::Problem,
    outbox::Channel,
    rules::RuleId,
};

/// So many of the newest jobs that wait say which rule has the most: `status` is asked for often.
const LOOKED_AT: usize = 2_000;

/// Of each channel that its brake has paused, the rule with the most jobs that wait.
pub type MostWaiting = BTreeMap<Channel, RuleId>;

impl Admin {
    pub(super) async fn most_waiting(&self) -> Result<MostWaiting, Problem> {
        let standing = self.standing()?;
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

/// A channel that its brake has paused, until an operator resumes it.
#[derive(Serialize)]
pub struct BrakeShape {
    channel: String,
    since: String,
    /// As configured: `1000 per 1h`.
    brake: String,
    /// How much each rule had ordered, the most first.
    orders: Vec<OrdersShape>,
    /// All that in a line.
    said: String,
    /// How an operator goes on.
    hint: String,
}

#[derive(Serialize)]
struct OrdersShape {
    rule: String,
    count: u32,
}

impl BrakeShape {
    pub fn is_of(&self, channel: &Channel) -> bool {
        self.channel == channel.to_string()
    }

    pub fn said(&self) -> &str {
        &self.said
    }

    pub fn all(standing: &Standing, waiting: &MostWaiting) -> Vec<Self> {
        let shape = |(channel, since, braked): (&Channel, Timestamp, &Braked)| Self {
            channel: channel.to_string(),
            since: since.to_string(),
            brake: braked.brake.to_string(),
            said: braked.to_string(),
            hint: braked.advice(channel, waiting.get(channel)),
            orders: braked
                .orders
                .iter()
                .map(|(rule, count)| OrdersShape { rule: rule.to_string(), count: *count })
                .collect(),
        };
        standing.braked_channels().map(shape).collect()
    }
}
