//! The brake of a channel: past so many orders in a time it is paused until a person looks, so that a wrong rule can't mail
//! everybody.
//!
//! Orders are counted by the time of their decision, whether or not they have left yet. What is counted lives in memory, with
//! whoever decides; after a start it is taken from the outbox again. A channel that is resumed begins anew.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
};

use serde::{Deserialize, Serialize};

use crate::{clock::Timestamp, outbox::Channel, rules::RuleId, source::Duration};

/// Orders are counted in so many parts of the window: one leaves the count at most a part later than it should.
const SLOTS: i64 = 60;

/// How many rules are named, those that ordered the most.
const MAX_NAMED: usize = 20;

/// So many orders in a time; one more, and the channel is paused.
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

/// As it is written: `1000 per 1h`.
impl fmt::Display for Brake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} per {}", self.count, Duration::text_of(self.window_ms))
    }
}

/// Why a channel was paused by its brake.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Braked {
    pub brake: Brake,
    /// Which rules had ordered how much, the most first.
    pub orders: Vec<(RuleId, u32)>,
}

impl Braked {
    /// How an operator goes on. `rule`: the one with the most jobs that wait, which may not be the one with the most orders before
    /// the brake.
    pub fn advice(&self, channel: &Channel, rule: Option<&RuleId>) -> String {
        let Some(rule) = rule else {
            return format!("`kyc-rules resume --channel {channel}` counts what waits and asks before it lets it go");
        };
        format!(
            "most of what waits is of rule {rule}: if it is wrong, mend it; then `kyc-rules resume --channel {channel} --drop-rule {rule}` drops what {rule} has ordered and \
             lets the rest go, and without `--drop-rule {rule}` everything goes. It counts and asks first"
        )
    }
}

/// `more than 1000 per 1h were ordered: sorry 990, hello 11`.
impl fmt::Display for Braked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "more than {} were ordered:", self.brake)?;
        for (nth, (rule, count)) in self.orders.iter().enumerate() {
            write!(f, "{} {rule} {count}", if nth == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

/// What has been ordered lately of every channel that has a brake.
#[derive(Debug, Default)]
pub struct Brakes(HashMap<Channel, Gauge>);

#[derive(Debug)]
struct Gauge {
    brake: Brake,
    /// By the number of the slot, counted from the beginning of time.
    slots: BTreeMap<i64, HashMap<RuleId, u32>>,
    count: u32,
}

impl Brakes {
    pub fn new(brakes: impl IntoIterator<Item = (Channel, Brake)>) -> Self {
        let gauge = |brake| Gauge { brake, slots: BTreeMap::new(), count: 0 };
        Self(brakes.into_iter().map(|(channel, brake)| (channel, gauge(brake))).collect())
    }

    /// The earliest time that any brake still counts.
    pub fn since(&self, now: Timestamp) -> Option<Timestamp> {
        self.0.values().map(|gauge| now.plus_ms(-gauge.brake.window_ms)).min()
    }

    /// Counts an order. Says why the channel is to be paused, if it is.
    pub fn count(&mut self, channel: &Channel, rule: &RuleId, at: Timestamp) -> Option<Braked> {
        let gauge = self.0.get_mut(channel)?;
        gauge.count(rule, at);
        (gauge.count > gauge.brake.count).then(|| gauge.braked())
    }

    /// A person has looked at it.
    pub fn begin_anew(&mut self, channel: &Channel) {
        if let Some(gauge) = self.0.get_mut(channel) {
            gauge.slots.clear();
            gauge.count = 0;
        }
    }
}

impl Gauge {
    fn count(&mut self, rule: &RuleId, at: Timestamp) {
        let width_ms = (self.brake.window_ms / SLOTS).max(1);
        let slot = at.millis().div_euclid(width_ms);
        let first = at.plus_ms(-self.brake.window_ms).millis().div_euclid(width_ms);
        while let Some(oldest) = self.slots.first_entry().filter(|oldest| *oldest.key() < first) {
            let gone: u32 = oldest.remove().values().sum();
            self.count = self.count.saturating_sub(gone);
        }
        let of_rule = self.slots.entry(slot).or_default().entry(rule.clone()).or_default();
        // Past the brake nothing is counted any more, so neither comes near its end.
        *of_rule = of_rule.saturating_add(1);
        self.count = self.count.saturating_add(1);
    }

    fn braked(&self) -> Braked {
        let mut by_rule: BTreeMap<&RuleId, u32> = BTreeMap::new();
        for (rule, count) in self.slots.values().flatten() {
            *by_rule.entry(rule).or_default() += count;
        }
        let mut orders: Vec<(RuleId, u32)> = by_rule.into_iter().map(|(rule, count)| (rule.clone(), count)).collect();
        orders.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        orders.truncate(MAX_NAMED);
        Braked { brake: self.brake, orders }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000;

    fn rule(id: &str) -> RuleId {
        RuleId::new(id).expect("id")
    }

    fn brakes(count: u32) -> Brakes {
        Brakes::new([(Channel::Email, Brake { count, window_ms: 60 * MINUTE })])
    }

    #[test]
    fn one_order_too_many_in_the_window_and_it_says_who_ordered_them() {
        let mut brakes = brakes(3);
        let mut count = |id: &str, minute: i64| brakes.count(&Channel::Email, &rule(id), Timestamp(minute * MINUTE));
        assert_eq!([count("a", 0), count("b", 10), count("b", 20)], [None, None, None]);
        assert_eq!(count("b", 62), None, "the first one is an hour and more ago");
        let braked = count("a", 63).expect("too many");
        assert_eq!(braked.to_string(), "more than 3 per 1h were ordered: b 3, a 1");
        let written = serde_json::to_string(&braked).expect("JSON");
        assert_eq!(serde_json::from_str::<Braked>(&written).expect("read"), braked);
    }

    #[test]
    fn other_channels_count_for_themselves_or_not_at_all() {
        let mut brakes = brakes(1);
        let shop = Channel::Webhook("shop".into());
        assert!((0..100).all(|at| brakes.count(&shop, &rule("a"), Timestamp(at)).is_none()));
        assert_eq!(brakes.count(&Channel::Email, &rule("a"), Timestamp(0)), None);
        assert!(brakes.count(&Channel::Email, &rule("a"), Timestamp(1)).is_some());
        assert_eq!(brakes.since(Timestamp(61 * MINUTE)), Some(Timestamp(MINUTE)));
    }

    #[test]
    fn it_begins_anew_when_a_person_has_looked_and_bears_a_clock_that_goes_back() {
        let mut brakes = brakes(1);
        let mut count = |minute: i64| brakes.count(&Channel::Email, &rule("a"), Timestamp(minute * MINUTE)).is_some();
        assert_eq!([count(100), count(40)], [false, true]);
        brakes.begin_anew(&Channel::Email);
        let mut count = |minute: i64| brakes.count(&Channel::Email, &rule("a"), Timestamp(minute * MINUTE)).is_some();
        assert_eq!([count(100), count(101)], [false, true]);
    }
}
