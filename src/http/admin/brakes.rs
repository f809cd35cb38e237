//! The channels that are paused by their brakes, as scripts read them.

use serde::Serialize;

use crate::{
    clock::Timestamp,
    decide::{Braked, Standing},
    outbox::Channel,
};

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

    pub fn all(standing: &Standing) -> Vec<Self> {
        let shape = |(channel, since, braked): (&Channel, Timestamp, &Braked)| Self {
            channel: channel.to_string(),
            since: since.to_string(),
            brake: braked.brake.to_string(),
            said: braked.to_string(),
            hint: braked.advice(channel),
            orders: braked
                .orders
                .iter()
                .map(|(rule, count)| OrdersShape { rule: rule.to_string(), count: *count })
                .collect(),
        };
        standing.braked_channels().map(shape).collect()
    }
}
