//! The `customers` commands: import, export and show customers, and set their tags.

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
    /// Import contacts from a file. The file is checked first; a file with errors is rejected as a whole.
    ///
    /// An error during the import, for example a server that stops, leaves a part of the contacts imported. Run the
    /// command again to import the rest.
    Import(import::Import),
    /// Write all contacts to a file that `import` can read.
    Export(export::Export),
    /// Show the state and history of a customer, with the reason each mail was sent or not.
    Show(show::Show),
    /// Add a tag to a customer. Conditions of rules see the tag from the next event on.
    Tag(show::Mark),
    /// Remove a tag from a customer.
    Untag(show::Mark),
}

/// Format of a file of contacts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Csv,
    Ndjson,
}

impl Format {
    /// Returns the given format, or the one of the file's extension, or CSV.
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
