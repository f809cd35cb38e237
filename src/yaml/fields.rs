//! A map with known keys.
//!
//! [`MapFields::of`] reports every unknown key, with a suggestion or the list of the known keys, so that its callers look
//! up known keys only.

use std::ops::Range;

use super::{MapEntry, Node, Report, Value, did_you_mean, one_of};

pub struct MapFields<'n, 't> {
    entries: &'n [MapEntry<'t>],
    /// The unknown keys of the map.
    unknown: Vec<&'n str>,
    what: &'n str,
    span: Range<usize>,
}

impl<'n, 't> MapFields<'n, 't> {
    /// The fields of a map that may have these keys; `what` names the map in messages, for example "a rule" or
    /// "`callback`".
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

    pub fn entry(&self, key: &str) -> Option<&'n MapEntry<'t>> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// The value of this key; a key without a value has a null node.
    pub fn get(&self, key: &str) -> Option<&'n Node<'t>> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// The value of a required key; a missing key is reported.
    pub fn need(&self, key: &str, report: &mut Report<'_>) -> Option<&'n Node<'t>> {
        let found = self.get(key);
        // A misspelt key has been reported already; do not report the missing key as well. `if` is not a misspelt `id`.
        if found.is_none()
            && !report.is_cut()
            && !self.unknown.iter().any(|unknown| did_you_mean(unknown, [key]).is_some())
        {
            let end = self.entries.first().map_or(self.span.end, |entry| entry.key_span.end);
            report.error("key", self.span.start..end, format!("{} needs the key `{key}`", self.what));
        }
        found
    }

    /// Checks `format: 1`, the first key of each file of rules and of tests.
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

    /// The span of the map.
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::Document;

    fn found(text: &str) -> Vec<String> {
        let mut report = Report::new("a.yaml", text);
        let document = Document::read(&mut report).expect("YAML");
        if let Some(fields) = MapFields::of(&document.root, "a rule", &["id", "if"], &mut report) {
            fields.need("id", &mut report);
        }
        report.into_diagnostics().into_iter().map(|found| found.message).collect()
    }

    #[test]
    fn a_missing_key_is_reported_once_also_beside_a_similar_key() {
        assert_eq!(found("id: a\n"), [""; 0]);
        assert_eq!(found("if: a\n"), ["a rule needs the key `id`"]);
        assert_eq!(found("idd: a\n"), ["unknown key `idd` in a rule"]);
    }
}
