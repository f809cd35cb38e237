//! The `init` command: writes a commented configuration, the shipped rules and JSON Schemas into a directory.

use std::{
    fs,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use clap::Args;
use serde_json::json;

use super::{CommandError, Exit, Output, schema};
use crate::{schema as schemas, shipped};

const CONFIG: &str = include_str!("init/kyc-rules.yaml");

/// The directory of the schemas, below the new directory.
const SCHEMAS: &str = ".schema";

#[derive(Debug, Args)]
pub struct InitArgs {
    /// The directory; created if missing. If one of the files already exists, nothing is written.
    dir: PathBuf,
}

impl InitArgs {
    pub fn run(self, output: &mut Output) -> Result<(), CommandError> {
        let files = files();
        let there: Vec<String> = files
            .iter()
            .map(|(path, _)| self.dir.join(path))
            .filter(|path| path.exists())
            .map(|path| format!("  {}", path.display()))
            .collect();
        if !there.is_empty() {
            let text = format!("nothing was written, because these files exist already:\n{}", there.join("\n"));
            return Err(CommandError::new(Exit::Failed, text));
        }
        for (path, text) in &files {
            write(&self.dir.join(path), text)?;
        }
        let config = self.dir.join("kyc-rules.yaml");
        output.json_or_text(
            &json!({"config": config, "rules": self.dir.join("rules"), "files": files.len()}),
            format_args!(
                "{0} and {1} more files were written: rules, mails, and schemas for your editor.\n\nEdit the configuration, then:\n\n  kyc-rules --config {0} check\n  kyc-rules --config {0} serve",
                config.display(),
                files.len() - 1,
            ),
        );
        Ok(())
    }
}

/// Returns every file to write, as its path below the directory and its text.
fn files() -> Vec<(PathBuf, String)> {
    let shipped = shipped::files();
    let names = schemas::SchemaNames { growing: true, ..schema::of(&shipped) };
    let config = format!("{}{CONFIG}", modeline("", "config"));
    let mut files = vec![(PathBuf::from("kyc-rules.yaml"), config)];
    for (path, text) in shipped.iter() {
        let line = match path {
            path if path.contains('/') || !path.ends_with(".yaml") => String::new(),
            path if path.ends_with(".test.yaml") => modeline("../", "tests"),
            _ => modeline("../", "rules"),
        };
        files.push((Path::new("rules").join(path), line + text));
    }
    for (name, schema) in
        [("rules", schemas::rules(&names)), ("tests", schemas::tests(&names)), ("config", schemas::config())]
    {
        files.push((Path::new(SCHEMAS).join(name).with_extension("json"), format!("{schema:#}\n")));
    }
    files
}

/// Returns the comment that tells the YAML language server where the schema of a file is.
fn modeline(up: &str, name: &str) -> String {
    format!("# yaml-language-server: $schema={up}{SCHEMAS}/{name}.json\n")
}

/// Creates a file. Returns an error if the file exists.
fn write(path: &Path, text: &str) -> Result<(), CommandError> {
    let doing = || CommandError::io(format!("writing {}", path.display()));
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir).map_err(doing())?;
    }
    let mode = if path.extension().is_some_and(|extension| extension == "yaml") { 0o640 } else { 0o644 };
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path).map_err(doing())?;
    file.write_all(text.as_bytes()).map_err(doing())
}
