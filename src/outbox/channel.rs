//! The channels through which jobs are sent.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{
    rules::{Action, ActionEffect, ChannelKind},
    yaml::one_of,
};

/// The channel through which a job is sent. Each has its own workers, brake and pause.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Channel {
    kind: ChannelKind,
    target: Box<str>,
}

impl Channel {
    /// The channel of this target or room. `target` is empty for mails, which have one channel.
    pub fn new(kind: ChannelKind, target: &str) -> Self {
        Self { kind, target: target.into() }
    }

    /// The channel that sends this action; `None`: the action is not sent.
    pub fn of(action: &Action) -> Option<Self> {
        let ActionEffect::Message(kind) = action.effect() else { return None };
        Some(Self::new(kind, if kind.properties().is_named { action.name() } else { "" }))
    }

    /// The channel of mails.
    pub fn email() -> Self {
        Self::new(ChannelKind::Email, "")
    }

    pub const fn kind(&self) -> ChannelKind {
        self.kind
    }

    /// The name of the target or room; empty for mails.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Parses `email`, `webhook:NAME` or `chat:NAME`.
    pub fn parse(text: &str) -> Option<Self> {
        let (name, target) = text.split_once(':').map_or((text, None), |(name, target)| (name, Some(target)));
        let kind = ChannelKind::ALL.iter().copied().find(|kind| kind.name() == name)?;
        match (kind.properties().is_named, target) {
            (false, None) => Some(Self::new(kind, "")),
            (true, Some(target)) if !target.is_empty() => Some(Self::new(kind, target)),
            (false, Some(_)) | (true, _) => None,
        }
    }

    /// The forms of a channel's name: `email, webhook:NAME or chat:NAME`.
    pub fn forms() -> String {
        let form = |kind: &ChannelKind| match kind.properties().is_named {
            true => format!("{}:NAME", kind.name()),
            false => kind.name().to_owned(),
        };
        let forms: Vec<String> = ChannelKind::ALL.iter().map(form).collect();
        one_of(forms.iter().map(String::as_str))
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
        f.write_str(self.kind.name())?;
        if self.target.is_empty() { Ok(()) } else { write!(f, ":{}", self.target) }
    }
}
