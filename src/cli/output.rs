//! What commands print, and how they end. The one place that writes to standard output and names exit codes.

use std::{
    fmt,
    io::{self, IsTerminal, Write},
    process::ExitCode,
};

use serde::Serialize;
use serde_json::json;

use super::legible::{in_one_line, legible};

/// How a command ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Ok = 0,
    Failed = 1,
    Usage = 2,
    /// The server, or a service that it needs, can't be reached.
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

/// A command that did not do what it was asked for.
#[derive(Clone, Debug)]
pub struct Failure {
    pub exit: Exit,
    /// What is wrong, and what to do. Empty: it has been said already.
    pub text: String,
}

impl Failure {
    pub fn new(exit: Exit, text: impl fmt::Display) -> Self {
        Self { exit, text: text.to_string() }
    }

    /// For `map_err`: what was being done, and what went wrong.
    pub fn io<E: fmt::Display>(doing: impl fmt::Display) -> impl FnOnce(E) -> Self {
        move |error| Self::new(Exit::Io, format!("{doing}: {error}"))
    }
}

/// Standard output, for people or for scripts.
pub struct Output {
    json: bool,
    /// Why nothing can be written any more. A closed pipe (`| head`) is nobody's fault: then the rest is for nobody.
    broken: Option<io::Error>,
}

impl Output {
    pub fn new(json: bool) -> Self {
        Self { json, broken: None }
    }

    pub const fn is_json(&self) -> bool {
        self.json
    }

    /// A person watches, and lines may be drawn over.
    pub fn is_terminal(&self) -> bool {
        !self.json && io::stderr().is_terminal()
    }

    /// One line, or several, for people.
    pub fn line(&mut self, text: impl fmt::Display) {
        self.text(format_args!("{text}\n"));
    }

    /// Text for people, as it is but for what a terminal would obey.
    pub fn text(&mut self, text: impl fmt::Display) {
        self.raw(legible(&text.to_string()).as_bytes());
    }

    /// What somebody else reads: a file, a script, a page.
    pub fn raw(&mut self, bytes: &[u8]) {
        if self.broken.is_none() {
            self.broken = io::stdout().write_all(bytes).err();
        }
    }

    /// A value for scripts, in one line.
    pub fn json(&mut self, value: &impl Serialize) {
        match serde_json::to_string(value) {
            Ok(text) => self.raw(format!("{text}\n").as_bytes()),
            Err(error) => self.line(format_args!("null {error}")),
        }
    }

    /// A value for scripts, or text for people.
    pub fn either(&mut self, value: &impl Serialize, text: impl fmt::Display) {
        if self.json { self.json(value) } else { self.line(text) }
    }

    /// Says whether everything has been written.
    pub fn flush(&mut self) -> Result<(), Failure> {
        let error = self.broken.take().or_else(|| io::stdout().flush().err());
        match error {
            Some(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::io("writing the output")(error)),
            _ => Ok(()),
        }
    }

    /// Asks the operator whether to go on. Without a terminal a flag has to say it.
    pub fn asks(&mut self, question: impl fmt::Display) -> Result<bool, Failure> {
        if self.json || !io::stdin().is_terminal() {
            return Err(Failure::new(Exit::Usage, format_args!("{question} Nobody can be asked here; say --yes")));
        }
        self.text(format_args!("{question} [y/N] "));
        self.flush()?;
        let mut answer = String::new();
        io::stdin().read_line(&mut answer).map_err(Failure::io("reading the answer"))?;
        Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
    }

    /// On standard error.
    pub fn note(&self, text: impl fmt::Display) {
        // Where even that is closed, there is nobody to tell.
        let _ = writeln!(io::stderr(), "{}", legible(&text.to_string()));
    }

    /// Says on standard error what went wrong, so that standard output has nothing but what was asked for.
    pub fn complain(&self, failure: &Failure) {
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

/// Rows under headings, each column as wide as its widest cell.
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
