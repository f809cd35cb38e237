//! Output and exit codes of the commands. Only this file writes to standard output and defines exit codes.

use std::{
    fmt,
    io::{self, IsTerminal, Write},
    process::ExitCode,
};

use serde::Serialize;
use serde_json::json;

use super::control_chars::{escape_control, in_one_line};

/// Exit code of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Ok = 0,
    Failed = 1,
    Usage = 2,
    /// The server, or a service that it needs, is unreachable.
    Unavailable = 69,
    Io = 74,
    /// The configuration or the rules are wrong.
    Config = 78,
}

impl Exit {
    pub fn code(self) -> ExitCode {
        ExitCode::from(self as u8)
    }
}

/// An error that ends a command.
#[derive(Clone, Debug)]
pub struct CommandError {
    pub exit: Exit,
    /// The error and what to do about it. Empty if the command has already printed the error.
    pub text: String,
}

impl CommandError {
    pub fn new(exit: Exit, text: impl fmt::Display) -> Self {
        Self { exit, text: text.to_string() }
    }

    /// Returns a closure for `map_err` that builds an I/O failure. `doing` names the operation that failed.
    pub fn io<E: fmt::Display>(doing: impl fmt::Display) -> impl FnOnce(E) -> Self {
        move |error| Self::new(Exit::Io, format!("{doing}: {error}"))
    }
}

/// Standard output, as text for operators or as JSON for scripts.
pub struct Output {
    json: bool,
    /// The first write error; nothing is written after it. A closed pipe (`| head`) is not reported as an error.
    broken: Option<io::Error>,
}

impl Output {
    pub fn new(json: bool) -> Self {
        Self { json, broken: None }
    }

    pub const fn is_json(&self) -> bool {
        self.json
    }

    /// Returns `true` if standard error is a terminal and the output is text, so that a progress bar can be drawn.
    pub fn is_terminal(&self) -> bool {
        !self.json && io::stderr().is_terminal()
    }

    /// Prints text for operators, and a line end.
    pub fn line(&mut self, text: impl fmt::Display) {
        self.text(format_args!("{text}\n"));
    }

    /// Prints text for operators, with control characters escaped.
    pub fn text(&mut self, text: impl fmt::Display) {
        self.raw(escape_control(&text.to_string()).as_bytes());
    }

    /// Writes bytes unchanged, for example a file, a script or a manual page.
    pub fn raw(&mut self, bytes: &[u8]) {
        if self.broken.is_none() {
            self.broken = io::stdout().write_all(bytes).err();
        }
    }

    /// Prints a value as JSON in one line.
    pub fn json(&mut self, value: &impl Serialize) {
        match serde_json::to_string(value) {
            Ok(text) => self.raw(format!("{text}\n").as_bytes()),
            Err(error) => self.line(format_args!("null {error}")),
        }
    }

    /// Prints the value with `--json`, else the text.
    pub fn json_or_text(&mut self, value: &impl Serialize, text: impl fmt::Display) {
        if self.json { self.json(value) } else { self.line(text) }
    }

    /// Flushes standard output. Returns the first write error, except for a closed pipe.
    pub fn flush(&mut self) -> Result<(), CommandError> {
        let error = self.broken.take().or_else(|| io::stdout().flush().err());
        match error {
            Some(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(CommandError::io("writing the output")(error))
            }
            _ => Ok(()),
        }
    }

    /// Asks the operator for confirmation. Returns a usage error without a terminal and with `--json`.
    pub fn asks(&mut self, question: impl fmt::Display) -> Result<bool, CommandError> {
        if self.json || !io::stdin().is_terminal() {
            return Err(CommandError::new(
                Exit::Usage,
                format_args!("{question} Confirmation is not possible here; use --yes"),
            ));
        }
        self.text(format_args!("{question} [y/N] "));
        self.flush()?;
        let mut answer = String::new();
        io::stdin().read_line(&mut answer).map_err(CommandError::io("reading the answer"))?;
        Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
    }

    /// Prints a line to standard error.
    pub fn note(&self, text: impl fmt::Display) {
        // A write error is ignored, because there is no other place to report it.
        let _ = writeln!(io::stderr(), "{}", escape_control(&text.to_string()));
    }

    /// Prints a failure to standard error, as text or as JSON. Standard output has only the output of the command.
    pub fn report_error(&self, failure: &CommandError) {
        if failure.text.is_empty() {
            return;
        }
        if self.json {
            let _ = writeln!(io::stderr(), "{}", json!({"error": failure.text, "exit": failure.exit as u8}));
        } else {
            self.note(format_args!("kyc-rules: {}", failure.text));
        }
    }
}

/// Formats rows under headings, with each column as wide as its widest cell.
pub fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|cell| in_one_line(cell)).collect()).collect();
    let mut widths: Vec<usize> = headings.iter().map(|heading| heading.chars().count()).collect();
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded: Vec<String> = cells.zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        padded.join("  ").trim_end().to_owned()
    };
    let head = line(&mut headings.iter().copied());
    let body = rows.iter().map(|row| line(&mut row.iter().map(String::as_str)));
    std::iter::once(head).chain(body).collect::<Vec<_>>().join("\n")
}
