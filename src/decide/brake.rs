//! The brake of a channel: above a number of orders per time window the channel is paused until an operator resumes it,
//! so that a wrong rule cannot mail all customers.
//!
//! Orders are counted at the time of their decision, whether or not they have been sent. The counts are kept in memory
//! by the deciding thread; at startup they are rebuilt from the outbox. When a channel is resumed, its count restarts
//! at 0.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
};

use serde::{Deserialize, Serialize};

use crate::{clock::Timestamp, outbox::Channel, rules::RuleId, yaml::Duration};

/// The window is divided into this number of slots: an order stays in the count at most one slot too long.
const SLOTS: i64 = 60;

/// The maximum number of rules that are named, those with the most orders.
const MAX_NAMED: usize = 20;

/// The maximum number of orders per time window. The channel is paused at the next order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Brake {
    pub count: u32,
    #[serde(rename = "ms")]
    pub window_ms: i64,
}

impl Default for Brake {
    fn default() -> Self {
        Self { count: 1000, window_ms: 3_600_000 }
    }
}

/// Formats as in the configuration: `1000 per 1h`.
impl fmt::Display for Brake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} per {}", self.count, Duration::text_of(self.window_ms))
    }
}

/// The reason why a brake paused a channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrakeReason {
    pub brake: Brake,
    /// The number of orders by rule, the highest first.
    pub orders: Vec<(RuleId, u32)>,
}

impl BrakeReason {
    /// Returns the next steps for an operator. `rule`: the rule with the most waiting jobs; another rule may have had
    /// the most orders before the brake.
    pub fn advice(&self, channel: &Channel, rule: Option<&RuleId>) -> String {
        let Some(rule) = rule else {
            return format!(
                "`kyc-rules resume --channel {channel}` counts the waiting jobs and asks before it releases any"
            );
        };
        format!(
            "most waiting jobs come from rule {rule}: if it is wrong, correct it; then `kyc-rules resume --channel \
             {channel} --drop-rule {rule}` drops the jobs of {rule} and releases the rest; without `--drop-rule \
             {rule}` all jobs are released. The command prints the number of jobs and asks for confirmation"
        )
    }
}

/// Formats as `more than 1000 per 1h were ordered: sorry 990, hello 11`.
impl fmt::Display for BrakeReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "more than {} were ordered:", self.brake)?;
        for (nth, (rule, count)) in self.orders.iter().enumerate() {
            write!(f, "{} {rule} {count}", if nth == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

/// The recent orders of every channel that has a brake.
#[derive(Debug, Default)]
pub struct Brakes(HashMap<Channel, OrderWindow>);

#[derive(Debug)]
struct OrderWindow {
    brake: Brake,
    /// By slot number, counted from the Unix epoch.
    slots: BTreeMap<i64, HashMap<RuleId, u32>>,
    count: u32,
}

impl Brakes {
    pub fn new(brakes: impl IntoIterator<Item = (Channel, Brake)>) -> Self {
        let gauge = |brake| OrderWindow { brake, slots: BTreeMap::new(), count: 0 };
        Self(brakes.into_iter().map(|(channel, brake)| (channel, gauge(brake))).collect())
    }

    /// Returns the earliest time that any brake still counts.
    pub fn since(&self, now: Timestamp) -> Option<Timestamp> {
        self.0.values().map(|gauge| now.plus_ms(-gauge.brake.window_ms)).min()
    }

    /// Counts an order. Returns the reason if the channel is to be paused now.
    pub fn count(&mut self, channel: &Channel, rule: &RuleId, at: Timestamp) -> Option<BrakeReason> {
        let gauge = self.0.get_mut(channel)?;
        gauge.count(rule, at);
        (gauge.count > gauge.brake.count).then(|| gauge.braked())
    }

    /// Restarts the count of a channel that an operator has resumed.
    pub fn reset(&mut self, channel: &Channel) {
        if let Some(gauge) = self.0.get_mut(channel) {
            gauge.slots.clear();
            gauge.count = 0;
        }
    }
}

impl OrderWindow {
    fn count(&mut self, rule: &RuleId, at: Timestamp) {
        let width_ms = (self.brake.window_ms / SLOTS).max(1);
        let slot = at.millis().div_euclid(width_ms);
        let first = at.plus_ms(-self.brake.window_ms).millis().div_euclid(width_ms);
        while let Some(oldest) = self.slots.first_entry().filter(|oldest| *oldest.key() < first) {
            let gone: u32 = oldest.remove().values().sum();
            self.count = self.count.saturating_sub(gone);
        }
        let of_rule = self.slots.entry(slot).or_default().entry(rule.clone()).or_default();
        // The counters saturate.
        *of_rule = of_rule.saturating_add(1);
        self.count = self.count.saturating_add(1);
    }

    fn braked(&self) -> BrakeReason {
        let mut by_rule: BTreeMap<&RuleId, u32> = BTreeMap::new();
        for (rule, count) in self.slots.values().flatten() {
            *by_rule.entry(rule).or_default() += count;
        }
        let mut orders: Vec<(RuleId, u32)> = by_rule.into_iter().map(|(rule, count)| (rule.clone(), count)).collect();
        orders.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        orders.truncate(MAX_NAMED);
        BrakeReason { brake: self.brake, orders }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::ChannelKind;

    const MINUTE: i64 = 60_000;

    fn rule(id: &str) -> RuleId {
        RuleId::new(id).expect("id")
    }

    fn brakes(count: u32) -> Brakes {
        Brakes::new([(Channel::email(), Brake { count, window_ms: 60 * MINUTE })])
    }

    #[test]
    fn one_order_too_many_in_the_window_names_the_rules() {
        let mut brakes = brakes(3);
        let mut count = |id: &str, minute: i64| brakes.count(&Channel::email(), &rule(id), Timestamp(minute * MINUTE));
        assert_eq!([count("a", 0), count("b", 10), count("b", 20)], [None, None, None]);
        assert_eq!(count("b", 62), None, "the first order is more than an hour old");
        let braked = count("a", 63).expect("too many");
        assert_eq!(braked.to_string(), "more than 3 per 1h were ordered: b 3, a 1");
        let written = serde_json::to_string(&braked).expect("JSON");
        assert_eq!(serde_json::from_str::<BrakeReason>(&written).expect("read"), braked);
    }

    #[test]
    fn channels_are_counted_separately_and_only_with_a_brake() {
        let mut brakes = brakes(1);
        let shop = Channel::new(ChannelKind::Webhook, "shop");
        assert!((0..100).all(|at| brakes.count(&shop, &rule("a"), Timestamp(at)).is_none()));
        assert_eq!(brakes.count(&Channel::email(), &rule("a"), Timestamp(0)), None);
        assert!(brakes.count(&Channel::email(), &rule("a"), Timestamp(1)).is_some());
        assert_eq!(brakes.since(Timestamp(61 * MINUTE)), Some(Timestamp(MINUTE)));
    }

    #[test]
    fn the_count_restarts_on_resume_and_tolerates_a_clock_set_back() {
        let mut brakes = brakes(1);
        let mut count = |minute: i64| brakes.count(&Channel::email(), &rule("a"), Timestamp(minute * MINUTE)).is_some();
        assert_eq!([count(100), count(40)], [false, true]);
        brakes.reset(&Channel::email());
        let mut count = |minute: i64| brakes.count(&Channel::email(), &rule("a"), Timestamp(minute * MINUTE)).is_some();
        assert_eq!([count(100), count(101)], [false, true]);
    }
}
