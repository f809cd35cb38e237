//! The actions of a rule.
//!
//! A job stores its action as it was ordered, in JSON: `{"email":{"template":"reminder"}}`.

pub(in crate::rules) mod parse;

use std::{fmt, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::rules::{ChannelKind, Limit, QuietHours};

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    Email {
        template: Arc<str>,
        #[serde(default, skip_serializing_if = "Recipient::is_customer")]
        to: Recipient,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        limit: Option<Limit>,
        /// Delay before the first attempt, in milliseconds.
        #[serde(default, rename = "settle_ms", skip_serializing_if = "Option::is_none")]
        settle: Option<i64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        quiet_hours: Option<QuietHours>,
    },
    Webhook {
        to: Arc<str>,
        event: Arc<str>,
    },
    Chat {
        to: Arc<str>,
        /// A template. Empty in a job, which stores the rendered text elsewhere.
        #[serde(default, skip_serializing_if = "str::is_empty")]
        text: Arc<str>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        limit: Option<Limit>,
    },
    Tag(Arc<str>),
    Untag(Arc<str>),
    /// Only adds an entry to the history.
    Record,
}

/// What an action does, without the details of its message.
#[derive(Clone, Copy, Debug)]
pub enum ActionEffect<'a> {
    /// Orders a job, which is sent through a channel of this kind.
    Message(ChannelKind),
    Tag(&'a Arc<str>),
    Untag(&'a Arc<str>),
    Record,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Recipient {
    #[default]
    Customer,
    Address(String),
}

impl Recipient {
    pub fn is_customer(&self) -> bool {
        matches!(self, Self::Customer)
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Customer => "customer",
            Self::Address(address) => address,
        })
    }
}

impl Serialize for Recipient {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Recipient {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Ok(if text == "customer" { Self::Customer } else { Self::Address(text) })
    }
}

impl Action {
    /// The keys of actions in rules files.
    pub fn kinds() -> impl Iterator<Item = &'static str> + Clone {
        ChannelKind::ALL.iter().map(|kind| kind.name()).chain(["tag", "untag", "record"])
    }

    /// The key of this action in rules files.
    pub const fn kind(&self) -> &'static str {
        match self.effect() {
            ActionEffect::Message(kind) => kind.name(),
            ActionEffect::Tag(_) => "tag",
            ActionEffect::Untag(_) => "untag",
            ActionEffect::Record => "record",
        }
    }

    pub const fn effect(&self) -> ActionEffect<'_> {
        match self {
            Self::Email { .. } => ActionEffect::Message(ChannelKind::Email),
            Self::Webhook { .. } => ActionEffect::Message(ChannelKind::Webhook),
            Self::Chat { .. } => ActionEffect::Message(ChannelKind::Chat),
            Self::Tag(name) => ActionEffect::Tag(name),
            Self::Untag(name) => ActionEffect::Untag(name),
            Self::Record => ActionEffect::Record,
        }
    }

    /// Whether it orders a job, which is sent through a channel.
    pub const fn is_sent(&self) -> bool {
        matches!(self.effect(), ActionEffect::Message(_))
    }

    /// The event of a webhook.
    pub const fn event(&self) -> Option<&Arc<str>> {
        match self {
            Self::Webhook { event, .. } => Some(event),
            Self::Email { .. } | Self::Chat { .. } | Self::Tag(_) | Self::Untag(_) | Self::Record => None,
        }
    }

    /// The name of the template, target, room or tag; empty for `record`.
    pub fn name(&self) -> &str {
        match self {
            Self::Email { template: name, .. }
            | Self::Webhook { to: name, .. }
            | Self::Chat { to: name, .. }
            | Self::Tag(name)
            | Self::Untag(name) => name,
            Self::Record => "",
        }
    }

    pub fn limit(&self) -> Option<Limit> {
        match self {
            Self::Email { limit, .. } | Self::Chat { limit, .. } => *limit,
            Self::Webhook { .. } | Self::Tag(_) | Self::Untag(_) | Self::Record => None,
        }
    }

    /// The recipient: `customer`, an address or a configured target; empty if the action sends nothing.
    pub fn recipient(&self) -> String {
        match self {
            Self::Email { to, .. } => to.to_string(),
            Self::Webhook { to, .. } | Self::Chat { to, .. } => to.to_string(),
            Self::Tag(_) | Self::Untag(_) | Self::Record => String::new(),
        }
    }

    /// Delay of a mail before its first attempt, in milliseconds; 0 for other actions.
    pub fn settle_ms(&self) -> i64 {
        match self {
            Self::Email { settle, .. } => settle.unwrap_or_default(),
            Self::Webhook { .. } | Self::Chat { .. } | Self::Tag(_) | Self::Untag(_) | Self::Record => 0,
        }
    }

    pub fn quiet_hours(&self) -> Option<QuietHours> {
        match self {
            Self::Email { quiet_hours, .. } => *quiet_hours,
            Self::Webhook { .. } | Self::Chat { .. } | Self::Tag(_) | Self::Untag(_) | Self::Record => None,
        }
    }

    /// The fixed address of a mail; `None` if it goes to the customer.
    pub fn fixed_address(&self) -> Option<&str> {
        match self {
            Self::Email { to: Recipient::Address(address), .. } => Some(address),
            Self::Email { to: Recipient::Customer, .. }
            | Self::Webhook { .. }
            | Self::Chat { .. }
            | Self::Tag(_)
            | Self::Untag(_)
            | Self::Record => None,
        }
    }

    pub fn mails_customer(&self) -> bool {
        matches!(self, Self::Email { to: Recipient::Customer, .. })
    }
}

/// Writes `email reminder`, `chat kyc-ops` or `record`.
impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind(), self.name())?;
        self.fixed_address().map_or(Ok(()), |address| write!(f, " to {address}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_round_trips_through_json() {
        let mail =
            |to, limit, settle| Action::Email { template: "reminder".into(), to, limit, settle, quiet_hours: None };
        for (action, json) in [
            (mail(Recipient::Customer, None, None), r#"{"email":{"template":"reminder"}}"#),
            (
                mail(Recipient::Address("a@b.example".into()), Some(Limit { count: 1, window_ms: 5 }), Some(9)),
                r#"{"email":{"template":"reminder","to":"a@b.example","limit":{"count":1,"ms":5},"settle_ms":9}}"#,
            ),
            (
                Action::Webhook { to: "shop".into(), event: "kyc.reversed".into() },
                r#"{"webhook":{"to":"shop","event":"kyc.reversed"}}"#,
            ),
            (Action::Tag("vip".into()), r#"{"tag":"vip"}"#),
            (Action::Record, r#""record""#),
        ] {
            assert_eq!(serde_json::to_string(&action).expect("json"), json);
            assert_eq!(serde_json::from_str::<Action>(json).expect("back"), action);
        }
    }
}
