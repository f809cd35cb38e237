//! The diagnostics of one text.
//!
//! Reading continues after an error, so that a merchant sees all errors at once. If a reading function returns `None`,
//! the reason is in the report. Spans are bytes of the text and may be out of range; the renderer cuts them to fit.

use std::ops::Range;

use super::{Diagnostic, Severity};

/// The diagnostics of one text, in the order in which they were added.
#[derive(Debug)]
pub struct Report<'t> {
    file: &'t str,
    text: &'t str,
    found: Vec<Diagnostic>,
    cut: bool,
}

/// A diagnostic that has just been added, for setting its label or help line.
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

    /// Whether only the start of the text could be parsed, so that a missing key may be in the rest.
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
    /// Sets the text at the caret.
    pub fn label(self, label: impl Into<String>) -> Self {
        self.0.label = Some(label.into());
        self
    }

    /// Sets the text at the caret, if there is one.
    pub fn maybe_label(self, label: Option<String>) -> Self {
        self.0.label = label;
        self
    }

    /// Sets the additional line.
    pub fn help(self, help: impl Into<String>) -> Self {
        self.0.help = Some(help.into());
        self
    }
}
