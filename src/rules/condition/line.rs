//! One line of a condition: its subject, its tests, and whether it holds.
//!
//! `display.rs` writes a line as text; `parse.rs` parses it from YAML.

use crate::domain::{Codes, Detail, Details, Processing};

use crate::rules::{Condition, ConditionFacts, ConditionResult};

/// The value that a line tests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::rules) enum Subject {
    MissingDocs,
    RejectLabels,
    Tags,
    Message,
    Processing,
    Visit,
    Changed,
    Locale,
    Country,
    Attribute(Box<str>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::rules) enum ValueTest {
    AnyOf(Box<[Box<str>]>),
    AllOf(Box<[Box<str>]>),
    NoneOf(Box<[Box<str>]>),
    /// At least one value, and only these values.
    Only(Box<[Box<str>]>),
    /// Whether the value is present and not empty.
    Exists(bool),
    /// One of these texts is a part of the value, ignoring case.
    Contains(Box<[Box<str>]>),
    /// For `visit`: one of these ranges contains it.
    Counts(Box<[CountRange]>),
    /// For `visit`: none of these ranges contains it.
    CountsNot(Box<[CountRange]>),
}

/// A range from `least` to `most`, both inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::rules) struct CountRange {
    pub least: u32,
    pub most: u32,
}

/// `Some(true)`, `Some(false)`, or `None` for undecidable.
type Truth = Option<bool>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::rules) enum LineTest {
    /// All of the tests must hold.
    Of(Subject, Vec<ValueTest>),
    Not(Condition),
}

/// The current value of a subject.
#[derive(Clone, Copy)]
pub(in crate::rules) enum LineFacts<'a> {
    /// Not known.
    Missing,
    Set(&'a Codes),
    Text(&'a str),
    Locale(&'a str),
    Processing(&'a Processing),
    Changed(Details),
    Count(u32),
}

impl Subject {
    /// Whether the subject has several values at once.
    pub const fn is_set(&self) -> bool {
        matches!(self, Self::MissingDocs | Self::RejectLabels | Self::Tags | Self::Changed)
    }

    pub fn seen<'a>(&self, facts: &ConditionFacts<'a>) -> LineFacts<'a> {
        let text = |text: Option<&'a str>| text.map_or(LineFacts::Missing, LineFacts::Text);
        match self {
            Self::MissingDocs => facts.customer.missing_docs.as_ref().map_or(LineFacts::Missing, LineFacts::Set),
            Self::RejectLabels => facts.customer.reject_labels.as_ref().map_or(LineFacts::Missing, LineFacts::Set),
            Self::Tags => LineFacts::Set(facts.tags),
            Self::Message => text(facts.customer.message.as_deref()),
            Self::Processing => facts.customer.processing.as_ref().map_or(LineFacts::Missing, LineFacts::Processing),
            Self::Visit => LineFacts::Count(facts.visit),
            Self::Changed => LineFacts::Changed(facts.changed),
            Self::Locale => {
                let locale = facts.contact.and_then(|contact| contact.locale.as_deref());
                locale.map_or(LineFacts::Missing, LineFacts::Locale)
            }
            Self::Country => text(facts.contact.and_then(|contact| contact.country.as_deref())),
            Self::Attribute(name) => {
                text(facts.contact.and_then(|contact| contact.attributes.get(&**name)).map(String::as_str))
            }
        }
    }
}

impl LineFacts<'_> {
    /// Whether the current value is `value`, or contains it as an element.
    fn has(self, value: &str) -> bool {
        match self {
            Self::Missing => false,
            Self::Set(codes) => codes.contains(value),
            Self::Text(text) => text == value,
            Self::Locale(locale) => is_stated(locale, value),
            Self::Processing(status) => match status.as_wire() {
                None => value == "none",
                Some(name) => name == value,
            },
            Self::Changed(details) => {
                Detail::ALL.iter().any(|(name, detail)| *name == value && details.contains(*detail))
            }
            Self::Count(_) => false,
        }
    }

    fn exists(self) -> bool {
        match self {
            Self::Missing => false,
            Self::Set(codes) => !codes.is_empty(),
            Self::Text(text) | Self::Locale(text) => !text.is_empty(),
            Self::Processing(status) => *status != Processing::None,
            Self::Changed(details) => !details.is_empty(),
            Self::Count(_) => true,
        }
    }

    fn only(self, values: &[Box<str>]) -> bool {
        let among = |name: &str| values.iter().any(|value| **value == *name);
        self.exists()
            && match self {
                Self::Set(codes) => codes.iter().all(among),
                Self::Changed(details) => {
                    Detail::ALL.iter().all(|(name, detail)| !details.contains(*detail) || among(name))
                }
                _ => values.iter().any(|value| self.has(value)),
            }
    }

    fn contains(self, part: &str) -> bool {
        match self {
            Self::Set(codes) => codes.iter().any(|code| contains_folded(code, part)),
            Self::Text(text) | Self::Locale(text) => contains_folded(text, part),
            Self::Processing(status) => status.as_wire().is_some_and(|name| contains_folded(name, part)),
            Self::Missing | Self::Changed(_) | Self::Count(_) => false,
        }
    }
}

/// Whether `locale` matches `wanted`: `de` matches `de` and `de-AT`; `de-AT` matches only `de-AT`.
fn is_stated(locale: &str, wanted: &str) -> bool {
    let rest =
        locale.get(..wanted.len()).filter(|start| start.eq_ignore_ascii_case(wanted)).map(|_| &locale[wanted.len()..]);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

fn contains_folded(text: &str, part: &str) -> bool {
    if text.is_ascii() && part.is_ascii() {
        let part = part.as_bytes();
        return part.is_empty() || text.as_bytes().windows(part.len()).any(|window| window.eq_ignore_ascii_case(part));
    }
    text.to_lowercase().contains(&part.to_lowercase())
}

impl CountRange {
    const fn matches(self, visit: u32) -> bool {
        self.least <= visit && visit <= self.most
    }

    /// Whether any visit is in the range. Visits count from 1.
    pub const fn is_possible(self) -> bool {
        self.least <= self.most && self.most >= 1
    }
}

impl ValueTest {
    pub fn check(&self, seen: LineFacts<'_>) -> Truth {
        if let Self::Exists(wanted) = self {
            return Some(seen.exists() == *wanted);
        }
        if let LineFacts::Missing = seen {
            return None;
        }
        let count = |counts: &[CountRange]| match seen {
            LineFacts::Count(visit) => counts.iter().any(|count| count.matches(visit)),
            _ => false,
        };
        Some(match self {
            Self::AnyOf(values) => values.iter().any(|value| seen.has(value)),
            Self::AllOf(values) => values.iter().all(|value| seen.has(value)),
            Self::NoneOf(values) => !values.iter().any(|value| seen.has(value)),
            Self::Only(values) => seen.only(values),
            Self::Exists(_) => true,
            Self::Contains(parts) => parts.iter().any(|part| seen.contains(part)),
            Self::Counts(counts) => count(counts),
            Self::CountsNot(counts) => !count(counts),
        })
    }
}

impl LineTest {
    pub fn check(&self, facts: &ConditionFacts<'_>) -> Truth {
        match self {
            Self::Of(subject, tests) => {
                let seen = subject.seen(facts);
                let mut truth = Some(true);
                for test in tests {
                    match test.check(seen) {
                        Some(true) => {}
                        Some(false) => return Some(false),
                        None => truth = None,
                    }
                }
                truth
            }
            Self::Not(inner) => match inner.check(facts) {
                ConditionResult::Yes => Some(false),
                ConditionResult::No(_) => Some(true),
                ConditionResult::Undecidable(_) => None,
            },
        }
    }

    pub fn reads_contact(&self) -> bool {
        match self {
            Self::Of(subject, _) => matches!(subject, Subject::Locale | Subject::Country | Subject::Attribute(_)),
            Self::Not(inner) => inner.reads_contact(),
        }
    }

    /// Whether this line is `not` of that condition or of a part of it.
    pub fn is_not(&self, other: &Condition) -> bool {
        matches!(self, Self::Not(inner) if !inner.is_empty() && inner.is_part_of(other))
    }

    /// Whether the two lines have the same subject and cannot hold together.
    pub fn excludes(&self, other: &LineTest) -> bool {
        let (Self::Of(subject, these), Self::Of(also, those)) = (self, other) else { return false };
        subject == also && these.iter().any(|this| those.iter().any(|that| this.excludes(that, subject)))
    }
}

impl ValueTest {
    pub fn excludes(&self, other: &ValueTest, subject: &Subject) -> bool {
        let disjoint = |these: &[Box<str>], those: &[Box<str>]| these.iter().all(|this| !those.contains(this));
        let within = |these: &[Box<str>], those: &[Box<str>]| these.iter().all(|this| those.contains(this));
        match (self, other) {
            (Self::Exists(this), Self::Exists(that)) => this != that,
            (Self::Exists(false), Self::AnyOf(_) | Self::AllOf(_) | Self::Only(_) | Self::Contains(_)) => {
                !matches!(subject, Subject::Processing)
            }
            (Self::AnyOf(these), Self::AnyOf(those)) => {
                !subject.is_set() && !matches!(subject, Subject::Locale) && disjoint(these, those)
            }
            (Self::AnyOf(these), Self::NoneOf(those)) => within(these, those),
            (Self::AllOf(these), Self::NoneOf(those)) => !disjoint(these, those),
            (Self::Only(these), Self::NoneOf(those)) => within(these, those),
            (Self::Only(these), Self::AnyOf(those) | Self::Only(those)) => disjoint(these, those),
            (Self::Only(these), Self::AllOf(those)) => !within(those, these),
            (Self::Counts(these), Self::Counts(those)) => {
                let apart = |this: &CountRange, that: &CountRange| this.most < that.least || that.most < this.least;
                these.iter().all(|this| those.iter().all(|that| apart(this, that)))
            }
            (Self::Counts(these), Self::CountsNot(those)) => these.iter().all(|this| those.contains(this)),
            _ => false,
        }
    }
}
