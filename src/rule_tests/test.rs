//! The data of a parsed test.

use std::{fmt, sync::Arc};

use jiff::{civil::DateTime, tz::TimeZone};

use crate::{
    clock::Timestamp,
    domain::{Contact, CustomerId, Observation},
    rules::{Action, ActionEffect, ChannelKind, RuleId},
    yaml::Duration,
};

/// The events and expectations of one customer.
#[derive(Debug)]
pub(super) struct RuleTest {
    pub name: String,
    /// The path below the rules directory.
    pub file: Arc<str>,
    /// The first line of the test, from 1.
    pub line: u32,
    pub start: TestStart,
    pub customer: CustomerId,
    /// `None`: the customer has no contact.
    pub contact: Option<Contact>,
    /// The rules of the test; `None`: all rules.
    pub rules: Option<Vec<RuleId>>,
    pub steps: Vec<TestStep>,
}

/// The start of a test, and the zone of its local times.
#[derive(Clone, Debug)]
pub(super) struct TestStart {
    pub at: Timestamp,
    pub zone: TimeZone,
}

#[derive(Debug)]
pub(super) struct TestStep {
    pub line: u32,
    pub does: StepAction,
}

#[derive(Debug)]
pub(super) enum StepAction {
    Callback(Observation),
    Wait(Duration),
    Contact(Contact),
    Tag(Box<str>),
    Untag(Box<str>),
    /// Everything that must have been sent since the previous `expect`.
    Expect(Vec<Expectation>),
}

/// The kinds of actions that a test can expect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SentKind {
    /// A message through a channel of this kind.
    Message(ChannelKind),
    Tag,
    Untag,
}

/// One action that must have been sent.
#[derive(Debug)]
pub(super) struct Expectation {
    pub rule: RuleId,
    pub kind: SentKind,
    /// The name of the template, webhook, chat or tag.
    pub name: Box<str>,
    pub at: Option<TimeExpression>,
    pub to: Option<Box<str>>,
    pub subject: Option<Box<str>>,
    /// The text must contain all of these.
    pub contains: Vec<Box<str>>,
    pub event: Option<Box<str>>,
    pub shadow: bool,
}

/// A time as written in a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TimeExpression {
    /// A local time in the zone of the start; in autumn it may occur twice.
    Clocks(DateTime),
    /// A time with its own zone.
    Instant(Timestamp),
}

impl SentKind {
    pub fn all() -> impl Iterator<Item = Self> {
        ChannelKind::ALL.iter().copied().map(Self::Message).chain([Self::Tag, Self::Untag])
    }

    /// The name of the kind in rules and tests.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Message(kind) => kind.name(),
            Self::Tag => "tag",
            Self::Untag => "untag",
        }
    }

    /// Whether this key of an expectation can describe it.
    pub fn has(self, key: &str) -> bool {
        match self {
            Self::Message(kind) => kind.properties().expectations.contains(&key),
            Self::Tag | Self::Untag => false,
        }
    }

    /// Whether it is a tag of the customer and is not sent.
    pub const fn is_mark(self) -> bool {
        matches!(self, Self::Tag | Self::Untag)
    }

    /// `None` for an action that sends and tags nothing.
    pub const fn of(action: &Action) -> Option<Self> {
        match action.effect() {
            ActionEffect::Message(kind) => Some(Self::Message(kind)),
            ActionEffect::Tag(_) => Some(Self::Tag),
            ActionEffect::Untag(_) => Some(Self::Untag),
            ActionEffect::Record => None,
        }
    }
}

impl fmt::Display for SentKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Expectation {
    /// Whether it is about this action.
    pub fn is_of(&self, action: &Action) -> bool {
        SentKind::of(action) == Some(self.kind) && action.name() == &*self.name
    }
}
