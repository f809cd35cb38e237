//! The `schema` command: prints JSON Schemas for editors, with the names that the configuration and the rules define.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::{CommandError, Exit, Output, settings};
use crate::{
    rules::Vocabulary,
    rules_dir,
    schema::{self, SchemaNames},
    yaml::{Files, Sources, render},
};

#[derive(Debug, Args)]
pub struct SchemaArgs {
    /// The kind of file.
    #[arg(value_enum)]
    of: SchemaKind,

    /// Read the names of templates and rules from this directory instead of the configured one.
    #[arg(long, value_name = "DIR")]
    rules: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum SchemaKind {
    /// rules/*.yaml
    Rules,
    /// rules/*.test.yaml
    Tests,
    /// kyc-rules.yaml
    Config,
}

impl SchemaArgs {
    pub fn run(self, given: Option<&Path>, output: &mut Output) -> Result<(), CommandError> {
        let schema = match self.of {
            SchemaKind::Rules => schema::rules(&self.names(given, output)?),
            SchemaKind::Tests => schema::tests(&self.names(given, output)?),
            SchemaKind::Config => schema::config(),
        };
        if output.is_json() {
            output.json(&schema);
        } else {
            output.raw(format!("{schema:#}\n").as_bytes());
        }
        Ok(())
    }

    fn names(&self, given: Option<&Path>, output: &Output) -> Result<SchemaNames, CommandError> {
        let config = settings::without_secrets(given, output)?;
        let dir = self.rules.clone().or_else(|| config.as_ref().map(|config| config.rules.clone()));
        let files = match dir.map(|dir| rules_dir::read(&dir)) {
            None => Files::default(),
            Some(Ok(files)) => files,
            Some(Err(wrong)) => {
                return Err(CommandError::new(Exit::Config, render(&wrong, &Sources::default(), false).trim_end()));
            }
        };
        let mut names = of(&files);
        if let Some(config) = config {
            names.statuses = config.statuses;
            names.processing = config.processing_statuses;
            names.webhooks = config.webhooks.into_keys().collect();
            names.chats = config.chats.into_keys().collect();
            names.attributes = config.directory.attributes;
        }
        Ok(names)
    }
}

/// Returns the names that these rules define. Names that only the configuration declares stay empty.
pub(super) fn of(files: &Files) -> SchemaNames {
    let found = Vocabulary::of(files);
    let sorted = |names: std::collections::BTreeSet<String>| names.into_iter().collect();
    SchemaNames {
        templates: sorted(found.templates),
        rules: sorted(found.rules),
        codes: sorted(found.labels),
        tags: sorted(found.tags),
        ..SchemaNames::default()
    }
}
