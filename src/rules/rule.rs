//! One rule, as the merchant meant it.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{Action, Condition, Trigger};

/// The name that history, limits and reminders hang on. Letters, digits, `-`, `_` and `.`, at most 64 of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RuleId(Arc<str>);

impl RuleId {
    pub const MAX_BYTES: usize = 64;

    /// `None` where the text can't name a rule.
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

/// Ordered by strictness: what the file says and what an operator says combine to the greater of the two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    #[default]
    Live,
    /// Evaluated and recorded, and does not act.
    Shadow,
    /// Not evaluated.
    Paused,
}

impl Mode {
    pub const ALL: &[(&'static str, Mode)] =
        &[("live", Self::Live), ("shadow", Self::Shadow), ("paused", Self::Paused)];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Shadow => "shadow",
            Self::Paused => "paused",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[derive(Clone, Debug)]
pub struct Rule {
    pub id: RuleId,
    pub about: Option<String>,
    /// In a group only the first match, in file order, acts. A group lives in one file.
    pub group: Option<Arc<str>>,
    pub mode: Mode,
    /// At least one, all of one kind.
    pub triggers: Vec<Trigger>,
    pub condition: Condition,
    /// At least one.
    pub actions: Vec<Action>,
    /// Below the rules directory.
    pub file: Arc<str>,
    /// Where the rule begins, from 1.
    pub line: u32,
}

impl Rule {
    /// Its triggers look at the processing status; the triggers of one rule are of one kind.
    pub fn is_about_processing(&self) -> bool {
        self.triggers
            .iter()
            .any(|trigger| matches!(trigger, Trigger::ProcessingMove { .. } | Trigger::ProcessingStay { .. }))
    }

    /// Whether it mails the customer, rather than somebody in the house.
    pub fn mails_customer(&self) -> bool {
        self.actions.iter().any(Action::mails_customer)
    }
}
