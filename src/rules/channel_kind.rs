//! The kinds of channels: one table of what the other modules need to know of each kind.

/// A kind of channel. Its name is the key of its action in rules and tests, and begins the names of its channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ChannelKind {
    Email,
    Webhook,
    Chat,
}

/// The properties of a kind of channel.
pub struct ChannelProperties {
    pub name: &'static str,
    /// Each channel has a name, for example `webhook:shop`. Otherwise the kind has one channel, with the kind's name.
    pub is_named: bool,
    /// The jobs for one customer are sent one after another.
    pub in_order: bool,
    /// The keys that describe its message in a test's expectation.
    pub expectations: &'static [&'static str],
}

impl ChannelKind {
    pub const ALL: &[Self] = &[Self::Email, Self::Webhook, Self::Chat];

    pub const fn properties(self) -> ChannelProperties {
        match self {
            Self::Email => ChannelProperties {
                name: "email",
                is_named: false,
                in_order: false,
                expectations: &["to", "subject", "contains"],
            },
            Self::Webhook => {
                ChannelProperties { name: "webhook", is_named: true, in_order: true, expectations: &["event"] }
            }
            Self::Chat => {
                ChannelProperties { name: "chat", is_named: true, in_order: false, expectations: &["contains"] }
            }
        }
    }

    pub const fn name(self) -> &'static str {
        self.properties().name
    }
}
