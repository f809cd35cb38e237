//! What was sent or tagged in a test.

use std::sync::Arc;

use super::test::{Expectation, SentKind, TestStart};
use crate::{
    clock::Timestamp,
    rules::{Action, RuleId},
};

/// A mail, a webhook, a message to a chat, or a tag that a rule has set or removed.
#[derive(Clone, Debug, PartialEq)]
pub struct Sent {
    pub rule: RuleId,
    pub(super) kind: SentKind,
    pub name: Arc<str>,
    pub at: Timestamp,
    /// The address of a mail.
    pub to: Option<Box<str>>,
    pub subject: Option<String>,
    /// The text of a mail or a chat; `None` if it was not rendered.
    pub text: Option<String>,
    pub event: Option<Arc<str>>,
    /// The rule is in shadow: it would have been sent if the rule were live.
    pub shadow: bool,
}

impl Sent {
    /// `None` for an action that sends and tags nothing. `address` is the customer's address.
    pub(super) fn of(rule: &RuleId, action: &Action, at: Timestamp, address: Option<&str>) -> Option<Self> {
        let kind = SentKind::of(action)?;
        let to = if action.mails_customer() { address } else { action.fixed_address() };
        Some(Self {
            rule: rule.clone(),
            kind,
            name: action.name().into(),
            at,
            to: to.map(Into::into),
            subject: None,
            text: None,
            event: action.event().cloned(),
            shadow: false,
        })
    }

    /// For example `email reminder`.
    pub fn what(&self) -> String {
        format!("{} {}", self.kind, self.name)
    }

    /// Whether it is a tag, which has no recipient.
    pub fn is_mark(&self) -> bool {
        self.kind.is_mark()
    }

    /// Whether rule, kind, name and mode are as expected, without the other fields.
    pub(super) fn is_what(&self, expected: &Expectation) -> bool {
        self.rule == expected.rule
            && self.kind == expected.kind
            && *self.name == *expected.name
            && self.shadow == expected.shadow
    }

    /// Whether it meets the whole expectation.
    pub(super) fn meets(&self, expected: &Expectation, start: &TestStart) -> bool {
        self.is_what(expected)
            && expected.at.as_ref().is_none_or(|at| start.is(at, self.at))
            && expected.to.as_ref().is_none_or(|to| self.to.as_ref() == Some(to))
            && expected.subject.as_ref().is_none_or(|subject| self.subject.as_deref() == Some(subject))
            && expected.event.as_ref().is_none_or(|event| self.event.as_deref() == Some(event))
            && expected.contains.iter().all(|part| self.contains(part))
    }

    /// Whether its text contains this part, ignoring line breaks.
    pub(super) fn contains(&self, part: &str) -> bool {
        self.text.as_deref().is_some_and(|text| text.contains(part) || one_line(text).contains(&one_line(part)))
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
