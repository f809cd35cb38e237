//! A commented configuration and the shipped rules, ready to edit.

use std::{
    fs,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use clap::Args;
use serde_json::json;

use super::{Exit, Failure, Output};
use crate::shipped;

const CONFIG: &str = include_str!("init/kyc-rules.yaml");

#[derive(Debug, Args)]
pub struct Init {
    /// Made where it is missing; files that are there already are left alone, and none is written then.
    dir: PathBuf,
}

impl Init {
    pub fn run(self, output: &mut Output) -> Result<(), Failure> {
        let rules = shipped::files();
        let rules = rules.iter().map(|(path, text)| (Path::new("rules").join(path), text));
        let files: Vec<(PathBuf, &str)> =
            std::iter::once((PathBuf::from("kyc-rules.yaml"), CONFIG)).chain(rules).collect();
        let there: Vec<String> = files
            .iter()
            .map(|(path, _)| self.dir.join(path))
            .filter(|path| path.exists())
            .map(|path| format!("  {}", path.display()))
            .collect();
        if !there.is_empty() {
            let text = format!("nothing is written, since these are there already:\n{}", there.join("\n"));
            return Err(Failure::new(Exit::Failed, text));
        }
        for (path, text) in &files {
            write(&self.dir.join(path), text)?;
        }
        let config = self.dir.join("kyc-rules.yaml");
        let rules = self.dir.join("rules");
        output.either(
            &json!({"config": config, "rules": rules, "files": files.len()}),
            format_args!(
                "{0} and {1} files below {2} are written.\n\nEdit the configuration, then:\n\n  kyc-rules --config {0} check\n  kyc-rules --config {0} serve",
                config.display(),
                files.len() - 1,
                rules.display(),
            ),
        );
        Ok(())
    }
}

/// A new file; one that appeared meanwhile is left alone.
fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let doing = || Failure::io(format!("writing {}", path.display()));
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir).map_err(doing())?;
    }
    let mode = if path.extension().is_some_and(|extension| extension == "yaml") { 0o640 } else { 0o644 };
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path).map_err(doing())?;
    file.write_all(text.as_bytes()).map_err(doing())
}
