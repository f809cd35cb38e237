//! A map with known keys.
//!
//! [`Fields::of`] reports every key that is not known, with a did-you-mean and the list of those that are, so that what
//! follows needs to look only at what it knows.

use std::ops::Range;

use super::{Entry, Node, Report, Value, did_you_mean, one_of};

pub struct Fields<'n, 't> {
    entries: &'n [Entry<'t>],
    /// Those of its keys that are not known.
    unknown: Vec<&'n str>,
    what: &'n str,
    span: Range<usize>,
}

impl<'n, 't> Fields<'n, 't> {
    /// The fields of a map which may have these keys; `what` names it in messages, as "a rule" or "`callback`".
    pub fn of(node: &'n Node<'t>, what: &'n str, keys: &[&str], report: &mut Report<'_>) -> Option<Self> {
        let entries = node.entries(what, report)?;
        let unknown = || entries.iter().filter(|entry| !keys.contains(&&*entry.key));
        for entry in unknown() {
            let note = report.error("key", entry.key_span.clone(), format!("unknown key `{}` in {what}", entry.key));
            match did_you_mean(&entry.key, keys.iter().copied()) {
                Some(meant) => note.label(format!("did you mean `{meant}`?")),
                None => note.help(format!("known here: {}", one_of(keys.iter().copied()))),
            };
        }
        let unknown = unknown().map(|entry| &*entry.key).collect();
        Some(Self { entries, unknown, what, span: node.span.clone() })
    }

    pub fn entry(&self, key: &str) -> Option<&'n Entry<'t>> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// The value at this key; a key with nothing behind it has a null node.
    pub fn get(&self, key: &str) -> Option<&'n Node<'t>> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// The value at a key that has to be there.
    pub fn need(&self, key: &str, report: &mut Report<'_>) -> Option<&'n Node<'t>> {
        let found = self.get(key);
        // A misspelt key has been reported already, and its absence is the same mistake. `if` is no misspelt `id`.
        if found.is_none()
            && !report.is_cut()
            && !self.unknown.iter().any(|unknown| did_you_mean(unknown, [key]).is_some())
        {
            let end = self.entries.first().map_or(self.span.end, |entry| entry.key_span.end);
            report.error("key", self.span.start..end, format!("{} needs the key `{key}`", self.what));
        }
        found
    }

    /// `format: 1`, with which each file of rules and of tests begins.
    pub fn format(&self, report: &mut Report<'_>) {
        match self.get("format") {
            None if report.is_cut() => {}
            None => {
                let start = self.span.start;
                report.error("format", start..start, "`format: 1` is missing").label("write it here");
            }
            Some(node) if !matches!(&node.value, Value::Number(number, _) if number.as_u64() == Some(1)) => {
                report.error("format", node.span.clone(), "this program reads format 1").label("write 1");
            }
            Some(_) => {}
        }
    }

    /// Where the map stands.
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Document;

    fn found(text: &str) -> Vec<String> {
        let mut report = Report::new("a.yaml", text);
        let document = Document::read(&mut report).expect("YAML");
        if let Some(fields) = Fields::of(&document.root, "a rule", &["id", "if"], &mut report) {
            fields.need("id", &mut report);
        }
        report.into_diagnostics().into_iter().map(|found| found.message).collect()
    }

    #[test]
    fn a_key_that_is_missing_is_told_once_and_never_hidden_by_its_neighbour() {
        assert_eq!(found("id: a\n"), [""; 0]);
        assert_eq!(found("if: a\n"), ["a rule needs the key `id`"]);
        assert_eq!(found("idd: a\n"), ["unknown key `idd` in a rule"]);
    }
}
