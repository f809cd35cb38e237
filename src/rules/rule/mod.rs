//! One checked rule, and its id and mode.

pub(in crate::rules) mod parse;

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::rules::{Action, Condition, Trigger};

/// The id of a rule. History, limits and reminders refer to it. At most 64 characters: ASCII letters, digits, `-`, `_`,
/// `.`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RuleId(Arc<str>);

impl RuleId {
    pub const MAX_BYTES: usize = 64;

    /// Returns `None` if the text is not a valid id.
    pub fn new(text: &str) -> Option<Self> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        (!text.is_empty() && text.len() <= Self::MAX_BYTES && text.bytes().all(fits)).then(|| Self(text.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl std::borrow::Borrow<str> for RuleId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// Whether a rule acts. Ordered by strictness: the stricter of the file's mode and the operator's mode applies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RuleMode {
    #[default]
    Live,
    /// The rule is evaluated and recorded, but does not act.
    Shadow,
    /// The rule is not evaluated.
    Paused,
}

impl RuleMode {
    pub const ALL: &[(&'static str, RuleMode)] =
        &[("live", Self::Live), ("shadow", Self::Shadow), ("paused", Self::Paused)];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Shadow => "shadow",
            Self::Paused => "paused",
        }
    }
}

impl fmt::Display for RuleMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[derive(Clone, Debug)]
pub struct Rule {
    pub id: RuleId,
    pub about: Option<String>,
    /// In a group only the first matching rule, in file order, acts. All rules of a group are in one file.
    pub group: Option<Arc<str>>,
    pub mode: RuleMode,
    /// At least one trigger; all are of one kind.
    pub triggers: Vec<Trigger>,
    pub condition: Condition,
    /// At least one action.
    pub actions: Vec<Action>,
    /// Path relative to the rules directory.
    pub file: Arc<str>,
    /// Line at which the rule starts, from 1.
    pub line: u32,
}

impl Rule {
    /// Whether the triggers look at the processing status. All triggers of one rule are of one kind.
    pub fn is_about_processing(&self) -> bool {
        self.triggers
            .iter()
            .any(|trigger| matches!(trigger, Trigger::ProcessingMove { .. } | Trigger::ProcessingStay { .. }))
    }

    /// Whether the rule mails the customer, and not only fixed addresses.
    pub fn mails_customer(&self) -> bool {
        self.actions.iter().any(Action::mails_customer)
    }
}
