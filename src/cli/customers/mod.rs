//! Whom to write to: customers and their contacts, in and out, and what is known of one.

mod export;
mod import;
mod show;
mod way;

use std::path::Path;

use clap::{Subcommand, ValueEnum};

use super::{Failure, Output};
use crate::contacts;

#[derive(Debug, Subcommand)]
pub enum Customers {
    /// Take contacts from a file. All of it is checked first, and of a file with a mistake nothing is taken.
    ///
    /// What goes wrong later, as a server that ends meanwhile, leaves a part of them taken; run again, it takes the rest.
    Import(import::Import),
    /// Write all contacts into a file that import reads back.
    Export(export::Export),
    /// All that is known of a customer, and why each mail went or didn't.
    Show(show::Show),
    /// Mark a customer; conditions of rules see it from the next event on.
    Tag(show::Mark),
    /// Take a mark off.
    Untag(show::Mark),
}

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Csv,
    Ndjson,
}

impl Format {
    /// As it is said, or as the file's name tells.
    fn of(said: Option<Self>, file: &Path) -> contacts::Format {
        let told = file.extension().is_some_and(|ending| ending == "ndjson" || ending == "jsonl");
        match said {
            Some(Self::Ndjson) => contacts::Format::Ndjson,
            None if told => contacts::Format::Ndjson,
            Some(Self::Csv) | None => contacts::Format::Csv,
        }
    }
}

impl Customers {
    pub fn run(self, config: Option<&Path>, output: &mut Output) -> Result<(), Failure> {
        match self {
            Self::Import(import) => import.run(config, output),
            Self::Export(export) => export.run(config, output),
            Self::Show(show) => show.run(config, output),
            Self::Tag(mark) => mark.run(config, true, output),
            Self::Untag(mark) => mark.run(config, false, output),
        }
    }
}
