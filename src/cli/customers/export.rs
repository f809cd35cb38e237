//! All contacts into a file, or to standard output.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use clap::Args;

use super::{Format, way::Way};
use crate::{
    cli::{Exit, Failure, Output, settings},
    contacts,
};

#[derive(Debug, Args)]
pub struct Export {
    /// Else standard output.
    file: Option<PathBuf>,

    /// Else told by the file's name; CSV where that says nothing.
    #[arg(long, value_enum)]
    format: Option<Format>,
}

impl Export {
    pub fn run(self, given: Option<&Path>, output: &mut Output) -> Result<(), Failure> {
        let config = settings::load(given)?;
        let entries = settings::block_on(async {
            let way = Way::find(&config).await?;
            let entries = way.contacts().await;
            way.close().await;
            entries
        })?;
        let format = Format::of(self.format, self.file.as_deref().unwrap_or(Path::new("")));
        let text = contacts::write(&entries, format, &config.directory.attributes)
            .map_err(|error| Failure::new(Exit::Failed, error))?;
        match &self.file {
            None => output.raw(text.as_bytes()),
            Some(file) => {
                write(file, &text)?;
                output.note(format_args!("{} contacts are in {}", entries.len(), file.display()));
            }
        }
        Ok(())
    }
}

/// Whole or not at all, and for its owner alone.
fn write(file: &Path, text: &str) -> Result<(), Failure> {
    let doing = || Failure::io(format!("writing {}", file.display()));
    let dir = file.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut temporary = tempfile::NamedTempFile::new_in(dir).map_err(doing())?;
    temporary.write_all(text.as_bytes()).map_err(doing())?;
    temporary.as_file().sync_all().map_err(doing())?;
    temporary.persist(file).map(|_| ()).map_err(|error| doing()(error.error))
}
