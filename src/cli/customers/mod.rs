//! The `customers` commands: import, export and show customers, and set their tags.

mod backend;
mod export;
mod import;
mod show;

use std::path::Path;

use clap::{Subcommand, ValueEnum};

use super::{CommandError, Output};
use crate::contacts;

#[derive(Debug, Subcommand)]
pub enum CustomersCommand {
    /// Import contacts from a file. The file is checked first; a file with errors is rejected as a whole.
    ///
    /// An error during the import, for example a server that stops, leaves a part of the contacts imported. Run the
    /// command again to import the rest.
    Import(import::ImportArgs),
    /// Write all contacts to a file that `import` can read.
    Export(export::ExportArgs),
    /// Show the state and history of a customer, with the reason each mail was sent or not.
    Show(show::ShowArgs),
    /// Add a tag to a customer. Conditions of rules see the tag from the next event on.
    Tag(show::TagArgs),
    /// Remove a tag from a customer.
    Untag(show::TagArgs),
}

/// Format of a file of contacts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TableFormat {
    Csv,
    Ndjson,
}

impl TableFormat {
    /// Returns the given format, or the one of the file's extension, or CSV.
    fn of(said: Option<Self>, file: &Path) -> contacts::ContactsFormat {
        let told = file.extension().is_some_and(|ending| ending == "ndjson" || ending == "jsonl");
        match said {
            Some(Self::Ndjson) => contacts::ContactsFormat::Ndjson,
            None if told => contacts::ContactsFormat::Ndjson,
            Some(Self::Csv) | None => contacts::ContactsFormat::Csv,
        }
    }
}

impl CustomersCommand {
    pub fn run(self, config: Option<&Path>, output: &mut Output) -> Result<(), CommandError> {
        match self {
            Self::Import(import) => import.run(config, output),
            Self::Export(export) => export.run(config, output),
            Self::Show(show) => show.run(config, output),
            Self::Tag(mark) => mark.run(config, true, output),
            Self::Untag(mark) => mark.run(config, false, output),
        }
    }
}
