use crate::{clock::Timestamp, kyc::*};
use serde::{Deserialize, Serialize};
use std::{fmt, sync::Arc};
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RuleId(Arc<str>);
impl RuleId {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
impl From<&str> for RuleId {
    fn from(s: &str) -> Self {
        Self(s.into())
    }
}
impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Live,
    Shadow,
    Paused,
}
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DurationMs(i64);
impl DurationMs {
    pub fn millis(&self) -> i64 {
        self.0
    }
}
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuietHours;
impl QuietHours {
    pub fn end(&self, _: Timestamp, _: &jiff::tz::TimeZone) -> Option<Timestamp> {
        None
    }
}
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    pub count: u32,
    pub window_ms: i64,
}
impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} per {}ms", self.count, self.window_ms)
    }
}
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Recipient {
    Customer,
    Address(Arc<str>),
}
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    Email {
        template: Arc<str>,
        to: Recipient,
        limit: Option<Limit>,
        settle: Option<DurationMs>,
        quiet_hours: Option<QuietHours>,
    },
    Webhook {
        to: Arc<str>,
        event: Arc<str>,
    },
    Chat {
        to: Arc<str>,
        text: Arc<str>,
        limit: Option<Limit>,
    },
    Tag(Arc<str>),
    Untag(Arc<str>),
    Record,
}
impl Action {
    pub fn limit(&self) -> Option<&Limit> {
        match self {
            Self::Email { limit, .. } | Self::Chat { limit, .. } => limit.as_ref(),
            _ => None,
        }
    }
    pub fn aim(&self) -> &str {
        match self {
            Self::Email { template, .. } => template,
            Self::Webhook { to, .. } | Self::Chat { to, .. } => to,
            Self::Tag(n) | Self::Untag(n) => n,
            Self::Record => "",
        }
    }
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Email { .. } => "email",
            Self::Webhook { .. } => "webhook",
            Self::Chat { .. } => "chat",
            Self::Tag(_) => "tag",
            Self::Untag(_) => "untag",
            Self::Record => "record",
        }
    }
}
#[derive(Clone, Debug)]
pub struct Rule {
    pub id: RuleId,
    pub group: Option<Arc<str>>,
    pub mode: Mode,
    pub condition: Condition,
    pub actions: Vec<Action>,
    pub to: Status,
}
impl Rule {
    pub fn is_about_processing(&self) -> bool {
        false
    }
}
#[derive(Clone, Copy, Debug)]
pub struct Line;
pub enum Holds {
    Yes,
    No(Line),
    Undecidable(Line),
}
#[derive(Clone, Debug)]
pub struct Condition;
pub struct Facts<'a> {
    pub customer: &'a Customer,
    pub tags: &'a Codes,
    pub contact: Option<&'a Contact>,
    pub visit: u32,
    pub changed: Details,
}
impl Condition {
    pub fn check(&self, _: &Facts<'_>) -> Holds {
        Holds::Yes
    }
    pub fn why(&self, _: Line, _: &Facts<'_>) -> String {
        String::new()
    }
}
#[derive(Debug)]
pub struct RuleSet {
    hash: String,
    pub list: Vec<Rule>,
}
impl RuleSet {
    pub fn empty() -> Self {
        Self { hash: "000000000000".into(), list: vec![] }
    }
    pub fn files(&self) -> &crate::source::Files {
        static F: std::sync::OnceLock<crate::source::Files> = std::sync::OnceLock::new();
        F.get_or_init(Default::default)
    }
    pub fn hash(&self) -> &str {
        &self.hash
    }
    pub fn rule(&self, id: &str) -> Option<&Rule> {
        self.list.iter().find(|r| r.id.as_str() == id)
    }
    pub fn matching<'a>(&'a self, change: &Change) -> impl Iterator<Item = &'a Rule> {
        let to = change.at.clone();
        let moved = change.status.is_some();
        self.list.iter().filter(move |r| moved && r.to == to)
    }
}
