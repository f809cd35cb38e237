//! Reads single values of the configuration, and adds each error to the report.
//!
//! `None` means absent, wrong, or unfilled; a wrong or unfilled value has been reported already.

use std::{
    collections::HashSet,
    fmt::Display,
    path::{Path, PathBuf},
};

use secrecy::SecretString;

use crate::{
    outbound::{TargetUrl, forbidden_address},
    yaml::{MapFields, Node, Report, did_you_mean, one_of},
};

use super::values;

/// Minimum length of a secret, in bytes. A shorter secret can be found offline from one signed message.
const SECRET_BYTES: usize = 24;

pub(super) struct SectionReader<'r, 't> {
    pub report: &'r mut Report<'t>,
    unfilled: HashSet<usize>,
    directory: &'r Path,
}

impl<'r, 't> SectionReader<'r, 't> {
    pub(super) fn new(report: &'r mut Report<'t>, unfilled: HashSet<usize>, directory: &'r Path) -> Self {
        Self { report, unfilled, directory }
    }

    fn is_filled(&self, node: &Node<'_>) -> bool {
        !self.unfilled.contains(&node.span.start) || node.scalar().is_none()
    }

    pub(super) fn text<'n>(&mut self, node: Option<&'n Node<'_>>, what: &str) -> Option<&'n str> {
        let node = node.filter(|node| self.is_filled(node))?;
        node.text(what, self.report).map(str::trim)
    }

    pub(super) fn owned(&mut self, node: Option<&Node<'_>>, what: &str) -> Option<String> {
        self.text(node, what).map(str::to_owned)
    }

    pub(super) fn bool(&mut self, node: Option<&Node<'_>>, what: &str) -> Option<bool> {
        node.filter(|node| self.is_filled(node))?.bool(what, self.report)
    }

    pub(super) fn whole(
        &mut self,
        node: Option<&Node<'_>>,
        what: &str,
        bounds: std::ops::RangeInclusive<u64>,
    ) -> Option<u64> {
        node.filter(|node| self.is_filled(node))?.whole(what, bounds, self.report)
    }

    /// Parses a text with `form`.
    pub(super) fn form<T, E: Display>(
        &mut self,
        node: Option<&Node<'_>>,
        what: &str,
        form: impl Fn(&str) -> Result<T, E>,
    ) -> Option<T> {
        let text = self.text(node, what)?;
        match form(text) {
            Ok(value) => Some(value),
            Err(why) => {
                let span = node?.span.clone();
                self.report.error("value", span, format!("{what}: {why}"));
                None
            }
        }
    }

    /// Parses a list of texts with `form`; a single text counts as a list.
    pub(super) fn forms<T, E: Display>(
        &mut self,
        node: Option<&Node<'_>>,
        what: &str,
        form: impl Fn(&str) -> Result<T, E>,
    ) -> Vec<T> {
        let Some(items) = node.filter(|node| self.is_filled(node)).and_then(|node| node.list(what, self.report)) else {
            return Vec::new();
        };
        items.iter().filter_map(|item| self.form(Some(item), what, &form)).collect()
    }

    /// Parses a word from a fixed list.
    pub(super) fn word<T: Copy>(&mut self, node: Option<&Node<'_>>, what: &str, words: &[(&str, T)]) -> Option<T> {
        let text = self.text(node, what)?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Some(*value);
        }
        let names = || words.iter().map(|(word, _)| *word);
        let message = format!("{what} has to be {}, not `{text}`", one_of(names()));
        let label = did_you_mean(text, names()).map(|meant| format!("did you mean `{meant}`?"));
        self.report.error("value", node?.span.clone(), message).maybe_label(label);
        None
    }

    /// A path; a relative path starts at the configuration's directory.
    pub(super) fn path(&mut self, node: Option<&Node<'_>>, what: &str) -> Option<PathBuf> {
        self.text(node, what).map(|text| self.beside(text))
    }

    pub(super) fn beside(&self, path: impl AsRef<Path>) -> PathBuf {
        self.directory.join(path).components().collect()
    }

    /// A secret that signs data; a short one gives a warning.
    pub(super) fn secret(&mut self, node: Option<&Node<'_>>, what: &str) -> Option<SecretString> {
        let text = self.text(node, what)?;
        if text.len() < SECRET_BYTES {
            let message = format!(
                "{what} has {} of at least {SECRET_BYTES} bytes; a shorter secret can be found by trying, with one signed message",
                text.len()
            );
            self.report.warning("secret", node?.span.clone(), message).help("make one with `openssl rand -base64 32`");
        }
        Some(SecretString::from(text))
    }

    /// One secret or a list of secrets, the newest first.
    pub(super) fn secrets(&mut self, node: Option<&Node<'_>>, what: &str) -> Vec<SecretString> {
        let Some(items) = node.filter(|node| self.is_filled(node)).and_then(|node| node.list(what, self.report)) else {
            return Vec::new();
        };
        let each = format!("a secret in {what}");
        items.iter().filter_map(|item| self.secret(Some(item), &each)).collect()
    }

    /// A URL to which the program sends requests.
    pub(super) fn url(&mut self, node: Option<&Node<'_>>, what: &str) -> Option<String> {
        let uri = self.form(node, what, |text| values::url(&text.replace("{id}", "id")))?;
        if values::is_in_the_open(&uri) {
            let message = format!("{what}: data sent by http:// can be read on the network");
            self.report.warning("url", node?.span.clone(), message).label("write https://");
        }
        self.owned(node, what)
    }

    /// Reads `url` and `private`: the URL, and whether it may be in a private network.
    pub(super) fn target(&mut self, fields: &MapFields<'_, '_>, what: &str) -> (Option<String>, bool) {
        let node = fields.need("url", self.report);
        let url = self.url(node, &format!("`{what}.url`"));
        let private = self.bool(fields.get("private"), &format!("`{what}.private`")).unwrap_or_default();
        let target = url.as_deref().and_then(|url| TargetUrl::parse(url).ok()).filter(|_| !private);
        if let (Some(node), Some(why)) = (node, target.and_then(|target| target.address()).and_then(forbidden_address))
        {
            let message = format!("`{what}.url` is {why}, and nothing is sent there");
            self.report
                .warning("private", node.span.clone(), message)
                .help("to allow it, write `private: true` beside it");
        }
        (url, private)
    }

    /// A section, if it is present: a map with these keys.
    pub(super) fn section<'n, 'd>(
        &mut self,
        node: Option<&'n Node<'d>>,
        what: &'n str,
        keys: &[&str],
    ) -> Option<MapFields<'n, 'd>> {
        MapFields::of(node?, what, keys, self.report)
    }

    /// A map from names to values that `read` parses.
    pub(super) fn named<'d, T>(
        &mut self,
        node: Option<&Node<'d>>,
        what: &str,
        mut read: impl FnMut(&mut Self, &str, &Node<'d>) -> Option<T>,
    ) -> std::collections::BTreeMap<String, T> {
        let Some(entries) = node.and_then(|node| node.entries(what, self.report)) else { return Default::default() };
        let mut named = std::collections::BTreeMap::new();
        for entry in entries {
            match values::name(&entry.key) {
                Ok(name) => {
                    if let Some(value) = read(self, &name, &entry.value) {
                        named.insert(name, value);
                    }
                }
                Err(why) => {
                    self.report.error("value", entry.key_span.clone(), format!("{what}: {why}"));
                }
            }
        }
        named
    }
}
