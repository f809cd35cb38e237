//! Everything that is wrong with the configuration and the rules, at once.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::{Exit, Failure, Output, settings};
use crate::{
    app,
    config::{Config, Unfilled},
    http::{TlsConfig, TlsError},
    rules::{Context, RuleSet},
    rules_dir,
    source::{Diagnostic, Files, Severity, Sources, github, json, render},
};

#[derive(Debug, Args)]
pub struct Check {
    /// Check this directory's rules instead of the configured one's; needs no configuration.
    #[arg(long, value_name = "DIR")]
    rules: Option<PathBuf>,

    /// Warnings fail, too.
    #[arg(long)]
    deny_warnings: bool,

    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Text with a caret.
    Human,
    /// One object a line.
    Json,
    /// Annotations of a GitHub workflow.
    Github,
}

impl Check {
    pub fn run(self, given: Option<&Path>, output: &mut Output) -> Result<(), Failure> {
        let path = Config::find(given);
        let loaded = match (&path, &self.rules) {
            (None, Some(_)) => None,
            _ => Some(settings::read(&settings::find(given)?, Unfilled::Allow)?),
        };
        let mut diagnostics = Vec::new();
        let mut sources = Sources::default();
        let config = loaded.as_ref().map(|loaded| {
            diagnostics.extend(loaded.diagnostics.iter().cloned());
            let missing = loaded.config.iter().flat_map(app::unsupported);
            diagnostics.extend(missing.map(|text| Diagnostic::error("unsupported", loaded.file.clone(), text)));
            diagnostics.extend(loaded.config.as_ref().and_then(certificate));
            loaded.config.as_ref()
        });
        if let Some(loaded) = &loaded {
            sources = sources.file(&loaded.file, &loaded.text);
        }
        let dir = self.rules.clone().or_else(|| config.flatten().map(|config| config.rules.clone()));
        let context = match config {
            Some(Some(config)) => Some(app::context(config)),
            // Without a configuration anything that it could declare is missing, but mails can be sent.
            None => Some(Context::without_configuration()),
            // What the rules may name is not known until the configuration is right.
            Some(None) => None,
        };
        let files;
        let mut count = 0;
        if let (Some(dir), Some(context)) = (&dir, context) {
            (files, count) = check_rules(dir, &context, &mut diagnostics);
            sources = sources.directory(&dir.display().to_string(), &files);
        }
        self.report(&diagnostics, &sources, count, output)
    }

    fn report(
        &self,
        diagnostics: &[Diagnostic],
        sources: &Sources<'_>,
        count: usize,
        output: &mut Output,
    ) -> Result<(), Failure> {
        let of = |severity| diagnostics.iter().filter(|one| one.severity == severity).count();
        let (errors, warnings) = (of(Severity::Error), of(Severity::Warning));
        match if output.is_json() { Format::Json } else { self.format } {
            Format::Json => json(diagnostics, sources).iter().for_each(|one| output.json(one)),
            Format::Github => output.raw(github(diagnostics, sources).as_bytes()),
            Format::Human => {
                output.text(render(diagnostics, sources, false));
                let gap = if diagnostics.is_empty() { "" } else { "\n" };
                let sum = format!("{}, {}", counted(errors, "error"), counted(warnings, "warning"));
                output.line(if errors == 0 { format!("{gap}{count} rules: {sum}") } else { format!("{gap}{sum}") });
            }
        }
        if errors > 0 || self.deny_warnings && warnings > 0 { Err(Failure::new(Exit::Config, "")) } else { Ok(()) }
    }
}

/// What is wrong with the files of `callback.tls`, which the service would not start with.
fn certificate(config: &Config) -> Option<Diagnostic> {
    let files = config.callback.tls.as_ref()?;
    let TlsError { file, problem } = TlsConfig::load(&files.certificate, &files.key).err()?;
    let help = "`callback.tls` in the configuration names the certificate and its key";
    Some(Diagnostic::error("tls", file.display().to_string(), problem).help(help))
}

fn check_rules(dir: &Path, context: &Context, diagnostics: &mut Vec<Diagnostic>) -> (Files, usize) {
    match rules_dir::read(dir) {
        Err(wrong) => {
            diagnostics.extend(wrong);
            (Files::default(), 0)
        }
        Ok(files) => {
            let compiled = RuleSet::compile(&files, context);
            diagnostics.extend(compiled.diagnostics);
            diagnostics.extend(rules_dir::overlooked(dir));
            (files, compiled.set.map_or(0, |set| set.rules().len()))
        }
    }
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
