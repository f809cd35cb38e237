//! Replaces `${VAR}` and `${file:PATH}` in values, before the values are parsed.
//!
//! `$${` stands for `${`. A value that cannot be filled is recorded by its place, so that its form is not reported as
//! well.

use std::{borrow::Cow, collections::HashSet, fs, io, ops::Range, path::Path};

use crate::yaml::{Node, Report, Value};

const MAX_FILE_BYTES: u64 = 64 * 1024;

/// What happens to a value whose variable or file does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnMissing {
    Error,
    /// The value stays unfilled, with a warning: for commands that need no secrets, such as a check in CI.
    Allow,
}

pub(super) struct Substitution<'f> {
    pub directory: &'f Path,
    pub variable: &'f dyn Fn(&str) -> Option<String>,
    pub unfilled: OnMissing,
}

/// A reference in a text that could not be filled, or that is not a valid name.
struct MissingReference {
    at: Range<usize>,
    message: String,
    label: &'static str,
    /// An error also where unfilled values are allowed.
    always: bool,
}

impl Substitution<'_> {
    /// Fills the tree, and returns the start offsets of the values that could not be filled.
    pub(super) fn substitute(&self, root: &mut Node<'_>, report: &mut Report<'_>) -> HashSet<usize> {
        let mut unfilled = HashSet::new();
        self.node(root, report, &mut unfilled);
        unfilled
    }

    fn node(&self, node: &mut Node<'_>, report: &mut Report<'_>, unfilled: &mut HashSet<usize>) {
        match &mut node.value {
            Value::List(items) => items.iter_mut().for_each(|item| self.node(item, report, unfilled)),
            Value::Map(entries) => {
                entries.iter_mut().for_each(|entry| self.node(&mut entry.value, report, unfilled));
            }
            Value::Text(text) if text.contains("${") => match self.text(text) {
                Ok(filled) => node.value = of_text(filled, node.plain),
                Err(missing) => {
                    unfilled.insert(node.span.start);
                    for missing in missing {
                        self.report_missing(&missing, node, report);
                    }
                }
            },
            _ => {}
        }
    }

    fn report_missing(&self, missing: &MissingReference, node: &Node<'_>, report: &mut Report<'_>) {
        let span = node.part(missing.at.clone(), report);
        if missing.always || self.unfilled == OnMissing::Error {
            report.error("unfilled", span, &missing.message).label(missing.label);
        } else {
            report.warning("unfilled", span, format!("{}; the value stays unfilled", missing.message));
        }
    }

    fn text(&self, text: &str) -> Result<String, Vec<MissingReference>> {
        let (mut filled, mut missing) = (String::new(), Vec::new());
        let mut at = 0;
        while let Some(found) = text[at..].find("${") {
            let start = at + found;
            if text[at..start].ends_with('$') {
                filled.push_str(&text[at..start - 1]);
                filled.push_str("${");
                at = start + 2;
                continue;
            }
            filled.push_str(&text[at..start]);
            let Some(length) = text[start..].find('}') else {
                let message = "`${` has no `}`".to_owned();
                missing.push(MissingReference {
                    at: start..text.len(),
                    message,
                    label: "write `$${` for a literal `${`",
                    always: true,
                });
                return Err(missing);
            };
            at = start + length + 1;
            let name = &text[start + 2..at - 1];
            match self.value(name) {
                Ok(value) => filled.push_str(&value),
                Err((message, label, always)) => {
                    missing.push(MissingReference { at: start..at, message, label, always })
                }
            }
        }
        filled.push_str(&text[at..]);
        if missing.is_empty() { Ok(filled) } else { Err(missing) }
    }

    /// Returns the value; or the message, the label, and whether it is an error in every command.
    fn value(&self, name: &str) -> Result<String, (String, &'static str, bool)> {
        if let Some(path) = name.strip_prefix("file:") {
            return self.file(path.trim());
        }
        let mut bytes = name.bytes();
        let is_name = bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
            && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !is_name {
            let message = format!("`${{{name}}}` names no environment variable and no file");
            return Err((message, "write `${VAR}` or `${file:PATH}`", true));
        }
        let label = "set it, or write `${file:PATH}` to read it from a file";
        match (self.variable)(name) {
            Some(value) if !value.is_empty() => Ok(value),
            Some(_) => Err((format!("the environment variable {name} is empty"), label, false)),
            None => Err((format!("the environment variable {name} is not set"), label, false)),
        }
    }

    /// Returns a file's text without the line breaks at its end.
    fn file(&self, path: &str) -> Result<String, (String, &'static str, bool)> {
        let wrong = |problem: String| (problem, "write a file that contains only the value", false);
        let path = self.directory.join(path);
        let shown = path.display();
        let read = fs::metadata(&path).and_then(|file| match file.len() {
            0..=MAX_FILE_BYTES => fs::read_to_string(&path),
            _ => Err(io::Error::other(format!("it is larger than {} KiB", MAX_FILE_BYTES / 1024))),
        });
        match read {
            Ok(text) if !text.trim().is_empty() => Ok(text.trim_end_matches(['\r', '\n']).to_owned()),
            Ok(_) => Err(wrong(format!("the file {shown} is empty"))),
            Err(error) => {
                let why = match error.kind() {
                    io::ErrorKind::NotFound => "there is no such file".to_owned(),
                    io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
                    io::ErrorKind::InvalidData => "it is not UTF-8".to_owned(),
                    _ => error.to_string(),
                };
                Err(wrong(format!("the file {shown} cannot be read: {why}")))
            }
        }
    }
}

/// An unquoted number is a number also when it comes from a variable or a file.
fn of_text<'t>(text: String, plain: bool) -> Value<'t> {
    match text.parse::<u64>() {
        Ok(number) if plain && !text.starts_with('+') => Value::Number(number.into(), Cow::Owned(text)),
        _ => Value::Text(Cow::Owned(text)),
    }
}
