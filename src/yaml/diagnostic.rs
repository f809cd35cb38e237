//! One error or warning about a file, with its place and what to write instead.

use std::{collections::HashMap, ops::Range};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    Error,
    Warning,
}

/// An error or warning about a merchant's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    pub severity: Severity,
    /// The kind of error in one word, for example `status` or `template`. It is shown in brackets, and is stable for
    /// scripts.
    pub code: &'static str,
    /// The error, in one line without a full stop.
    pub message: String,
    /// The name of the file: its path below the rules directory, or the configuration's path.
    pub file: String,
    /// The span in bytes of the file's text; `None` if the diagnostic is about the whole file.
    pub span: Option<Range<usize>>,
    /// The text at the caret: a suggestion, or the line to write instead.
    pub label: Option<String>,
    /// An additional line: the reason, or what to do.
    pub help: Option<String>,
}

impl Diagnostic {
    pub fn error(code: &'static str, file: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            code,
            message: message.into(),
            file: file.into(),
            span: None,
            label: None,
            help: None,
        }
    }

    pub fn warning(code: &'static str, file: impl Into<String>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, file, message) }
    }

    #[must_use]
    pub fn at(mut self, span: Range<usize>) -> Self {
        self.span = Some(span);
        self
    }

    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// Keeps at most 200 diagnostics of each severity and code, because a generated file may have the same error in every
/// line.
pub fn bounded(diagnostics: &mut Vec<Diagnostic>) {
    const TOLD: usize = 200;
    let mut told: HashMap<(Severity, &'static str), usize> = HashMap::new();
    diagnostics.retain(|found| {
        let count = told.entry((found.severity, found.code)).or_default();
        *count += 1;
        *count <= TOLD
    });
    for ((severity, code), count) in told.into_iter().filter(|(_, count)| *count > TOLD) {
        let message = format!("{} more of this kind are not shown", count - TOLD);
        let mut more = Diagnostic::error(code, "", message);
        more.severity = severity;
        diagnostics.push(more);
    }
}
