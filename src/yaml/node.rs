//! A YAML value with its span in the text.
//!
//! Scalars borrow from the text. serde_yaml decides the type of a plain scalar (null, bool, number or text) by YAML
//! 1.2: `NO`, `on` and `22:00` are texts. The accessors that take a [`Report`] report a wrong value, with what to write
//! instead, and return `None`; the other accessors report nothing.

use std::{borrow::Cow, ops::Range};

use super::{Duration, Report};

#[derive(Clone, Debug)]
pub struct Node<'t> {
    pub value: Value<'t>,
    /// The span in bytes of the text, with quotes and brackets. For a missing value: the empty span where it would be.
    pub span: Range<usize>,
    /// The scalar is written without quotes.
    pub plain: bool,
}

#[derive(Clone, Debug)]
pub enum Value<'t> {
    Null,
    Bool(bool),
    /// The number, and its text as written.
    Number(serde_yaml::Number, Cow<'t, str>),
    Text(Cow<'t, str>),
    List(Vec<Node<'t>>),
    /// In the order of the file, without duplicate keys.
    Map(Vec<MapEntry<'t>>),
    /// A value that has been reported already; no more errors are reported about it.
    Refused,
}

#[derive(Clone, Debug)]
pub struct MapEntry<'t> {
    pub key: Cow<'t, str>,
    pub key_span: Range<usize>,
    pub value: Node<'t>,
}

impl<'t> Node<'t> {
    /// The type of the value for messages, for example "a text" or "a list".
    pub fn kind(&self) -> &'static str {
        match self.value {
            Value::Null | Value::Refused => "nothing",
            Value::Bool(_) => "a yes or no",
            Value::Number(..) => "a number",
            Value::Text(_) => "a text",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }

    pub fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    /// The scalar's text as written, without quotes, also of numbers and booleans. `None` for null, lists and maps.
    pub fn scalar(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) | Value::Number(_, text) => Some(text),
            Value::Bool(true) => Some("true"),
            Value::Bool(false) => Some("false"),
            Value::Null | Value::Refused | Value::List(_) | Value::Map(_) => None,
        }
    }

    /// The entries of a list. Any other value counts as a list of one, and null as an empty list.
    pub fn items(&self) -> &[Node<'t>] {
        match &self.value {
            Value::List(items) => items,
            Value::Null | Value::Refused => &[],
            _ => std::slice::from_ref(self),
        }
    }

    /// The value of a key, if this is a map with that key.
    pub fn get(&self, key: &str) -> Option<&Node<'t>> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value),
            _ => None,
        }
    }

    /// The span in the file of a part of this scalar's text; the span of the whole scalar if escapes or folding changed
    /// the offsets.
    pub fn part(&self, part: Range<usize>, report: &Report<'_>) -> Range<usize> {
        let Some(text) = self.scalar() else { return self.span.clone() };
        for quote in [0, 1] {
            let start = self.span.start + quote;
            if report.text().get(start..start + text.len()) == Some(text) {
                return start + part.start..start + part.end;
            }
        }
        self.span.clone()
    }

    /// A text that is not empty. A number is used as written; a boolean is an error that asks for quotes.
    pub fn text(&self, what: &str, report: &mut Report<'_>) -> Option<&str> {
        match &self.value {
            Value::Text(text) | Value::Number(_, text) if !text.trim().is_empty() => Some(text),
            Value::Bool(_) => {
                let written = report.text().get(self.span.clone()).unwrap_or_default().to_owned();
                report
                    .error(
                        "type",
                        self.span.clone(),
                        format!("{what} has to be a text, but `{written}` is a yes or no"),
                    )
                    .label(format!("put quotes around it: \"{written}\""));
                None
            }
            Value::Null | Value::Text(_) | Value::Number(..) => {
                self.nothing(what, report);
                None
            }
            Value::List(_) | Value::Map(_) | Value::Refused => {
                self.wrong(what, "a text", report);
                None
            }
        }
    }

    pub fn bool(&self, what: &str, report: &mut Report<'_>) -> Option<bool> {
        match self.value {
            Value::Bool(value) => Some(value),
            _ => {
                self.wrong(what, "`true` or `false`", report);
                None
            }
        }
    }

    /// An integer within these bounds.
    pub fn whole(&self, what: &str, bounds: std::ops::RangeInclusive<u64>, report: &mut Report<'_>) -> Option<u64> {
        let number = match &self.value {
            Value::Number(number, _) => number.as_u64(),
            _ => {
                self.wrong(what, "a whole number", report);
                return None;
            }
        };
        let within = number.filter(|number| bounds.contains(number));
        if within.is_none() {
            let (least, most) = bounds.into_inner();
            report.error("type", self.span.clone(), format!("{what} has to be a whole number from {least} to {most}"));
        }
        within
    }

    /// A duration, for example `48h`.
    pub fn duration(&self, what: &str, report: &mut Report<'_>) -> Option<Duration> {
        let text = self.text(what, report)?;
        match text.parse() {
            Ok(duration) => Some(duration),
            Err(why) => {
                report.error("duration", self.span.clone(), format!("{what}: `{text}` {why}"));
                None
            }
        }
    }

    /// A list. A single scalar counts as a list of one; an empty list is an error.
    pub fn list(&self, what: &str, report: &mut Report<'_>) -> Option<&[Node<'t>]> {
        match &self.value {
            Value::Map(_) | Value::Refused => {
                self.wrong(what, "a list", report);
                None
            }
            Value::List(items) if items.is_empty() => {
                report.error("type", self.span.clone(), format!("{what} is an empty list"));
                None
            }
            Value::Null => {
                self.nothing(what, report);
                None
            }
            _ => Some(self.items()),
        }
    }

    /// A list of texts; a single text counts as a list of one.
    pub fn texts(&self, what: &str, report: &mut Report<'_>) -> Option<Vec<&str>> {
        let items = self.list(what, report)?;
        let texts: Vec<&str> = items.iter().filter_map(|item| item.text(what, report)).collect();
        (texts.len() == items.len()).then_some(texts)
    }

    /// The entries of a map with any keys.
    pub fn entries(&self, what: &str, report: &mut Report<'_>) -> Option<&[MapEntry<'t>]> {
        match &self.value {
            Value::Map(entries) => Some(entries),
            Value::Null => {
                self.nothing(what, report);
                None
            }
            _ => {
                self.wrong(what, "a map (`key: value`)", report);
                None
            }
        }
    }

    /// Reports that another type is expected here.
    pub fn wrong(&self, what: &str, expected: &str, report: &mut Report<'_>) {
        match self.value {
            Value::Refused => {}
            Value::Null => self.nothing(what, report),
            _ => {
                report.error(
                    "type",
                    self.span.clone(),
                    format!("{what} has to be {expected}, but this is {}", self.kind()),
                );
            }
        }
    }

    /// Reports that the value is missing; the usual reason is a `#` that began a comment.
    fn nothing(&self, what: &str, report: &mut Report<'_>) {
        let after = self.span.end.min(report.text().len());
        let rest = report.text().get(after..).unwrap_or_default();
        // A line may be as long as its file, so only its first characters are searched.
        const SEEN: usize = 200;
        let end = rest.char_indices().take(SEEN).find(|(_, c)| *c == '\n').map(|(at, _)| at);
        let end = end.or_else(|| rest.char_indices().nth(SEEN).map(|(at, _)| at)).unwrap_or(rest.len());
        let line = &rest[..end];
        let value = line.trim_start_matches([':', ' ', '\t']);
        if self.span.is_empty() && value.starts_with('#') {
            let start = after + line.len() - value.len();
            let written = value.trim_end();
            report
                .error(
                    "type",
                    start..start + written.len(),
                    format!("{what} is empty: after a space, `#` begins a comment"),
                )
                .label(format!(
                    "put quotes around it: \"{}\"",
                    written.split([' ', ',', '}', ']']).next().unwrap_or(written)
                ));
        } else {
            report.error("type", self.span.clone(), format!("{what} is empty")).label("nothing here");
        }
    }
}
