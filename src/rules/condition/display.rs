//! Writes condition lines and their reasons as text: `visit >= 3: is 1`.

use std::{borrow::Cow, fmt};

use crate::rules::{
    ConditionFacts, ConditionResult,
    condition::line::{CountRange, LineFacts, LineTest, Subject, ValueTest},
    trigger::JoinedNames,
};

impl Subject {
    /// The key of this subject in rules files.
    pub fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed(match self {
            Self::MissingDocs => "missing_docs",
            Self::RejectLabels => "reject_labels",
            Self::Tags => "tags",
            Self::Message => "message",
            Self::Processing => "processing",
            Self::Visit => "visit",
            Self::Changed => "changed",
            Self::Locale => "customer.locale",
            Self::Country => "customer.country",
            Self::Attribute(name) => return format!("customer.attributes.{name}").into(),
        })
    }
}

impl LineTest {
    /// The reason why the line is false or undecidable.
    pub fn why(&self, facts: &ConditionFacts<'_>) -> String {
        match self {
            Self::Of(subject, tests) => {
                let seen = subject.seen(facts);
                let undecided = || tests.iter().find(|test| test.check(seen).is_none());
                let deciding = tests.iter().find(|test| test.check(seen) == Some(false)).or_else(undecided);
                match (seen, deciding) {
                    (LineFacts::Missing, _) | (_, None) => format!("{}: {}", subject.name(), seen.text()),
                    (_, Some(test)) => format!("{} {}: {}", subject.name(), TestWords(subject, test), seen.text()),
                }
            }
            Self::Not(inner) => match (inner.check(facts), &inner.lines[..]) {
                (ConditionResult::Undecidable(line), _) => format!("not {}", inner.why(line, facts)),
                (_, [Self::Of(subject, _)]) => format!("{}: {}", self.text(), subject.seen(facts).text()),
                _ => format!("{}: all of it holds", self.text()),
            },
        }
    }

    pub fn text(&self) -> String {
        match self {
            Self::Of(subject, tests) => {
                let tests: Vec<TestWords<'_>> = tests.iter().map(|test| TestWords(subject, test)).collect();
                format!("{} {}", subject.name(), JoinedNames(&tests, " and "))
            }
            Self::Not(inner) => format!("not ({})", inner.text()),
        }
    }
}

impl LineFacts<'_> {
    /// Returns, for example, "is 1", "are ID_CARD", "is empty" or "not known".
    fn text(self) -> String {
        const SHOWN: usize = 60;
        match self {
            Self::Missing => "not known".to_owned(),
            Self::Set(codes) if codes.is_empty() => "is empty".to_owned(),
            Self::Set(codes) => format!("are {codes}"),
            Self::Changed(details) if details.is_empty() => "nothing".to_owned(),
            Self::Changed(details) => format!("are {details}"),
            Self::Text("") => "is empty".to_owned(),
            Self::Text(text) | Self::Locale(text) if text.chars().count() > SHOWN => {
                format!("is {}…", text.chars().take(SHOWN).collect::<String>())
            }
            Self::Text(text) | Self::Locale(text) => format!("is {text}"),
            Self::Processing(status) => format!("is {status}"),
            Self::Count(count) => format!("is {count}"),
        }
    }
}

impl fmt::Display for CountRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.least, self.most) {
            (least, most) if least == most => write!(f, "= {least}"),
            (least, u32::MAX) => write!(f, ">= {least}"),
            (0, most) => write!(f, "<= {most}"),
            (least, most) => write!(f, "{least} to {most}"),
        }
    }
}

/// Writes a test in the wording that fits its subject.
struct TestWords<'a>(&'a Subject, &'a ValueTest);

impl fmt::Display for TestWords<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.1, self.0.is_set()) {
            (ValueTest::AnyOf(values), false) => write!(f, "is {}", JoinedNames(values, " or ")),
            (ValueTest::NoneOf(values), false) => write!(f, "is not {}", JoinedNames(values, " or ")),
            (ValueTest::AnyOf(values), true) => write!(f, "any of {}", JoinedNames(values, ", ")),
            (ValueTest::NoneOf(values), true) => write!(f, "none of {}", JoinedNames(values, ", ")),
            (ValueTest::AllOf(values), _) => write!(f, "all of {}", JoinedNames(values, ", ")),
            (ValueTest::Only(values), _) => write!(f, "only {}", JoinedNames(values, ", ")),
            (ValueTest::Exists(true), _) => f.write_str("exists"),
            (ValueTest::Exists(false), _) => f.write_str("does not exist"),
            (ValueTest::Contains(parts), _) => write!(f, "contains {}", JoinedNames(parts, " or ")),
            (ValueTest::Counts(counts), _) => JoinedNames(counts, " or ").fmt(f),
            (ValueTest::CountsNot(counts), _) => write!(f, "not {}", JoinedNames(counts, " or ")),
        }
    }
}
