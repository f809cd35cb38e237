//! What holds for all customers: since when each timer is live, and what people have paused.
//!
//! Timers are derived from stays and rules, never stored; all that is kept of them is since when each (rule, status, duration) is
//! live. A reload, a restart or another edit leaves that alone; a new duration, a rule that leaves shadow and one that is resumed
//! begin anew. What came due before is backlog, and does not fire by itself.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use super::Braked;
use crate::{
    clock::{Timestamp, TrustedClock},
    outbox::Channel,
    rules::{Mode, Rule, RuleId, RuleSet, Stay},
};

/// One duration of one rule's `for`, in one status: what is live, and what is used up once a stay.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TimerKey {
    pub rule: RuleId,
    pub stay: Stay,
    #[serde(rename = "ms")]
    pub after_ms: i64,
}

/// Since when a timer is live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Live {
    pub since: Timestamp,
    /// It is looked at, and does not act.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shadow: bool,
}

/// What people do to all customers' rules and channels at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    PauseRule(RuleId),
    ResumeRule(RuleId),
    PauseChannel(Channel),
    ResumeChannel(Channel),
    /// No person's act: too much was ordered.
    Brake(Channel, Braked),
    /// The wall clock has jumped, and is right as it stands.
    AcceptClock,
}

impl fmt::Display for Act {
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

/// What holds for all customers. Replaced as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Written", into = "Written")]
pub struct Standing {
    timers: BTreeMap<TimerKey, Live>,
    rules: BTreeMap<RuleId, Timestamp>,
    channels: BTreeMap<Channel, Timestamp>,
    /// Of the channels that are paused, those by their brake.
    braked: BTreeMap<Channel, Braked>,
    /// When a channel was resumed last; from then on its brake counts.
    resumed: BTreeMap<Channel, Timestamp>,
    /// What a later process has to know of the clock.
    clock: Option<TrustedClock>,
}

/// As it stands in a record.
#[derive(Serialize, Deserialize)]
struct Written {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    timers: Vec<WrittenTimer>,
    #[serde(default, rename = "paused", skip_serializing_if = "BTreeMap::is_empty")]
    rules: BTreeMap<RuleId, Timestamp>,
    #[serde(default, rename = "paused_channels", skip_serializing_if = "BTreeMap::is_empty")]
    channels: BTreeMap<Channel, Timestamp>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    braked: BTreeMap<Channel, Braked>,
    #[serde(default, rename = "resumed_channels", skip_serializing_if = "BTreeMap::is_empty")]
    resumed: BTreeMap<Channel, Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    clock: Option<TrustedClock>,
}

#[derive(Serialize, Deserialize)]
struct WrittenTimer {
    #[serde(flatten)]
    key: TimerKey,
    #[serde(flatten)]
    live: Live,
}

impl From<Written> for Standing {
    fn from(written: Written) -> Self {
        let Written { timers, rules, channels, braked, resumed, clock } = written;
        let timers = timers.into_iter().map(|timer| (timer.key, timer.live)).collect();
        Self { timers, rules, channels, braked, resumed, clock }
    }
}

impl From<Standing> for Written {
    fn from(standing: Standing) -> Self {
        let Standing { timers, rules, channels, braked, resumed, clock } = standing;
        let timers = timers.into_iter().map(|(key, live)| WrittenTimer { key, live }).collect();
        Self { timers, rules, channels, braked, resumed, clock }
    }
}

impl Standing {
    /// These rules, live since then, and nothing paused.
    pub fn since(rules: &RuleSet, since: Timestamp) -> Self {
        Self::default().with_rules(rules, since)
    }

    /// From now on these rules decide.
    #[must_use]
    pub fn with_rules(&self, rules: &RuleSet, now: Timestamp) -> Self {
        let mut timers = BTreeMap::new();
        for timer in rules.timers() {
            let Some(rule) = rules.rules().get(timer.index) else { continue };
            let mode = self.mode(rule);
            if mode == Mode::Paused {
                continue;
            }
            let key = TimerKey { rule: timer.rule.clone(), stay: timer.stay.clone(), after_ms: timer.after.ms() };
            let shadow = mode == Mode::Shadow;
            let goes_on = self.timers.get(&key).filter(|before| !before.shadow || shadow);
            let since = goes_on.map_or(now, |before| before.since);
            timers.insert(key, Live { since, shadow });
        }
        Self { timers, ..self.clone() }
    }

    /// What holds after this; `None` where it holds already.
    pub fn after(&self, act: &Act, rules: &RuleSet, now: Timestamp) -> Option<Self> {
        let mut after = self.clone();
        let changed = match act {
            Act::PauseRule(rule) => !after.rules.contains_key(rule) && after.rules.insert(rule.clone(), now).is_none(),
            Act::ResumeRule(rule) => after.rules.remove(rule).is_some(),
            Act::PauseChannel(channel) => {
                !after.channels.contains_key(channel) && after.channels.insert(channel.clone(), now).is_none()
            }
            Act::ResumeChannel(channel) => {
                after.braked.remove(channel);
                let was_paused = after.channels.remove(channel).is_some();
                if was_paused {
                    after.resumed.insert(channel.clone(), now);
                }
                was_paused
            }
            Act::Brake(channel, braked) => {
                let is_new = !after.channels.contains_key(channel);
                if is_new {
                    after.channels.insert(channel.clone(), now);
                    after.braked.insert(channel.clone(), braked.clone());
                }
                is_new
            }
            // What is known of the clock is the clock's to say: see `with_clock`.
            Act::AcceptClock => false,
        };
        changed.then(|| after.with_rules(rules, now))
    }

    /// From now on this is known of the clock.
    #[must_use]
    pub fn with_clock(&self, clock: TrustedClock) -> Self {
        Self { clock: Some(clock), ..self.clone() }
    }

    /// What an earlier process has left of the clock.
    pub const fn clock(&self) -> Option<&TrustedClock> {
        self.clock.as_ref()
    }

    /// How a rule is treated: what its file says and what people say combine, and the stricter counts.
    pub fn mode(&self, rule: &Rule) -> Mode {
        if self.rules.contains_key(&rule.id) { Mode::Paused } else { rule.mode }
    }

    /// Since when a timer is live; `None` where it is not.
    pub fn live(&self, key: &TimerKey) -> Option<Live> {
        self.timers.get(key).copied()
    }

    /// Every live timer.
    pub fn timers(&self) -> impl Iterator<Item = (&TimerKey, Live)> {
        self.timers.iter().map(|(key, live)| (key, *live))
    }

    /// The rules that people have paused, and since when.
    pub fn paused_rules(&self) -> impl Iterator<Item = (&RuleId, Timestamp)> {
        self.rules.iter().map(|(rule, since)| (rule, *since))
    }

    /// Since when an operator has paused this rule; `None`: no operator has.
    pub fn paused_since(&self, rule: &RuleId) -> Option<Timestamp> {
        self.rules.get(rule).copied()
    }

    /// These rules, live since ever, with the pauses of operators: how a made-up event finds them.
    #[must_use]
    pub fn for_made_up(&self, rules: &RuleSet) -> Self {
        Self { rules: self.rules.clone(), ..Self::default() }.with_rules(rules, Timestamp(i64::MIN))
    }

    /// Why this channel's brake has paused it; `None`: it has not.
    pub fn braked(&self, channel: &Channel) -> Option<&Braked> {
        self.braked.get(channel)
    }

    /// The channels that are paused, and since when.
    pub fn paused_channels(&self) -> impl Iterator<Item = (&Channel, Timestamp)> {
        self.channels.iter().map(|(channel, since)| (channel, *since))
    }

    /// The channels that are paused by their brakes, since when, and why.
    pub fn braked_channels(&self) -> impl Iterator<Item = (&Channel, Timestamp, &Braked)> {
        let since = |channel| self.channels.get(channel).copied().unwrap_or_default();
        self.braked.iter().map(move |(channel, braked)| (channel, since(channel), braked))
    }

    /// When a channel was resumed last, if ever.
    pub fn resumed_at(&self, channel: &Channel) -> Option<Timestamp> {
        self.resumed.get(channel).copied()
    }

    pub fn is_paused(&self, channel: &Channel) -> bool {
        self.channels.contains_key(channel)
    }
}
