//! What rules may name beside each other: the configuration's part of it, and the names found in the rules directory.

use std::collections::BTreeSet;

use crate::{
    kyc::{Processing, Status},
    source::Files,
    template::Brand,
};

/// What the configuration says that rules depend on.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// Where the configuration stands, for warnings that concern it.
    pub configuration: String,
    /// Status names beyond the documented ones.
    pub statuses: Vec<String>,
    /// Processing status names beyond the documented ones.
    pub processing: Vec<String>,
    pub webhooks: Vec<String>,
    pub chats: Vec<String>,
    /// `directory.attributes`.
    pub attributes: Vec<String>,
    /// Document and label codes that are known beside those with words in `labels/`.
    pub labels: Vec<String>,
    /// The default locale.
    pub locale: String,
    /// What templates may say about the merchant.
    pub brand: Brand,
    /// Whether mails can be sent.
    pub email: bool,
    /// Whether anything can tell a customer's address.
    pub directory: bool,
    /// Whether the provider's API can be asked.
    pub api_key: bool,
    /// What is to be said about the callback secrets, each in one line.
    pub secret_warnings: Vec<String>,
}

/// Every name that a rule may use, ready to be asked.
pub(super) struct Names<'c> {
    pub context: &'c Context,
    pub templates: BTreeSet<&'c str>,
    pub labels: BTreeSet<String>,
}

impl<'c> Names<'c> {
    pub fn new(context: &'c Context, files: &'c Files, labels: BTreeSet<String>) -> Self {
        Self { context, templates: templates(files), labels }
    }

    /// The documented and declared names.
    pub fn statuses(&self) -> impl Iterator<Item = &str> {
        Status::KNOWN.iter().copied().chain(self.context.statuses.iter().map(String::as_str))
    }

    pub fn processing(&self) -> impl Iterator<Item = &str> {
        Processing::KNOWN.iter().copied().chain(self.context.processing.iter().map(String::as_str))
    }

    /// The status of that name; `none` is the provider's `null`.
    pub fn status(&self, name: &str) -> Option<Status> {
        Status::known(name, &self.context.statuses)
    }

    pub fn processing_status(&self, name: &str) -> Option<Processing> {
        Processing::known(name, &self.context.processing)
    }
}

/// The templates that are there, by their paths: `templates/NAME.LOCALE.md`.
pub(super) fn templates(files: &Files) -> BTreeSet<&str> {
    let named = |path: &'_ str| -> Option<usize> {
        let name = path.strip_prefix("templates/")?.strip_suffix(".md")?;
        let (name, locale) = name.rsplit_once('.')?;
        (!name.is_empty() && !locale.is_empty() && !name.contains('/')).then_some(name.len())
    };
    let start = "templates/".len();
    files.iter().filter_map(|(path, _)| named(path).map(|length| &path[start..start + length])).collect()
}
