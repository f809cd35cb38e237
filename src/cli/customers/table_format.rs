//! The format of a file of contacts.

use std::path::Path;

use clap::ValueEnum;

use crate::contacts;

/// Format of a file of contacts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TableFormat {
    Csv,
    Ndjson,
}

impl TableFormat {
    /// Returns the given format; without it, the format of the file's extension; otherwise CSV.
    pub(super) fn of(said: Option<Self>, file: &Path) -> contacts::ContactsFormat {
        let told = file.extension().is_some_and(|ending| ending == "ndjson" || ending == "jsonl");
        match said {
            Some(Self::Ndjson) => contacts::ContactsFormat::Ndjson,
            None if told => contacts::ContactsFormat::Ndjson,
            Some(Self::Csv) | None => contacts::ContactsFormat::Csv,
        }
    }
}
