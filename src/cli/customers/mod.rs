//! The `customers` commands: import, export and show customers, and set their tags.

mod backend;
mod export;
mod import;
mod show;
mod table_format;

use std::path::Path;

use clap::Subcommand;
pub use table_format::TableFormat;

use super::{CommandError, Output};

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
