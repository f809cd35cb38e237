//! The state that holds for all customers: since when each timer is live, and what operators have paused.
//!
//! Timers are derived from stays and rules and are never stored; the only stored fact is since when each (rule, status,
//! duration) is live. A reload, a restart or another edit does not change it. A new duration, a rule that leaves shadow
//! mode and a rule that is resumed become live at that time. Timers that came due before that time are backlog and do
//! not fire by themselves.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use super::BrakeReason;
use crate::{
    clock::{Timestamp, TrustedClock},
    outbox::Channel,
    rules::{Rule, RuleId, RuleMode, RuleSet, TimerState},
};

/// One duration of one rule's `for`, in one status.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TimerKey {
    pub rule: RuleId,
    pub stay: TimerState,
    #[serde(rename = "ms")]
    pub after_ms: i64,
}

/// The time since which a timer is live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveSince {
    pub since: Timestamp,
    /// The timer is evaluated and does not act.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shadow: bool,
}

/// A change to rules, channels or the clock that holds for all customers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Control {
    PauseRule(RuleId),
    ResumeRule(RuleId),
    PauseChannel(Channel),
    ResumeChannel(Channel),
    /// Not an operator's act: the channel exceeded its brake.
    Brake(Channel, BrakeReason),
    /// An operator has accepted the wall clock after a jump.
    AcceptClock,
}

impl fmt::Display for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PauseRule(rule) => write!(f, "rule {rule} paused by hand"),
            Self::ResumeRule(rule) => write!(f, "rule {rule} resumed by hand"),
            Self::PauseChannel(channel) => write!(f, "channel {channel} paused by hand"),
            Self::ResumeChannel(channel) => write!(f, "channel {channel} resumed by hand"),
            Self::Brake(channel, braked) => write!(f, "channel {channel} paused by its brake: {braked}"),
            Self::AcceptClock => f.write_str("clock accepted by hand"),
        }
    }
}

/// The state that holds for all customers. Replaced as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "StoredState", into = "StoredState")]
pub struct GlobalState {
    timers: BTreeMap<TimerKey, LiveSince>,
    rules: BTreeMap<RuleId, Timestamp>,
    channels: BTreeMap<Channel, Timestamp>,
    /// The paused channels that their brake paused.
    braked: BTreeMap<Channel, BrakeReason>,
    /// When a channel was last resumed; its brake counts orders from that time.
    resumed: BTreeMap<Channel, Timestamp>,
    /// Facts about the clock for a later process.
    clock: Option<TrustedClock>,
}

/// The form stored in a record.
#[derive(Serialize, Deserialize)]
struct StoredState {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    timers: Vec<StoredTimer>,
    #[serde(default, rename = "paused", skip_serializing_if = "BTreeMap::is_empty")]
    rules: BTreeMap<RuleId, Timestamp>,
    #[serde(default, rename = "paused_channels", skip_serializing_if = "BTreeMap::is_empty")]
    channels: BTreeMap<Channel, Timestamp>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    braked: BTreeMap<Channel, BrakeReason>,
    #[serde(default, rename = "resumed_channels", skip_serializing_if = "BTreeMap::is_empty")]
    resumed: BTreeMap<Channel, Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    clock: Option<TrustedClock>,
}

#[derive(Serialize, Deserialize)]
struct StoredTimer {
    #[serde(flatten)]
    key: TimerKey,
    #[serde(flatten)]
    live: LiveSince,
}

impl From<StoredState> for GlobalState {
    fn from(written: StoredState) -> Self {
        let StoredState { timers, rules, channels, braked, resumed, clock } = written;
        let timers = timers.into_iter().map(|timer| (timer.key, timer.live)).collect();
        Self { timers, rules, channels, braked, resumed, clock }
    }
}

impl From<GlobalState> for StoredState {
    fn from(standing: GlobalState) -> Self {
        let GlobalState { timers, rules, channels, braked, resumed, clock } = standing;
        let timers = timers.into_iter().map(|(key, live)| StoredTimer { key, live }).collect();
        Self { timers, rules, channels, braked, resumed, clock }
    }
}

impl GlobalState {
    /// Returns the state in which these rules are live since the given time and nothing is paused.
    pub fn since(rules: &RuleSet, since: Timestamp) -> Self {
        Self::default().with_rules(rules, since)
    }

    /// Returns the state after these rules have become active.
    #[must_use]
    pub fn with_rules(&self, rules: &RuleSet, now: Timestamp) -> Self {
        let mut timers = BTreeMap::new();
        for timer in rules.timers() {
            let Some(rule) = rules.rules().get(timer.index) else { continue };
            let mode = self.mode(rule);
            if mode == RuleMode::Paused {
                continue;
            }
            let key = TimerKey { rule: timer.rule.clone(), stay: timer.stay.clone(), after_ms: timer.after.ms() };
            let shadow = mode == RuleMode::Shadow;
            let goes_on = self.timers.get(&key).filter(|before| !before.shadow || shadow);
            let since = goes_on.map_or(now, |before| before.since);
            timers.insert(key, LiveSince { since, shadow });
        }
        Self { timers, ..self.clone() }
    }

    /// Returns the state after the act; `None`: the act changes nothing.
    pub fn after(&self, act: &Control, rules: &RuleSet, now: Timestamp) -> Option<Self> {
        let mut after = self.clone();
        let changed = match act {
            Control::PauseRule(rule) => {
                !after.rules.contains_key(rule) && after.rules.insert(rule.clone(), now).is_none()
            }
            Control::ResumeRule(rule) => after.rules.remove(rule).is_some(),
            Control::PauseChannel(channel) => {
                !after.channels.contains_key(channel) && after.channels.insert(channel.clone(), now).is_none()
            }
            Control::ResumeChannel(channel) => {
                after.braked.remove(channel);
                let was_paused = after.channels.remove(channel).is_some();
                if was_paused {
                    after.resumed.insert(channel.clone(), now);
                }
                was_paused
            }
            Control::Brake(channel, braked) => {
                let is_new = !after.channels.contains_key(channel);
                if is_new {
                    after.channels.insert(channel.clone(), now);
                    after.braked.insert(channel.clone(), braked.clone());
                }
                is_new
            }
            // The clock changes its own state: see `with_clock`.
            Control::AcceptClock => false,
        };
        changed.then(|| after.with_rules(rules, now))
    }

    /// Returns the state with these facts about the clock.
    #[must_use]
    pub fn with_clock(&self, clock: TrustedClock) -> Self {
        Self { clock: Some(clock), ..self.clone() }
    }

    /// Returns the facts about the clock that an earlier process stored.
    pub const fn clock(&self) -> Option<&TrustedClock> {
        self.clock.as_ref()
    }

    /// Returns the mode of a rule: the stricter of the mode in its file and the operators' pauses.
    pub fn mode(&self, rule: &Rule) -> RuleMode {
        if self.rules.contains_key(&rule.id) { RuleMode::Paused } else { rule.mode }
    }

    /// Returns since when a timer is live; `None`: it is not live.
    pub fn live(&self, key: &TimerKey) -> Option<LiveSince> {
        self.timers.get(key).copied()
    }

    /// Returns every live timer.
    pub fn timers(&self) -> impl Iterator<Item = (&TimerKey, LiveSince)> {
        self.timers.iter().map(|(key, live)| (key, *live))
    }

    /// Returns the rules that operators have paused, with the times of the pauses.
    pub fn paused_rules(&self) -> impl Iterator<Item = (&RuleId, Timestamp)> {
        self.rules.iter().map(|(rule, since)| (rule, *since))
    }

    /// Returns the time at which an operator paused this rule; `None`: no operator has.
    pub fn paused_since(&self, rule: &RuleId) -> Option<Timestamp> {
        self.rules.get(rule).copied()
    }

    /// Returns the state for a made-up event: all timers are live from the earliest possible time, and operators'
    /// pauses are kept.
    #[must_use]
    pub fn for_explain(&self, rules: &RuleSet) -> Self {
        Self { rules: self.rules.clone(), ..Self::default() }.with_rules(rules, Timestamp(i64::MIN))
    }

    /// Returns why the brake has paused this channel; `None`: it has not.
    pub fn with_brake(&self, channel: &Channel) -> Option<&BrakeReason> {
        self.braked.get(channel)
    }

    /// Returns the paused channels, with the times of the pauses.
    pub fn paused_channels(&self) -> impl Iterator<Item = (&Channel, Timestamp)> {
        self.channels.iter().map(|(channel, since)| (channel, *since))
    }

    /// Returns the channels that their brakes have paused, with the times and the reasons.
    pub fn braked_channels(&self) -> impl Iterator<Item = (&Channel, Timestamp, &BrakeReason)> {
        let since = |channel| self.channels.get(channel).copied().unwrap_or_default();
        self.braked.iter().map(move |(channel, braked)| (channel, since(channel), braked))
    }

    /// Returns when a channel was last resumed, if ever.
    pub fn resumed_at(&self, channel: &Channel) -> Option<Timestamp> {
        self.resumed.get(channel).copied()
    }

    pub fn is_paused(&self, channel: &Channel) -> bool {
        self.channels.contains_key(channel)
    }
}
