//! One thing that is wrong with a file, where it is, and what to write instead.

use std::{collections::HashMap, ops::Range};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    Error,
    Warning,
}

/// Something a merchant should know about one of their files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    pub severity: Severity,
    /// The kind of mistake in a word, as `status` or `template`; shown in brackets, stable for scripts.
    pub code: &'static str,
    /// What is wrong, in one line without a full stop.
    pub message: String,
    /// The file as the merchant knows it: the path below the rules directory, or the configuration's path.
    pub file: String,
    /// Where, in bytes of the file's text; `None` where it concerns the file as a whole.
    pub span: Option<Range<usize>>,
    /// What stands at the caret: a did-you-mean, or the line to write instead.
    pub label: Option<String>,
    /// One more line below: why, or what to do.
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

/// Nobody reads the two-hundredth finding of a kind, and what a generator writes wrong is wrong a hundred thousand times.
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
