//! What a test says, once it has been read.

use std::{fmt, sync::Arc};

use jiff::{civil::DateTime, tz::TimeZone};

use crate::{
    clock::Timestamp,
    kyc::{Contact, CustomerId, Observation},
    rules::{Action, RuleId},
    source::Duration,
};

/// One customer's story.
#[derive(Debug)]
pub(super) struct Test {
    pub name: String,
    /// Below the rules directory.
    pub file: Arc<str>,
    /// Where it begins, from 1.
    pub line: u32,
    pub start: Start,
    pub customer: CustomerId,
    /// `None`: nobody knows where to write.
    pub contact: Option<Contact>,
    /// The only rules that are there; `None`: all of them.
    pub rules: Option<Vec<RuleId>>,
    pub steps: Vec<Step>,
}

/// When it begins, and by whose clock it tells the time.
#[derive(Clone, Debug)]
pub(super) struct Start {
    pub at: Timestamp,
    pub zone: TimeZone,
}

#[derive(Debug)]
pub(super) struct Step {
    pub line: u32,
    pub does: Does,
}

#[derive(Debug)]
pub(super) enum Does {
    Callback(Observation),
    Wait(Duration),
    Contact(Contact),
    Tag(Box<str>),
    Untag(Box<str>),
    /// All that has left since the last one.
    Expect(Vec<Expected>),
}

/// What can leave, or be seen on the customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Email,
    Webhook,
    Chat,
    Tag,
    Untag,
}

/// One thing that must have left.
#[derive(Debug)]
pub(super) struct Expected {
    pub rule: RuleId,
    pub kind: Kind,
    /// The template, the target, the room, the tag.
    pub name: Box<str>,
    pub at: Option<Moment>,
    pub to: Option<Box<str>>,
    pub subject: Option<Box<str>>,
    /// All of these.
    pub contains: Vec<Box<str>>,
    pub event: Option<Box<str>>,
    pub shadow: bool,
}

/// A time as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    /// What the clocks in the start's zone show; in autumn that may be twice.
    Clocks(DateTime),
    /// With a zone of its own.
    Instant(Timestamp),
}

impl Kind {
    pub const ALL: &[Kind] = &[Self::Email, Self::Webhook, Self::Chat, Self::Tag, Self::Untag];

    /// As rules and tests write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Webhook => "webhook",
            Self::Chat => "chat",
            Self::Tag => "tag",
            Self::Untag => "untag",
        }
    }

    /// Seen on the customer rather than sent.
    pub const fn is_mark(self) -> bool {
        matches!(self, Self::Tag | Self::Untag)
    }

    /// `None` for what leaves nothing.
    pub const fn of(action: &Action) -> Option<Self> {
        match action {
            Action::Email { .. } => Some(Self::Email),
            Action::Webhook { .. } => Some(Self::Webhook),
            Action::Chat { .. } => Some(Self::Chat),
            Action::Tag(_) => Some(Self::Tag),
            Action::Untag(_) => Some(Self::Untag),
            Action::Record => None,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Expected {
    /// Whether it is about this action.
    pub fn is_of(&self, action: &Action) -> bool {
        Kind::of(action) == Some(self.kind) && action.name() == &*self.name
    }
}
