//! The names that rules may use: those from the configuration, and those found in the rules directory.

use std::collections::BTreeSet;

use crate::{
    domain::{Processing, Status},
    template::Brand,
    yaml::Files,
};

/// The part of the configuration that rules depend on.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// Path of the configuration file, for warnings about it.
    pub configuration: String,
    /// Status names beyond the documented ones.
    pub statuses: Vec<String>,
    /// Processing status names beyond the documented ones.
    pub processing: Vec<String>,
    pub webhooks: Vec<String>,
    pub chats: Vec<String>,
    /// `directory.attributes`.
    pub attributes: Vec<String>,
    /// Known document and label codes, in addition to the codes in `labels/`.
    pub labels: Vec<String>,
    /// The default locale.
    pub locale: String,
    /// The merchant's brand, for templates.
    pub brand: Brand,
    /// Whether the configuration has a mail transport.
    pub email: bool,
    /// Whether there is a source of customers' addresses.
    pub directory: bool,
    /// Whether a key for the provider's API is configured.
    pub api_key: bool,
    /// Warnings about the callback secrets, one line each.
    pub secret_warnings: Vec<String>,
}

/// Every name that a rule may use.
pub(super) struct RuleNames<'c> {
    pub context: &'c Environment,
    pub templates: BTreeSet<&'c str>,
    pub labels: BTreeSet<String>,
}

impl<'c> RuleNames<'c> {
    pub fn new(context: &'c Environment, files: &'c Files, labels: BTreeSet<String>) -> Self {
        Self { context, templates: templates(files), labels }
    }

    /// The documented and declared names.
    pub fn statuses(&self) -> impl Iterator<Item = &str> {
        Status::KNOWN.iter().copied().chain(self.context.statuses.iter().map(String::as_str))
    }

    pub fn processing(&self) -> impl Iterator<Item = &str> {
        Processing::KNOWN.iter().copied().chain(self.context.processing.iter().map(String::as_str))
    }

    /// Returns the status with that name; `none` is the provider's `null`.
    pub fn status(&self, name: &str) -> Option<Status> {
        Status::known(name, &self.context.statuses)
    }

    pub fn processing_status(&self, name: &str) -> Option<Processing> {
        Processing::known(name, &self.context.processing)
    }
}

/// The names of the templates, from their paths: `templates/NAME.LOCALE.md`.
pub(super) fn templates(files: &Files) -> BTreeSet<&str> {
    let named = |path: &'_ str| -> Option<usize> {
        let name = path.strip_prefix("templates/")?.strip_suffix(".md")?;
        let (name, locale) = name.rsplit_once('.')?;
        (!name.is_empty() && !locale.is_empty() && !name.contains('/')).then_some(name.len())
    };
    let start = "templates/".len();
    files.iter().filter_map(|(path, _)| named(path).map(|length| &path[start..start + length])).collect()
}
