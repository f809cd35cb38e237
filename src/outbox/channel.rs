//! The channels through which jobs are sent.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::rules::Action;

/// The channel through which a job is sent. Each has its own workers, brake and pause.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Channel {
    Email,
    Webhook(Box<str>),
    Chat(Box<str>),
}

impl Channel {
    pub fn of(action: &Action) -> Self {
        match action {
            Action::Webhook { to, .. } => Self::Webhook((**to).into()),
            Action::Chat { to, .. } => Self::Chat((**to).into()),
            // The other actions never become jobs; the value is not used for them.
            Action::Email { .. } | Action::Tag(_) | Action::Untag(_) | Action::Record => Self::Email,
        }
    }

    /// Parses `email`, `webhook:NAME` or `chat:NAME`.
    pub fn parse(text: &str) -> Option<Self> {
        match text.split_once(':') {
            None => (text == "email").then_some(Self::Email),
            Some(("webhook", name)) if !name.is_empty() => Some(Self::Webhook(name.into())),
            Some(("chat", name)) if !name.is_empty() => Some(Self::Chat(name.into())),
            Some(_) => None,
        }
    }
}

impl Serialize for Channel {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Channel {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("not a channel"))
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Email => f.write_str("email"),
            Self::Webhook(name) => write!(f, "webhook:{name}"),
            Self::Chat(name) => write!(f, "chat:{name}"),
        }
    }
}
