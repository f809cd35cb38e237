//! The `customers export` command: writes all contacts to a file or to standard output.
//!
//! With `--json`, standard output has only JSON: the contacts, one per line, or the number of contacts in the file.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use clap::Args;
use serde_json::json;

use super::TableFormat;
use crate::{
    cli::{CommandError, Exit, Output, check::counted, history::HistoryCommand, settings},
    contacts,
};

#[derive(Debug, Args)]
pub struct ExportArgs {
    /// The file to write. Default: standard output.
    file: Option<PathBuf>,

    /// Format of the file. Default: by the file name, else CSV, or NDJSON on standard output with --json.
    #[arg(long, value_enum)]
    format: Option<TableFormat>,
}

impl ExportArgs {
    pub fn run(self, given: Option<&Path>, output: &mut Output) -> Result<(), CommandError> {
        let config = settings::load_without_secrets(given)?;
        let (entries, nothing) = settings::block_on(async {
            let history = HistoryCommand::find(&config).await?;
            Ok((history.contacts().await?, history.nothing_there()))
        })?;
        if let Some(nothing) = nothing {
            output.note(nothing);
        }
        let format = match (&self.file, self.format) {
            (None, None) if output.is_json() => contacts::ContactsFormat::Ndjson,
            (file, said) => TableFormat::of(said, file.as_deref().unwrap_or(Path::new(""))),
        };
        let text = contacts::write(&entries, format, &config.directory.attributes)
            .map_err(|error| CommandError::new(Exit::Failed, error))?;
        match &self.file {
            None => output.raw(text.as_bytes()),
            Some(file) => {
                write(file, &text)?;
                if output.is_json() {
                    output.json(&json!({"contacts": entries.len(), "file": file}));
                } else {
                    output.note(format_args!("wrote {} to {}", counted(entries.len(), "contact"), file.display()));
                }
            }
        }
        Ok(())
    }
}

/// Writes the file atomically, with access for its owner only.
fn write(file: &Path, text: &str) -> Result<(), CommandError> {
    let doing = || CommandError::io(format!("writing {}", file.display()));
    let dir = file.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut temporary = tempfile::NamedTempFile::new_in(dir).map_err(doing())?;
    temporary.write_all(text.as_bytes()).map_err(doing())?;
    temporary.as_file().sync_all().map_err(doing())?;
    temporary.persist(file).map(|_| ()).map_err(|error| doing()(error.error))
}
