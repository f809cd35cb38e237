//! What has been found wrong with one text so far.
//!
//! Reading goes on after a mistake, so that a merchant sees all of them at once; `None` from a reading function means that
//! the reason stands in the report. Spans are bytes of the text and may be anything: whoever shows them cuts them to fit.

use std::ops::Range;

use super::{Diagnostic, Severity};

/// The findings in one text, in the order in which they were made.
#[derive(Debug)]
pub struct Report<'t> {
    file: &'t str,
    text: &'t str,
    found: Vec<Diagnostic>,
    cut: bool,
}

/// A finding that has just been added, to be given a label or a help line.
pub struct Note<'r>(&'r mut Diagnostic);

impl<'t> Report<'t> {
    pub fn new(file: &'t str, text: &'t str) -> Self {
        Self { file, text, found: Vec::new(), cut: false }
    }

    pub fn file(&self) -> &'t str {
        self.file
    }

    pub fn text(&self) -> &'t str {
        self.text
    }

    pub fn error(&mut self, code: &'static str, span: Range<usize>, message: impl Into<String>) -> Note<'_> {
        self.add(Diagnostic::error(code, self.file, message).at(span))
    }

    pub fn warning(&mut self, code: &'static str, span: Range<usize>, message: impl Into<String>) -> Note<'_> {
        self.add(Diagnostic::warning(code, self.file, message).at(span))
    }

    pub fn add(&mut self, diagnostic: Diagnostic) -> Note<'_> {
        self.found.push(diagnostic);
        let last = self.found.len() - 1;
        Note(&mut self.found[last])
    }

    pub fn has_errors(&self) -> bool {
        self.found.iter().any(|found| found.severity == Severity::Error)
    }

    /// The text could be read to some place only, so that what seems to be missing may stand behind it.
    pub fn is_cut(&self) -> bool {
        self.cut
    }

    pub(super) fn cut(&mut self) {
        self.cut = true;
    }

    pub fn found(&self) -> &[Diagnostic] {
        &self.found
    }

    pub fn into_diagnostics(self) -> Vec<Diagnostic> {
        self.found
    }
}

impl Note<'_> {
    /// What stands at the caret.
    pub fn label(self, label: impl Into<String>) -> Self {
        self.0.label = Some(label.into());
        self
    }

    /// What stands at the caret, where there is something to say.
    pub fn maybe_label(self, label: Option<String>) -> Self {
        self.0.label = label;
        self
    }

    /// One more line below.
    pub fn help(self, help: impl Into<String>) -> Self {
        self.0.help = Some(help.into());
        self
    }
}
