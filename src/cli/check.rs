//! The `check` command: reports all errors and warnings of the configuration and the rules.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::{CommandError, Exit, Output, client::Original, settings, workspace::Workspace};
use crate::{
    api::history::{ImpactRequest, ImpactResponse},
    app,
    config::Config,
    http::{TlsConfig, TlsError},
    yaml::{Diagnostic, Severity, github, json as as_json, render},
};

#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Check the rules in this directory instead of the configured one. Works without a configuration: then all
    /// targets, rooms and attributes that the rules name count as configured.
    #[arg(long, value_name = "DIR")]
    rules: Option<PathBuf>,

    /// Exit with 78 for warnings, too.
    #[arg(long)]
    deny_warnings: bool,

    /// Also ask the running server what loading these rules would change: the rules added, removed and changed, and the
    /// number of jobs within the first hour.
    #[arg(long)]
    against_running: bool,

    /// Format of the diagnostics.
    #[arg(long, value_enum, default_value_t = CheckFormat::Human)]
    format: CheckFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum CheckFormat {
    /// Text with the source line and a caret.
    Human,
    /// One JSON object per line.
    Json,
    /// Annotations for a GitHub workflow.
    Github,
}

impl CheckArgs {
    pub fn run(self, given: Option<&Path>, output: &mut Output) -> Result<(), CommandError> {
        let mut offline = Workspace::judged(given, self.rules.as_deref())?;
        if let Some(loaded) = &offline.configuration {
            let missing = loaded.config.iter().flat_map(app::unsupported);
            let missing = missing.map(|text| Diagnostic::error("unsupported", loaded.file.clone(), text));
            offline.diagnostics.extend(missing);
            let wrong = loaded.config.as_ref().and_then(certificate);
            offline.diagnostics.extend(wrong);
        }
        self.report(&offline, output)?;
        if self.against_running { against_running(given, &offline, output) } else { Ok(()) }
    }

    fn report(&self, offline: &Workspace, output: &mut Output) -> Result<(), CommandError> {
        let (errors, warnings) = (offline.count(Severity::Error), offline.count(Severity::Warning));
        let (diagnostics, sources) = (&offline.diagnostics, &offline.sources());
        match if output.is_json() { CheckFormat::Json } else { self.format } {
            CheckFormat::Json => as_json(diagnostics, sources).iter().for_each(|one| output.json(one)),
            CheckFormat::Github => output.raw(github(diagnostics, sources).as_bytes()),
            CheckFormat::Human => {
                output.text(render(diagnostics, sources, false));
                let gap = if diagnostics.is_empty() { "" } else { "\n" };
                let sum = format!("{}, {}", counted(errors, "error"), counted(warnings, "warning"));
                let count = offline.rules.as_ref().map_or(0, |set| set.rules().len());
                output.line(if errors == 0 {
                    format!("{gap}{}: {sum}", counted(count, "rule"))
                } else {
                    format!("{gap}{sum}")
                });
                if offline.configuration.is_none() {
                    output.line("(without a configuration: all targets, rooms and attributes count as configured)");
                }
            }
        }
        if errors > 0 || self.deny_warnings && warnings > 0 { Err(CommandError::new(Exit::Config, "")) } else { Ok(()) }
    }
}

/// Returns an error if the files of `callback.tls` cannot be used. The service would not start with them.
fn certificate(config: &Config) -> Option<Diagnostic> {
    let files = config.callback.tls.as_ref()?;
    let TlsError { file, problem } = TlsConfig::load(&files.certificate, &files.key).err()?;
    let help = "`callback.tls` in the configuration names the certificate and its key";
    Some(Diagnostic::error("tls", file.display().to_string(), problem).help(help))
}

/// Prints what loading these rules would change in the running server.
fn against_running(given: Option<&Path>, offline: &Workspace, output: &mut Output) -> Result<(), CommandError> {
    let body = ImpactRequest { rules: Some(offline.files().clone()) };
    let answer: Original<ImpactResponse> =
        settings::block_on(async { settings::client(given)?.post_json("impact", &body).await })?;
    if output.is_json() {
        output.json(&answer);
    } else {
        show_impact(&answer, output);
    }
    if answer.refused {
        Err(CommandError::new(Exit::Config, "a reload would be refused: see `reload.blast_limit`"))
    } else {
        Ok(())
    }
}

fn show_impact(answer: &ImpactResponse, output: &mut Output) {
    let impact = &answer.impact;
    output.line("\nagainst the active rules:");
    for (what, rules) in [("added", &impact.added), ("removed", &impact.removed), ("changed", &impact.changed)] {
        let rules = if rules.is_empty() { "none".to_owned() } else { rules.join(", ") };
        output.line(format_args!("  {what:<8} {rules}"));
    }
    let limit = answer.limit.map(|limit| format!(" (limit: {limit})")).unwrap_or_default();
    output.line(format_args!("  jobs within an hour of loading: {}{limit}", impact.total));
    for (rule, count) in &impact.at_once {
        output.line(format_args!("    {rule}: {count}"));
    }
}

pub fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
