//! What commands print, and how they end. The one place that writes to standard output and names exit codes.

use std::{
    fmt,
    io::{self, IsTerminal, Write},
    process::ExitCode,
};

use serde::Serialize;

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
    /// Standard output may be a closed pipe (`| head`): then the rest is for nobody.
    closed: bool,
}

impl Output {
    pub fn new(json: bool) -> Self {
        Self { json, closed: false }
    }

    pub const fn is_json(&self) -> bool {
        self.json
    }

    /// A person watches, and lines may be drawn over.
    pub fn is_terminal(&self) -> bool {
        !self.json && io::stderr().is_terminal()
    }

    /// One line, or several.
    pub fn line(&mut self, text: impl fmt::Display) {
        self.write(format_args!("{text}\n"));
    }

    pub fn raw(&mut self, bytes: &[u8]) {
        if !self.closed {
            self.closed = io::stdout().write_all(bytes).is_err();
        }
    }

    /// A value for scripts, in one line.
    pub fn json(&mut self, value: &impl Serialize) {
        match serde_json::to_string(value) {
            Ok(text) => self.line(text),
            Err(error) => self.line(format_args!("null {error}")),
        }
    }

    /// A value for scripts, or text for people.
    pub fn either(&mut self, value: &impl Serialize, text: impl fmt::Display) {
        if self.json { self.json(value) } else { self.line(text) }
    }

    fn write(&mut self, text: fmt::Arguments<'_>) {
        if !self.closed {
            self.closed = io::stdout().write_fmt(text).is_err();
        }
    }

    pub fn flush(&mut self) -> Result<(), Failure> {
        if self.closed {
            return Ok(());
        }
        match io::stdout().flush() {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::io("writing the output")(error)),
            _ => Ok(()),
        }
    }

    /// Asks a person whether to go on. Where nobody can answer, a flag has to.
    pub fn asks(&mut self, question: impl fmt::Display) -> Result<bool, Failure> {
        if self.json || !io::stdin().is_terminal() {
            return Err(Failure::new(Exit::Usage, format_args!("{question} Nobody can be asked here; say --yes")));
        }
        self.write(format_args!("{question} [y/N] "));
        self.flush()?;
        let mut answer = String::new();
        io::stdin().read_line(&mut answer).map_err(Failure::io("reading the answer"))?;
        Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
    }

    /// On standard error.
    pub fn note(&self, text: impl fmt::Display) {
        // Where even that is closed, there is nobody to tell.
        let _ = writeln!(io::stderr(), "{text}");
    }

    pub fn complain(&self, failure: &Failure) {
        if !failure.text.is_empty() {
            self.note(format_args!("kyc-rules: {}", failure.text));
        }
    }
}

/// Rows under headings, each column as wide as its widest cell.
pub fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = headings.iter().map(|heading| heading.chars().count()).collect();
    for row in rows {
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
